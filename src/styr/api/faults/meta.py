"""The rules of `metadata`, the same for every kind but for the form of the name.

Called by the strategies and by `verbs`. Pure. Format: "Object Names and IDs", "Labels and Selectors", "Finalizers".
"""

from __future__ import annotations

from typing import Any

from styr.api.faults import names
from styr.api.faults.causes import Faults, each, forbidden, immutable, invalid, quoted, required, too_long
from styr.api.faults.names import Check
from styr.kinds.resources import Object

MAX_ANNOTATIONS = 256 << 10
_SERVERS_OWN = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


def faults(obj: Object, *, namespaced: bool, name: Check = names.dns_subdomain, path: str = "metadata") -> Faults:
    """Of a new object, whose name has been generated. Also for what an object holds another one's metadata for."""
    meta = obj.get("metadata") or {}
    if base := meta.get("generateName"):
        yield from each(f"{path}.generateName", base, name(_masked(base)))
    if not meta.get("name"):
        yield required(f"{path}.name", "name or generateName is required")
    else:
        yield from each(f"{path}.name", meta["name"], name(meta["name"]))
    place = meta.get("namespace", "")
    if namespaced and not place:
        yield required(f"{path}.namespace")
    elif namespaced:
        yield from each(f"{path}.namespace", place, names.dns_label(place))
    elif place:
        yield forbidden(f"{path}.namespace", "not allowed on this type")
    yield from maps(meta, path)
    yield from lists(meta, path)
    yield from finalizers(meta, path)


def update_faults(new: Object, old: Object) -> Faults:
    """Of a changed object. What the server says itself it has carried over already."""
    meta, before = new["metadata"], old["metadata"]
    if "deletionTimestamp" in before:
        added = sorted(set(meta.get("finalizers") or ()) - set(before.get("finalizers") or ()))
        if added:
            listed = ", ".join(quoted(name) for name in added)
            yield forbidden(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{"
                + listed
                + "}",
            )
    for field in _SERVERS_OWN:
        yield from immutable(f"metadata.{field}", meta.get(field), before.get(field))
    yield from maps(meta, "metadata")
    yield from lists(meta, "metadata")


def maps(meta: dict[str, Any], path: str) -> Faults:
    """Labels and annotations, also of a template."""
    yield from labels(meta.get("labels"), f"{path}.labels")
    yield from annotation_faults(meta.get("annotations"), f"{path}.annotations")


def labels(found: dict[str, str] | None, path: str) -> Faults:
    for key, value in (found or {}).items():
        yield from each(path, key, names.qualified(key))
        yield from each(path, value, names.label_value(value))


def annotation_faults(found: dict[str, str] | None, path: str) -> Faults:
    size = 0
    for key, value in (found or {}).items():
        yield from each(path, key, names.qualified(key.lower()))
        size += len(key.encode()) + len(value.encode())
    if size > MAX_ANNOTATIONS:
        yield too_long(path, MAX_ANNOTATIONS)


def lists(meta: dict[str, Any], path: str) -> Faults:
    owners = meta.get("ownerReferences") or []
    controller = ""
    for owner in owners:
        place = f"{path}.ownerReferences"
        if not owner.get("apiVersion"):
            yield invalid(f"{place}.apiVersion", "", "version must not be empty")
        for field in ("kind", "name", "uid"):
            if not owner.get(field):
                yield invalid(f"{place}.{field}", "", "must not be empty")
        if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Event"):
            yield invalid(place, owner, "/v1, Kind=Event is disallowed from being an owner")
        if owner.get("controller"):
            name = f"{owner.get('kind')}/{owner.get('name')}"
            if controller:
                message = 'Only one reference can have Controller set to true. Found "true" in references for'
                yield invalid(place, owners, f"{message} {controller} and {name}")
            controller = controller or name


def finalizers(meta: dict[str, Any], path: str) -> Faults:
    found = meta.get("finalizers") or []
    for name in found:
        yield from each(f"{path}.finalizers", name, names.qualified(name))
    if {"orphan", "foregroundDeletion"} <= set(found):
        message = "finalizer orphan and foregroundDeletion cannot be both set"
        yield invalid(f"{path}.finalizers", found, message)


def _masked(base: str) -> str:
    """A generated name ends in something else than the dash before it."""
    return f"{base[:-2]}a" if len(base) > 1 and base.endswith("-") else base
