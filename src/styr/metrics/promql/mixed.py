"""Functions over ranges of one series that holds native histograms, perhaps floats between them. Called by `ranges`.

Floats are still computed by the kernels, all steps at once; what histograms add to that, or forbid, is decided step by step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import METRIC_NAME
from styr.metrics.model.samples import Batch
from styr.metrics.promql import annotations as notes
from styr.metrics.promql.histograms import arithmetic, rates, resets
from styr.metrics.promql.histograms.sums import Mean, Sum
from styr.metrics.promql.job import Job
from styr.metrics.promql.values import Flags, Floats, histogram_size

Ints = NDArray[np.int64]
Sample = float | Histogram


@dataclass(slots=True)
class Row:
    """One series: its floats and its histograms, and for each step which of them are in the window (`floats[k]`, `hists[k]`:
    first, end)."""

    job: Job
    name: str
    float_t: Ints
    float_v: Floats
    hist_t: Ints
    hist_v: list[Histogram]
    floats: Ints
    hists: Ints
    float_starts: Ints
    hist_starts: Ints
    tell: rates.Teller = field(init=False)

    def __post_init__(self) -> None:
        self.tell = rates.Teller(self.job.query.notes, self.name, self.job.position)

    def samples(self, k: int) -> rates.Samples:
        """The histograms of window k."""
        a, b = self.hists[k]
        starts = self.hist_starts[a:b].tolist() if len(self.hist_starts) else ()
        return rates.Samples(self.hist_t[a:b].tolist(), self.hist_v[a:b], starts)

    def merged(self, k: int, newest: int = 0) -> list[tuple[int, Sample, int]]:
        """(time, sample, start timestamp) of window k, in order; only the `newest` when that is not 0."""
        a, b = (int(i) for i in self.floats[k])
        c, d = (int(i) for i in self.hists[k])
        if newest:
            a, c = max(a, b - newest), max(c, d - newest)
        found: list[tuple[int, Sample, int]] = [
            (int(self.float_t[i]), float(self.float_v[i]), int(self.float_starts[i]) if len(self.float_starts) else 0)
            for i in range(a, b)
        ]
        for i in range(c, d):
            start = int(self.hist_starts[i]) if len(self.hist_starts) else 0
            found.append((int(self.hist_t[i]), self.hist_v[i], start))
        found.sort(key=lambda sample: sample[0])
        return found[-newest:] if newest else found

    def mixed(self) -> None:
        self.job.query.notes.add(notes.mixed_floats_histograms(self.name, self.job.position))

    def ignored(self) -> None:
        first = self.job.call.args[0]
        position = self.job.position if first.type == "matrix" else (first.start, first.end)
        self.job.query.notes.add(notes.histogram_ignored_in_mixed_range(self.name, position))


def row_of(job: Job, batch: Batch, row: int, lows: Ints, highs: Ints) -> Row:
    """Windows are (`lows[k]`, `highs[k]`]."""
    first, last = int(batch.offsets[row]), int(batch.offsets[row + 1])
    places = [i for i in range(first, last) if i in batch.histograms]
    is_float = np.ones(last - first, np.bool_)
    is_float[np.array(places, np.int64) - first] = False
    t, v = batch.t[first:last], batch.v[first:last]
    starts = np.zeros(0, np.int64) if batch.starts is None else batch.starts[first:last]
    float_t, hist_t = t[is_float], t[~is_float]
    frame = job.source.frame
    name = frame.symbols.strings[frame.column(METRIC_NAME)[batch.first + row]]
    return Row(
        job,
        name,
        float_t,
        np.ascontiguousarray(v[is_float]),
        hist_t,
        [batch.histograms[i] for i in places],
        _windows(float_t, lows, highs),
        _windows(hist_t, lows, highs),
        starts[is_float] if len(starts) else starts,
        starts[~is_float] if len(starts) else starts,
    )


def _windows(t: Ints, lows: Ints, highs: Ints) -> Ints:
    pairs = np.searchsorted(t, lows, side="right"), np.searchsorted(t, highs, side="right")
    return np.stack(pairs, axis=1).astype(np.int64)


Fast = Callable[[Batch, Job, Floats, Flags, Ints], None]


def series(job: Job, batch: Batch, row: int, out: Floats, ok: Flags, fast: Fast) -> dict[int, Histogram]:
    """Fills `out` and `ok` of a row; returns the results that are histograms, by step."""
    ends, span = job.source.ends, job.source.span
    made = row_of(job, batch, row, ends - span, ends)
    float_out, float_ok = np.zeros((1, len(ends))), np.zeros((1, len(ends)), np.bool_)
    counts = np.zeros(len(ends), np.int64)
    only = Batch(0, np.array([0, len(made.float_t)], np.int64), np.ascontiguousarray(made.float_t), made.float_v)
    fast(only, job, float_out, float_ok, counts)
    job.tally += counts
    sizes = np.concatenate([np.zeros(1, np.int64), np.cumsum([histogram_size(h) for h in made.hist_v])])
    job.tally += (sizes[made.hists[:, 1]] - sizes[made.hists[:, 0]]).astype(np.int64)
    out[:], ok[:] = float_out[0], float_ok[0]
    histograms: dict[int, Histogram] = {}
    decide = _DECIDE.get(job.name, _floats_only)
    has_hists = made.hists[:, 1] > made.hists[:, 0]
    for k in np.flatnonzero(has_hists | (len(made.float_starts) > 0)).tolist():
        if not has_hists[k] and made.floats[k, 0] == made.floats[k, 1]:
            continue
        result = decide(made, k, float(out[k]) if ok[k] else None)
        ok[k] = result is not None
        if isinstance(result, Histogram):
            histograms[k] = result
        elif result is not None:
            out[k] = result
    return histograms


def _count(row: Row, k: int) -> tuple[int, int]:
    return int(row.floats[k, 1] - row.floats[k, 0]), int(row.hists[k, 1] - row.hists[k, 0])


def _floats_only(row: Row, k: int, value: float | None) -> Sample | None:
    """min, max, stddev, quantile, deriv and so on: histograms are ignored, and it is said."""
    floats, hists = _count(row, k)
    if floats and hists:
        row.ignored()
    return value


def _how_many(row: Row, k: int, value: float | None) -> Sample | None:
    return float(sum(_count(row, k)))


def _one(row: Row, k: int, value: float | None) -> Sample | None:
    return 1.0


def _first(row: Row, k: int, value: float | None) -> Sample | None:
    a, c = int(row.floats[k, 0]), int(row.hists[k, 0])
    floats, hists = _count(row, k)
    if not hists or (floats and bool(row.float_t[a] < row.hist_t[c])):
        return value
    return row.hist_v[c]


def _last(row: Row, k: int, value: float | None) -> Sample | None:
    b, d = int(row.floats[k, 1]) - 1, int(row.hists[k, 1]) - 1
    floats, hists = _count(row, k)
    if not hists or (floats and bool(row.hist_t[d] < row.float_t[b])):
        return value
    return row.hist_v[d]


def _first_time(row: Row, k: int, value: float | None) -> Sample | None:
    floats, hists = _count(row, k)
    times = [int(row.float_t[row.floats[k, 0]])] if floats else []
    times += [int(row.hist_t[row.hists[k, 0]])] if hists else []
    return float(min(times) / 1000)


def _last_time(row: Row, k: int, value: float | None) -> Sample | None:
    floats, hists = _count(row, k)
    times = [int(row.float_t[row.floats[k, 1] - 1])] if floats else []
    times += [int(row.hist_t[row.hists[k, 1] - 1])] if hists else []
    return float(max(times) / 1000)


def _total(kind: type[Sum]) -> Callable[[Row, int, float | None], Sample | None]:
    def decide(row: Row, k: int, value: float | None) -> Sample | None:
        floats, hists = _count(row, k)
        if floats and hists:
            row.mixed()
            return None
        if not hists:
            return value
        a, b = row.hists[k]
        total = kind(row.hist_v[a])
        said, position = row.job.query.notes, row.job.position
        try:
            for h in row.hist_v[a + 1 : b]:
                total.add(h)
        except arithmetic.IncompatibleSchemas:
            said.add(notes.mixed_exponential_custom_histograms(row.name, position))
            return None
        result = total.result(compact=False)
        if total.collision:
            said.add(notes.counter_reset_collision(position, notes.AGGREGATION))
        if total.reconciled:
            said.add(notes.mismatched_custom_buckets(position, notes.AGGREGATION))
        return result

    return decide


def _rate(counter: bool, per_second: bool) -> Callable[[Row, int, float | None], Sample | None]:
    def decide(row: Row, k: int, value: float | None) -> Sample | None:
        floats, hists = _count(row, k)
        if floats and hists:
            row.mixed()
            return None
        source = row.job.source
        end = int(source.ends[k])
        if not hists:
            return started_rate(row, k, counter, per_second) if len(row.float_starts) else value
        seconds = source.span / 1000
        return rates.extrapolated(row.samples(k), end - source.span, end, seconds, counter, per_second, row.tell)

    return decide


def started_rate(row: Row, k: int, counter: bool, per_second: bool) -> float | None:
    """`rate` of floats whose start timestamps are known: they tell resets, and where a counter began."""
    source = row.job.source
    a, b = (int(i) for i in row.floats[k])
    t, v = row.float_t[a:b].tolist(), row.float_v[a:b].tolist()
    starts = row.float_starts[a:b].tolist() if counter else []
    last, end = len(t) - 1, int(source.ends[k])
    begin = end - source.span
    change = v[last] - v[0]
    overlap = False
    for i in range(1, len(t)) if counter else ():
        if not overlap and resets.start_time_overlaps(starts[i - 1], t[i - 1], starts[i]):
            row.job.query.notes.add(notes.start_time_overlap(row.name, row.job.position))
            overlap = True
        if v[i] < v[i - 1] or resets.start_time_reset(starts[i - 1], t[i - 1], starts[i], t[i]):
            change += v[i - 1]
    to_start, to_end = (t[0] - begin) / 1000, (end - t[last]) / 1000
    sampled = (t[last] - t[0]) / 1000
    average = sampled / last if last else 0.0
    threshold = average * 1.1
    if counter and starts[0] != 0 and begin < starts[0] < t[0]:
        to_start, sampled = 0.0, (t[last] - starts[0]) / 1000
        change += v[0]
    elif last == 0:
        return None
    else:
        if to_start >= threshold:
            to_start = average / 2
        if counter and change > 0 and v[0] >= 0:
            to_start = min(to_start, sampled * (v[0] / change))
    if to_end >= threshold:
        to_end = average / 2
    factor = (sampled + to_start + to_end) / sampled if sampled else 1.0
    return float(change * (factor / (source.span / 1000) if per_second else factor))


def _instant(counter: bool) -> Callable[[Row, int, float | None], Sample | None]:
    def decide(row: Row, k: int, value: float | None) -> Sample | None:
        if sum(_count(row, k)) < 2:
            return None
        (t0, one, start0), (t1, two, start1) = row.merged(k, newest=2)
        if isinstance(one, Histogram) and isinstance(two, Histogram):
            starts = (start0, start1) if len(row.hist_starts) else ()
            return rates.instant(rates.Samples((t0, t1), (one, two), starts), counter, row.tell)
        if isinstance(one, Histogram) or isinstance(two, Histogram):
            row.mixed()
            return None
        reset = two < one or resets.start_time_reset(start0, t0, start1, t1)
        change = two if counter and reset else two - one
        return change / ((t1 - t0) / 1000) if counter else change

    return decide


def count_resets(found: list[tuple[int, Sample, int]]) -> float:
    count = 0
    for (t0, one, start0), (t1, two, start1) in itertools.pairwise(found):
        if isinstance(one, Histogram) != isinstance(two, Histogram) or resets.start_time_reset(start0, t0, start1, t1):
            count += 1
        elif isinstance(one, Histogram) and isinstance(two, Histogram):
            count += resets.was_reset(two, one)
        elif two < one:  # type: ignore[operator]  # both are floats here
            count += 1
    return float(count)


def count_changes(found: list[tuple[int, Sample, int]]) -> float:
    count = 0
    for (_, one, _), (_, two, _) in itertools.pairwise(found):
        if isinstance(one, Histogram) and isinstance(two, Histogram):
            count += not arithmetic.equal(two, one)
        elif isinstance(one, Histogram) or isinstance(two, Histogram):
            count += 1
        else:
            count += two != one and not (np.isnan(one) and np.isnan(two))
    return float(count)


def _resets(row: Row, k: int, value: float | None) -> Sample | None:
    return count_resets(row.merged(k))


def _changes(row: Row, k: int, value: float | None) -> Sample | None:
    return count_changes(row.merged(k))


_DECIDE: dict[str, Callable[[Row, int, float | None], Sample | None]] = {
    "count_over_time": _how_many,
    "present_over_time": _one,
    "absent_over_time": _one,
    "first_over_time": _first,
    "last_over_time": _last,
    "ts_of_first_over_time": _first_time,
    "ts_of_last_over_time": _last_time,
    "sum_over_time": _total(Sum),
    "avg_over_time": _total(Mean),
    "rate": _rate(True, True),
    "increase": _rate(True, False),
    "delta": _rate(False, False),
    "irate": _instant(True),
    "idelta": _instant(False),
    "resets": _resets,
    "changes": _changes,
}

STARTS_MATTER = frozenset({"rate", "increase", "irate", "resets"})
"""Functions that look at start timestamps when the feature is on."""
