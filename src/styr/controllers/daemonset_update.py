"""How a DaemonSet brings a new template to its nodes. Pure; `daemonset` calls it.

Without surge an old pod goes first, never more of them than `maxUnavailable` allows at once; with surge the new pod comes
beside the old one, on `maxSurge` nodes at once, and the old one goes when the new one is available. `OnDelete` waits for
people. The rules are those of Kubernetes' own controller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from styr.controllers import placement, revisions
from styr.controllers.rollout import scaled
from styr.kinds import conditions, meta, pods
from styr.kinds.resources import Object
from styr.kit.clock import parse_rfc3339

ByNode = Mapping[str, list[Object]]


def limits(ds: Object, nodes: int) -> tuple[int, int]:
    """(surge, unavailable); shares of the nodes are rounded up."""
    rolling = (ds["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    given = rolling.get("maxUnavailable")
    return scaled(rolling.get("maxSurge") or 0, nodes, up=True), scaled(1 if given is None else given, nodes, up=True)


def surging(ds: Object, revision: str, nodes: list[Object], by_node: ByNode, now: float) -> set[str]:
    """The nodes that may have a new pod beside their old one."""
    spec = ds["spec"]["template"].get("spec") or {}
    surge, _ = limits(ds, sum(placement.admits(spec, node) for node in nodes))
    if not rolls(ds) or not surge:
        return set()
    both: set[str] = set()
    free: set[str] = set()
    candidates: list[str] = []
    for name in sorted(by_node):
        alive = [pod for pod in by_node[name] if pods.is_active(pod)]
        old = [pod for pod in alive if revisions.hash_of(pod) != revision]
        if not old:
            continue
        if len(old) < len(alive):
            both.add(name)
        elif not any(available(pod, ds, now) for pod in old):
            free.add(name)
        else:
            candidates.append(name)
    return both | free | set(candidates[: max(0, surge - len(both))])


def spare(alive: list[Object], revision: str, ds: Object, now: float) -> list[Object]:
    """The old pods of a surging node, once its new one is available."""
    new = [pod for pod in alive if revisions.hash_of(pod) == revision]
    if not any(available(pod, ds, now) for pod in new):
        return []
    return [pod for pod in alive if revisions.hash_of(pod) != revision]


def lacks(alive: list[Object], revision: str, surges: bool) -> bool:
    """Does a surging node lack its new pod?"""
    return surges and bool(alive) and all(revisions.hash_of(pod) != revision for pod in alive)


def replaced(
    ds: Object, revision: str, nodes: list[Object], own: list[Object], going: list[Object], now: float
) -> list[Object]:
    """The old pods that go now to make room, without surge. `going` are deleted already."""
    spec = ds["spec"]["template"].get("spec") or {}
    wanted = [meta.name(node) for node in nodes if placement.admits(spec, node)]
    surge, unavailable = limits(ds, len(wanted))
    if not rolls(ds) or surge:
        return []
    leaving = {meta.uid(pod) for pod in going}
    down = 0
    free: list[Object] = []
    candidates: list[Object] = []
    for name in wanted:
        here = [pod for pod in own if place(pod) == name and pods.is_active(pod) and meta.uid(pod) not in leaving]
        up = any(available(pod, ds, now) for pod in here)
        down += not up
        old = [pod for pod in here if revisions.hash_of(pod) != revision]
        if old and len(old) == len(here):
            (candidates if up else free).extend(old)
    return [*free, *candidates[: max(0, unavailable - down)]]


def rolls(ds: Object) -> bool:
    strategy = ds["spec"].get("updateStrategy") or {}
    return str(strategy.get("type") or "RollingUpdate") == "RollingUpdate"


def available(pod: Object, ds: Object, now: float) -> bool:
    """Ready for as long as `minReadySeconds` says."""
    return pods.is_active(pod) and pods.is_ready(pod) and now - _ready_since(pod) >= _minimum(ds)


def next_available(ds: Object, own: list[Object], now: float) -> float:
    """Seconds until a ready pod becomes available by time alone; 0 for never."""
    waits = [_minimum(ds) - (now - _ready_since(pod)) for pod in own if pods.is_active(pod) and pods.is_ready(pod)]
    return min((wait for wait in waits if wait > 0), default=0.0)


def place(pod: Object) -> str:
    """Where a pod is, or is meant to be."""
    spec = pod.get("spec") or {}
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    affinity: dict[str, Any] = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name" and len(field.get("values") or ()) == 1:
                return str(field["values"][0])
    return ""


def _minimum(ds: Object) -> float:
    return float(ds["spec"].get("minReadySeconds") or 0)


def _ready_since(pod: Object) -> float:
    condition = conditions.find((pod.get("status") or {}).get("conditions"), "Ready") or {}
    stamp = condition.get("lastTransitionTime")
    return parse_rfc3339(stamp) if stamp else 0.0
