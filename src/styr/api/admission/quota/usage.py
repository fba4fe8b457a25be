"""What one object uses of what a quota counts, and which names of a quota an object of its kind can use. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from styr.api.admission import amounts
from styr.api.admission.amounts import ONE, Amount, Amounts
from styr.kinds.resources import Object
from styr.kit.clock import parse_rfc3339

STORAGE_CLASS = ".storageclass.storage.k8s.io/"
_PLAIN = frozenset(
    {"configmaps", "replicationcontrollers", "resourcequotas", "secrets", "services", "persistentvolumeclaims", "pods"}
)
"""Kinds that are counted under their own name too, beside `count/NAME`."""
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_POD_NAMES = frozenset(
    {"pods", *_COMPUTE, *(f"{field}.{name}" for field in ("requests", "limits") for name in _COMPUTE)}
)
_MUST_SAY = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
_CLAIM_NAMES = ("persistentvolumeclaims", "requests.storage")


def of(key: str, obj: Object, now: float) -> Amounts:
    """`key` is the group resource, `now` seconds since the epoch."""
    found: Amounts = {f"count/{key}": ONE}
    if key == "pods":
        return found | (_pod(obj) if _counts(obj, now) else {})
    if key in _PLAIN:
        found[key] = ONE
    if key == "services":
        return found | _service(obj.get("spec") or {})
    if key == "persistentvolumeclaims":
        return found | _claim(obj)
    return found


def named(key: str, names: Iterable[str]) -> list[str]:
    """Those of a quota's names that an object of this kind can use."""
    return [name for name in names if _is_named(key, name)]


def unsaid(pod: Object, names: Iterable[str]) -> str:
    """A quota on processor or memory wants every container to say how much: "" or what is missing."""
    spec = pod["spec"]
    missing: dict[str, set[str]] = {}
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        said = _compute(*(amounts.parse_all((container.get("resources") or {}).get(f)) for f in ("requests", "limits")))
        for name in set(names) & set(_MUST_SAY) - said.keys():
            missing.setdefault(name, set()).add(container["name"])
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


def resources_of(names: Iterable[str]) -> set[str]:
    """The group resources whose objects use what a quota names."""
    found = set()
    for name in names:
        if name.startswith("count/"):
            found.add(name.removeprefix("count/"))
        elif name.startswith("services."):
            found.add("services")
        elif name in _CLAIM_NAMES or STORAGE_CLASS in name:
            found.add("persistentvolumeclaims")
        elif name in _PLAIN:
            found.add(name)
        else:
            found.add("pods")
    return found


def _is_named(key: str, name: str) -> bool:
    if name == f"count/{key}" or (name == key and key in _PLAIN):
        return True
    if key == "services":
        return name in ("services.nodeports", "services.loadbalancers")
    if key == "persistentvolumeclaims":
        return name in _CLAIM_NAMES or (STORAGE_CLASS in name and name.rpartition("/")[2] in _CLAIM_NAMES)
    return key == "pods" and (
        name in _POD_NAMES or name.startswith(("hugepages-", "requests.hugepages-")) or _extended(name)
    )


def _extended(name: str) -> bool:
    """`requests.example.com/gpu`"""
    plain = name.removeprefix("requests.")
    return plain != name and "/" in plain and "kubernetes.io/" not in plain and STORAGE_CLASS not in name


def _counts(pod: Object, now: float) -> bool:
    """Not over, and not one that should have ended already."""
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return False
    meta = pod["metadata"]
    if "deletionTimestamp" in meta and "deletionGracePeriodSeconds" in meta:
        return now <= parse_rfc3339(meta["deletionTimestamp"]) + float(meta["deletionGracePeriodSeconds"])
    return True


def _pod(pod: Object) -> Amounts:
    return {"pods": ONE, **_compute(amounts.of_pod(pod, "requests"), amounts.of_pod(pod, "limits"))}


def _compute(requests: Mapping[str, Amount], limits: Mapping[str, Amount]) -> Amounts:
    found: Amounts = {}
    for name in _COMPUTE:
        if name in requests:
            found[name] = found[f"requests.{name}"] = requests[name]
        if name in limits:
            found[f"limits.{name}"] = limits[name]
    for name, amount in requests.items():
        if name.startswith("hugepages-"):
            found[name] = found[f"requests.{name}"] = amount
        elif "/" in name and "kubernetes.io/" not in name:
            found[f"requests.{name}"] = amount
    return found


def _service(spec: Mapping[str, Any]) -> Amounts:
    kind, ports = spec.get("type"), spec.get("ports") or ()
    nodes = balancers = 0
    if kind == "NodePort":
        nodes = len(ports)
    elif kind == "LoadBalancer":
        balancers = 1
        given = spec.get("allocateLoadBalancerNodePorts") is False
        nodes = sum(bool(port.get("nodePort")) for port in ports) if given else len(ports)
    return {
        "services.nodeports": Amount(Fraction(nodes)),
        "services.loadbalancers": Amount(Fraction(balancers)),
    }


def _claim(claim: Object) -> Amounts:
    spec = claim.get("spec") or {}
    found: Amounts = {}
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if wanted is not None:
        asked = amounts.parse(wanted)
        given = ((claim.get("status") or {}).get("allocatedResources") or {}).get("storage")
        more = amounts.parse(given) if given is not None else asked
        found["requests.storage"] = Amount(Fraction(-(-max(asked, more).value // 1)), asked.binary)
    notes = claim["metadata"].get("annotations") or {}
    name = notes.get("volume.beta.kubernetes.io/storage-class") or spec.get("storageClassName")
    if name:
        own = {f"{name}{STORAGE_CLASS}persistentvolumeclaims": ONE}
        own |= {f"{name}{STORAGE_CLASS}{what}": amount for what, amount in found.items()}
        found |= own
    return found
