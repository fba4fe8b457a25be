"""The way into PromQL: `Engine.instant` and `Engine.range`. Called by the HTTP API, rules and the command line, in worker
threads.

Synchronous: a query runs in the thread that calls it and releases the GIL in its kernels. It stops when its time is up, when
it is cancelled, or when it would hold more samples than it may; each is an error of its own (model.errors).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.errors import BadData, QueryCanceled, QueryTimeout
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.samples import Querier
from styr.metrics.promql.annotations import Annotations
from styr.metrics.promql.ast import Expr, MatrixSelector, SubqueryExpr
from styr.metrics.promql.check import documented
from styr.metrics.promql.evaluate import Evaluator
from styr.metrics.promql.features import DEFAULT, Features
from styr.metrics.promql.lexer import valid
from styr.metrics.promql.parser import parse
from styr.metrics.promql.plan import StepInvariant, Times, plan
from styr.metrics.promql.query import Query, Samples
from styr.metrics.promql.selectors import clean
from styr.metrics.promql.values import Matrix, merge_same, without_names

MOST_TEXT = 4096
"""Characters of an expression whose tree is kept."""
_parse = lru_cache(maxsize=512)(parse)

Kind = Literal["vector", "matrix", "scalar", "string"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Prometheus' defaults. Durations in milliseconds but for `timeout` (seconds)."""

    features: Features = DEFAULT
    lookback: int = 300_000
    most_samples: int = 50_000_000
    timeout: float = 120.0
    evaluation_interval: int = 60_000
    """The step of subqueries that have none."""


