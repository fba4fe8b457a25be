"""Tolerations, of pods and of runtime classes. Called by their rules; pure."""

from __future__ import annotations

from typing import Any

from styr.api.faults import names
from styr.api.faults.causes import Faults, duplicate, each, invalid, one_of, unsupported

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def tolerations(found: list[dict[str, Any]], path: str, *, unique: bool = False) -> Faults:
    """`unique`: no two may be the same."""
    seen: list[dict[str, Any]] = []
    for index, entry in enumerate(found):
        yield from toleration(entry, f"{path}[{index}]")
        if unique and entry in seen:
            yield duplicate(f"{path}[{index}]", entry)
        seen.append(entry)


def toleration(entry: dict[str, Any], path: str) -> Faults:
    key, operator, value = entry.get("key", ""), entry.get("operator", ""), entry.get("value", "")
    effect = entry.get("effect", "")
    if key:
        yield from each(f"{path}.key", key, names.qualified(key))
    if not key and operator != "Exists":
        yield invalid(
            f"{path}.operator",
            operator,
            'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        )
    if "tolerationSeconds" in entry and effect != "NoExecute":
        yield invalid(f"{path}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
    if operator in ("Equal", ""):
        if bad := names.label_value(value):
            yield invalid(f"{path}.operator", value, ";".join(bad))
    elif operator == "Exists":
        if value:
            yield invalid(f"{path}.operator", entry, "value must be empty when `operator` is 'Exists'")
    else:
        yield unsupported(f"{path}.operator", operator, ("Equal", "Exists"))
    if effect:
        yield from one_of(f"{path}.effect", effect, _EFFECTS)
