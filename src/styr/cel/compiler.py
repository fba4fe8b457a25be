"""A checked tree to Python closures. Called by `environment`; calls `loops` for macros; pure.

A closure takes the frame, a list: what is left of the budget, the declared variables, then those of macros. What a part
costs whatever its values is added up here and paid at the next branch or loop, so that counting costs almost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from styr.cel import costs, loops
from styr.cel.ast import Call, Const, Ident, ListOf, Macro, MapOf, Node, Select, StructOf
from styr.cel.errors import EvaluationError, PlanError, no_overload
from styr.cel.functions import Overload, choose
from styr.cel.library import optionals
from styr.cel.library.standard import FUNCTIONS as STANDARD
from styr.cel.loops import Code, Piece, guarded
from styr.cel.types import Type
from styr.cel.values import Fields, Optional, TypeValue, contains, map_key

Frame = list[Any]
Make = Callable[[str, dict[str, Any]], Any]
"""A struct of the name, from its fields."""

_FOLDED = frozenset({"bool", "bytes", "double", "duration", "int", "string", "timestamp", "uint", "type", "dyn"})
_CONCRETE = frozenset(
    {
        "bool",
        "bytes",
        "double",
        "int",
        "null_type",
        "string",
        "uint",
        "duration",
        "timestamp",
        "list",
        "map",
        "type",
        "struct",
    }
)
_SHORT = 10
"""Characters that are compared for one unit."""


class Compiler:
    def __init__(self, text: str, variables: list[str], resolved: dict[int, TypeValue | str], make: Make) -> None:
        self.text = text
        self.slots = {name: index + 1 for index, name in enumerate(variables)}
        self.size = len(variables) + 1
        self.resolved = resolved
        self.make = make

    def piece(self, node: Node) -> Piece:
        return _PIECES[type(node)](self, node)  # type: ignore[no-any-return]

    def slot(self) -> int:
        """A place in the frame for a variable of a macro."""
        self.size += 1
        return self.size - 1

    # --- leaves and members

    def const(self, node: Const) -> Piece:
        return loops.constant(node.value), 0

    def name(self, node: Node) -> Piece | None:
        found = self.resolved.get(id(node))
        if found is None:
            return None
        if isinstance(found, TypeValue):
            return loops.constant(found), 0
        index = self.slots[found]
        return (lambda f: f[index]), 1

    def ident(self, node: Ident) -> Piece:
        found = self.name(node)
        assert found is not None
        return found

    def select(self, node: Select) -> Piece:
        known = self.name(node)
        if known is not None:
            return known
        operand, cost = self.piece(node.operand)
        cost += 0 if _is_attribute(node.operand) else 1
        field = node.field
        if node.test:
            return (lambda f: has(operand(f), field)), cost
        if node.optional:
            return (lambda f: optionals.select(operand(f), field)), cost + 1

        def run(f: Frame) -> Any:
            value = operand(f)
            if type(value) is dict and field in value:
                return value[field]
            return select(value, field)

        return run, cost + 1

    # --- calls

    def call(self, node: Call) -> Piece:
        special = _SPECIAL.get(node.function)
        if special is not None:
            return special(self, node)  # type: ignore[no-any-return]
        nodes = [*([node.target] if node.target is not None else []), *node.args]
        pieces = [self.piece(arg) for arg in nodes]
        codes = [code for code, _ in pieces]
        folded = self.folded(node, codes) or self.member_of(node, pieces)
        if folded is not None:
            return folded
        paid = sum(cost for _, cost in pieces)
        if node.function in ("_[_]", "_[?_]") and not _is_attribute(nodes[0]):
            paid += 1
        price = self.price(node, nodes)
        if len(node.overloads) == 1 and _exact(node.overloads[0], nodes):
            if price is None:
                return _direct(node.overloads[0].run, codes), paid + 1
            return _priced(node.overloads[0].run, codes, price), paid
        if price is None:
            return _dispatched(node, codes), paid + 1
        return _dispatched_priced(node, codes), paid

    def folded(self, node: Call, codes: list[Code]) -> Piece | None:
        """A conversion of a constant is done once, now."""
        if node.function not in _FOLDED or len(codes) != 1 or not loops.is_constant(codes[0]):
            return None
        try:
            value = codes[0]([])
            return loops.constant(choose(node.overloads)([value]).run(value)), 0
        except EvaluationError as error:
            raise PlanError(str(error)) from None

    def member_of(self, node: Call, pieces: list[Piece]) -> Piece | None:
        """`x in [...]` of constants is a look-up in a set, and costs nothing."""
        if node.function != "@in" or not loops.is_constant(pieces[1][0]):
            return None
        items = pieces[1][0]([])
        kinds = {type(item) for item in items}
        if not isinstance(items, list) or len(kinds) != 1 or not kinds <= {str, int, bool}:
            return None
        one, known, kind = pieces[0][0], frozenset(items), kinds.pop()

        def run(f: Frame) -> bool:
            value = one(f)
            return value in known if type(value) is kind else contains(items, value)

        return run, pieces[0][1]

    def price(self, node: Call, nodes: list[Node]) -> costs.Cost | None:
        """None when it is always 1. Comparing with something short is."""
        cheap = node.function in _COMPARISONS and any(costs.is_scalar(arg.type) or _is_short(arg) for arg in nodes)
        if cheap:
            return None
        alone = len(node.overloads) == 1
        found = [costs.of(node.function, overload, alone=alone) for overload in node.overloads]
        return next((cost for cost in found if cost is not None), None)

    def conjunction(self, node: Call) -> Piece:
        pieces = [self.piece(arg) for arg in node.args]
        code = loops.junction(
            [guarded(*pieces[0], free=True), *(guarded(*p) for p in pieces[1:])], node.function == "_&&_"
        )
        return code, pieces[0][1]

    def conditional(self, node: Call) -> Piece:
        test, cost = self.piece(node.args[0])
        yes, no = (self.branch(arg) for arg in node.args[1:])

        def run(f: Frame) -> Any:
            value = test(f)
            if value is True:
                return yes(f)
            if value is False:
                return no(f)
            raise no_overload()

        return run, cost

    def branch(self, node: Node) -> Code:
        """Of a conditional: a bare variable there costs nothing in cel-go, its members do."""
        code, cost = self.piece(node)
        return guarded(code, max(cost - 1, 0) if _is_attribute(node) else cost)

    def either(self, node: Call) -> Piece:
        """`or` and `orValue` of an optional: the other one is only asked when it is needed."""
        assert node.target is not None
        (first, cost), other = self.piece(node.target), guarded(*self.piece(node.args[0]))
        whole = node.function == "or"

        def run(f: Frame) -> Any:
            value = first(f)
            if type(value) is not Optional:
                raise no_overload()
            if value.present:
                return value if whole else value.value
            found = other(f)
            if whole and type(found) is not Optional:
                raise no_overload()
            return found

        return run, cost

    # --- aggregates

    def list_of(self, node: ListOf) -> Piece:
        pieces = [self.piece(element) for element in node.elements]
        codes = [code for code, _ in pieces]
        if not node.optional and all(map(loops.is_constant, codes)):
            return loops.constant([code([]) for code in codes]), 0
        cost = sum(cost for _, cost in pieces) + costs.LIST
        if not node.optional:
            return (lambda f: [code(f) for code in codes]), cost
        optional = node.optional

        def run(f: Frame) -> list[Any]:
            found = []
            for index, code in enumerate(codes):
                value = code(f)
                if index not in optional:
                    found.append(value)
                elif held(value).present:
                    found.append(value.value)
            return found

        return run, cost

    def map_of(self, node: MapOf) -> Piece:
        entries = []
        cost = costs.MAP
        for entry in node.entries:
            assert entry.key is not None
            key, key_cost = self.piece(entry.key)
            value, value_cost = self.piece(entry.value)
            cost += key_cost + value_cost
            entries.append((key, value, entry.optional))

        def run(f: Frame) -> dict[Any, Any]:
            found: dict[Any, Any] = {}
            for key, value, optional in entries:
                name, item = map_key(key(f)), value(f)
                if name in found:
                    raise EvaluationError(f"Failed with repeated key: {name}")
                if not optional:
                    found[name] = item
                elif held(item).present:
                    found[name] = item.value
            return found

        if all(loops.is_constant(key) and loops.is_constant(value) and not maybe for key, value, maybe in entries):
            try:
                return loops.constant(run([])), 0
            except EvaluationError:
                pass
        return run, cost

    def struct_of(self, node: StructOf) -> Piece:
        fields = [(entry.name, *self.piece(entry.value), entry.optional) for entry in node.entries]
        make, name = self.make, node.name.removeprefix(".")

        def run(f: Frame) -> Any:
            found = {}
            for field, value, _, optional in fields:
                item = value(f)
                if not optional:
                    found[field] = item
                elif held(item).present:
                    found[field] = item.value
            return make(name, found)

        return run, costs.STRUCT + sum(cost for _, _, cost, _ in fields)

    def macro(self, node: Macro) -> Piece:
        over = self.piece(node.range)
        first = self.slot()
        second = self.slot() if node.second else 0
        before = dict(self.slots)
        self.slots[node.first] = first
        if node.second:
            self.slots[node.second] = second
        guard = self.piece(node.guard) if node.guard is not None else None
        body = self.piece(node.body)
        self.slots = before
        return loops.LOOPS[node.kind](over, first, second, guard, body)


_PIECES: dict[type, Any] = {
    Const: Compiler.const,
    Ident: Compiler.ident,
    Select: Compiler.select,
    Call: Compiler.call,
    ListOf: Compiler.list_of,
    MapOf: Compiler.map_of,
    StructOf: Compiler.struct_of,
    Macro: Compiler.macro,
}
_SPECIAL: dict[str, Any] = {
    "_&&_": Compiler.conjunction,
    "_||_": Compiler.conjunction,
    "_?_:_": Compiler.conditional,
    "or": Compiler.either,
    "orValue": Compiler.either,
}
_COMPARISONS = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})


def _is_attribute(node: Node) -> bool:
    """Members of other values cost one more: cel-go makes them an attribute first."""
    return isinstance(node, (Ident, Select)) or (isinstance(node, Call) and node.function in ("_[_]", "_[?_]"))


def _is_short(node: Node) -> bool:
    return isinstance(node, Const) and isinstance(node.value, (str, bytes)) and len(node.value) <= _SHORT


def held(value: Any) -> Optional:
    if type(value) is not Optional:
        raise no_overload()
    return value


def select(value: Any, field: str) -> Any:
    """`value.field`. Raises EvaluationError."""
    if isinstance(value, dict):
        if field in value:
            return value[field]
        raise EvaluationError(f"no such key: {field}")
    if isinstance(value, Optional):
        return optionals.select(value, field)
    if isinstance(value, Fields):
        try:
            return value.field(field)
        except KeyError:
            raise EvaluationError(f"no such key: {field}") from None
    raise no_overload()


def has(value: Any, field: str) -> bool:
    """`has(value.field)`. Raises EvaluationError."""
    if isinstance(value, dict):
        return field in value
    if isinstance(value, Optional):
        return value.present and has(value.value, field)
    if isinstance(value, Fields):
        return value.has(field)
    raise no_overload()


def _exact(overload: Overload, nodes: list[Node]) -> bool:
    """Do the static types alone say that this overload takes the values?"""
    return all(_is_exact(wanted, node.type) for wanted, node in zip(overload.params, nodes, strict=True))


def _is_exact(wanted: Type, found: Type) -> bool:
    if wanted.kind in ("param", "dyn"):
        return True
    if wanted.kind == "opaque":
        return found.kind == "opaque" and found.name == wanted.name
    return found.kind in _CONCRETE and found.kind == wanted.kind


def _direct(run: Callable[..., Any], codes: list[Code]) -> Code:
    if len(codes) == 1:
        (one,) = codes
        return lambda f: run(one(f))
    if len(codes) == 2:
        one, two = codes
        if loops.is_constant(two):
            constant = two([])
            return lambda f: run(one(f), constant)
        return lambda f: run(one(f), two(f))
    return lambda f: run(*[code(f) for code in codes])


def _priced(run: Callable[..., Any], codes: list[Code], price: costs.Cost) -> Code:
    def call(f: Frame) -> Any:
        args = [code(f) for code in codes]
        result = run(*args)
        loops.pay(f, price(args, result))
        return result

    return call


def _told(name: str) -> str:
    """The name of a function in an error about its arguments, "" for those that cel-go does not name."""
    return "" if name in STANDARD or name in ("find", "findAll") else name


def _dispatched(node: Call, codes: list[Code]) -> Code:
    find = choose(node.overloads, _told(node.function))

    def call(f: Frame) -> Any:
        args = [code(f) for code in codes]
        return find(args).run(*args)

    return call


def _dispatched_priced(node: Call, codes: list[Code]) -> Code:
    find = choose(node.overloads, _told(node.function))
    alone = len(node.overloads) == 1
    prices = {overload.id: costs.of(node.function, overload, alone=alone) for overload in node.overloads}

    def call(f: Frame) -> Any:
        args = [code(f) for code in codes]
        overload = find(args)
        result = overload.run(*args)
        price = prices[overload.id]
        loops.pay(f, 1 if price is None else price(args, result))
        return result

    return call
