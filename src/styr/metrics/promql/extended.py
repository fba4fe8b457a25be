"""`anchored` and `smoothed`: ranges that end exactly at their edges, and instants between samples. Called by `ranges`,
`evaluate`.

Experimental in Prometheus; series by series, step by step. A window looks one lookback further back than its start, and
`smoothed` also one further than its end.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.histogram import CUSTOM_BUCKETS, GAUGE, UNKNOWN, Histogram
from styr.metrics.model.labels import METRIC_NAME
from styr.metrics.model.samples import Batch
from styr.metrics.promql import annotations as notes
from styr.metrics.promql import mixed, selectors
from styr.metrics.promql.ast import VectorSelector
from styr.metrics.promql.histograms import extended as histograms
from styr.metrics.promql.histograms import rates
from styr.metrics.promql.job import Job
from styr.metrics.promql.query import Part, Query, Stream, collect
from styr.metrics.promql.values import Flags, Floats, Matrix

Ints = NDArray[np.int64]


def series(job: Job, batch: Batch, row: int, out: Floats, ok: Flags) -> dict[int, Histogram]:
    """Fills `out` and `ok` of a row; returns the results that are histograms, by step."""
    source, lookback = job.source, job.query.lookback
    after = lookback if source.smoothed else 0
    made = mixed.row_of(job, batch, row, source.ends - source.span - lookback, source.ends + after)
    found: dict[int, Histogram] = {}
    for k in range(len(source.ends)):
        result = _window(made, k)
        if result is None:
            continue
        ok[k] = True
        if isinstance(result, Histogram):
            found[k] = result
        else:
            out[k] = result
    return found


def _window(row: mixed.Row, k: int) -> float | Histogram | None:
    job, source = row.job, row.job.source
    floats, hists = row.floats[k], row.hists[k]
    has_floats, has_hists = floats[1] > floats[0], hists[1] > hists[0]
    if not has_floats and not has_hists:
        return None
    end = int(source.ends[k])
    begin = end - source.span
    if job.name in ("resets", "changes"):
        return _anchored(row, k, begin)
    if has_floats and has_hists:
        row.mixed()
        return None
    counter, per_second = job.name != "delta", job.name == "rate"
    if has_hists:
        seconds = source.span / 1000
        return histograms.change(row.samples(k), begin, end, seconds, counter, per_second, source.smoothed, row.tell)
    t, v = row.float_t[floats[0] : floats[1]].tolist(), row.float_v[floats[0] : floats[1]].tolist()
    change = _change(t, v, begin, end, counter, source.smoothed)
    return None if change is None else change / (source.span / 1000) if per_second else change


def _anchored(row: mixed.Row, k: int, begin: int) -> float | None:
    """From the newest sample at or before the beginning on, be it float or histogram."""
    found = row.merged(k)
    first = bisect_right(found, begin, key=lambda sample: sample[0]) - 1
    if first + 1 >= len(found):
        return None
    found = found[max(first, 0) :]
    return mixed.count_resets(found) if row.job.name == "resets" else mixed.count_changes(found)


def interpolate(t: list[int], v: list[float], i: int, at: int, counter: bool) -> float:
    """Between sample i and the next; a counter that was reset in between began at zero."""
    one, two = v[i], v[i + 1]
    if counter and two < one:
        one = 0.0
    return one + (two - one) * float(at - t[i]) / float(t[i + 1] - t[i])


def _change(t: list[int], v: list[float], begin: int, end: int, counter: bool, smoothed: bool) -> float | None:
    last = len(t) - 1
    first = max(0, bisect_right(t, begin, 0, last) - 1)
    if smoothed:
        last = bisect_left(t, end, 0, last)
    if t[last] <= begin or (smoothed and t[first] > end):
        return None
    left, right = v[first], v[last]
    if smoothed and t[first] < begin:
        left = interpolate(t, v, first, begin, counter)
    if smoothed and last > 0 and t[last] > end:
        right = interpolate(t, v, last - 1, end, counter)
    change = right - left
    if not counter:
        return change
    inside_first = first + 1 if t[first] <= begin else first
    inside_last = last - 1 if t[last] >= end else last
    lost, before = 0.0, left
    for value in v[inside_first : inside_last + 1]:
        if value < before:
            lost += before
        before = value
    if right < before:
        lost += before
    return change + lost


def cut(t: list[int], v: list[float], begin: int, end: int, smoothed: bool) -> tuple[list[int], list[float]]:
    """The samples of a range as a query for them shows it: with one at each edge."""
    last = len(t) - 1
    first = max(0, bisect_right(t, begin, 0, last) - 1)
    if smoothed:
        last = bisect_left(t, end, 0, last)
    if t[last] <= begin:
        return [], []
    left, right = v[first], v[last]
    if smoothed and t[first] < begin:
        left = interpolate(t, v, first, begin, False)
    if smoothed and last > 0 and t[last] > end:
        right = interpolate(t, v, last - 1, end, False)
    first = first + 1 if t[first] <= begin else first
    last = last - 1 if t[last] >= end else last
    return [begin, *t[first : last + 1], end], [left, *v[first : last + 1], right]


def instant(query: Query, selector: VectorSelector, times: Ints) -> Matrix:
    """A selector with `smoothed`: at each step what lies between the samples around it."""
    ends = selectors.references(selector.offset, selector.timestamp, times)
    selection = selectors.select(query, selector, ends, query.lookback, query.lookback)
    names = selection.frame.values(METRIC_NAME)

    def parts() -> Iterator[Part]:
        for batch in selection.batches():
            for piece in selectors.chunks(batch, len(ends)):
                query.check()
                cleaned = selectors.clean(piece)
                rows = len(cleaned.offsets) - 1
                part = Part(cleaned.first, np.zeros((rows, len(ends))), np.zeros((rows, len(ends)), np.bool_))
                for row in range(rows):
                    _smooth_row(query, selector, cleaned, row, ends, names[cleaned.first + row], part)
                yield part

    return collect(query, Stream(selection.frame, parts()), len(ends))


def _smooth_row(
    query: Query, selector: VectorSelector, batch: Batch, row: int, ends: Ints, name: str, part: Part
) -> None:
    first, last = int(batch.offsets[row]), int(batch.offsets[row + 1])
    position = (selector.start, selector.end)
    for k, at in enumerate(ends.tolist()):
        low = first + int(np.searchsorted(batch.t[first:last], at - query.lookback, side="right"))
        high = first + int(np.searchsorted(batch.t[first:last], at + query.lookback, side="right"))
        if low == high:
            continue
        kinds = {i in batch.histograms for i in range(low, high)}
        if len(kinds) > 1:
            query.notes.add(notes.mixed_floats_histograms(name, position))
            continue
        i = low + int(np.searchsorted(batch.t[low:high], at, side="left"))
        if True in kinds:
            result = _smooth_histogram(query, batch, low, high, i, at, rates.Teller(query.notes, name, position))
            if result is not None:
                part.ok[row, k] = True
                part.histograms.setdefault(row, {})[k] = result
            continue
        if i < high and batch.t[i] == at:
            part.v[row, k], part.ok[row, k] = batch.v[i], True
        elif low < i < high:
            t, v = batch.t[i - 1 : i + 1].tolist(), batch.v[i - 1 : i + 1].tolist()
            part.v[row, k], part.ok[row, k] = interpolate(t, v, 0, at, False), True
        elif i > low:
            part.v[row, k], part.ok[row, k] = batch.v[i - 1], True


def _smooth_histogram(
    query: Query, batch: Batch, low: int, high: int, i: int, at: int, tell: rates.Teller
) -> Histogram | None:
    if i < high and batch.t[i] == at:
        return batch.histograms[i]
    if i == low:
        return None
    before = batch.histograms[i - 1]
    if i == high:
        return _unhinted(before)
    after = batch.histograms[i]
    if (before.schema == CUSTOM_BUCKETS) != (after.schema == CUSTOM_BUCKETS):
        tell.mixed_schemas()
        return None
    counter = not before.counter_reset_hint == after.counter_reset_hint == GAUGE
    samples = rates.Samples((int(batch.t[i - 1]), int(batch.t[i])), (before, after))
    return histograms.between(samples, 0, at, counter, tell)


def _unhinted(h: Histogram) -> Histogram:
    copied = Histogram(*(getattr(h, name) for name in h.__slots__))
    copied.counter_reset_hint = UNKNOWN
    return copied
