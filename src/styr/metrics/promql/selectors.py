"""Selectors over storage: the newest sample before each step, and the samples of ranges. Called by `evaluate` and `ranges`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import windows
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.samples import STALE_BITS, Batch, Selection
from styr.metrics.promql.ast import VectorSelector
from styr.metrics.promql.histogram_stats import Statistics, is_stale
from styr.metrics.promql.query import CELLS, Part, Query, Stream

Ints = NDArray[np.int64]
When = Literal["", "taken", "started"]
_NO_TIMES = np.zeros((0, 0), np.int64)


def references(selector_offset: int, timestamp: int | None, times: Ints) -> Ints:
    """The times that a selector looks back from, one for each step."""
    if timestamp is not None:
        return np.full(len(times), timestamp - selector_offset, np.int64)
    return times - selector_offset


def select(query: Query, selector: VectorSelector, ends: Ints, before: int, after: int = 0) -> Selection:
    """Series and samples from `before` ms before the first end (exclusive) to `after` ms behind the last."""
    selection = query.querier.select(selector.matchers, int(ends[0]) - before + 1, int(ends[-1]) + after)
    return Statistics(selection) if selector.statistics else selection


def chunks(batch: Batch, steps: int) -> Iterator[Batch]:
    """The batch in pieces whose [series, steps] arrays stay small."""
    most = max(1, CELLS // max(1, steps))
    count = len(batch.offsets) - 1
    if count <= most:
        yield batch
        return
    for at in range(0, count, most):
        offsets = batch.offsets[at : at + most + 1]
        low, high = int(offsets[0]), int(offsets[-1])
        histograms = {i - low: h for i, h in batch.histograms.items() if low <= i < high} if batch.histograms else {}
        starts = None if batch.starts is None else batch.starts[low:high]
        yield Batch(batch.first + at, offsets - low, batch.t[low:high], batch.v[low:high], histograms, starts)


def instant(query: Query, selector: VectorSelector, times: Ints, tally: Ints, when: When = "") -> Stream:
    """`tally` gets the samples of each step added. `when`: the values are when the samples were taken, or when they
    started (seconds)."""
    ends = references(selector.offset, selector.timestamp, times)
    selection = select(query, selector, ends, query.lookback)
    return Stream(selection.frame, _instant_parts(query, selection, ends, tally, when))


def _instant_parts(query: Query, selection: Selection, ends: Ints, tally: Ints, when: When) -> Iterator[Part]:
    steps = len(ends)
    for batch in selection.batches():
        for piece in chunks(batch, steps):
            query.check()
            part = _instant_part(query, piece, ends, when)
            tally += part.ok.sum(axis=0)
            yield part


def _instant_part(query: Query, batch: Batch, ends: Ints, when: When) -> Part:
    rows, steps = len(batch.offsets) - 1, len(ends)
    out, ok = np.zeros((rows, steps), np.int64), np.zeros((rows, steps), np.bool_)
    at = np.zeros((rows, steps), np.int64) if when else _NO_TIMES
    offsets, t = np.ascontiguousarray(batch.offsets, np.int64), np.ascontiguousarray(batch.t, np.int64)
    windows.instant(offsets, t, np.ascontiguousarray(batch.v).view(np.int64), ends, query.lookback, out, ok, at)
    histograms: dict[int, dict[int, Histogram]] = {}
    for row in rows_with_histograms(batch):
        found = _instant_histograms(query, batch, row, ends, ok, at)
        if found:
            histograms[row] = found
    if when == "started":
        return Part(batch.first, _starts(batch, at, ok) / 1000.0, ok, histograms)
    if when == "taken":
        return Part(batch.first, at / 1000.0, ok, histograms)
    return Part(batch.first, out.view(np.float64), ok, histograms)


def _starts(batch: Batch, at: Ints, ok: NDArray[np.bool_]) -> Ints:
    """The start timestamps of the samples taken at the times `at`; where they are not known, 0."""
    found = np.zeros(at.shape, np.int64)
    if batch.starts is None:
        return found
    for row in range(len(at)):
        first, last = int(batch.offsets[row]), int(batch.offsets[row + 1])
        places = first + np.searchsorted(batch.t[first:last], at[row][ok[row]])
        found[row][ok[row]] = batch.starts[places]
    return found


def rows_with_histograms(batch: Batch) -> list[int]:
    """Series of the batch that have at least one histogram."""
    if not batch.histograms:
        return []
    places = np.fromiter(batch.histograms, np.int64, len(batch.histograms))
    rows: list[int] = np.unique(np.searchsorted(batch.offsets, places, side="right") - 1).tolist()
    return rows


def _instant_histograms(
    query: Query, batch: Batch, row: int, ends: Ints, ok: NDArray[np.bool_], at: Ints
) -> dict[int, Histogram]:
    """Step -> histogram; sets `ok` (and `at`) of the row anew, since a histogram's place among the values means nothing."""
    first, last = int(batch.offsets[row]), int(batch.offsets[row + 1])
    newest = first + np.searchsorted(batch.t[first:last], ends, side="right") - 1
    found: dict[int, Histogram] = {}
    for step, place in enumerate(newest.tolist()):
        if place < first or batch.t[place] <= ends[step] - query.lookback:
            continue
        histogram = batch.histograms.get(place)
        if histogram is None:
            continue
        ok[row, step] = not is_stale(histogram)
        if ok[row, step]:
            found[step] = histogram
            if len(at):
                at[row, step] = batch.t[place]
    return found


def clean(batch: Batch) -> Batch:
    """Without staleness markers, contiguous."""
    v = np.ascontiguousarray(batch.v, np.float64)
    stale = v.view(np.int64) == STALE_BITS
    for place, histogram in batch.histograms.items():
        stale[place] = is_stale(histogram)
    t, offsets = np.ascontiguousarray(batch.t, np.int64), np.ascontiguousarray(batch.offsets, np.int64)
    if not stale.any():
        return Batch(batch.first, offsets, t, v, batch.histograms, batch.starts)
    keep = ~stale
    places = np.concatenate([np.zeros(1, np.int64), np.cumsum(keep)])
    histograms = {int(places[i]): h for i, h in batch.histograms.items() if keep[i]}
    starts = None if batch.starts is None else batch.starts[keep]
    return Batch(batch.first, places[offsets], t[keep], v[keep], histograms, starts)


@dataclass(slots=True)
class RangeSource:
    """The samples that a function over ranges looks at: of storage, or of a subquery. Window k is (`ends[k]` - `span`,
    `ends[k]`]; `name`, `start`, `end` describe it in annotations."""

    frame: LabelFrame
    batches: Iterator[Batch]
    ends: Ints
    span: int
    drop: NDArray[np.bool_] | None = None
    anchored: bool = False
    smoothed: bool = False
    unique_without_name: bool = False
    """No two series differ in nothing but the metric name."""
