"""Which node a pod fits on. Pure; `scheduler.py` calls it and binds.

Looks at readiness, cordons, taints, nodeSelector, required node affinity, requests against allocatable, and host ports.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from styr.kinds import conditions, meta, pods
from styr.kinds.quantities import QuantityError, parse
from styr.kinds.resources import Object
from styr.kinds.selectors import Requirement

Amounts = dict[str, Fraction]

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - read, not listened on


def plan(pod: Object, nodes: list[Object], placed: list[Object]) -> tuple[str, str]:
    """(node, "") or ("", why not), worded as Kubernetes does. `placed` are the pods that have a node. Of several nodes
    the one with the most room for cpu is taken, then by name."""
    reasons: dict[str, int] = {}
    fits = []
    for node in nodes:
        residents = [other for other in placed if _node(other) == meta.name(node) and not pods.is_terminal(other)]
        if reason := obstacle(pod, node, residents):
            reasons[reason] = reasons.get(reason, 0) + 1
        else:
            free = _allocatable(node).get("cpu", Fraction(0)) - _sum(map(requests, residents)).get("cpu", Fraction(0))
            fits.append((-free, meta.name(node)))
    if fits:
        return min(fits)[1], ""
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return "", f"0/{len(nodes)} nodes are available: {told or 'no nodes are registered'}."


def obstacle(pod: Object, node: Object, residents: list[Object]) -> str:
    """Why the pod cannot run there, "" if it can."""
    spec = pod.get("spec") or {}
    if not conditions.is_true(node, "Ready"):
        return "node(s) were not ready"
    tolerations = spec.get("tolerations") or []
    if (node.get("spec") or {}).get("unschedulable") and not _tolerated(
        {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}, tolerations
    ):
        return "node(s) were unschedulable"
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not _tolerated(taint, tolerations):
            return f"node(s) had untolerated taint {{{taint.get('key')}: {taint.get('value', '')}}}"
    if not _selected(spec, node):
        return "node(s) didn't match Pod's node affinity/selector"
    if any(_collide(port, taken) for port in _host_ports(pod) for other in residents for taken in _host_ports(other)):
        return "node(s) didn't have free ports for the requested pod ports"
    return _lacking(requests(pod), _allocatable(node), [requests(other) for other in residents])


def admits(spec: Mapping[str, Any], node: Object, effects: Iterable[str] = ("NoSchedule", "NoExecute")) -> bool:
    """May a pod of this spec be on the node at all, room and readiness aside? `effects` are the taints that count."""
    taints = (node.get("spec") or {}).get("taints") or ()
    tolerations = spec.get("tolerations") or []
    return _selected(spec, node) and all(
        _tolerated(taint, tolerations) for taint in taints if taint.get("effect") in effects
    )


def requests(pod: Object) -> Amounts:
    """What a pod asks for: the sum of its containers, or its largest init container. Unreadable amounts count as none:
    the API has refused them already."""
    spec = pod.get("spec") or {}
    total = _sum(_requested(container) for container in spec.get("containers") or ())
    for container in spec.get("initContainers") or ():
        for name, amount in _requested(container).items():
            total[name] = max(total.get(name, Fraction(0)), amount)
    return total


def _requested(container: Mapping[str, Any]) -> Amounts:
    resources = container.get("resources") or {}
    return _amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _amounts(given: Mapping[str, Any]) -> Amounts:
    found = {}
    for name, quantity in given.items():
        try:
            found[name] = parse(quantity)
        except QuantityError:
            continue
    return found


def _sum(parts: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, Fraction(0)) + amount
    return total


def _allocatable(node: Object) -> Amounts:
    status = node.get("status") or {}
    return _amounts(status.get("allocatable") or status.get("capacity") or {})


def _lacking(wanted: Amounts, room: Amounts, used: list[Amounts]) -> str:
    """A node that tells nothing of cpu, memory or pods has no limit to them; of anything else it has none to give."""
    if "pods" in room and len(used) + 1 > room["pods"]:
        return "Too many pods"
    taken = _sum(used)
    for name, amount in sorted(wanted.items()):
        if name not in room and name in ("cpu", "memory", "ephemeral-storage"):
            continue
        if amount > 0 and taken.get(name, Fraction(0)) + amount > room.get(name, Fraction(0)):
            return f"Insufficient {name}"
    return ""


def _tolerated(taint: Mapping[str, Any], tolerations: Iterable[Mapping[str, Any]]) -> bool:
    return any(tolerates(toleration, taint) for toleration in tolerations)


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    exists = toleration.get("operator") == "Exists"
    if not toleration.get("key"):
        return exists
    same = (toleration.get("value") or "") == (taint.get("value") or "")
    return toleration.get("key") == taint.get("key") and (exists or same)


def _selected(spec: Mapping[str, Any], node: Object) -> bool:
    labels = meta.labels(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(
        all(_expression(term, labels) for term in choice.get("matchExpressions") or ())
        and all(_expression(term, {"metadata.name": meta.name(node)}) for term in choice.get("matchFields") or ())
        for choice in required.get("nodeSelectorTerms") or ()
        if choice.get("matchExpressions") or choice.get("matchFields")
    )


def _expression(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    operator, values = term["operator"], tuple(term.get("values") or ())
    if operator in ("Gt", "Lt"):
        try:
            have, bound = int(labels[term["key"]]), int(values[0])
        except (KeyError, ValueError, IndexError):
            return False
        return have > bound if operator == "Gt" else have < bound
    return Requirement(term["key"], operator, values).matches(labels)


def _host_ports(pod: Object) -> Iterator[tuple[str, int, str]]:
    """(protocol, number, address of the node) of each; "" is all addresses."""
    for container in (pod.get("spec") or {}).get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                address = port.get("hostIP") or ""
                yield port.get("protocol") or "TCP", int(port["hostPort"]), "" if address in _EVERYWHERE else address


def _collide(one: tuple[str, int, str], other: tuple[str, int, str]) -> bool:
    return one[:2] == other[:2] and (one[2] == other[2] or not (one[2] and other[2]))


def _node(pod: Object) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "")
