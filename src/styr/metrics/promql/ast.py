"""The tree of a PromQL expression. Made by `parser`, read by the evaluator, the printer and the HTTP API. Pure.

Nodes are frozen; `start` and `end` are offsets in characters into the query and do not count for equality. Durations are
milliseconds. Names follow Prometheus' own (promql/parser/ast.go), so that its documentation fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from styr.metrics.model.matchers import Matcher
from styr.metrics.promql.signatures import Function

ValueType = Literal["scalar", "vector", "matrix", "string", "none"]
Card = Literal["one-to-one", "many-to-one", "one-to-many", "many-to-many"]

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
SET_OPERATORS = frozenset({"and", "or", "unless"})
AGGREGATORS_WITH_PARAM = frozenset({"topk", "bottomk", "count_values", "quantile", "limitk", "limit_ratio"})


@dataclass(frozen=True, slots=True)
class Expr:
    """Base of all nodes."""

    @property
    def type(self) -> ValueType:
        raise NotImplementedError

    start: int = field(default=0, compare=False, kw_only=True)
    end: int = field(default=0, compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class NumberLiteral(Expr):
    """`duration`: written as one (`5m`), the value is its seconds."""

    value: float
    duration: bool = False

    @property
    def type(self) -> ValueType:
        return "scalar"


@dataclass(frozen=True, slots=True)
class StringLiteral(Expr):
    value: str

    @property
    def type(self) -> ValueType:
        return "string"


@dataclass(frozen=True, slots=True)
class DurationExpr(Expr):
    """Arithmetic in the place of a duration. `op`: + - * / % ^, with `left` absent when it is unary; `step`, `range` without
    operands; `max_of`, `min_of` with both. `wrapped`: it stood in parentheses."""

    op: str
    left: Expr | None = None
    right: Expr | None = None
    wrapped: bool = False

    @property
    def type(self) -> ValueType:
        return "scalar"


@dataclass(frozen=True, slots=True)
class VectorSelector(Expr):
    """When `name` was written before the braces, the last of `matchers` is the one for it. `timestamp` (ms) and `at` are the
    `@` modifier: at most one of them is set."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    offset: int = 0
    offset_expr: DurationExpr | None = None
    timestamp: int | None = None
    at: Literal["", "start", "end"] = ""
    anchored: bool = False
    smoothed: bool = False
    statistics: bool = field(default=False, compare=False)
    """Set when a query is planned: only count and sum of native histograms are wanted."""

    @property
    def type(self) -> ValueType:
        return "vector"


@dataclass(frozen=True, slots=True)
class MatrixSelector(Expr):
    """`selector[range]`. Offset and `@` are in the selector."""

    selector: VectorSelector
    range: int = 0
    range_expr: DurationExpr | None = None

    @property
    def type(self) -> ValueType:
        return "matrix"


@dataclass(frozen=True, slots=True)
class SubqueryExpr(Expr):
    """`expr[range:step]`; step 0 means the default evaluation interval."""

    expr: Expr
    range: int = 0
    range_expr: DurationExpr | None = None
    step: int = 0
    step_expr: DurationExpr | None = None
    offset: int = 0
    offset_expr: DurationExpr | None = None
    timestamp: int | None = None
    at: Literal["", "start", "end"] = ""

    @property
    def type(self) -> ValueType:
        return "matrix"


@dataclass(frozen=True, slots=True)
class ParenExpr(Expr):
    expr: Expr
    _type: ValueType = field(init=False, repr=False, compare=False, default="none")

    def __post_init__(self) -> None:
        object.__setattr__(self, "_type", self.expr.type)

    @property
    def type(self) -> ValueType:
        return self._type


@dataclass(frozen=True, slots=True)
class UnaryExpr(Expr):
    op: Literal["+", "-"]
    expr: Expr
    _type: ValueType = field(init=False, repr=False, compare=False, default="none")

    def __post_init__(self) -> None:
        object.__setattr__(self, "_type", self.expr.type)

    @property
    def type(self) -> ValueType:
        return self._type


@dataclass(frozen=True, slots=True)
class VectorMatching:
    """How the series of two sides find each other: `labels` are what must agree (`on`) or what must not count (not `on`).
    `include` comes from the "one" side. A fill value stands for a side that has no partner."""

    card: Card = "one-to-one"
    labels: tuple[str, ...] = ()
    on: bool = False
    include: tuple[str, ...] = ()
    fill_left: float | None = None
    fill_right: float | None = None


@dataclass(frozen=True, slots=True)
class BinaryExpr(Expr):
    """`matching` is None unless both sides are vectors."""

    op: str
    left: Expr
    right: Expr
    matching: VectorMatching | None = None
    return_bool: bool = False
    _type: ValueType = field(init=False, repr=False, compare=False, default="none")

    def __post_init__(self) -> None:
        both = self.left.type == "scalar" and self.right.type == "scalar"
        object.__setattr__(self, "_type", "scalar" if both else "vector")

    @property
    def type(self) -> ValueType:
        return self._type


@dataclass(frozen=True, slots=True)
class AggregateExpr(Expr):
    """`op(param, expr)`, by the labels of `grouping`, or without them."""

    op: str
    expr: Expr
    param: Expr | None = None
    grouping: tuple[str, ...] = ()
    without: bool = False

    @property
    def type(self) -> ValueType:
        return "vector"


@dataclass(frozen=True, slots=True)
class Call(Expr):
    function: Function
    args: tuple[Expr, ...] = ()

    @property
    def type(self) -> ValueType:
        return self.function.returns


def children(node: Expr) -> tuple[Expr, ...]:
    """The operands of a node, in the order in which Prometheus visits them. Duration expressions are not among them."""
    match node:
        case AggregateExpr():
            return (node.expr,) if node.param is None else (node.expr, node.param)
        case BinaryExpr():
            return (node.left, node.right)
        case Call():
            return node.args
        case SubqueryExpr() | ParenExpr() | UnaryExpr():
            return (node.expr,)
        case MatrixSelector():
            return (node.selector,)
        case _:
            return ()


def visit(node: Expr) -> Iterator[Expr]:
    """Every node, parents before children, left to right. Does not recurse, whatever the depth."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def inspect(node: Expr, look: Callable[[Expr, tuple[Expr, ...]], None]) -> None:
    """Calls `look(node, its ancestors from the root)` for every node, parents before children."""
    stack: list[tuple[Expr, tuple[Expr, ...]]] = [(node, ())]
    while stack:
        node, path = stack.pop()
        look(node, path)
        below = (*path, node)
        stack.extend((child, below) for child in reversed(children(node)))


def selectors(node: Expr) -> list[VectorSelector]:
    """All vector selectors, left to right."""
    return [each for each in visit(node) if isinstance(each, VectorSelector)]


def unwrap(node: Expr) -> Expr:
    """Without the parentheses around it."""
    while isinstance(node, ParenExpr):
        node = node.expr
    return node
