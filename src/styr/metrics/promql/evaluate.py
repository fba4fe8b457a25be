"""Evaluates a planned expression at all steps at once. Called by `engine`, and by itself for subqueries and step-invariant
parts.

Recursion follows the nesting of the expression, which the parser bounds; chains of binary operators are walked in a loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.errors import TooMuch
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import NOT_RESET, RESET, UNKNOWN, Histogram
from styr.metrics.model.labels import METRIC_NAME
from styr.metrics.promql import (
    aggregate,
    binary,
    count_values,
    extended,
    functions,
    label_functions,
    ranges,
    ratio,
    selectors,
)
from styr.metrics.promql.ast import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
    unwrap,
)
from styr.metrics.promql.histograms.arithmetic import negated
from styr.metrics.promql.info import info
from styr.metrics.promql.job import Job
from styr.metrics.promql.plan import StepInvariant
from styr.metrics.promql.query import Part, Query, Stream, collect
from styr.metrics.promql.selectors import RangeSource
from styr.metrics.promql.values import Floats, Matrix, Value, refuse_same

Ints = NDArray[np.int64]
MOST_STEPS = 5_000_000
"""Of a query or a subquery: arrays of that length are always made, whatever they hold."""


class Evaluator:
    """Of one time grid: `start`, `start + step`, ... up to `end`."""

    def __init__(self, query: Query, start: int, end: int, step: int) -> None:
        self.query, self.start, self.step = query, start, step
        steps = (end - start) // max(step, 1) + 1
        if steps > MOST_STEPS:
            raise TooMuch(
                f"{steps} steps are to be evaluated, at most {MOST_STEPS}; ask for a shorter range or a larger step"
            )
        self.times: Ints = np.arange(start, end + 1, max(step, 1), dtype=np.int64)
        self.steps = len(self.times)
        self.tally: Ints = np.zeros(self.steps, np.int64)
        """Samples looked at, for each step."""

    def value(self, expr: Expr) -> Value:
        """A matrix for vectors, an array for scalars, a string."""
        self.query.check()
        match expr:
            case NumberLiteral():
                return np.full(self.steps, expr.value)
            case StringLiteral():
                return expr.value
            case ParenExpr():
                return self.value(expr.expr)
            case StepInvariant():
                return self._invariant(expr)
            case UnaryExpr():
                return self._unary(expr)
            case BinaryExpr():
                return self._chain(expr)
            case AggregateExpr():
                return self._aggregate(expr)
            case Call():
                return self._call(expr)
            case VectorSelector():
                if expr.smoothed:
                    return extended.instant(self.query, expr, self.times)
                return collect(self.query, selectors.instant(self.query, expr, self.times, self.tally), self.steps)
            case _:
                raise TypeError(f"cannot evaluate {type(expr).__name__}")

    def matrix(self, expr: Expr) -> Matrix:
        value = self.value(expr)
        if not isinstance(value, Matrix):
            raise TypeError("a vector was expected")
        return value

    def scalar(self, expr: Expr) -> Floats:
        value = self.value(expr)
        if isinstance(value, Matrix | str):
            raise TypeError("a scalar was expected")
        return value

    def _invariant(self, expr: StepInvariant) -> Value:
        once = Evaluator(self.query, self.start, self.start, 1)
        value = once.value(expr.expr)
        self.tally += int(once.tally.sum())
        if isinstance(value, str):
            return value
        if not isinstance(value, Matrix):
            return np.repeat(value, self.steps)
        self.query.hold(value.weight * (self.steps - 1))
        v, ok = np.repeat(value.v, self.steps, axis=1), np.repeat(value.ok, self.steps, axis=1)
        histograms = {
            row: dict.fromkeys(range(self.steps), found[0]) for row, found in value.histograms.items() if 0 in found
        }
        return Matrix(value.frame, v, ok, histograms, value.drop)

    def _unary(self, expr: UnaryExpr) -> Value:
        value = self.value(expr.expr)
        if expr.op == "+" or isinstance(value, str):
            return value
        if not isinstance(value, Matrix):
            return -value
        histograms = {row: {step: negated(h) for step, h in found.items()} for row, found in value.histograms.items()}
        return binary.renamed(self.query, Matrix(value.frame, -value.v, value.ok, histograms, value.drop))

    def _chain(self, expr: BinaryExpr) -> Value:
        parents: list[BinaryExpr] = []
        left: Expr = expr
        while isinstance(left, BinaryExpr):
            parents.append(left)
            left = left.left
        value = self.value(left)
        for parent in reversed(parents):
            value = self._binary(parent, value)
        return value

    def _binary(self, expr: BinaryExpr, left: Value) -> Value:
        right = self.value(expr.right)
        if isinstance(left, str) or isinstance(right, str):
            raise TypeError("strings have no operators")
        if isinstance(left, Matrix) and isinstance(right, Matrix):
            result = binary.vectors(self.query, expr, left, right)
        elif isinstance(left, Matrix):
            result = binary.vector_scalar(self.query, expr, left, right, swapped=False)  # type: ignore[arg-type]
        elif isinstance(right, Matrix):
            result = binary.vector_scalar(self.query, expr, right, left, swapped=True)
        else:
            return binary.scalars(expr.op, left, right)
        self._exchange((left, right), result)
        return result

    def _exchange(self, inputs: tuple[Value, ...], result: Matrix) -> None:
        """What was read is let go, what came of it is held."""
        for each in inputs:
            if isinstance(each, Matrix):
                self.query.release(each.weight)
        self.query.hold(result.weight)

    def _aggregate(self, expr: AggregateExpr) -> Matrix:
        if expr.op in aggregate.FOLDING:
            result = aggregate.Fold(self.query, expr, self.stream(expr.expr), self.steps).run()
            self.query.hold(result.weight)
            return result
        if expr.op == "count_values":
            name = expr.param.value if isinstance(expr.param, StringLiteral) else ""
            matrix = self.matrix(expr.expr)
            return count_values.count(self.query, expr, name, matrix)
        k = self.scalar(expr.param) if expr.param is not None else np.zeros(self.steps)
        matrix = self.matrix(expr.expr)
        if expr.op == "quantile":
            result = aggregate.quantile(self.query, expr, k, matrix)
        elif expr.op == "limitk":
            result = aggregate.limit(self.query, expr, k, matrix)
        elif expr.op == "limit_ratio":
            result = ratio.limit(self.query, expr, k, matrix)
        else:
            result = aggregate.top(self.query, expr, k, matrix)
        self._exchange((matrix,), result)
        return result

    def stream(self, expr: Expr) -> Stream:
        """A vector in parts, without holding it where that can be: selectors and functions over their ranges."""
        expr = unwrap(expr)
        if isinstance(expr, VectorSelector) and not expr.smoothed:
            return selectors.instant(self.query, expr, self.times, self.tally)
        if isinstance(expr, Call) and expr.function.name != "absent_over_time":
            made = self._range_stream(expr)
            if made is not None:
                return made if made.unique else self._refusing(made)
        matrix = self.matrix(expr)
        self.query.release(matrix.weight)
        part = Part(0, np.ascontiguousarray(matrix.v), np.ascontiguousarray(matrix.ok), matrix.histograms)
        return Stream(matrix.frame, iter([part]), matrix.drop)

    def _refusing(self, stream: Stream) -> Stream:
        """Refuses, at its end, series that only their names told apart."""

        def parts() -> Iterator[Part]:
            alive = np.zeros(stream.frame.size, np.bool_)
            for part in stream.parts:
                alive[part.first : part.first + len(part.ok)] = part.ok.any(axis=1)
                yield part
            refuse_same(stream.frame if alive.all() else stream.frame.take(np.flatnonzero(alive)))

        return Stream(stream.frame, parts(), stream.drop)

    def _call(self, expr: Call) -> Value:
        name = expr.function.name
        if name in ("timestamp", "start_timestamp") and isinstance(inner := expr.args[0], VectorSelector):
            return self._timestamps(name, inner)
        if name in ("label_replace", "label_join"):
            strings = [arg.value for arg in expr.args[1:] if isinstance(arg, StringLiteral)]
            apply = label_functions.replace if name == "label_replace" else label_functions.join
            return apply(self.query, lambda: self.matrix(expr.args[0]), strings)
        if name == "info":
            return info(self.query, expr, self.matrix(expr.args[0]), self.times, self.tally)
        stream = self._range_stream(expr)
        if stream is None:
            args = [self.value(arg) for arg in expr.args]
            result = functions.call(self.query, expr, args, self.times, self.step)
            if isinstance(result, Matrix):
                self._exchange(tuple(args), result)
            return result
        result = collect(self.query, stream, self.steps)
        if name == "absent_over_time":
            return functions.absent(self.query, expr.args[0], result.ok, self.steps)
        if not stream.unique:
            refuse_same(result.frame)
        return result

    def _timestamps(self, name: str, selector: VectorSelector) -> Matrix:
        if name == "timestamp":
            when: selectors.When = "taken"
        elif self.query.features.start_timestamps:
            when = "started"
        else:
            return Matrix.empty(self.steps)
        stream = selectors.instant(self.query, selector, self.times, self.tally, when)
        parts = (replace(part, histograms={}) for part in stream.parts)
        return binary.renamed(self.query, collect(self.query, replace(stream, parts=parts), self.steps))

    def _range_stream(self, expr: Call) -> Stream | None:
        """None when no argument is a range vector."""
        for i, arg in enumerate(expr.args):
            where = arg.expr if isinstance(arg, StepInvariant) else arg
            if isinstance(where, MatrixSelector | SubqueryExpr):
                args = [self.scalar(other) for j, other in enumerate(expr.args) if j != i]
                source = self.source(where)
                # Prometheus forgets where a subquery stands.
                position = (0, 0) if isinstance(where, SubqueryExpr) else (arg.start, arg.end)
                job = Job(self.query, expr, source, self.times, args, self.tally, position)
                return ranges.stream(job)
        return None

    def source(self, expr: MatrixSelector | SubqueryExpr) -> RangeSource:
        """The samples behind a range vector."""
        if isinstance(expr, SubqueryExpr):
            return self._subquery(expr)
        selector = expr.selector
        ends = selectors.references(selector.offset, selector.timestamp, self.times)
        before, after = expr.range, 0
        if selector.anchored or selector.smoothed:
            before += self.query.lookback
            after = self.query.lookback if selector.smoothed else 0
        selection = selectors.select(self.query, selector, ends, before, after)
        named = any(m.op == "=" and m.name == METRIC_NAME and m.value for m in selector.matchers)
        return RangeSource(
            selection.frame,
            selection.batches(),
            ends,
            expr.range,
            anchored=selector.anchored,
            smoothed=selector.smoothed,
            unique_without_name=named,
        )

    def _subquery(self, expr: SubqueryExpr) -> RangeSource:
        step = expr.step or self.query.default_step(expr.range)
        ends = selectors.references(expr.offset, expr.timestamp, self.times)
        before = int(ends[0]) - expr.range
        inner = Evaluator(self.query, step * (before // step + 1), int(ends[-1]), step)
        if not inner.steps:
            return RangeSource(LabelFrame(self.query.symbols, 0), iter(()), ends, expr.range)
        matrix = inner.matrix(expr.expr)
        histograms = {row: {s: _unhinted(h) for s, h in found.items()} for row, found in matrix.histograms.items()}
        batch = ranges.subquery_batches(matrix.frame, matrix.v, matrix.ok, histograms, inner.times)
        return RangeSource(matrix.frame, iter([batch]), ends, expr.range, drop=matrix.drop)


def _unhinted(h: Histogram) -> Histogram:
    """A subquery may skip or repeat samples, so what they say about resets does not hold."""
    if h.counter_reset_hint not in (RESET, NOT_RESET):
        return h
    return Histogram(
        h.schema,
        h.zero_threshold,
        h.zero_count,
        h.count,
        h.sum,
        h.positive_spans,
        h.positive_buckets,
        h.negative_spans,
        h.negative_buckets,
        h.custom_values,
        UNKNOWN,
        h.integer,
    )
