"""Lists: Kubernetes' own functions (`isSorted`, `sum`, `min`, ...), cel-go's extension (`sort`, `slice`, ...), and sets."""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key
from itertools import pairwise
from typing import Any

from styr.cel.errors import CostExceeded, EvaluationError
from styr.cel.functions import Functions, Overload, choose, function, member
from styr.cel.library.standard import FUNCTIONS as STANDARD
from styr.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    UINT,
    Type,
    list_of,
    param,
)
from styr.cel.values import ORDERED, Duration, UInt, compare, contains, equal

MAX_RANGE = 1_000_000
T = param("T")
_SUMMED = (("int", INT, 0), ("uint", UINT, UInt(0)), ("double", DOUBLE, 0.0), ("duration", DURATION, Duration(0)))
_COMPARED: tuple[tuple[str, Type], ...] = (
    ("int", INT),
    ("uint", UINT),
    ("double", DOUBLE),
    ("bool", BOOL),
    ("duration", DURATION),
    ("timestamp", TIMESTAMP),
    ("string", STRING),
    ("bytes", BYTES),
)
_add = choose(STANDARD["_+_"])


def _is_sorted(items: list[Any]) -> bool:
    return all(compare(a, b) != 1 for a, b in pairwise(items))


def _sum(zero: Any) -> Callable[[list[Any]], Any]:
    def run(items: list[Any]) -> Any:
        total = zero
        for item in items:
            total = _add([total, item]).run(total, item)
        return total

    return run


def _best(name: str, wanted: int) -> Callable[[list[Any]], Any]:
    def run(items: list[Any]) -> Any:
        if not items:
            raise EvaluationError(f"{name} called on empty list")
        found = items[0]
        for item in items[1:]:
            if compare(item, found) == wanted:
                found = item
        return found

    return run


def _index_of(items: list[Any], wanted: Any) -> int:
    return next((index for index, item in enumerate(items) if equal(item, wanted)), -1)


def _last_index_of(items: list[Any], wanted: Any) -> int:
    return next((index for index in range(len(items) - 1, -1, -1) if equal(items[index], wanted)), -1)


def _slice(items: list[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise EvaluationError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise EvaluationError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if end > len(items):
        raise EvaluationError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return items[start:end]


def _flatten(items: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    found: list[Any] = []
    for item in items:
        if depth and isinstance(item, list):
            found += _flatten(item, depth - 1)
        else:
            found.append(item)
    return found


def _by(keys: list[Any]) -> Callable[[int], Any]:
    key: Callable[[int], Any] = cmp_to_key(lambda a, b: compare(keys[a], keys[b]))
    return key


def sort_by(items: list[Any], keys: list[Any]) -> list[Any]:
    """The items in the order of their keys. Raises EvaluationError when the keys cannot be compared."""
    if not keys:
        return items
    kind = type(keys[0])
    if kind not in ORDERED:
        raise EvaluationError("list elements must be comparable")
    if any(type(key) is not kind for key in keys):
        raise EvaluationError("list elements must have the same type")
    order = sorted(range(len(keys)), key=_by(keys))
    return [items[index] for index in order]


def _distinct(items: list[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if not contains(found, item):
            found.append(item)
    return found


def _reversed(items: list[Any]) -> list[Any]:
    return items[::-1]


def _range(count: int) -> list[int]:
    if count > MAX_RANGE:
        raise CostExceeded
    return list(range(count))


def _sets_contains(items: list[Any], part: list[Any]) -> bool:
    return all(contains(items, item) for item in part)


def _of_each(prefix: str, run: Callable[[list[Any]], Any], result: Type | None, suffix: str) -> tuple[Overload, ...]:
    """One overload for each type that can be compared; `result` None is the element's own type."""
    return tuple(
        member(f"list_{name}_{prefix}{suffix or '_' + name}", (list_of(kind),), result or kind, run)
        for name, kind in _COMPARED
    )


_ANY = list_of(T)
FUNCTIONS: Functions = {
    "isSorted": _of_each("is_sorted", _is_sorted, BOOL, "_bool"),
    "sum": tuple(member(f"list_{name}_sum_{name}", (list_of(kind),), kind, _sum(zero)) for name, kind, zero in _SUMMED),
    "min": _of_each("min", _best("min", -1), None, ""),
    "max": _of_each("max", _best("max", 1), None, ""),
    "indexOf": (member("list_a_index_of_int", (_ANY, T), INT, _index_of),),
    "lastIndexOf": (member("list_a_last_index_of_int", (_ANY, T), INT, _last_index_of),),
    "slice": (member("list_slice", (_ANY, INT, INT), _ANY, _slice),),
    "flatten": (
        member("list_flatten", (list_of(_ANY),), _ANY, _flatten),
        member("list_flatten_int", (list_of(DYN), INT), list_of(DYN), _flatten),
    ),
    "sort": tuple(
        member(f"list_{name}_sort", (list_of(kind),), list_of(kind), lambda items: sort_by(items, items))
        for name, kind in _COMPARED
    ),
    "lists.range": (function("lists_range", (INT,), list_of(INT), _range),),
    "reverse": (member("list_reverse", (_ANY,), _ANY, _reversed),),
    "distinct": (member("list_distinct", (_ANY,), _ANY, _distinct),),
    "sets.contains": (function("list_sets_contains_list", (_ANY, _ANY), BOOL, _sets_contains),),
    "sets.equivalent": (
        function(
            "list_sets_equivalent_list", (_ANY, _ANY), BOOL, lambda a, b: _sets_contains(a, b) and _sets_contains(b, a)
        ),
    ),
    "sets.intersects": (
        function("list_sets_intersects_list", (_ANY, _ANY), BOOL, lambda a, b: any(contains(b, item) for item in a)),
    ),
}