@dataclass(slots=True)
class Stats:
    """Seconds of the query's parts, and what it read."""

    parse: float = 0.0
    evaluate: float = 0.0
    sort: float = 0.0
    total: float = 0.0
    samples: Samples = field(default_factory=Samples)
    times: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Of the steps that `samples.per_step` is for."""


@dataclass(slots=True)
class Raw:
    """Samples of many series, as in `model.samples.Batch`."""

    frame: LabelFrame
    offsets: NDArray[np.int64]
    t: NDArray[np.int64]
    v: NDArray[np.float64]
    histograms: dict[int, Histogram] = field(default_factory=dict)


@dataclass(slots=True)
class Result:
    """`matrix` holds vectors and matrices, `values` the scalar at each of `times`, `text` a string. The rows of a matrix are
    sorted by labels; those of an instant vector are in the query's order.

    A range selector as an instant query (`kind` matrix, `raw` set) has samples at times of their own: those of row i are
    `offsets[i]:offsets[i + 1]` of `raw`.
    """

    kind: Kind
    times: NDArray[np.int64]
    matrix: Matrix | None = None
    values: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    text: str = ""
    raw: Raw | None = None
    notes: Annotations = field(default_factory=Annotations)
    stats: Stats = field(default_factory=Stats)


class Engine:
    """`querier` gives the view of the storage that a query reads for (start, end) in ms. `active(text)` is entered while a
    query runs: a log of what is running, or a gate that lets only so many run."""

    def __init__(
        self,
        querier: Callable[[], Querier],
        settings: Settings = Settings(),  # frozen
        *,
        active: Callable[[str], AbstractContextManager[object]] = lambda text: nullcontext(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.querier, self.settings, self.active, self.clock = querier, settings, active, clock

    def parse(self, text: str) -> Expr:
        """The same tree for the same text, as long as it is one of the last: dashboards and rules repeat themselves."""
        return (_parse if len(text) < MOST_TEXT else parse)(text, self.settings.features)

    def instant(
        self,
        query: str | Expr,
        t: int,
        *,
        lookback: int = 0,
        timeout: float = 0.0,
        canceled: Callable[[], bool] = lambda: False,
    ) -> Result:
        """The value at `t` ms. `lookback` in ms, `timeout` in seconds, 0 for the engine's own; `canceled` is asked now and
        then. Raises MetricsError."""
        return self._run(query, Times(t, t, 0), lookback, timeout, canceled)

    def range(
        self,
        query: str | Expr,
        start: int,
        end: int,
        step: int,
        *,
        lookback: int = 0,
        timeout: float = 0.0,
        canceled: Callable[[], bool] = lambda: False,
    ) -> Result:
        """The values at `start`, `start + step`, ... up to `end` (ms). Raises MetricsError, BadData for a query that is neither
        a vector nor a scalar."""
        if step <= 0:
            raise BadData("zero or negative query resolution step widths are not accepted. Try a positive integer")
        if end < start:
            raise BadData("end timestamp must not be before start time")
        return self._run(query, Times(start, end, step), lookback, timeout, canceled)

    def _run(
        self, query: str | Expr, times: Times, lookback: int, timeout: float, canceled: Callable[[], bool]
    ) -> Result:
        began = self.clock()
        expr = self.parse(query) if isinstance(query, str) else query
        if times.step and expr.type not in ("vector", "scalar"):
            kind = documented(expr.type)
            raise BadData(f'invalid expression type "{kind}" for range query, must be Scalar or instant Vector')
        parsed = self.clock()
        limit = min(timeout or self.settings.timeout, self.settings.timeout)
        text = query if isinstance(query, str) else ""

        def check() -> None:
            if canceled():
                raise QueryCanceled("query was canceled in expression evaluation")
            if self.clock() - began > limit:
                raise QueryTimeout(f"query timed out in expression evaluation (after {limit:g} s)")

        state = Query(
            self.querier(),
            self.settings.features,
            lookback or self.settings.lookback,
            self.settings.most_samples,
            lambda span: self.settings.evaluation_interval,
            check,
        )
        with self.active(text), np.errstate(all="ignore"):
            result = _evaluate(state, plan(expr, times), times, self.clock)
        done = self.clock()
        result.notes = state.notes
        sort = result.stats.sort
        result.stats = Stats(parsed - began, done - parsed - sort, sort, done - began, state.samples, result.times)
        state.samples.total = int(state.samples.per_step.sum())
        return result


def _evaluate(query: Query, expr: Expr, times: Times, clock: Callable[[], float]) -> Result:
    evaluator = Evaluator(query, times.start, times.end, times.step)
    query.samples.per_step = evaluator.tally
    inner = expr.expr if isinstance(expr, StepInvariant) else expr
    if isinstance(inner, MatrixSelector | SubqueryExpr):
        return _ranges(evaluator, inner)
    value = evaluator.value(expr)
    if isinstance(value, str):
        return Result("string", evaluator.times, text=valid(value))
    if not isinstance(value, Matrix):
        if times.step:
            return Result("matrix", evaluator.times, _one_row(value))
        return Result("scalar", evaluator.times, values=value)
    value = _named(query, value.alive())
    if not times.step:
        return Result("vector", evaluator.times, value)
    began = clock()
    order = value.frame.order()
    if (order != np.arange(len(order))).any():
        value = value.take(order)
    result = Result("matrix", evaluator.times, value)
    result.stats.sort = clock() - began
    return result


def _one_row(values: NDArray[np.float64]) -> Matrix:
    return Matrix(LabelFrame.of([()]), values.reshape(1, -1), np.ones((1, len(values)), np.bool_))


def _named(query: Query, matrix: Matrix) -> Matrix:
    """Takes the names away that were to go at the end."""
    if matrix.drop is None or not matrix.drop.any():
        return matrix
    frame = matrix.frame
    bare = without_names(frame)
    kept = {
        name: np.where(matrix.drop, 0, column).astype(np.int32)
        for name, column in frame.columns.items()
        if name not in bare.columns
    }
    named = matrix.labelled(replace(frame, columns={**bare.columns, **kept}))
    return merge_same(named)


def _ranges(evaluator: Evaluator, expr: MatrixSelector | SubqueryExpr) -> Result:
    """A range selector as an instant query: the samples themselves."""
    query = evaluator.query
    source = evaluator.source(expr)
    low, high = int(source.ends[0]) - source.span, int(source.ends[0])
    counts, t, v = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    histograms: dict[int, Histogram] = {}
    rows: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    at = 0
    for batch in source.batches:
        query.check()
        cleaned = clean(batch)
        keep = (cleaned.t > low) & (cleaned.t <= high)
        places = np.concatenate([np.zeros(1, np.int64), np.cumsum(keep)])
        counts.append(np.diff(places[cleaned.offsets]))
        rows.append(batch.first + np.arange(len(cleaned.offsets) - 1))
        t.append(cleaned.t[keep])
        v.append(cleaned.v[keep])
        histograms.update({at + int(places[i]): h for i, h in cleaned.histograms.items() if keep[i]})
        at += int(places[-1])
        query.hold(int(places[-1]))
    count, row = np.concatenate(counts), np.concatenate(rows)
    evaluator.tally += at
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(count[count > 0])])
    frame = source.frame.take(row[count > 0])
    raw = Raw(frame, offsets, np.concatenate(t), np.concatenate(v), histograms)
    return Result("matrix", evaluator.times, raw=raw)
