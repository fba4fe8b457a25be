"""The macros: calls that are syntax. Called by the parser with the arguments as parsed; pure."""

from __future__ import annotations

from collections.abc import Callable

from styr.cel.ast import Ident, Macro, Node, Select


class MacroError(Exception):
    """An argument of a macro that is not what it must be."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


_WRONG = dict.fromkeys(("map", "filter"), "argument is not an identifier")
_WRONG |= dict.fromkeys(("optMap", "optFlatMap"), "variable name must be a simple identifier")
Expand = Callable[[int, Node | None, list[Node]], Node | None]


def _variable(node: Node, wrong: str = "argument must be a simple name") -> str:
    if not isinstance(node, Ident) or node.name.startswith("."):
        raise MacroError(node.position, wrong)
    return node.name


def _has(position: int, _: Node | None, args: list[Node]) -> Node:
    field = args[0]
    if not isinstance(field, Select) or field.test:
        raise MacroError(field.position, "invalid argument to has() macro")
    return Select(position, field.operand, field.field, test=True)


def _one(kind: str, *, guarded: bool = False) -> Expand:
    """`range.kind(variable, body)`; with a guard `range.kind(variable, guard, body)`."""

    def expand(position: int, target: Node | None, args: list[Node]) -> Node:
        assert target is not None
        variable = _variable(args[0], _WRONG.get(kind, "argument must be a simple name"))
        return Macro(position, kind, target, variable, "", args[-1], args[1] if guarded else None)

    return expand


def _two(kind: str, *, guarded: bool = False) -> Expand:
    """`range.kind(index, value, body)`; with a guard before the body."""

    def expand(position: int, target: Node | None, args: list[Node]) -> Node | None:
        assert target is not None
        first, second = _variable(args[0]), _variable(args[1])
        if first == second:
            raise MacroError(args[1].position, f"duplicate variable name: {first}")
        return Macro(position, kind, target, first, second, args[-1], args[2] if guarded else None)

    return expand


MACROS: dict[tuple[str, int, bool], Expand] = {
    ("has", 1, False): _has,
    ("all", 2, True): _one("all"),
    ("exists", 2, True): _one("exists"),
    ("exists_one", 2, True): _one("exists_one"),
    ("existsOne", 2, True): _one("exists_one"),
    ("map", 2, True): _one("map"),
    ("map", 3, True): _one("map", guarded=True),
    ("filter", 2, True): _one("filter"),
    ("all", 3, True): _two("all"),
    ("exists", 3, True): _two("exists"),
    ("exists_one", 3, True): _two("exists_one"),
    ("existsOne", 3, True): _two("exists_one"),
    ("transformList", 3, True): _two("transformList"),
    ("transformList", 4, True): _two("transformList", guarded=True),
    ("transformMap", 3, True): _two("transformMap"),
    ("transformMap", 4, True): _two("transformMap", guarded=True),
    ("transformMapEntry", 3, True): _two("transformMapEntry"),
    ("transformMapEntry", 4, True): _two("transformMapEntry", guarded=True),
    ("optMap", 2, True): _one("optMap"),
    ("optFlatMap", 2, True): _one("optFlatMap"),
    ("sortBy", 2, True): _one("sortBy"),
}
"""(name, number of arguments, has a target) -> what it becomes."""
