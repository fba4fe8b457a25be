"""Queries that want only count and sum of native histograms need not carry buckets. Called by `plan` and `selectors`. Pure.

What is left out is looked at first: whether a counter was reset between two samples is decided by their buckets and kept as the
hint of the later one. So notes about conflicting hints come as Prometheus gives them (its HistogramStatsIterator).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import NOT_RESET, RESET, UNKNOWN, Histogram
from styr.metrics.model.samples import STALE_BITS, Batch, Selection
from styr.metrics.promql.ast import BinaryExpr, Call, Expr, SubqueryExpr, VectorSelector, inspect
from styr.metrics.promql.histograms.resets import was_reset

_STATISTICS = frozenset({"histogram_count", "histogram_sum", "histogram_avg"})
_BUCKETS = frozenset({"histogram_quantile", "histogram_quantiles", "histogram_fraction"})


def selectors(expr: Expr) -> set[int]:
    """`id` of every selector whose buckets nobody above it will see."""
    found: set[int] = set()

    def look(node: Expr, path: tuple[Expr, ...]) -> None:
        if isinstance(node, VectorSelector) and _only_statistics(path):
            found.add(id(node))

    inspect(expr, look)
    return found


def _only_statistics(path: tuple[Expr, ...]) -> bool:
    wanted = False
    for node in reversed(path):
        match node:
            case SubqueryExpr():
                return False
            case Call() if node.function.name in _BUCKETS:
                return False
            case Call() if node.function.name in _STATISTICS:
                wanted = True
            case BinaryExpr() if node.op in ("</", ">/"):
                return False
    return wanted


def is_stale(h: Histogram) -> bool:
    """A staleness marker, which a histogram carries in its sum."""
    return bool(np.float64(h.sum).view(np.int64) == STALE_BITS)


@dataclass(frozen=True, slots=True)
class Statistics:
    """A selection whose histograms have no buckets."""

    selection: Selection

    @property
    def frame(self) -> LabelFrame:
        return self.selection.frame

    def batches(self, most: int = 4_000_000) -> Iterator[Batch]:
        for batch in self.selection.batches(most):
            yield _stripped(batch) if batch.histograms else batch


def _stripped(batch: Batch) -> Batch:
    found: dict[int, Histogram] = {}
    previous: Histogram | None = None
    row = 0
    for place in sorted(batch.histograms):
        while place >= batch.offsets[row + 1]:
            row, previous = row + 1, None
        h = batch.histograms[place]
        hint = h.counter_reset_hint
        if is_stale(h):
            found[place] = h
            continue
        if hint == UNKNOWN and previous is not None:
            hint = RESET if was_reset(h, previous) else NOT_RESET
        found[place] = Histogram(schema=h.schema, count=h.count, sum=h.sum, counter_reset_hint=hint)
        previous = h
    return Batch(batch.first, batch.offsets, batch.t, batch.v, found, batch.starts)
