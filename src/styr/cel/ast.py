"""The tree that the parser makes, the checker annotates and the compiler reads. Macros keep their own node, `Macro`: they are
not expanded, so that they compile to plain loops. `position` is an offset in the text, where cel-go puts its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from styr.cel.types import DYN, Type


class Node:
    """`type` is what the checker found. `depth` bounds recursion."""

    __slots__ = ("depth", "position", "type")

    def __init__(self, position: int) -> None:
        self.position = position
        self.type: Type = DYN
        self.depth = 1

    def children(self) -> Iterator[Node]:
        return iter(())


class Const(Node):
    __slots__ = ("value",)

    def __init__(self, position: int, value: Any) -> None:
        super().__init__(position)
        self.value = value


class Ident(Node):
    __slots__ = ("name",)

    def __init__(self, position: int, name: str) -> None:
        super().__init__(position)
        self.name = name


class Select(Node):
    """`operand.field`; `test` is has(), `optional` is `.?`. `key` is the field's name in the value, when types rename it."""

    __slots__ = ("field", "operand", "optional", "test")

    def __init__(self, position: int, operand: Node, field: str, *, test: bool = False, optional: bool = False) -> None:
        super().__init__(position)
        self.operand, self.field, self.test, self.optional = operand, field, test, optional

    def children(self) -> Iterator[Node]:
        yield self.operand


class Call(Node):
    """Operators too, under cel-go's names (`_+_`). `overloads` are the ids that the checker leaves possible."""

    __slots__ = ("args", "function", "overloads", "target")

    def __init__(self, position: int, function: str, args: list[Node], target: Node | None = None) -> None:
        super().__init__(position)
        self.function, self.args, self.target = function, args, target
        self.overloads: list[Any] = []

    def children(self) -> Iterator[Node]:
        if self.target is not None:
            yield self.target
        yield from self.args


class ListOf(Node):
    __slots__ = ("elements", "optional")

    def __init__(self, position: int, elements: list[Node], optional: frozenset[int]) -> None:
        super().__init__(position)
        self.elements, self.optional = elements, optional

    def children(self) -> Iterator[Node]:
        yield from self.elements


class Entry(Node):
    """`key: value` of a map; of a struct, where `name` is the field."""

    __slots__ = ("key", "name", "optional", "value")

    def __init__(self, position: int, key: Node | None, name: str, value: Node, optional: bool) -> None:
        super().__init__(position)
        self.key, self.name, self.value, self.optional = key, name, value, optional

    def children(self) -> Iterator[Node]:
        if self.key is not None:
            yield self.key
        yield self.value


class MapOf(Node):
    __slots__ = ("entries",)

    def __init__(self, position: int, entries: list[Entry]) -> None:
        super().__init__(position)
        self.entries = entries

    def children(self) -> Iterator[Node]:
        yield from self.entries


class StructOf(Node):
    __slots__ = ("entries", "name")

    def __init__(self, position: int, name: str, entries: list[Entry]) -> None:
        super().__init__(position)
        self.name, self.entries = name, entries

    def children(self) -> Iterator[Node]:
        yield from self.entries


class Macro(Node):
    """A comprehension: `kind` is all, exists, exists_one, map, filter, transformList, transformMap, transformMapEntry, or
    optMap and optFlatMap, whose `range` is one optional value. `second` is "" with one variable; `guard` a filter."""

    __slots__ = ("body", "first", "guard", "kind", "range", "second")

    def __init__(
        self, position: int, kind: str, over: Node, first: str, second: str, body: Node, guard: Node | None = None
    ) -> None:
        super().__init__(position)
        self.kind, self.range, self.first, self.second = kind, over, first, second
        self.body, self.guard = body, guard

    def children(self) -> Iterator[Node]:
        yield self.range
        if self.guard is not None:
            yield self.guard
        yield self.body
