"""What a call costs when it runs, in Kubernetes' units. Called by the compiler; pure.

Numbers: cel-go `interpreter/runtimecost.go` and `ext/lists.go`, and k8s.io/apiserver `pkg/cel/library/cost.go`. A call that is
not named here costs 1. A cost is a function of the arguments and the result.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

from styr.cel.functions import Overload
from styr.cel.library.formats import Format
from styr.cel.types import Type
from styr.cel.values import keys_of, size_of

Cost = Callable[[list[Any], Any], int]

CALL = 1
LIST, MAP, STRUCT = 10, 30, 40
AUTHORIZATION = 350_000
TRAVERSAL, REGEX = 0.1, 0.25
LONG = 1_000
"""Items from which on copying a list is paid for; in cel-go it is a view and costs 1."""


def _traversed(factor: float = 1) -> Cost:
    return lambda args, _: ceil(size_of(args[0]) * factor * TRAVERSAL)


def _smaller(args: list[Any], _: Any) -> int:
    return ceil(min(size_of(args[0]), size_of(args[1])) * TRAVERSAL)


def _both(args: list[Any], _: Any) -> int:
    return ceil((size_of(args[0]) + size_of(args[1])) * TRAVERSAL)


def _pattern(text: int, pattern: int) -> int:
    return ceil((1.0 + text) * TRAVERSAL) * ceil(pattern * REGEX)


def _matched(args: list[Any], _: Any) -> int:
    return _pattern(size_of(args[0]), size_of(args[1]))


def _validated(args: list[Any], _: Any) -> int:
    return _pattern(size_of(args[1]), args[0].regex) if isinstance(args[0], Format) else CALL


def _selector(args: list[Any], _: Any) -> int:
    size = size_of(args[1])
    return LIST + ceil(size * TRAVERSAL) + ceil(ceil(size * 0.5) * float(LIST + STRUCT))


def _walked(args: list[Any], _: Any) -> int:
    return _walk(args[0])


def _walk(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return int(len(value) * TRAVERSAL)
    if isinstance(value, list):
        return sum(map(_walk, value))
    if isinstance(value, dict):
        return sum(map(_walk, keys_of(value))) + sum(map(_walk, value.values()))
    return 1


def _made(args: list[Any], result: Any) -> int:
    return size_of(result) + CALL + LIST


def _flattened(args: list[Any], _: Any) -> int:
    return int(size_of(args[0]) * (float(args[1]) if len(args) == 2 else 1.0)) + CALL + LIST


def compared(items: list[Any]) -> int:
    """Each with each."""
    factor = 2.0 + (TRAVERSAL if items and type(items[0]) in (str, bytes) else 0)
    return int(len(items) ** 2 * factor) + CALL + LIST


def _compared(args: list[Any], _: Any) -> int:
    return compared(args[0])


def _pairs(factor: int) -> Cost:
    return lambda args, _: CALL + size_of(args[0]) * size_of(args[1]) * factor


def _contained(text: bool, more: bool) -> Cost:
    def cost(args: list[Any], _: Any) -> int:
        size = size_of(args[0])
        total = ceil((size + size) * TRAVERSAL)
        if more:
            total += ceil(size * TRAVERSAL) + 1
        return total + (ceil(size_of(args[1]) * TRAVERSAL) if text else 0)

    return cost


def _appended(args: list[Any], result: Any) -> int:
    return CALL if len(result) < LONG else len(result) // 10


def _substring(args: list[Any], _: Any) -> int:
    return ceil(size_of(args[0]) * TRAVERSAL) * ceil(size_of(args[1]) * TRAVERSAL)


_FUNCTIONS: dict[str, Cost] = {
    **dict.fromkeys(("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"), _walked),
    **dict.fromkeys(
        (
            *("url", "lowerAscii", "upperAscii", "substring", "trim", "jsonpatch.escapeKey"),
            *("cidr", "isIP", "isCIDR", "ip", "quantity", "isQuantity", "semver", "isSemver"),
        ),
        _traversed(),
    ),
    **dict.fromkeys(("replace", "split", "ip.isCanonical"), _traversed(2)),
    **dict.fromkeys(("find", "findAll"), _matched),
    **dict.fromkeys(("fieldSelector", "labelSelector"), _selector),
    "join": lambda args, result: ceil(size_of(result) * 2 * TRAVERSAL),
    "validate": _validated,
    "check": lambda args, _: AUTHORIZATION,
}
_ORDERED = [
    f"{word}_{kind}" for word in ("less", "less_equals", "greater", "greater_equals") for kind in ("string", "bytes")
]
_OVERLOADS: dict[str, Cost] = {
    **dict.fromkeys(("starts_with_string", "ends_with_string", "string_to_bytes", "bytes_to_string"), _traversed()),
    **dict.fromkeys(("strings_quote", "string_format"), _traversed()),
    "in_list": lambda args, _: size_of(args[1]),
    **dict.fromkeys(_ORDERED, _smaller),
    **dict.fromkeys(("equals", "not_equals"), _smaller),
    **dict.fromkeys(("add_string", "add_bytes"), _both),
    "add_list": _appended,
    **dict.fromkeys(("matches", "matches_string"), _matched),
    "contains_string": _substring,
    "cidr_contains_ip_string": _contained(text=True, more=False),
    "cidr_contains_ip_ip": _contained(text=False, more=False),
    "cidr_contains_cidr_string": _contained(text=True, more=True),
    "cidr_contains_cidr": _contained(text=False, more=True),
    **dict.fromkeys(("list_slice", "lists_range", "list_reverse"), _made),
    **dict.fromkeys(("list_flatten", "list_flatten_int"), _flattened),
    "list_distinct": _compared,
    "list_sets_contains_list": _pairs(1),
    "list_sets_intersects_list": _pairs(1),
    "list_sets_equivalent_list": _pairs(2),
    "cidr_ip": lambda args, _: CALL,
}
_SCALAR = frozenset({"bool", "int", "uint", "double", "null_type", "duration", "timestamp", "type"})


def of(name: str, overload: Overload, *, alone: bool = True) -> Cost | None:
    """None when it is always 1. In a call that has more than one overload left, which is not `alone`, cel-go knows costs by the
    function's name only; here `+` keeps its own, since it makes values that grow."""
    if alone or name == "_+_":
        if name == "sort":
            return _compared
        if overload.id in _OVERLOADS:
            return _OVERLOADS[overload.id]
    return _FUNCTIONS.get(name)


def is_scalar(kind: Type) -> bool:
    """Its size is 1, so that comparing it costs 1."""
    return kind.kind in _SCALAR
