"""PodDisruptionBudget."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from styr.api.strategies.base import TypedStrategy, invalid
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

_PERCENT = re.compile(r"[0-9]+%")
_POLICIES = ("AlwaysAllow", "IfHealthyBudget")


class PodDisruptionBudgetStrategy(TypedStrategy):
    def validate(self, obj: Object) -> list[Cause]:
        return list(_faults(obj.get("spec") or {}))


def _faults(spec: Object) -> Iterator[Cause]:
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        yield invalid("spec", "Invalid value: minAvailable and maxUnavailable cannot be both set")
    for field, value in (("minAvailable", least), ("maxUnavailable", most)):
        if value is not None:
            yield from count_faults(f"spec.{field}", value)
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _POLICIES:
        known = ", ".join(f'"{word}"' for word in _POLICIES)
        message = f'Unsupported value: "{policy}": supported values: {known}'
        yield invalid("spec.unhealthyPodEvictionPolicy", message, "FieldValueNotSupported")


def count_faults(path: str, value: Any) -> Iterator[Cause]:
    """A count, or a percentage up to 100."""
    if isinstance(value, int):
        if value < 0:
            yield invalid(path, f"Invalid value: {value}: must be greater than or equal to 0")
    elif not _PERCENT.fullmatch(value):
        yield invalid(
            path,
            f"Invalid value: \"{value[:100]}\": a valid percent string must be a numeric string followed by an ending '%' "
            "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        )
    elif len(value) > 4 or int(value[:-1]) > 100:
        yield invalid(path, f'Invalid value: "{value[:100]}": must not be greater than 100%')
