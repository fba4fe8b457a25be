"""Aggregations: sum, avg, topk and all others. Called by `evaluate`.

Those that fold (`sum`, `avg`, `min`, `max`, `count`, `group`, `stddev`, `stdvar`) take their operand in parts and hold only one
value for each group and step; the others need the whole operand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import groups
from styr.metrics.model.errors import ExecutionError
from styr.metrics.model.frame import LabelFrame
from styr.metrics.promql import annotations as notes
from styr.metrics.promql.ast import AggregateExpr
from styr.metrics.promql.histogram_sums import HistogramSums
from styr.metrics.promql.query import Part, Query, Stream
from styr.metrics.promql.values import Flags, Floats, Matrix, group_rows

Ints = NDArray[np.int64]

FOLDING = {
    "sum": groups.SUM,
    "avg": groups.AVG,
    "min": groups.MIN,
    "max": groups.MAX,
    "count": groups.COUNT,
    "group": groups.COUNT,
    "stddev": groups.STDVAR,
    "stdvar": groups.STDVAR,
}
_IGNORES_HISTOGRAMS = frozenset({"min", "max", "stddev", "stdvar", "quantile"})


def grouped(expr: AggregateExpr, frame: LabelFrame) -> tuple[Ints, Ints, LabelFrame]:
    """(group of each row, first row of each group, label sets of the groups)."""
    if expr.without:
        kept = frame.drop(*expr.grouping, "__name__")
        group, first = group_rows(kept)
        return group, first, kept.take(first)
    if not expr.grouping:
        one = min(frame.size, 1)
        return np.zeros(frame.size, np.int64), np.zeros(one, np.int64), LabelFrame(frame.symbols, one)
    kept = frame.keep(expr.grouping)
    group, first = group_rows(kept)
    return group, first, kept.take(first)


class Fold:
    """One folding aggregation, fed part by part."""

    def __init__(self, query: Query, expr: AggregateExpr, stream: Stream, steps: int) -> None:
        self.query, self.expr, self.stream, self.steps = query, expr, stream, steps
        self.group, _, self.frame = grouped(expr, stream.frame)
        shape = (self.frame.size, steps)
        self.a, self.b, self.c, self.count = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.drop = np.zeros(self.frame.size, np.bool_)
        self.order = np.full(self.frame.size, stream.frame.size, np.int64)
        self.histograms = HistogramSums(query, expr, stream.frame, self.frame.size, steps)

    def run(self) -> Matrix:
        self.query.hold(2 * self.frame.size * self.steps)
        for part in self.stream.parts:
            self._add(part)
        self.query.release(2 * self.frame.size * self.steps)
        return self._finish()

    def _add(self, part: Part) -> None:
        rows = part.first + np.arange(len(part.ok))
        group = self.group[rows]
        alive = part.ok.any(axis=1)
        np.minimum.at(self.order, group[alive], rows[alive])
        if self.stream.drop is not None:
            self.drop[group[alive & self.stream.drop[rows]]] = True
        ok = part.ok
        if part.histograms:
            ok = self._histograms(part, group)
        groups.accumulate(FOLDING[self.expr.op], part.v, ok, group, self.a, self.b, self.c, self.count)

    def _histograms(self, part: Part, group: Ints) -> Flags:
        """Takes the histograms out; returns where floats are left."""
        op = self.expr.op
        floats = part.ok.copy()
        for row, found in part.histograms.items():
            floats[row, list(found)] = op in ("count", "group")
        first_float = np.where(self.count > 0, -1, len(self.group))
        np.minimum.at(first_float, group, np.where(floats, np.arange(len(floats))[:, None], len(self.group)))
        for row, found in part.histograms.items():
            for step, histogram in found.items():
                if op in ("count", "group"):
                    continue
                if op in _IGNORES_HISTOGRAMS:
                    where = (self.expr.expr.start, self.expr.expr.end)
                    self.query.notes.add(notes.histogram_ignored_in_aggregation(op, where))
                else:
                    after_float = bool(first_float[group[row], step] < row)
                    self.histograms.add(int(group[row]), step, histogram, part.first + row, after_float)
        return floats

    def _finish(self) -> Matrix:
        op, ok = self.expr.op, self.count > 0
        with np.errstate(all="ignore"):
            v = self._values(op)
        ok, found = self.histograms.finish(ok)
        result = Matrix(self.frame, v, ok, found, self.drop if self.stream.drop is not None else None)
        return result.take(np.argsort(self.order, kind="stable")).alive()

    def _values(self, op: str) -> Floats:
        a, b, count = self.a, self.b, self.count
        if op == "sum":
            return a + b
        if op == "avg":
            return np.where(self.c > 0, a + b, a / count + b / count)
        if op == "count":
            return count
        if op == "group":
            return np.ones_like(a)
        if op == "stdvar":
            return a / count
        return np.sqrt(a / count) if op == "stddev" else a


def quantile(query: Query, expr: AggregateExpr, q: Floats, matrix: Matrix) -> Matrix:
    where = (expr.param.start, expr.param.end) if expr.param is not None else (0, 0)
    if np.isnan(q).any():
        query.notes.add(notes.invalid_quantile(float("nan"), where))
    most, least = float(q.max(initial=-np.inf)), float(q.min(initial=np.inf))
    for extreme, wrong in ((most, most > 1), (least, least < 0)):
        if wrong:
            query.notes.add(notes.invalid_quantile(extreme, where))
    group, _, frame = grouped(expr, matrix.frame)
    if matrix.histograms:
        query.notes.add(notes.histogram_ignored_in_aggregation("quantile", (expr.expr.start, expr.expr.end)))
    rows, offsets = by_group(group, frame.size)
    out, ok = np.zeros((frame.size, matrix.steps)), np.zeros((frame.size, matrix.steps), np.bool_)
    groups.group_quantile(
        q, np.ascontiguousarray(matrix.v), np.ascontiguousarray(matrix.floats()), rows, offsets, out, ok
    )
    return Matrix(frame, out, ok, {}, _any_drop(matrix, group, frame.size)).alive()


def _any_drop(matrix: Matrix, group: Ints, size: int) -> Flags | None:
    if matrix.drop is None:
        return None
    drop = np.zeros(size, np.bool_)
    drop[group[matrix.drop]] = True
    return drop


def by_group(group: Ints, size: int) -> tuple[Ints, Ints]:
    """(rows sorted by group, where each group begins), rows of a group in their order."""
    offsets = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(group, minlength=size), out=offsets[1:])
    return np.argsort(group, kind="stable").astype(np.int64), offsets


_INT64 = float(1 << 63)


def _limits(k: Floats, size: int) -> Ints:
    """The k of topk and its like, at each step."""
    if np.isnan(k).any():
        raise ExecutionError("Parameter value is NaN")
    if k.max(initial=-np.inf) < 1:
        return np.zeros(len(k), np.int64)
    if k.min() <= -_INT64:
        raise ExecutionError(f"Scalar value {notes.go_float(float(k.min()))} underflows int64")
    if k.max() >= _INT64:
        raise ExecutionError(f"Scalar value {notes.go_float(float(k.max()))} overflows int64")
    return np.minimum(np.trunc(np.minimum(k, float(size))), size).astype(np.int64)


def top(query: Query, expr: AggregateExpr, k: Floats, matrix: Matrix) -> Matrix:
    """topk and bottomk. For one step, in their order."""
    most = _limits(k, matrix.size)
    if not (most > 0).any():
        return Matrix.empty(matrix.steps, matrix.frame.symbols)
    if matrix.histograms:
        query.notes.add(notes.histogram_ignored_in_aggregation(expr.op, (expr.start, expr.end)))
    group, _, frame = grouped(expr, matrix.frame)
    rows, offsets = by_group(group, frame.size)
    v, ok = np.ascontiguousarray(matrix.v), np.ascontiguousarray(matrix.floats())
    largest = expr.op == "topk"
    kept = np.zeros(ok.shape, np.bool_)
    if matrix.steps > 1:
        groups.keep_best(v, ok, rows, offsets, most, largest, kept)
        return matrix.only(kept)
    order: list[Ints] = []
    heap = np.empty(matrix.size + 1, np.int64)
    for g in range(frame.size):
        members = rows[offsets[g] : offsets[g + 1]]
        count = groups.best(v, ok, members, 0, min(int(most[0]), len(members)), largest, heap)
        order.append(sorted_values(heap[:count].copy(), v[:, 0], largest))
    chosen = np.concatenate(order) if order else np.zeros(0, np.int64)
    return Matrix(matrix.frame, v, ok, {}, matrix.drop).take(chosen)


def sorted_values(rows: Ints, v: Floats, descending: bool) -> Ints:
    """Rows by value, NaN last."""
    values = v[rows]
    key = -values if descending else values
    nan = np.isnan(values)
    order = np.lexsort((np.where(nan, 0, key), nan))
    return rows[order]


def limit(query: Query, expr: AggregateExpr, k: Floats, matrix: Matrix) -> Matrix:
    """limitk: the first k of each group at each step."""
    most = _limits(k, matrix.size)
    if not (most > 0).any():
        return Matrix.empty(matrix.steps, matrix.frame.symbols)
    group, _, frame = grouped(expr, matrix.frame)
    taken = np.zeros((frame.size, matrix.steps), np.int64)
    kept = np.zeros(matrix.ok.shape, np.bool_)
    for row in range(matrix.size):
        g = int(group[row])
        kept[row] = matrix.ok[row] & (taken[g] < most)
        taken[g] += kept[row]
    result = matrix.only(kept)
    return result if matrix.steps > 1 else _by_groups(expr, result)


def _by_groups(expr: AggregateExpr, matrix: Matrix) -> Matrix:
    """Rows group by group, as an instant query gives them."""
    group, _, frame = grouped(expr, matrix.frame)
    return matrix.take(by_group(group, frame.size)[0])
