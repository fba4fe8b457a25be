"""A parsed expression made ready for one query: durations, `@ start()` and the like become numbers, and what does not change
from step to step is marked, to be evaluated once. Called by the engine. Pure.

Which parts are step-invariant follows Prometheus (promql/engine.go, PreprocessExpr). No recursion: chains may be long.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from styr.metrics.model.errors import ExecutionError
from styr.metrics.promql import histogram_stats
from styr.metrics.promql.ast import (
    AggregateExpr,
    BinaryExpr,
    Call,
    DurationExpr,
    Expr,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    ValueType,
    VectorSelector,
    children,
    unwrap,
)
from styr.metrics.promql.numbers import MOST_MS

_CHANGES_WITH_TIME = frozenset(
    {
        *("days_in_month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute", "month", "year"),
        *("end", "predict_linear", "range", "start", "step", "time", "timestamp"),
    }
)
_CONTEXT = ("start", "end", "range", "step")


@dataclass(frozen=True, slots=True)
class StepInvariant(Expr):
    """`expr` has the same value at every step."""

    expr: Expr
    _type: ValueType = field(init=False, repr=False, compare=False, default="none")

    def __post_init__(self) -> None:
        object.__setattr__(self, "_type", self.expr.type)

    @property
    def type(self) -> ValueType:
        return self._type


@dataclass(frozen=True, slots=True)
class Times:
    """Of a query, in milliseconds; `step` is 0 for an instant query."""

    start: int
    end: int
    step: int


def plan(expr: Expr, times: Times) -> Expr:
    """Raises ExecutionError for a duration that comes out wrong."""
    done: dict[int, tuple[Expr, bool, bool]] = {}
    statistics = histogram_stats.selectors(expr)

    def finish(node: Expr) -> None:
        parts = [done[id(child)] for child in children(node)]
        ready = _finish(node, parts, times)
        if id(node) in statistics and isinstance(ready[0], VectorSelector):
            ready = replace(ready[0], statistics=True), *ready[1:]
        done[id(node)] = ready

    _bottom_up(expr, finish)
    result, _, wrap = done[id(expr)]
    return StepInvariant(result, start=expr.start, end=expr.end) if wrap else result


def _bottom_up(root: Expr, visit: Callable[[Expr], None]) -> None:
    stack: list[tuple[Expr, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            visit(node)
            continue
        stack.append((node, True))
        stack.extend((child, False) for child in children(node))


Part = tuple[Expr, bool, bool]
"""(node, whether it is step-invariant, whether it is worth marking as such)."""


def _marked(part: Part) -> Expr:
    node, _, wrap = part
    return StepInvariant(node, start=node.start, end=node.end) if wrap else node


def _finish(node: Expr, parts: list[Part], times: Times) -> Part:
    match node:
        case VectorSelector():
            ready = _selector(node, times)
            return ready, ready.timestamp is not None, ready.timestamp is not None
        case MatrixSelector():
            inner, invariant, _ = parts[0]
            if not isinstance(inner, VectorSelector):
                raise TypeError("a range selects from a selector")
            span = node.range if node.range_expr is None else _duration(node.range_expr, times, False)
            return replace(node, selector=inner, range=span, range_expr=None), invariant, False
        case SubqueryExpr():
            return _subquery(node, parts[0], times)
        case AggregateExpr():
            param = None if len(parts) == 1 else unwrap(parts[1][0])
            return replace(node, expr=unwrap(parts[0][0]), param=param), parts[0][1], parts[0][2]
        case BinaryExpr():
            if parts[0][1] and parts[1][1]:
                return replace(node, left=parts[0][0], right=parts[1][0]), True, True
            return replace(node, left=_marked(parts[0]), right=_marked(parts[1])), False, False
        case Call():
            return _call(node, parts, times)
        case ParenExpr() | UnaryExpr():
            return replace(node, expr=parts[0][0]), parts[0][1], parts[0][2]
        case _:
            return node, isinstance(node, NumberLiteral | StringLiteral), False


def _selector(node: VectorSelector, times: Times) -> VectorSelector:
    offset = node.offset if node.offset_expr is None else _duration(node.offset_expr, times, True)
    return replace(node, offset=offset, offset_expr=None, timestamp=_at(node, times), at="")


def _at(node: VectorSelector | SubqueryExpr, times: Times) -> int | None:
    if node.at:
        return times.start if node.at == "start" else times.end
    return node.timestamp


def _subquery(node: SubqueryExpr, part: Part, times: Times) -> Part:
    inner = part[0]
    if part[1]:
        inner = StepInvariant(inner, start=inner.start, end=inner.end)
    ready = replace(
        node,
        expr=inner,
        range=node.range if node.range_expr is None else _duration(node.range_expr, times, False),
        range_expr=None,
        step=node.step if node.step_expr is None else _duration(node.step_expr, times, False),
        step_expr=None,
        offset=node.offset if node.offset_expr is None else _duration(node.offset_expr, times, True),
        offset_expr=None,
        timestamp=_at(node, times),
        at="",
    )
    return ready, ready.timestamp is not None, ready.timestamp is not None


def _call(node: Call, parts: list[Part], times: Times) -> Part:
    name = node.function.name
    if name in _CONTEXT:
        value = {
            "start": times.start / 1000,
            "end": times.end / 1000,
            "range": (times.end - times.start) / 1000,
            "step": times.step / 1000 if times.start != times.end else 0.0,
        }[name]
        return NumberLiteral(value, start=node.start, end=node.end), True, False
    args = [(unwrap(part), invariant, wrap) for part, invariant, wrap in parts]
    invariant = all(part[1] for part in args)
    timestamp = name == "timestamp" and all(isinstance(part[0], VectorSelector) for part in args)
    if invariant and (timestamp or name not in _CHANGES_WITH_TIME):
        return replace(node, args=tuple(part[0] for part in args)), True, True
    return replace(node, args=tuple(_marked(part) for part in args)), False, False


def _duration(expr: DurationExpr, times: Times, negative: bool) -> int:
    """Milliseconds."""
    seconds = _seconds(expr, times)
    where = f"{expr.start}:{expr.end}"
    if math.isnan(seconds) or math.isinf(seconds):
        raise ExecutionError(f"{where}: duration is NaN or infinite")
    if seconds <= 0 and not negative:
        raise ExecutionError(f"{where}: duration must be greater than 0")
    if abs(seconds) * 1000 > MOST_MS:
        raise ExecutionError(f"{where}: duration is out of range")
    return int(seconds * 1000)


def _seconds(expr: Expr | None, times: Times) -> float:
    if expr is None:
        return 0.0
    if isinstance(expr, NumberLiteral):
        return expr.value
    if not isinstance(expr, DurationExpr):
        raise TypeError(f"no duration: {type(expr).__name__}")
    if expr.op == "step":
        return times.step / 1000
    if expr.op == "range":
        return (times.end - times.start) / 1000
    left, right = _seconds(expr.left, times), _seconds(expr.right, times)
    if expr.left is None:
        return -right if expr.op == "-" else right
    if expr.op in "/%" and right == 0:
        kind = "division" if expr.op == "/" else "modulo"
        raise ExecutionError(f"{expr.start}:{expr.end}: {kind} by zero")
    try:
        return _ARITHMETIC[expr.op](left, right)
    except (OverflowError, ValueError, ZeroDivisionError):
        return math.nan


def _power(left: float, right: float) -> float:
    result = left**right
    return result if isinstance(result, float) else math.nan


def _go_min(left: float, right: float) -> float:
    return math.nan if math.isnan(left) or math.isnan(right) else min(left, right)


def _go_max(left: float, right: float) -> float:
    return math.nan if math.isnan(left) or math.isnan(right) else max(left, right)


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": math.fmod,
    "^": _power,
    "min_of": _go_min,
    "max_of": _go_max,
}
