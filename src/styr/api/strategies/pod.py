"""Pod: what is refused when it is new, and what may still change once it exists."""

from __future__ import annotations

import copy
from typing import Any

from styr.api.faults import meta, names, pods
from styr.api.faults.affinity import REQUIRED
from styr.api.faults.causes import Faults, forbidden, get, invalid
from styr.api.strategies.base import TypedStrategy
from styr.kinds.errors import Cause
from styr.kinds.resources import Object


class PodStrategy(TypedStrategy):
    def prepare_create(self, obj: Object) -> None:
        spec = obj["spec"]
        pods.drop(spec, {})
        obj["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}
        if spec.get("schedulingGates"):
            obj["status"]["conditions"] = [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "lastProbeTime": None,
                    "lastTransitionTime": obj["metadata"]["creationTimestamp"],
                    "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                }
            ]

    def prepare_update(self, new: Object, old: Object) -> None:
        new["status"] = old["status"]
        pods.drop(new["spec"], old["spec"])

    def rules(self, obj: Object) -> Faults:
        yield from pods.new_pod(obj)

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from pods.pod(new)
        yield from _kept(new["spec"], old["spec"])

    def part_faults(self, part: str, new: Object, old: Object) -> list[Cause]:
        return [*meta.update_faults(new, old), *pods.pod(new)]


_CHANGES = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def _kept(new: dict[str, Any], old: dict[str, Any]) -> Faults:
    for group in ("containers", "initContainers"):
        if len(new.get(group) or []) != len(old.get(group) or []):
            yield forbidden(f"spec.{group}", "pod updates may not add or remove containers")
            return
    stop = list(_deadline(new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")))
    yield from stop
    if stop and "activeDeadlineSeconds" in new:
        return
    after, before = new.get("tolerations") or [], old.get("tolerations") or []
    if any(_timeless(entry) not in map(_timeless, after) for entry in before):
        yield forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    gates = {gate.get("name") for gate in old.get("schedulingGates") or ()}
    for index, gate in enumerate(new.get("schedulingGates") or ()):
        if (name := gate.get("name", "")) not in gates:
            message = f"only deletion is allowed, but found new scheduling gate '{name}'"
            yield forbidden(f"spec.schedulingGates[{index}].name", message)
    if gates:
        yield from _narrowed(new, old)
    if _fixed(new, old) != _fixed(old, old):
        yield forbidden("spec", _CHANGES)


def _deadline(new: int | None, old: int | None) -> Faults:
    path = "spec.activeDeadlineSeconds"
    if new is not None and not 0 <= new <= (1 << 31) - 1:
        yield invalid(path, new, names.in_range(0, (1 << 31) - 1))
    elif old is not None and new is None:
        yield invalid(path, new, "must not update from a positive integer to nil value")
    elif old is not None and new is not None and new > old:
        yield invalid(path, new, "must be less than or equal to previous value")


def _timeless(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "tolerationSeconds"}


def _narrowed(new: dict[str, Any], old: dict[str, Any]) -> Faults:
    """While gates wait, where a pod may run may only be narrowed."""
    after, before = new.get("nodeSelector") or {}, old.get("nodeSelector") or {}
    if not before.items() <= after.items():
        message = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        yield invalid("spec.nodeSelector", after or None, message)
    steps = ("affinity", "nodeAffinity", REQUIRED, "nodeSelectorTerms")
    known, found = get(old, *steps) or [], get(new, *steps) or []
    path = f"spec.{'.'.join(steps)}"
    if known and len(known) != len(found):
        message = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        yield invalid(path, found or None, message)
        return
    for index, term in enumerate(known):
        fits = any(term.get(key) for key in ("matchExpressions", "matchFields")) or not any(found[index].values())
        for key in ("matchExpressions", "matchFields"):
            first = term.get(key) or []
            fits = fits and (found[index].get(key) or [])[: len(first)] == first
        if not fits:
            yield invalid(f"{path}[{index}]", found[index], "only additions are allowed (no mutations or deletions)")


def _fixed(spec: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """The part of a pod's spec that never changes. What only a gated pod may still change counts when none waits."""
    free = ["activeDeadlineSeconds", "tolerations", "schedulingGates", "serviceAccount"]
    gated = bool(old.get("schedulingGates"))
    free += ["nodeSelector"] if gated else []
    kept = {key: copy.deepcopy(value) for key, value in spec.items() if key not in free and value not in (None, [])}
    if gated and "affinity" in kept:
        kept["affinity"].pop("nodeAffinity", None)
        if not kept["affinity"]:
            del kept["affinity"]
    for group in ("containers", "initContainers"):
        for container in kept.get(group, ()):
            container.pop("image", None)
    if old.get("terminationGracePeriodSeconds", 0) < 0 and kept.get("terminationGracePeriodSeconds") == 1:
        kept["terminationGracePeriodSeconds"] = old["terminationGracePeriodSeconds"]
    return kept


def qos_class(spec: dict[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort, by what the containers (or the pod itself) ask for."""
    requests: dict[str, set[str]] = {}
    limits: dict[str, set[str]] = {}
    full = True
    if own := spec.get("resources"):
        parts = [own]
    else:
        parts = [c.get("resources") or {} for group in ("containers", "initContainers") for c in spec.get(group) or ()]
    for part in parts:
        wanted = {k: v for k, v in (part.get("requests") or {}).items() if k in ("cpu", "memory") and v != "0"}
        most = {k: v for k, v in (part.get("limits") or {}).items() if k in ("cpu", "memory") and v != "0"}
        for name, value in wanted.items():
            requests.setdefault(name, set()).add(value)
        for name, value in most.items():
            limits.setdefault(name, set()).add(value)
        full = full and set(most) == {"cpu", "memory"} and (not wanted or wanted == most)
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if full else "Burstable"
