"""Label selectors. Called by the rules of the kinds; pure."""

from __future__ import annotations

from typing import Any

from styr.api.faults import names
from styr.api.faults.causes import Faults, each, forbidden, invalid, required
from styr.api.faults.meta import labels


def selector(found: dict[str, Any] | None, path: str, *, odd_values: bool = False) -> Faults:
    """`odd_values`: values that are no label values were let in before, and stay."""
    if not found:
        return
    yield from labels(found.get("matchLabels"), f"{path}.matchLabels")
    for index, entry in enumerate(found.get("matchExpressions") or ()):
        yield from requirement(entry, f"{path}.matchExpressions[{index}]", odd_values=odd_values)


def requirement(entry: dict[str, Any], path: str, *, odd_values: bool = False, compares: bool = False) -> Faults:
    """`compares`: Gt and Lt are operators too, as for nodes."""
    operator, values = entry.get("operator", ""), entry.get("values") or []
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            yield forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    elif compares and operator in ("Gt", "Lt"):
        if len(values) != 1:
            yield required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    key = entry.get("key", "")
    yield from each(f"{path}.key", key, names.qualified(key))
    if not odd_values:
        for index, value in enumerate(values):
            yield from each(f"{path}.values[{index}]", value, names.label_value(value))


def is_empty(found: dict[str, Any] | None) -> bool:
    return not found or not (found.get("matchLabels") or found.get("matchExpressions"))
