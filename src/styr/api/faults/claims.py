"""What a claim of storage asks for. Called by the rules of volumes, stateful sets and claims; pure."""

from __future__ import annotations

from typing import Any

from styr.api.faults import names
from styr.api.faults.causes import Faults, each, forbidden, get, invalid, required, unsupported
from styr.api.faults.meta import maps
from styr.api.faults.selectors import selector
from styr.kinds import quantities

ACCESS = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
MODES = ("Block", "Filesystem")


def template(found: dict[str, Any], path: str) -> Faults:
    yield from maps(found.get("metadata") or {}, f"{path}.metadata")
    yield from spec(found.get("spec") or {}, f"{path}.spec")


def access_modes(found: list[str], path: str, detail: str = "") -> Faults:
    if not found:
        yield required(path, detail)
    for mode in found:
        if mode not in ACCESS:
            yield unsupported(path, mode, ACCESS)
    if "ReadWriteOncePod" in found and any(mode in ACCESS[:3] for mode in found):
        yield forbidden(path, "may not use ReadWriteOncePod with other access modes")


def spec(found: dict[str, Any], path: str) -> Faults:
    modes = found.get("accessModes") or []
    if not modes:
        yield required(f"{path}.accessModes", "at least 1 access mode is required")
    yield from selector(found.get("selector"), f"{path}.selector")
    if modes:
        yield from access_modes(modes, f"{path}.accessModes")
    size = get(found, "resources", "requests", "storage")
    if size is None:
        yield required(f"{path}.resources[storage]")
    elif quantities.parse(size) <= 0:
        yield invalid(f"{path}.resources[storage]", size, "must be greater than zero")
    for field in ("storageClassName", "volumeAttributesClassName"):
        if name := found.get(field):
            yield from each(f"{path}.{field}", name, names.dns_subdomain(name))
    if "volumeMode" in found and found["volumeMode"] not in MODES:
        yield unsupported(f"{path}.volumeMode", found["volumeMode"], MODES)
    yield from _sources(found, path)


def _sources(found: dict[str, Any], path: str) -> Faults:
    old, new = found.get("dataSource"), found.get("dataSourceRef")
    for field, source in (("dataSource", old), ("dataSourceRef", new)):
        if source is not None:
            yield from _source(source, f"{path}.{field}")
    if old is None or new is None:
        return
    if new.get("namespace"):
        message = "may not be specified when dataSourceRef.namespace is specified"
        yield invalid(path, f"{path}.dataSource", message)
    elif any(old.get(key, "") != new.get(key, "") for key in ("apiGroup", "kind", "name")):
        yield invalid(path, f"{path}.dataSource", "must match dataSourceRef")


def _source(source: dict[str, Any], path: str) -> Faults:
    for field in ("name", "kind"):
        if not source.get(field):
            yield required(f"{path}.{field}")
    group, kind = source.get("apiGroup") or "", source.get("kind", "")
    if not group and kind != "PersistentVolumeClaim":
        yield invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
    if group:
        yield from each(f"{path}.apiGroup", group, names.dns_subdomain(group))
    if place := source.get("namespace"):
        yield from each(f"{path}.namespace", place, names.dns_label(place))
