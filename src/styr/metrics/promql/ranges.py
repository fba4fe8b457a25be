"""Functions over ranges of samples: `rate`, `avg_over_time` and all others that take a range vector. Called by `evaluate`.

Floats go through kernels, all series of a batch at once. Series with native histograms, and the experimental `anchored` and
`smoothed`, go through `mixed`, window by window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import windows
from styr.metrics.model.errors import ExecutionError
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import METRIC_NAME
from styr.metrics.model.samples import Batch
from styr.metrics.promql import annotations as notes
from styr.metrics.promql import extended, mixed
from styr.metrics.promql.job import Job
from styr.metrics.promql.query import Part, Stream
from styr.metrics.promql.selectors import chunks, clean, rows_with_histograms
from styr.metrics.promql.values import Flags, Floats, without_names

Ints = NDArray[np.int64]
Fast = Callable[[Batch, Job, Floats, Flags, Ints], None]

KEEPS_NAME = frozenset({"first_over_time", "last_over_time"})
ANCHORED = ("changes", "delta", "increase", "rate", "resets")
SMOOTHED = ("delta", "increase", "rate")
_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")
_NONE = np.zeros(0)


def _rate(counter: bool, per_second: bool) -> Fast:
    def fast(b: Batch, job: Job, out: Floats, ok: Flags, counts: Ints) -> None:
        source = job.source
        windows.rate(b.offsets, b.t, b.v, source.ends, source.span, counter, per_second, out, ok, counts)

    return fast


def _instant_rate(counter: bool) -> Fast:
    def fast(b: Batch, job: Job, out: Floats, ok: Flags, counts: Ints) -> None:
        windows.instant_rate(b.offsets, b.t, b.v, job.source.ends, job.source.span, counter, out, ok, counts)

    return fast


def _over_time(op: int) -> Fast:
    def fast(b: Batch, job: Job, out: Floats, ok: Flags, counts: Ints) -> None:
        windows.over_time(b.offsets, b.t, b.v, job.source.ends, job.source.span, op, out, ok, counts)

    return fast


def _linear(b: Batch, job: Job, out: Floats, ok: Flags, counts: Ints) -> None:
    ahead = job.args[0] if job.args else _NONE
    windows.linear(b.offsets, b.t, b.v, job.source.ends, job.source.span, job.times, ahead, out, ok, counts)


def _spread(b: Batch, job: Job, out: Floats, ok: Flags, counts: Ints) -> None:
    q = job.args[0] if job.args else _NONE
    windows.spread(b.offsets, b.t, b.v, job.source.ends, job.source.span, q, out, ok, counts)
    if len(q) and ok.any():
        _check_quantiles(job, q[ok.any(axis=0)])


def _check_quantiles(job: Job, q: Floats) -> None:
    where = job.call.args[0]
    for value in np.unique(q[~((q >= 0) & (q <= 1))]).tolist():
        job.query.notes.add(notes.invalid_quantile(value, (where.start, where.end)))


def _smoothing(b: Batch, job: Job, out: Floats, ok: Flags, counts: Ints) -> None:
    source = job.source
    if len(b.t):
        for what, values in zip(("smoothing", "trend"), job.args, strict=True):
            bad = values[(values <= 0) | (values >= 1)]
            if len(bad):
                letter = what[0]
                raise ExecutionError(f"invalid {what} factor. Expected: 0 < {letter}f < 1, got: {bad[0]:f}")
    windows.double_exponential_smoothing(
        b.offsets, b.t, b.v, source.ends, source.span, job.args[0], job.args[1], out, ok, counts
    )


FAST: dict[str, Fast] = {
    "rate": _rate(True, True),
    "increase": _rate(True, False),
    "delta": _rate(False, False),
    "irate": _instant_rate(True),
    "idelta": _instant_rate(False),
    "count_over_time": _over_time(windows.COUNT),
    "present_over_time": _over_time(windows.PRESENT),
    "absent_over_time": _over_time(windows.PRESENT),
    "first_over_time": _over_time(windows.FIRST),
    "last_over_time": _over_time(windows.LAST),
    "sum_over_time": _over_time(windows.SUM),
    "avg_over_time": _over_time(windows.AVG),
    "min_over_time": _over_time(windows.MIN),
    "max_over_time": _over_time(windows.MAX),
    "stdvar_over_time": _over_time(windows.STDVAR),
    "stddev_over_time": _over_time(windows.STDDEV),
    "changes": _over_time(windows.CHANGES),
    "resets": _over_time(windows.RESETS),
    "ts_of_first_over_time": _over_time(windows.FIRST_TIME),
    "ts_of_last_over_time": _over_time(windows.LAST_TIME),
    "ts_of_min_over_time": _over_time(windows.MIN_TIME),
    "ts_of_max_over_time": _over_time(windows.MAX_TIME),
    "deriv": _linear,
    "predict_linear": _linear,
    "quantile_over_time": _spread,
    "mad_over_time": _spread,
    "double_exponential_smoothing": _smoothing,
}


def stream(job: Job) -> Stream:
    """The result, in parts."""
    source, name = job.source, job.name
    if source.anchored and name not in ANCHORED:
        raise ExecutionError(f"anchored modifier can only be used with: {', '.join(ANCHORED)} - not with {name}")
    if source.smoothed and name not in SMOOTHED:
        raise ExecutionError(f"smoothed modifier can only be used with: {', '.join(SMOOTHED)} - not with {name}")
    dropping = name not in KEEPS_NAME
    frame, drop, unique = source.frame, source.drop, True
    delayed = job.query.features.delayed_name_removal
    if delayed:
        before = np.zeros(frame.size, np.bool_) if drop is None else drop
        drop = before | dropping
    elif dropping:
        frame, unique = without_names(frame), source.unique_without_name
    return Stream(frame, _parts(job), drop, unique or delayed)


def _parts(job: Job) -> Iterator[Part]:
    steps = len(job.times)
    counters = _Counters(job) if job.name in ("rate", "increase") else None
    for batch in job.source.batches:
        for piece in chunks(batch, steps):
            job.query.check()
            part = _part(job, clean(piece))
            if counters is not None:
                counters.look(part)
            yield part


def _part(job: Job, batch: Batch) -> Part:
    rows, steps = len(batch.offsets) - 1, len(job.times)
    out, ok = np.zeros((rows, steps)), np.zeros((rows, steps), np.bool_)
    counts = np.zeros(steps, np.int64)
    histograms: dict[int, dict[int, Histogram]] = {}
    edged = job.source.anchored or job.source.smoothed
    started = batch.starts is not None and job.query.features.start_timestamps and job.name in mixed.STARTS_MATTER
    slow = list(range(rows)) if edged or started else rows_with_histograms(batch)
    fast = FAST[job.name]
    if len(slow) < rows:
        fast(_floats_of(batch, slow), job, out, ok, counts)
    for row in slow:
        out[row], ok[row] = 0.0, False
        if edged:
            found = extended.series(job, batch, row, out[row], ok[row])
        else:
            found = mixed.series(job, batch, row, out[row], ok[row], fast)
        if found:
            histograms[row] = found
    job.tally += counts
    return Part(batch.first, out, ok, histograms)


def _floats_of(batch: Batch, without: list[int]) -> Batch:
    """The batch with some series emptied, which then cost nothing."""
    if not without:
        return batch
    lengths = np.diff(batch.offsets)
    keep = np.ones(len(lengths), np.bool_)
    keep[without] = False
    mask = np.repeat(keep, lengths)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.where(keep, lengths, 0))])
    return Batch(batch.first, offsets, batch.t[mask], batch.v[mask])


class _Counters:
    """Tells of metrics that `rate` was taken of and that are no counters by their names."""

    def __init__(self, job: Job) -> None:
        self.job, frame = job, job.source.frame
        self.names, self.strings = frame.column(METRIC_NAME), frame.symbols.strings
        self.types = frame.column("__type__")
        self.typed = job.query.features.type_and_unit
        self.seen: set[tuple[int, int]] = set()

    def look(self, part: Part) -> None:
        floats: Flags = np.asarray(part.ok.any(axis=1))
        for row in part.histograms:
            floats[row] = int(part.ok[row].sum()) > len(part.histograms[row])
        rows = np.flatnonzero(floats) + part.first
        if not len(rows):
            return
        keys = self.names[rows].astype(np.int64) << 32 | self.types[rows]
        if keys[0] == keys[-1] and (keys == keys[0]).all():
            keys = keys[:1]
        for key in np.unique(keys).tolist():
            pair = (key >> 32, key & 0xFFFFFFFF)
            if pair not in self.seen and pair[0]:
                self.seen.add(pair)
                self._tell(self.strings[pair[0]], self.strings[pair[1]])

    def _tell(self, name: str, kind: str) -> None:
        said, position = self.job.query.notes, self.job.position
        if self.typed:
            if kind not in ("counter", "histogram"):
                said.add(notes.possible_non_counter_label(name, kind, position))
        elif not name.endswith(_COUNTER_SUFFIXES):
            said.add(notes.possible_non_counter(name, position))


def subquery_batches(
    frame: LabelFrame, v: Floats, ok: Flags, histograms: dict[int, dict[int, Histogram]], times: Ints
) -> Batch:
    """An evaluated inner expression as samples."""
    rows, columns = np.nonzero(ok)
    offsets = np.zeros(frame.size + 1, np.int64)
    np.cumsum(ok.sum(axis=1), out=offsets[1:])
    found: dict[int, Histogram] = {}
    for row, by_step in histograms.items():
        for step, histogram in by_step.items():
            found[int(offsets[row]) + int(ok[row, :step].sum())] = histogram
    return Batch(0, offsets, times[columns], v[rows, columns], found)
