"""Operators, `size`, `type`, `dyn`, and the string predicates: the part of the language that needs no extension."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any

from styr.cel.errors import CostExceeded, EvaluationError
from styr.cel.functions import Functions, Overload, function, member
from styr.cel.library.regex import matches
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
    map_of,
    optional_of,
    param,
    type_of,
)
from styr.cel.values import (
    NONE,
    ListMap,
    ListSet,
    Optional,
    TypeValue,
    UInt,
    compare,
    contains,
    duration,
    equal,
    int64,
    kind_of,
    map_key,
    timestamp,
    uint64,
)

MAX_ITEMS, MAX_TEXT = 1_000_000, 10_000_000
"""Of one list, and of one text: what is cheap to write must not be dear to hold."""
A, B = param("A"), param("B")


def _quotient(a: int, b: int) -> int:
    """Rounded towards zero. Raises EvaluationError."""
    if b == 0:
        raise EvaluationError("division by zero")
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _divide(a: float, b: float) -> float:
    if b == 0:
        if a == 0 or isnan(a):
            return float("nan")
        return float("inf") if (a > 0) == (str(b)[0] != "-") else float("-inf")
    return a / b


def _modulus(a: int, b: int) -> int:
    if b == 0:
        raise EvaluationError("modulus by zero")
    return a - b * int64(_quotient(a, b))


def _remainder(a: int, b: int) -> UInt:
    if b == 0:
        raise EvaluationError("modulus by zero")
    return UInt(int(a) % int(b))


def _lists(a: list[Any], b: list[Any]) -> list[Any]:
    if isinstance(a, (ListSet, ListMap)):
        return a.joined(b)
    if len(a) + len(b) > MAX_ITEMS:
        raise CostExceeded
    return [*a, *b]


def _texts(a: Any, b: Any) -> Any:
    if len(a) + len(b) > MAX_TEXT:
        raise CostExceeded
    return a + b


def _at(items: list[Any], index: Any) -> Any:
    at = _index(index)
    if at is None:
        raise EvaluationError(f"unsupported index type '{kind_of(index)}' in list")
    if not 0 <= at < len(items):
        raise EvaluationError(f"index out of bounds: {at}")
    return items[at]


def _index(index: Any) -> int | None:
    if type(index) in (int, UInt):
        return int(index)
    return int(index) if type(index) is float and index.is_integer() else None


def _optional_at(items: list[Any], index: Any) -> Optional:
    at = _index(index)
    if at is None:
        raise EvaluationError(f"unsupported index type '{kind_of(index)}' in list")
    return Optional(items[at]) if 0 <= at < len(items) else NONE


def show_key(key: Any) -> str:
    if type(key) is bool:
        return str(key).lower()
    return str(key)


def _get(entries: dict[Any, Any], key: Any) -> Any:
    try:
        return entries[map_key(key)]
    except (KeyError, EvaluationError):
        raise EvaluationError(f"no such key: {show_key(key)}") from None


def _optional_get(entries: dict[Any, Any], key: Any) -> Optional:
    try:
        return Optional(entries[map_key(key)])
    except (KeyError, EvaluationError):
        return NONE


def _inside(key: Any, entries: dict[Any, Any]) -> bool:
    try:
        return map_key(key) in entries
    except EvaluationError:
        return False


def _of_optional(read: Callable[[Any, Any], Any]) -> Callable[[Optional, Any], Optional]:
    """The same read of what an optional holds."""

    def run(value: Optional, key: Any) -> Optional:
        return read(value.value, key) if value.present else NONE

    return run


def _negate(value: int) -> int:
    return int64(-value)


def _length(value: Any) -> int:
    return len(value)


_ORDERED = (
    ("bool", BOOL),
    ("int64", INT),
    ("uint64", UINT),
    ("double", DOUBLE),
    ("string", STRING),
    ("bytes", BYTES),
    ("timestamp", TIMESTAMP),
    ("duration", DURATION),
)
_NUMBERS = (("int64", INT), ("uint64", UINT), ("double", DOUBLE))


def _comparisons(word: str, run: Callable[[Any, Any], bool]) -> tuple[Overload, ...]:
    same = [function(f"{word}_{name}", (kind, kind), BOOL, run) for name, kind in _ORDERED]
    mixed = [
        function(f"{word}_{first}_{second}", (one, two), BOOL, run)
        for first, one in _NUMBERS
        for second, two in _NUMBERS
        if one is not two
    ]
    return (*same, *mixed)


def _any_index(id: str, params: tuple[Type, ...], result: Type, run: Callable[..., Any]) -> Overload:
    """An index of type dyn may also be a uint, or a double that is whole."""
    return Overload(id, params, result, run, loose=True)


def _lists_of(read: Any, optional: Any) -> tuple[tuple[Overload, ...], tuple[Overload, ...]]:
    """Index of lists and maps, and its optional form."""
    items, entries = list_of(A), map_of(A, B)
    plain = (
        _any_index("index_list", (items, INT), A, read[0]),
        function("index_map", (entries, A), B, read[1]),
        _any_index("optional_list_index_int", (optional_of(items), INT), optional_of(A), _of_optional(optional[0])),
        function("optional_map_index_value", (optional_of(entries), A), optional_of(B), _of_optional(optional[1])),
    )
    maybe = (
        _any_index("list_optindex_optional_int", (items, INT), optional_of(A), optional[0]),
        _any_index("optional_list_optindex_int", (optional_of(items), INT), optional_of(A), _of_optional(optional[0])),
        function("map_optindex_optional_value", (entries, A), optional_of(B), optional[1]),
        function("optional_map_optindex_value", (optional_of(entries), A), optional_of(B), _of_optional(optional[1])),
    )
    return plain, maybe


_INDEX, _OPTIONAL_INDEX = _lists_of((_at, _get), (_optional_at, _optional_get))


def _sizes() -> tuple[Overload, ...]:
    kinds: tuple[tuple[str, Type], ...] = (
        ("string", STRING),
        ("bytes", BYTES),
        ("list", list_of(A)),
        ("map", map_of(A, B)),
    )
    plain = [function(f"size_{name}", (kind,), INT, _length) for name, kind in kinds]
    return (*plain, *(member(f"{name}_size", (kind,), INT, _length) for name, kind in kinds))


def _unit(_: Any) -> Any:
    raise AssertionError("the compiler has these built in")


FUNCTIONS: Functions = {
    "_&&_": (function("logical_and", (BOOL, BOOL), BOOL, _unit),),
    "_||_": (function("logical_or", (BOOL, BOOL), BOOL, _unit),),
    "_?_:_": (function("conditional", (BOOL, A, A), A, _unit),),
    "!_": (function("logical_not", (BOOL,), BOOL, lambda a: not a),),
    "_==_": (function("equals", (A, A), BOOL, equal),),
    "_!=_": (function("not_equals", (A, A), BOOL, lambda a, b: not equal(a, b)),),
    "_<_": _comparisons("less", lambda a, b: compare(a, b) == -1),
    "_<=_": _comparisons("less_equals", lambda a, b: compare(a, b) in (-1, 0)),
    "_>_": _comparisons("greater", lambda a, b: compare(a, b) == 1),
    "_>=_": _comparisons("greater_equals", lambda a, b: compare(a, b) in (0, 1)),
    "_+_": (
        function("add_int64", (INT, INT), INT, lambda a, b: int64(a + b)),
        function("add_uint64", (UINT, UINT), UINT, lambda a, b: uint64(a + b)),
        function("add_double", (DOUBLE, DOUBLE), DOUBLE, lambda a, b: a + b),
        function("add_string", (STRING, STRING), STRING, _texts),
        function("add_bytes", (BYTES, BYTES), BYTES, _texts),
        function("add_list", (list_of(A), list_of(A)), list_of(A), _lists),
        function("add_duration_duration", (DURATION, DURATION), DURATION, lambda a, b: duration(int(a) + int(b))),
        function("add_timestamp_duration", (TIMESTAMP, DURATION), TIMESTAMP, lambda a, b: timestamp(int(a) + int(b))),
        function("add_duration_timestamp", (DURATION, TIMESTAMP), TIMESTAMP, lambda a, b: timestamp(int(a) + int(b))),
    ),
    "_-_": (
        function("subtract_int64", (INT, INT), INT, lambda a, b: int64(a - b)),
        function("subtract_uint64", (UINT, UINT), UINT, lambda a, b: uint64(int(a) - int(b))),
        function("subtract_double", (DOUBLE, DOUBLE), DOUBLE, lambda a, b: a - b),
        function("subtract_duration_duration", (DURATION, DURATION), DURATION, lambda a, b: duration(int(a) - int(b))),
        function(
            "subtract_timestamp_timestamp", (TIMESTAMP, TIMESTAMP), DURATION, lambda a, b: duration(int(a) - int(b))
        ),
        function(
            "subtract_timestamp_duration", (TIMESTAMP, DURATION), TIMESTAMP, lambda a, b: timestamp(int(a) - int(b))
        ),
    ),
    "_*_": (
        function("multiply_int64", (INT, INT), INT, lambda a, b: int64(int.__mul__(a, b))),
        function("multiply_uint64", (UINT, UINT), UINT, lambda a, b: uint64(int.__mul__(a, b))),
        function("multiply_double", (DOUBLE, DOUBLE), DOUBLE, lambda a, b: a * b),
    ),
    "_/_": (
        function("divide_int64", (INT, INT), INT, lambda a, b: int64(_quotient(a, b))),
        function("divide_uint64", (UINT, UINT), UINT, lambda a, b: uint64(_quotient(a, b))),
        function("divide_double", (DOUBLE, DOUBLE), DOUBLE, _divide),
    ),
    "_%_": (
        function("modulo_int64", (INT, INT), INT, _modulus),
        function("modulo_uint64", (UINT, UINT), UINT, _remainder),
    ),
    "-_": (
        function("negate_int64", (INT,), INT, _negate),
        function("negate_double", (DOUBLE,), DOUBLE, lambda a: -a),
    ),
    "@in": (
        function("in_list", (A, list_of(A)), BOOL, lambda item, items: contains(items, item)),
        function("in_map", (A, map_of(A, B)), BOOL, _inside),
    ),
    "_[_]": _INDEX,
    "_[?_]": _OPTIONAL_INDEX,
    "size": _sizes(),
    "type": (function("type", (A,), type_of(A), lambda value: TypeValue(kind_of(value))),),
    "dyn": (function("to_dyn", (A,), DYN, lambda value: value),),
    "contains": (member("contains_string", (STRING, STRING), BOOL, lambda text, part: part in text),),
    "startsWith": (member("starts_with_string", (STRING, STRING), BOOL, str.startswith),),
    "endsWith": (member("ends_with_string", (STRING, STRING), BOOL, str.endswith),),
    "matches": (
        function("matches", (STRING, STRING), BOOL, matches),
        member("matches_string", (STRING, STRING), BOOL, matches),
    ),
}
