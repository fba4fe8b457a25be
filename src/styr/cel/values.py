"""What an expression computes with. Called everywhere in `cel`; pure.

JSON's own values are themselves: int (int64), float, str, bool, None, list, dict. The rest has a class here. A bool as key
of a map is stored as a `BoolKey`, because Python takes True and 1 for the same key, and CEL does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from styr.cel.errors import EvaluationError

MIN_INT, MAX_INT, MAX_UINT = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1
SECOND = 1_000_000_000
MIN_TIME, MAX_TIME = -62_135_596_800 * SECOND, 253_402_300_800 * SECOND - 1
"""Nanoseconds since 1970 of year 1 and of the end of year 9999."""


class UInt(int):
    """A uint64."""

    __slots__ = ()


class Duration(int):
    """Nanoseconds, an int64."""

    __slots__ = ()


class Timestamp(int):
    """Nanoseconds since 1970, UTC."""

    __slots__ = ()


class TypeValue:
    """What `type(x)` returns."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypeValue) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


class Optional:
    """A value or none."""

    __slots__ = ("present", "value")

    def __init__(self, value: Any, present: bool = True) -> None:
        self.value, self.present = value, present

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Optional) or self.present != other.present:
            return False
        return not self.present or equal(self.value, other.value)

    __hash__ = None  # type: ignore[assignment]


NONE: Final = Optional(None, present=False)


class BoolKey:
    """True or false as the key of a map."""

    __slots__ = ("value",)

    def __init__(self, value: bool) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BoolKey) and other.value is self.value

    def __hash__(self) -> int:
        return hash((BoolKey, self.value))


class Fields:
    """A value with named fields that is no JSON: what `variables` and `Object{...}` are. Raises KeyError for others."""

    __slots__ = ()
    type_name = "object"

    def field(self, name: str) -> Any:
        raise NotImplementedError

    def has(self, name: str) -> bool:
        raise NotImplementedError


class ListSet(list[Any]):
    """A list of the type `set`: its order does not count, `+` is the union."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list) or len(self) != len(other):
            return False
        return all(contains(other, item) for item in self) and all(contains(self, item) for item in other)

    __hash__ = None

    def joined(self, other: list[Any]) -> ListSet:
        return ListSet([*self, *(item for item in other if not contains(self, item))])


class ListMap(list[Any]):
    """A list of the type `map`: items are told apart by `keys`, order does not count, `+` replaces in place."""

    keys: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list) or len(self) != len(other):
            return False
        known = {self.identity(item): item for item in other}
        return all((found := self.identity(item)) in known and equal(known[found], item) for item in self)

    __hash__ = None

    def identity(self, item: Any) -> Any:
        return tuple(repr(item.get(key)) for key in self.keys) if isinstance(item, dict) else repr(item)

    def joined(self, other: list[Any]) -> ListMap:
        newer = {self.identity(item): item for item in other}
        made = ListMap(newer.pop(self.identity(item), item) for item in self)
        made.extend(newer.values())
        made.keys = self.keys
        return made


def int64(value: int) -> int:
    if MIN_INT <= value <= MAX_INT:
        return value
    raise EvaluationError("integer overflow")


def uint64(value: int) -> UInt:
    if 0 <= value <= MAX_UINT:
        return UInt(value)
    raise EvaluationError("unsigned integer overflow")


def duration(nanoseconds: int) -> Duration:
    if MIN_INT <= nanoseconds <= MAX_INT:
        return Duration(nanoseconds)
    raise EvaluationError("integer overflow")


def timestamp(nanoseconds: int) -> Timestamp:
    if MIN_TIME <= nanoseconds <= MAX_TIME:
        return Timestamp(nanoseconds)
    raise EvaluationError("timestamp overflow")


KINDS: dict[type, str] = {
    bool: "bool",
    int: "int",
    UInt: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    type(None): "null_type",
    list: "list",
    tuple: "list",
    ListSet: "list",
    ListMap: "list",
    dict: "map",
    Duration: "google.protobuf.Duration",
    Timestamp: "google.protobuf.Timestamp",
    TypeValue: "type",
    Optional: "optional_type",
}
"""The name of the type of a value, by its class; libraries add their own."""


def kind_of(value: Any) -> str:
    found = KINDS.get(type(value))
    if found is None:
        found = value.type_name if isinstance(value, Fields) else type(value).__name__
    return found


_NUMBERS = frozenset({int, UInt, float})
_LISTS = (list, tuple)


def equal(a: Any, b: Any) -> bool:
    """CEL's `==`: numbers across their types, everything else of one type only."""
    first, second = type(a), type(b)
    if first is second:
        if first is list:
            return len(a) == len(b) and all(map(equal, a, b))
        if first is dict:
            return len(a) == len(b) and all(key in b and equal(value, b[key]) for key, value in a.items())
        return bool(a == b)
    if first in _NUMBERS and second in _NUMBERS:
        return float(a) == float(b) if first is float or second is float else bool(a == b)
    if isinstance(a, _LISTS) and isinstance(b, _LISTS):
        if isinstance(a, (ListSet, ListMap)):
            return a == b
        return len(a) == len(b) and all(map(equal, a, b))
    return False


def contains(items: Iterable[Any], wanted: Any) -> bool:
    return any(equal(item, wanted) for item in items)


def compare(a: Any, b: Any) -> int:
    """-1, 0 or 1; numbers across their types. Raises EvaluationError."""
    first, second = type(a), type(b)
    if (first is second and first in ORDERED) or (first in _NUMBERS and second in _NUMBERS):
        if first is not second and (first is float or second is float):
            a, b = float(a), float(b)  # as cel-go does, lossy or not
        if a < b:
            return -1
        if a == b:
            return 0
        if a > b:
            return 1
        raise EvaluationError("NaN values cannot be ordered")
    raise EvaluationError("no such overload")


ORDERED: set[type] = {bool, int, UInt, float, str, bytes, Duration, Timestamp}
"""Classes whose values are compared by Python's own `<`. (Strings compare by code point, as Go's do by UTF-8.)"""


def size_of(value: Any) -> int:
    """What `size()` says, 1 for all that has none: the unit of costs."""
    kind = type(value)
    if kind is str or kind in SIZED:
        return len(value)
    if kind is Optional and value.present:
        return size_of(value.value)
    return SIZES[kind](value) if kind in SIZES else 1


SIZED: frozenset[type] = frozenset({bytes, list, dict, ListSet, ListMap, tuple})
SIZES: dict[type, Callable[[Any], int]] = {}


def map_key(value: Any) -> Any:
    """The key under which a value is stored in a map. Raises EvaluationError for what is no key."""
    kind = type(value)
    if kind is str or kind is int or kind is UInt:
        return value
    if kind is bool:
        return BoolKey(value)
    if kind is float and value.is_integer():
        return int(value)
    raise EvaluationError(f"unsupported key type: {kind_of(value)}")


def keys_of(value: dict[Any, Any]) -> list[Any]:
    return [key.value if type(key) is BoolKey else key for key in value]
