"""What an expression costs at worst, before it has seen a value: the limit for rules in schemas. Called by `api`; pure.

Formulas: cel-go `checker/cost.go` and `ext/lists.go`, k8s.io/apiserver `pkg/cel/library/cost.go`. They are part of the API: a
rule that Kubernetes takes must be taken here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from styr.cel import costs
from styr.cel.ast import Call, Const, Ident, ListOf, Macro, MapOf, Node, Select, StructOf
from styr.cel.environment import Program
from styr.cel.estimates import Known, of_call
from styr.cel.sizes import UNKNOWN, ZERO, Entries, Range, fixed
from styr.cel.types import Type

Path = tuple[str, ...]
"""A variable, then fields, `@items`, `@keys`, `@values`; () for what is computed."""
Sizes = Callable[[Path], int | None]
"""The most that a value at a path can hold; None when nothing is known of it."""


def estimate(program: Program, sizes: Sizes) -> Range:
    return _Estimator(sizes).cost(program.tree)


class _Local:
    """A variable of a macro."""

    def __init__(self, path: Path, size: Range | None, entries: Entries | None = None) -> None:
        self.path, self.size, self.entries = path, size, entries


class _Estimator:
    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.paths: dict[int, Path] = {}
        self.known: dict[int, Range] = {}
        self.held: dict[int, Entries] = {}
        self.local: dict[str, list[_Local]] = {}

    def cost(self, node: Node) -> Range:
        return _COSTS[type(node)](self, node)  # type: ignore[no-any-return]

    # --- sizes

    def path(self, node: Node) -> Path:
        if isinstance(node, Ident) and self.local.get(node.name):
            return self.local[node.name][-1].path
        return self.paths.get(id(node), ())

    def size(self, node: Node) -> Range | None:
        if id(node) in self.known:
            return self.known[id(node)]
        found = _written(node) or self.declared(self.path(node))
        if found is not None:
            return found
        if is_scalar(node.type):
            return fixed(1)
        if isinstance(node, Ident) and self.local.get(node.name):
            return self.local[node.name][-1].size
        return None

    def declared(self, path: Path) -> Range | None:
        most = self.sizes(path) if path else None
        return None if most is None else Range(0, most)

    def entries(self, node: Node) -> Entries | None:
        if id(node) in self.held:
            return self.held[id(node)]
        if isinstance(node, Ident) and self.local.get(node.name):
            return self.local[node.name][-1].entries
        return None

    # --- nodes

    def const(self, _: Node) -> Range:
        return ZERO

    def ident(self, node: Ident) -> Range:
        known = self.local.get(node.name)
        self.paths[id(node)] = known[-1].path if known else (node.name.removeprefix("."),)
        return fixed(1)

    def select(self, node: Select) -> Range:
        found = self.cost(node.operand)
        if node.test:
            return found
        if node.operand.type.kind in ("map", "struct", "param"):
            found = found.plus(fixed(1))
        base = self.path(node.operand)
        self.paths[id(node)] = (*base, node.field)
        return found.plus(fixed(1)) if node.optional else found

    def list_of(self, node: ListOf) -> Range:
        total, item = fixed(costs.LIST), None
        for element in node.elements:
            total = total.plus(self.cost(element))
            size = self.size(element) or UNKNOWN
            item = size if item is None else item.union(size)
        self.held[id(node)] = Entries("list", fixed(1), item or ZERO)
        return total

    def map_of(self, node: MapOf) -> Range:
        total, key, value = fixed(costs.MAP), None, None
        for entry in node.entries:
            assert entry.key is not None
            total = total.plus(self.cost(entry.key)).plus(self.cost(entry.value))
            one, two = self.size(entry.key) or UNKNOWN, self.size(entry.value) or UNKNOWN
            key = one if key is None else key.union(one)
            value = two if value is None else value.union(two)
        self.held[id(node)] = Entries("map", key or ZERO, value or ZERO)
        return total

    def struct_of(self, node: StructOf) -> Range:
        total = fixed(costs.STRUCT)
        for entry in node.entries:
            total = total.plus(self.cost(entry.value))
        return total

    # --- calls

    def call(self, node: Call) -> Range:
        if node.function == "dyn":
            inner = self.cost(node.args[0])
            self.copy(node, node.args[0])
            return inner.plus(fixed(1))
        args = [self.cost(arg) for arg in node.args]
        total = self.cost(node.target) if node.target is not None else ZERO
        special = _SPECIAL.get(node.function)
        if special is not None:
            return total.plus(special(self, node, args))
        paid = ZERO
        for arg in args:
            paid = paid.plus(arg)
        target = self.argument(node.target) if node.target is not None else None
        found: Range | None = None
        result: Range | None = None
        for overload in node.overloads:
            one = of_call(node.function, overload.id, target, [self.argument(arg) for arg in node.args])
            cost = one.cost.plus(paid)
            found = cost if found is None else found.union(cost)
            if one.size is not None:
                result = one.size if result is None else result.union(one.size)
            indexed = self.indexed(node, overload.id)
            if indexed is not None or result is None:
                result = indexed if indexed is not None else self.size(node)
        if node.function == "_+_":
            self.added(node)
        if result is not None:
            self.known[id(node)] = result
        return total.plus(found or ZERO)

    def argument(self, node: Node) -> Known:
        path = self.path(node)
        items = None
        if node.type.kind in ("list", "map", "opaque") and node.type.params:
            items = self.declared((*path, "@items")) if path else None
            return Known(self.size(node) or UNKNOWN, node.type, node, items or UNKNOWN)
        return Known(self.size(node) or UNKNOWN, node.type, node, None)

    def indexed(self, node: Call, overload: str) -> Range | None:
        """`a[i]` has a path of its own."""
        step = {"index_list": "@items", "index_map": "@values"}.get(overload)
        if step is None:
            return None
        held, base = self.entries(node.args[0]), self.path(node.args[0])
        self.paths[id(node)] = (*base, step)
        return held.value if held else None

    def added(self, node: Call) -> None:
        one, two = self.entries(node.args[0]), self.entries(node.args[1])
        if one and two:
            self.held[id(node)] = one.union(two)

    def junction(self, _: Call, args: list[Range]) -> Range:
        """The first one decides at best; all are needed at worst."""
        total = args[0]
        for arg in args[1:]:
            total = Range(total.low, total.plus(arg).high)
        return total

    def conditional(self, node: Call, args: list[Range]) -> Range:
        one, two = self.entries(node.args[1]), self.entries(node.args[2])
        if one and two:
            self.held[id(node)] = one.union(two)
        self.known[id(node)] = (self.size(node.args[1]) or UNKNOWN).union(self.size(node.args[2]) or UNKNOWN)
        return args[0].plus(args[1].union(args[2]))

    def copy(self, target: Node, source: Node) -> None:
        size, held = self.size(source), self.entries(source)
        if size is not None:
            self.known[id(target)] = size
        if held is not None:
            self.held[id(target)] = held

    # --- macros

    def macro(self, node: Macro) -> Range:
        over = self.cost(node.range)
        if node.kind in ("optMap", "optFlatMap"):
            return self.optional(node, over)
        if node.kind == "sortBy":
            over = over.plus(fixed(costs.LIST))
        names = self.push(node)
        guard = self.cost(node.guard) if node.guard is not None else None
        body = self.cost(node.body)
        body_size, own = self.size(node.body), self.size_of_first(node)
        for name in names:
            self.local[name].pop()
        rounds = self.size(node.range) or UNKNOWN
        start, step, end = _STEPS[node.kind](guard, body)
        self.result(node, rounds, body_size if node.kind != "filter" else own)
        total = over.plus(fixed(start + end)).plus(rounds.times(step))
        if node.kind == "sortBy":
            total = total.plus(rounds.times(rounds).scaled(2.1)).plus(fixed(costs.LIST + 3))
        return total

    def push(self, node: Macro) -> list[str]:
        held, base = self.entries(node.range), self.path(node.range)
        listed = (held.container if held else node.range.type.kind) == "list"
        keys = held.key if held else None
        values = held.value if held else None

        def below(step: str) -> Path:
            return (*base, step)

        if node.second:
            first = _Local(below("@indices" if listed else "@keys"), keys)
            self.local.setdefault(node.second, []).append(_Local(below("@items" if listed else "@values"), values))
        else:
            first = _Local(below("@items"), values) if listed else _Local(below("@keys"), keys)
        self.local.setdefault(node.first, []).append(first)
        return [node.first, *([node.second] if node.second else [])]

    def size_of_first(self, node: Macro) -> Range | None:
        local = self.local[node.first][-1]
        return self.declared(local.path) or local.size

    def result(self, node: Macro, rounds: Range, item: Range | None) -> None:
        if node.kind in ("all", "exists", "exists_one"):
            self.known[id(node)] = fixed(1)
            return
        self.known[id(node)] = rounds
        if node.kind in ("map", "filter", "transformList"):
            self.held[id(node)] = Entries("list", fixed(1), (item or UNKNOWN).union(ZERO))

    def optional(self, node: Macro, target: Range) -> Range:
        self.local.setdefault(node.first, []).append(_Local((), self.size(node.range)))
        body = self.cost(node.body)
        self.local[node.first].pop()
        bound = target.plus(fixed(1 + costs.LIST)).plus(body)
        if node.kind == "optMap":
            bound = bound.plus(fixed(1))
        return target.plus(fixed(1)).plus(bound.union(fixed(1)))


def _written(node: Node) -> Range | None:
    """The size of what stands in the text."""
    if isinstance(node, Const):
        return fixed(len(node.value) if isinstance(node.value, (str, bytes)) else 1)
    if isinstance(node, ListOf):
        return fixed(len(node.elements))
    return fixed(len(node.entries)) if isinstance(node, MapOf) else None


def is_scalar(kind: Type) -> bool:
    if kind.kind == "opaque" and kind.name == "optional_type":
        return is_scalar(kind.params[0])
    return kind.kind in ("bool", "double", "duration", "int", "timestamp", "uint")


Steps = Callable[[Range | None, Range], tuple[int, Range, int]]
"""(guard, body) -> what the start costs, what a round costs, what the result costs."""


def _decided(condition: int) -> Steps:
    return lambda _, body: (0, Range(condition + 1, fixed(condition + 1).plus(body).high), 1)


def _added(overhead: int, start: int) -> Steps:
    def steps(guard: Range | None, body: Range) -> tuple[int, Range, int]:
        add = body.plus(fixed(overhead))
        return start, add if guard is None else guard.plus(add.union(fixed(1))), 1

    return steps


_STEPS: dict[str, Steps] = {
    "all": _decided(2),
    "exists": _decided(3),
    "exists_one": lambda _, body: (0, body.plus(Range(1, 2)), 2),
    "map": _added(costs.LIST + 2, costs.LIST),
    "transformList": _added(costs.LIST + 2, costs.LIST),
    "filter": lambda _, body: (costs.LIST, body.plus(Range(1, costs.LIST + 3)), 1),
    "transformMap": _added(3, costs.MAP),
    "transformMapEntry": _added(2, costs.MAP),
    "sortBy": _added(costs.LIST + 2, costs.LIST),
}
_COSTS: dict[type, Any] = {
    Const: _Estimator.const,
    Ident: _Estimator.ident,
    Select: _Estimator.select,
    Call: _Estimator.call,
    ListOf: _Estimator.list_of,
    MapOf: _Estimator.map_of,
    StructOf: _Estimator.struct_of,
    Macro: _Estimator.macro,
}
_SPECIAL: dict[str, Any] = {
    "_&&_": _Estimator.junction,
    "_||_": _Estimator.junction,
    "_?_:_": _Estimator.conditional,
}
