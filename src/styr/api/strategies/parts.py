"""/ephemeralcontainers and /resize of a pod: the pod itself, of which a request may change one part only.

Called by `change`, for these two subresources, at an update. Pure. The rules and their texts are Kubernetes' own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from styr.api.strategies.pod import qos_class
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

PARTS = frozenset({"ephemeralcontainers", "resize"})
_GROUPS = ("containers", "initContainers")
_RESIZED = ("resources", "resizePolicy")


def keep(part: str, new: Object, old: Object) -> None:
    """Leaves of `new` only what the request may change; everything else becomes as in `old`."""
    kept, wanted = copy.deepcopy(old), new.get("spec")
    wanted = wanted if isinstance(wanted, dict) else {}
    if part == "ephemeralcontainers":
        _take(kept["spec"], wanted, "ephemeralContainers")
    else:
        for group in _GROUPS:
            known, asked = kept["spec"].get(group), wanted.get(group)
            if not isinstance(known, list) or not isinstance(asked, list) or _names(known) != _names(asked):
                _take(kept["spec"], wanted, group)  # `faults` says what is wrong with it
                continue
            for container, other in zip(known, asked, strict=True):
                for field in _RESIZED:
                    _take(container, other, field)
    new.clear()
    new.update(kept)


def faults(part: str, new: Object, old: Object) -> Iterator[Cause]:
    if part == "ephemeralcontainers":
        yield from _ephemeral(new["spec"], old["spec"])
    else:
        yield from _resize(new["spec"], old)


def _ephemeral(new: Object, old: Object) -> Iterator[Cause]:
    path = "spec.ephemeralContainers"
    found = {container["name"]: container for container in new.get("ephemeralContainers") or ()}
    for known in old.get("ephemeralContainers") or ():
        name = known["name"]
        if name not in found:
            yield _forbidden(path, f'existing ephemeral containers "{name}" may not be removed')
        elif found[name] != known:
            yield _forbidden(path, f'existing ephemeral containers "{name}" may not be changed')


def _resize(new: Object, pod: Object) -> Iterator[Cause]:
    old = pod["spec"]
    if qos_class(new) != qos_class(old):
        yield {
            "reason": "FieldValueInvalid",
            "field": "spec",
            "message": f'Invalid value: "{qos_class(new)}": Pod QOS Class may not change as a result of resizing',
        }
    running = [each for each in _statuses(pod) if "running" in (each.get("state") or {})]
    if running and "resources" not in running[0]:
        yield _forbidden("spec", "Pod running on node without support for resize")
    for group in _GROUPS:
        known, asked = old.get(group) or [], new.get(group) or []
        if len(known) != len(asked):
            yield _forbidden(f"spec.{group}", f"{group} may not be added or removed on resize")
        elif _names(known) != _names(asked):
            yield _forbidden(f"spec.{group}", f"{group} may not be renamed or reordered on resize")
        else:
            for index, pair in enumerate(zip(asked, known, strict=True)):
                yield from _resized(*pair, f"spec.{group}[{index}]", sidecars=group == "initContainers")


def _resized(new: Object, old: Object, path: str, *, sidecars: bool) -> Iterator[Cause]:
    if sidecars and old.get("restartPolicy") != "Always":
        if new != old:
            yield _forbidden("spec", "resources for non-sidecar init containers are immutable")
        return
    for field in ("requests", "limits"):
        known, asked = _amounts(old, field), _amounts(new, field)
        if known.keys() - asked.keys():
            yield _forbidden(f"{path}.resources.{field}", f"resource {field} cannot be removed")
        if any(known.get(name) != asked.get(name) for name in (known.keys() | asked.keys()) - {"cpu", "memory"}):
            yield _forbidden("spec", "only cpu and memory resources are mutable")


def _amounts(container: Object, field: str) -> dict[str, Any]:
    return (container.get("resources") or {}).get(field) or {}


def _statuses(pod: Object) -> list[Object]:
    return (pod.get("status") or {}).get("containerStatuses") or []


def _names(containers: Any) -> list[Any]:
    """What is no list of containers has a name that none has."""
    if not isinstance(containers or [], list):
        return [None]
    return [each.get("name") if isinstance(each, dict) else None for each in containers or ()]


def _take(target: Object, source: Object, field: str) -> None:
    if field in source:
        target[field] = source[field]
    else:
        target.pop(field, None)


def _forbidden(field: str, message: str) -> Cause:
    return {"reason": "FieldValueForbidden", "field": field, "message": f"Forbidden: {message}"}
