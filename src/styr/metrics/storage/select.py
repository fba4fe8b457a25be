"""Several chunk sets as one selection: series merged by labels, chunks decoded in batches. Called by `db`; calls
`kernels.gather` and `histograms`. Implements `model.samples.Selection`. Never reads a file itself: chunk sets point into maps.

Of samples of one series with the same time, that of the chunk that begins first stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import gather
from styr.metrics.kernels.order import number_rows, order_rows
from styr.metrics.model.errors import Corrupt
from styr.metrics.model.frame import LabelFrame, Symbols
from styr.metrics.model.histogram import NOT_RESET, UNKNOWN, Histogram
from styr.metrics.model.samples import Batch
from styr.metrics.storage.block.merge import merge as without_deleted
from styr.metrics.storage.chunkset import FLOATS, ChunkSet
from styr.metrics.storage.histograms import decode

Ints = NDArray[np.int64]
Ids = NDArray[np.int32]

_BATCH = 500_000
"""Samples in a batch, at most (but for one long series): arrays of this size are used again by the allocator, larger ones are
mapped and zeroed anew each time, which costs as much as decoding them."""

_IS_HISTOGRAM = ~np.isin(np.arange(256), FLOATS)
"""By encoding."""

_NONE = ChunkSet(
    LabelFrame(Symbols(), 0), np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64),
    np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64), (),
)  # fmt: skip


def merged(sets: Sequence[ChunkSet]) -> ChunkSet:
    """One set of all series of `sets`, each with all its chunks, sorted by their first times; chunks may overlap. `deleted`
    is not looked at: what one set has lost another may have."""
    sets = [each for each in sets if each.frame.size]
    if len(sets) < 2:
        return sets[0] if sets else _NONE
    frame, rows = _union([each.frame for each in sets])
    series = np.concatenate([np.repeat(row, np.diff(each.offsets)) for row, each in zip(rows, sets, strict=True)])
    mint = np.concatenate([each.mint for each in sets])
    order = _by_series_and_time(series, mint, frame.size)
    bases = np.cumsum([0, *(len(each.segments) for each in sets)])[:-1]
    segment = np.concatenate([each.segment + np.int32(base) for each, base in zip(sets, bases.tolist(), strict=True)])
    return ChunkSet(
        frame,
        np.concatenate([[0], np.cumsum(np.bincount(series, minlength=frame.size))]).astype(np.int64),
        segment[order],
        np.concatenate([each.position for each in sets])[order],
        np.concatenate([each.length for each in sets])[order],
        np.concatenate([each.encoding for each in sets])[order],
        mint[order],
        np.concatenate([each.maxt for each in sets])[order],
        [segment for each in sets for segment in each.segments],
    )


def _by_series_and_time(series: Ints, mint: Ints, count: int) -> Ints:
    """A stable order; one sort of one key when both fit into 62 bits, which merges the runs that are there."""
    if not len(series):
        return np.zeros(0, np.int64)
    low = int(mint.min())
    width = int(int(mint.max()) - low).bit_length()
    if width + count.bit_length() <= 62:
        return np.argsort(series << width | (mint - low), kind="stable")
    return np.lexsort((mint, series))


def _union(frames: Sequence[LabelFrame]) -> tuple[LabelFrame, list[Ints]]:
    """(all label sets, sorted; for each frame the row of each of its series)."""
    symbols = Symbols()
    names = sorted({name for frame in frames for name in frame.columns})
    ids = np.zeros((sum(frame.size for frame in frames), len(names)), np.int32)
    at = 0
    for frame in frames:
        own = np.array([symbols.id(string) for string in frame.symbols.strings], np.int32)
        for k, name in enumerate(names):
            if name in frame.columns:
                ids[at : at + frame.size, k] = own[frame.columns[name]]
        at += frame.size
    strings = symbols.strings
    rank = np.zeros(len(strings), np.int32)
    rank[sorted(range(len(strings)), key=strings.__getitem__)] = np.arange(len(strings))
    order = order_rows(ids, rank)
    number = np.zeros(len(order), np.int64)
    count = int(number_rows(ids, rank, order, number))
    row_of = np.empty(len(order), np.int64)
    row_of[order] = number
    firsts = order[np.searchsorted(number, np.arange(count))]
    columns = {name: np.ascontiguousarray(ids[firsts, k]) for k, name in enumerate(names)}
    bounds = np.cumsum([frame.size for frame in frames])[:-1]
    return LabelFrame(symbols, count, columns), np.split(row_of, bounds)


class ChunkSelection:
    """Series and samples of some chunk sets within start..end, both inclusive."""

    def __init__(self, sets: Sequence[ChunkSet], start: int, end: int) -> None:
        self._chunks = merged([without_deleted([each]) if each.deleted else each for each in sets])
        self._start, self._end = start, end
        self._histograms = bool(_IS_HISTOGRAM[self._chunks.encoding].any())
        segments = self._chunks.segments
        self._bases = np.array([segment.ctypes.data for segment in segments], np.int64)
        self._sizes = np.array([len(segment) for segment in segments], np.int64)

    @property
    def frame(self) -> LabelFrame:
        return self._chunks.frame

    def batches(self, most: int = 4_000_000) -> Iterator[Batch]:
        """Raises Corrupt when a chunk does not decode."""
        c = self._chunks
        counts = np.zeros(len(c.segment), np.int64)
        bad = int(gather.count_samples(self._bases, self._sizes, c.segment, c.position, c.length, c.encoding, counts))
        if bad >= 0:
            raise self._corrupt(bad)
        sums = np.concatenate([[0], np.cumsum(counts)])[c.offsets]
        first, size = 0, self.frame.size
        while first < size:
            last = int(np.searchsorted(sums, sums[first] + min(most, _BATCH), "right")) - 1
            last = min(max(last, first + 1), size)
            yield self._batch(first, last, int(sums[last] - sums[first]))
            first = last

    def _batch(self, first: int, last: int, room: int) -> Batch:
        c = self._chunks
        offsets = np.zeros(last - first + 1, np.int64)
        t, v = np.empty(room, np.int64), np.empty(room, np.int64)
        bad = int(
            gather.decode_series(
                self._bases, self._sizes, c.segment, c.position, c.length, c.encoding, c.mint, c.maxt, c.offsets,
                first, last, self._start, self._end, offsets, t, v,
            )
        )  # fmt: skip
        if bad >= 0:
            raise self._corrupt(bad)
        used = int(offsets[-1])
        batch = Batch(first, offsets, t[:used], v[:used].view(np.float64))
        return self._with_histograms(batch, first, last) if self._histograms else batch

    def _corrupt(self, chunk: int) -> Corrupt:
        c = self._chunks
        series = int(np.searchsorted(c.offsets, chunk, "right")) - 1
        return Corrupt(
            f"a chunk of {self.frame.labels(series)} ({int(c.mint[chunk])} .. {int(c.maxt[chunk])}, encoding "
            f"{int(c.encoding[chunk])}) does not decode",
            offset=int(c.position[chunk]),
        )

    def _with_histograms(self, floats: Batch, first: int, last: int) -> Batch:
        c = self._chunks
        low, high = int(c.offsets[first]), int(c.offsets[last])
        which = np.flatnonzero(_IS_HISTOGRAM[c.encoding[low:high]]) + low
        if not len(which):
            return floats
        series = np.searchsorted(c.offsets, which, "right") - 1
        found: dict[int, dict[int, _Placed]] = {}
        for chunk, row in zip(which.tolist(), series.tolist(), strict=True):
            begin = int(c.position[chunk])
            data = c.segments[int(c.segment[chunk])][begin : begin + int(c.length[chunk])].tobytes()
            times, values = decode(data, int(c.encoding[chunk]))
            of_series = found.setdefault(row - first, {})
            before = None
            for time, value in zip(times, values, strict=True):
                if self._start <= time <= self._end:
                    of_series.setdefault(time, (value, before))
                before = time
        return _woven(floats, found)


_Placed = tuple[Histogram, int | None]
"""A histogram and the time of the one before it in its chunk."""


def _woven(floats: Batch, found: dict[int, dict[int, _Placed]]) -> Batch:
    """Histograms of some series among the floats; at the same time the float stays."""
    times, values, offsets, histograms = [], [], [0], {}
    for row, (low, high) in enumerate(zip(floats.offsets[:-1].tolist(), floats.offsets[1:].tolist(), strict=True)):
        t, v = floats.t[low:high], floats.v[low:high]
        if row in found:
            taken = {time: each for time, each in found[row].items() if not _holds(t, time)}
            merged_t = np.concatenate([t, np.fromiter(taken, np.int64, len(taken))])
            order = np.argsort(merged_t, kind="stable")
            t, v = merged_t[order], np.concatenate([v, np.zeros(len(taken))])[order]
            before = None
            for place, time in enumerate(t.tolist(), offsets[-1]):
                if time in taken:
                    histograms[place] = _hinted(*taken[time], before)
                before = time
        times.append(t)
        values.append(v)
        offsets.append(offsets[-1] + len(t))
    return Batch(floats.first, np.array(offsets, np.int64), np.concatenate(times), np.concatenate(values), histograms)


def _hinted(h: Histogram, neighbour: int | None, before: int | None) -> Histogram:
    """Whether counts went back is known against the neighbour in the chunk: where another sample has come in between, it is
    not known any more."""
    if h.counter_reset_hint == NOT_RESET and before is not None and before != neighbour:
        h.counter_reset_hint = UNKNOWN
    return h


def _holds(t: Ints, time: int) -> bool:
    at = int(np.searchsorted(t, time))
    return at < len(t) and int(t[at]) == time
