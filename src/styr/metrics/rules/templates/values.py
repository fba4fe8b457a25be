"""Go's values as templates see them. Called by all of the package. Pure.

Go                        here
string, bool, int, float64, complex128, nil     str, bool, int, float, complex, None
map[string]T              GoMap, which knows what a missing key gives
[]T                       GoList
struct, *struct           Struct
template.HTML, template.URL     Html, Url
*time.Time, time.Duration `times.Time`, `times.Duration`, which are Structs by their methods
*histogram.FloatHistogram model.histogram.Histogram
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from styr.metrics.model.histogram import Histogram

ANY = "interface {}"
REFLECT = "reflect.Value"


class CallFailed(Exception):
    """A function refused its arguments; the text becomes part of the template's error."""


@dataclass(frozen=True, slots=True)
class Function:
    """`params` are Go types; with `variadic` any number of arguments of that type may follow them."""

    call: Callable[..., Any]
    params: tuple[str, ...] = ()
    variadic: str = ""


Methods = Mapping[str, Function]


class GoMap(dict[str, Any]):
    """`map[string]elem`; a missing key is the zero value of `elem`. `methods` take the map as their first argument."""

    __slots__ = ("elem", "methods", "type")

    def __init__(
        self,
        pairs: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
        elem: str = "string",
        type: str = "",
        methods: Methods | None = None,
    ) -> None:
        super().__init__(pairs)
        self.elem, self.type, self.methods = elem, type or f"map[string]{elem}", methods or {}

    @property
    def zero(self) -> Any:
        return "" if self.elem == "string" else None


class GoList(list[Any]):
    __slots__ = ("elem", "methods", "type")

    def __init__(
        self, items: Iterable[Any] = (), elem: str = ANY, type: str = "", methods: Methods | None = None
    ) -> None:
        super().__init__(items)
        self.elem, self.type, self.methods = elem, type or f"[]{elem}", methods or {}


@dataclass(slots=True, eq=False)
class Struct:
    """`interfaces` are the fields declared as interface {}; `shown` replaces the struct's printed form."""

    type: str
    fields: dict[str, Any]
    interfaces: frozenset[str] = frozenset()
    methods: Methods = field(default_factory=dict)
    pointer: bool = False
    shown: Callable[[], str] | None = None


class Html(str):
    """template.HTML: a string that is not to be escaped, and no `string` to functions that want one."""

    __slots__ = ()


class Url(str):
    """template.URL: the same for addresses."""

    __slots__ = ()


_PLAIN: Mapping[type, str] = {bool: "bool", int: "int", float: "float64", complex: "complex128", str: "string"}


def type_name(value: Any) -> str:
    """As Go's %T prints it."""
    plain = _PLAIN.get(type(value))
    if plain is not None:
        return plain
    if isinstance(value, Struct):
        return ("*" if value.pointer else "") + value.type
    if isinstance(value, (GoMap, GoList)):
        return value.type
    if isinstance(value, (Html, Url)):
        return "template.HTML" if isinstance(value, Html) else "template.URL"
    if isinstance(value, Histogram):
        return "*histogram.FloatHistogram"
    return "<nil>" if value is None else type(value).__name__


def is_true(value: Any) -> bool:
    """What `if` and `and` make of it: not zero, not empty, not nil; a struct always."""
    return True if isinstance(value, (Struct, Histogram)) else bool(value)


def assignable(value: Any, typ: str) -> bool:
    if typ in (ANY, REFLECT):
        return True
    name = type_name(value)
    return name in (typ, f"*{typ}") or (typ == "int" and name == "int") or (value is None and nillable(typ))


def nillable(typ: str) -> bool:
    return typ in (ANY, REFLECT) or typ.startswith(("*", "[]", "map[")) or typ == "template.queryResult"
