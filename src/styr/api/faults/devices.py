"""Devices: what claims ask for, and what drivers say that there is. Called by the strategies of resource.k8s.io; pure.

Of what is behind gates that are off in v1.35 (taints, partitions, binding conditions, consumable capacity) nothing is left
when this is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from styr.api.faults import names
from styr.api.faults.causes import (
    Faults,
    duplicate,
    each,
    invalid,
    required,
    too_long,
    too_many,
    unsupported,
)
from styr.api.faults.volumes import csi_driver

MOST, MOST_DEVICES, MOST_FIRST = 32, 128, 8
_MOST_TEXT, _MOST_ID, _MOST_RAW = 64, 32, 10 * 1024
_MODES = ("All", "ExactCount")
_SEMVER = re.compile(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?"
)
_REFERENCE = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
Rule = Callable[[Any, str], Faults]


def claim(devices: dict[str, Any], path: str) -> Faults:
    requests = devices.get("requests") or []
    known = {
        request.get("name", ""): {sub.get("name", "") for sub in request.get("firstAvailable") or ()}
        for request in requests
    }

    def reference(name: str, where: str) -> Faults:
        yield from _reference(name, where, known)

    def constraint(found: dict[str, Any], where: str) -> Faults:
        yield from uniques(found.get("requests") or [], f"{where}.requests", MOST, reference)
        if "matchAttribute" in found:
            yield from _qualified(found["matchAttribute"], f"{where}.matchAttribute", whole=True)
        else:
            yield required(f"{where}.matchAttribute")

    def configuration(found: dict[str, Any], where: str) -> Faults:
        yield from uniques(found.get("requests") or [], f"{where}.requests", MOST, reference)
        yield from settings(found, where)

    yield from uniques(requests, f"{path}.requests", MOST, _request, "name")
    yield from listed(devices.get("constraints") or [], f"{path}.constraints", MOST, constraint)
    yield from listed(devices.get("config") or [], f"{path}.config", MOST, configuration)


def listed(found: Sequence[Any], path: str, most: int, rule: Rule) -> Faults:
    if len(found) > most:
        yield too_many(path, len(found), most)
        return
    for index, item in enumerate(found):
        yield from rule(item, f"{path}[{index}]")


def uniques(found: Sequence[Any], path: str, most: int, rule: Rule, key: str = "") -> Faults:
    yield from listed(found, path, most, rule)
    seen: set[str] = set()
    for index, item in enumerate(found if len(found) <= most else ()):
        name = item.get(key, "") if key else item
        if name in seen:
            yield duplicate(f"{path}[{index}]", name)
        seen.add(name)


def _request(found: dict[str, Any], path: str) -> Faults:
    name, exactly, first = found.get("name", ""), found.get("exactly"), found.get("firstAvailable") or []
    yield from _label(name, f"{path}.name")
    if exactly is None and not first:
        yield required(path, "exactly one of `exactly` or `firstAvailable` is required")
    elif exactly is not None and first:
        message = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"
        yield invalid(path, None, message)
    elif exactly is not None:
        yield from _wanted(exactly, f"{path}.exactly")
    else:
        yield from uniques(first, f"{path}.firstAvailable", MOST_FIRST, _sub_request, "name")


def _sub_request(found: dict[str, Any], path: str) -> Faults:
    yield from _label(found.get("name", ""), f"{path}.name")
    yield from _wanted(found, path)


def _wanted(found: dict[str, Any], path: str) -> Faults:
    if name := found.get("deviceClassName", ""):
        yield from each(f"{path}.deviceClassName", name, names.dns_subdomain(name))
    else:
        yield required(f"{path}.deviceClassName")
    yield from selectors(found.get("selectors") or [], f"{path}.selectors")
    mode, count = found.get("allocationMode", ""), found.get("count", 0)
    if mode == "All":
        if count:
            yield invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'")
    elif mode == "ExactCount":
        if count <= 0:
            yield invalid(f"{path}.count", count, "must be greater than zero")
    else:
        yield unsupported(f"{path}.allocationMode", mode, _MODES)


def selectors(found: Sequence[dict[str, Any]], path: str) -> Faults:
    """But for what CEL says of them."""

    def rule(entry: dict[str, Any], where: str) -> Faults:
        if entry.get("cel") is None:
            yield required(f"{where}.cel")
        elif len(entry["cel"].get("expression", "").encode()) > _MOST_RAW:
            yield too_long(f"{where}.cel.expression", _MOST_RAW)

    yield from listed(found, path, MOST, rule)


def settings(found: dict[str, Any], path: str) -> Faults:
    opaque = found.get("opaque")
    if opaque is None:
        yield required(f"{path}.opaque")
        return
    yield from csi_driver(opaque.get("driver", ""), f"{path}.opaque.driver")
    yield from _raw(opaque.get("parameters"), f"{path}.opaque.parameters")


def _raw(value: Any, path: str) -> Faults:
    if value is None:
        yield required(path)
    elif len(msgspec.json.encode(value)) > _MOST_RAW:
        yield too_long(path, _MOST_RAW)
    elif not isinstance(value, dict):
        yield invalid(path, "<value omitted>", "must be a valid JSON object")


def _reference(name: str, path: str, known: dict[str, set[str]]) -> Faults:
    parts = name.split("/")
    if len(parts) > 2:
        yield invalid(path, name, _REFERENCE)
        return
    for part in parts:
        yield from _label(part, path)
    if parts[0] not in known or (len(parts) == 2 and parts[1] not in known[parts[0]]):
        yield invalid(path, name, _REFERENCE)


def _label(name: str, path: str) -> Faults:
    yield from each(path, name, names.dns_label(name))


def _qualified(name: str, path: str, *, whole: bool = False) -> Faults:
    """`whole`: the domain must be there."""
    parts = name.split("/")
    if len(parts) == 2:
        if parts[0]:
            yield from csi_driver(parts[0], path)
        else:
            yield invalid(path, "", "the domain must not be empty")
    if len(parts) <= 2:
        if parts[-1] or len(parts) == 1:
            if len(parts[-1].encode()) > _MOST_ID:
                yield too_long(path, _MOST_ID)
            yield from each(path, parts[-1], names.c_identifier(parts[-1]))
        else:
            yield invalid(path, "", "the name must not be empty")
    if whole and len(parts) == 1:
        yield invalid(path, name, "a fully qualified name must be a domain and a name separated by a slash")


def pool_name(name: str, path: str) -> Faults:
    if not name:
        yield required(path)
        return
    if len(name.encode()) > 253:
        yield too_long(path, 253)
    for part in name.split("/"):
        yield from each(path, part, names.dns_subdomain(part))


def device(found: dict[str, Any], path: str) -> Faults:
    yield from _label(found.get("name", ""), f"{path}.name")
    attributes, capacity = found.get("attributes") or {}, found.get("capacity") or {}
    if (total := len(attributes) + len(capacity)) > MOST:
        yield invalid(path, total, f"the total number of attributes and capacities must not exceed {MOST}")
    for name, value in attributes.items():
        where = f"{path}.attributes[{_short(name)}]"
        yield from _qualified(name, where)
        yield from _attribute(value, where)
    for name in capacity:
        yield from _qualified(name, f"{path}.capacity[{_short(name)}]")


def _attribute(value: dict[str, Any], path: str) -> Faults:
    text, version = value.get("string"), value.get("version")
    if text is not None and len(text.encode()) > _MOST_TEXT:
        yield too_long(f"{path}.string", _MOST_TEXT)
    if version is not None:
        if not _SEMVER.fullmatch(version):
            yield invalid(f"{path}.version", version, "must be a string compatible with semver.org spec 2.0.0")
        if len(version.encode()) > _MOST_TEXT:
            yield too_long(f"{path}.version", _MOST_TEXT)
    given = sum(value.get(field) is not None for field in ("bool", "int", "string", "version"))
    if given == 0:
        yield invalid(path, "", "exactly one value must be specified")
    elif given > 1:
        yield invalid(path, value, "exactly one value must be specified")


def _short(name: str) -> str:
    most = 63 + 1 + _MOST_ID
    if len(name) <= most:
        return name
    rest = most - 3
    return name[: (rest + 1) // 2] + "..." + name[len(name) - rest // 2 :]
