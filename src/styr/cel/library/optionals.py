"""Optional values."""

from __future__ import annotations

from typing import Any

from styr.cel.errors import EvaluationError
from styr.cel.functions import Functions, function, member
from styr.cel.types import BOOL, list_of, optional_of, param
from styr.cel.values import NONE, Duration, Fields, Optional, Timestamp

V = param("V")
_OPTIONAL = optional_of(V)


def is_zero(value: Any) -> bool:
    """The value that its type starts with: 0, "", empty, null."""
    if value is None or isinstance(value, (bool, int, float, str, bytes, list, dict)):
        return not value if not isinstance(value, (Duration, Timestamp)) else int(value) == 0
    return isinstance(value, Optional) and not value.present


def _value(found: Optional) -> Any:
    if not found.present:
        raise EvaluationError("optional.none() dereference")
    return found.value


def _unwrap(items: list[Any]) -> list[Any]:
    return [item.value for item in items if item.present]


def select(value: Any, field: str) -> Optional:
    """`value.?field`. Raises EvaluationError for what has no fields."""
    if isinstance(value, Optional):
        return select(value.value, field) if value.present else NONE
    if isinstance(value, dict):
        return Optional(value[field]) if field in value else NONE
    if isinstance(value, Fields):
        return Optional(value.field(field)) if value.has(field) else NONE
    raise EvaluationError("no such overload")


FUNCTIONS: Functions = {
    "optional.of": (function("optional_of", (V,), _OPTIONAL, Optional),),
    "optional.ofNonZeroValue": (
        function("optional_ofNonZeroValue", (V,), _OPTIONAL, lambda value: NONE if is_zero(value) else Optional(value)),
    ),
    "optional.none": (function("optional_none", (), _OPTIONAL, lambda: NONE),),
    "optional.unwrap": (function("optional_unwrap", (list_of(_OPTIONAL),), list_of(V), _unwrap),),
    "unwrapOpt": (member("optional_unwrapOpt", (list_of(_OPTIONAL),), list_of(V), _unwrap),),
    "value": (member("optional_value", (_OPTIONAL,), V, _value),),
    "hasValue": (member("optional_hasValue", (_OPTIONAL,), BOOL, lambda found: found.present),),
    "or": (member("optional_or_optional", (_OPTIONAL, _OPTIONAL), _OPTIONAL, lambda a, b: a if a.present else b),),
    "orValue": (member("optional_orValue_value", (_OPTIONAL, V), V, lambda a, b: a.value if a.present else b),),
    "first": (member("list_first", (list_of(V),), _OPTIONAL, lambda items: Optional(items[0]) if items else NONE),),
    "last": (member("list_last", (list_of(V),), _OPTIONAL, lambda items: Optional(items[-1]) if items else NONE),),
}
