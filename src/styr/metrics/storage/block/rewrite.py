"""Decodes chunks that overlap or are deleted in part, merges their samples, encodes them anew. Called by `merge`.

Chunks of floats go through `kernels.rewrite`, many clusters at a time; clusters with histograms go through Python, one sample
after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import rewrite as kernels
from styr.metrics.kernels import segment as segments_kernels
from styr.metrics.model.errors import Corrupt
from styr.metrics.storage.chunk import MOST_SAMPLES, Value, decode, encode
from styr.metrics.storage.chunkset import XOR

_BATCH = 1_000_000
"""Samples of the clusters that are rewritten at a time."""

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(slots=True)
class Chunks:
    """Chunks as columns. `series` is the row of the union, `source` the set they are from; `number` stays with a chunk."""

    series: Ints
    source: NDArray[np.int32]
    number: Ints
    segment: NDArray[np.int32]
    position: Ints
    length: Ints
    encoding: Bytes
    mint: Ints
    maxt: Ints

    @classmethod
    def join(cls, parts: Sequence[Chunks]) -> Chunks:
        return cls(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)))

    def take(self, which: Ints) -> Chunks:
        return Chunks(*(getattr(self, each.name)[which] for each in fields(self)))

    def take_sorted(self) -> Chunks:
        """By series, then time."""
        return self.take(np.lexsort((self.maxt, self.mint, self.series)))


@dataclass(slots=True)
class Cuts:
    """What is deleted of chunks, by their numbers. The ranges of chunk n are `at[n]:at[n + 1]`, rising; `touched` chunks have
    one at least, of those that are `gone` nothing is left."""

    at: Ints
    lows: Ints
    highs: Ints
    touched: NDArray[np.bool_]
    gone: NDArray[np.bool_]

    @classmethod
    def of(cls, chunks: Chunks, parts: Sequence[Ints]) -> Cuts:
        """`parts` have rows (number, first time, last time), both times inclusive. `chunks` are all, by their numbers."""
        rows = np.concatenate(parts)
        number, low, high = rows[:, 0], rows[:, 1], rows[:, 2]
        rows = rows[(low <= chunks.maxt[number]) & (high >= chunks.mint[number])]
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        number, low, high = (np.ascontiguousarray(rows[:, k]) for k in range(3))
        gone = np.zeros(len(chunks.number), np.bool_)
        gone[number[(low <= chunks.mint[number]) & (high >= chunks.maxt[number])]] = True
        counts = np.bincount(number, minlength=len(gone))
        at = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        return cls(at, low, high, counts > 0, gone)

    def take(self, numbers: Ints) -> tuple[Ints, Ints, Ints]:
        """(where those of each begin, lows, highs), for some chunks."""
        counts = self.at[numbers + 1] - self.at[numbers]
        at = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        which = np.repeat(self.at[numbers] - at[:-1], counts) + np.arange(at[-1])
        return at, self.lows[which], self.highs[which]


def rewrite(chunks: Chunks, cluster: Ints, cuts: Cuts, segments: Sequence[Bytes]) -> tuple[list[Chunks], list[Bytes]]:
    """New chunks for clusters of old ones (`cluster` rises with the chunks), and the buffer that each list of them is in; their
    `segment` is still to be set. Raises Corrupt."""
    order = np.lexsort((chunks.mint, chunks.source, cluster))
    chunks, cluster = chunks.take(order), cluster[order]
    starts = np.flatnonzero(np.diff(cluster, prepend=-1))
    floats = np.minimum.reduceat(chunks.encoding, starts) == np.maximum.reduceat(chunks.encoding, starts)
    floats &= chunks.encoding[starts] == XOR
    of = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(cluster))))
    made: list[Chunks] = []
    buffers: list[Bytes] = []
    for low, high in _batches(chunks, of, floats, segments):
        which = np.flatnonzero((of >= low) & (of < high) & floats[of])
        part, buffer = _floats(chunks.take(which), of[which], cuts, segments)
        made.append(part)
        buffers.append(buffer)
    for number in np.flatnonzero(~floats).tolist():
        part, buffer = _any(chunks.take(np.flatnonzero(of == number)), cuts, segments)
        made.append(part)
        buffers.append(buffer)
    return made, buffers


def _batches(chunks: Chunks, of: Ints, floats: NDArray[np.bool_], segments: Sequence[Bytes]) -> list[tuple[int, int]]:
    """Ranges of clusters that together have about `_BATCH` samples of floats."""
    counts = _counts(chunks, segments) * floats[of]
    total = np.cumsum(np.bincount(of, counts, len(floats))).astype(np.int64)
    batches, low, before = [], 0, 0
    while low < len(floats) and int(total[-1]) > before:
        high = max(low + 1, int(np.searchsorted(total, before + _BATCH, "right")))
        batches.append((low, high))
        low, before = high, int(total[high - 1])
    return [(low, high) for low, high in batches if floats[low:high].any()]


def _counts(chunks: Chunks, segments: Sequence[Bytes]) -> Ints:
    """How many samples each chunk says it has."""
    counts = np.zeros(len(chunks.series), np.int64)
    for number in np.flatnonzero(np.bincount(chunks.segment)).tolist():
        which = np.flatnonzero(chunks.segment == number)
        data, at = segments[number], chunks.position[which]
        counts[which] = data[at].astype(np.int64) << 8 | data[at + 1]
    return counts


def _gather(chunks: Chunks, segments: Sequence[Bytes]) -> tuple[Bytes, Ints]:
    """The data of all chunks in one buffer, and where each begins."""
    ends = np.cumsum(chunks.length)
    target = ends - chunks.length
    data = np.zeros(int(ends[-1]) + 16, np.uint8)
    for number in np.flatnonzero(np.bincount(chunks.segment)).tolist():
        which = np.flatnonzero(chunks.segment == number)
        at = np.ascontiguousarray(target[which])
        bad = segments_kernels.gather(segments[number], chunks.position, chunks.length, which, at, data)
        if bad >= 0:
            raise Corrupt("a chunk is not in its segment", offset=int(chunks.position[bad]))
    return data, target


def _floats(chunks: Chunks, of: Ints, cuts: Cuts, segments: Sequence[Bytes]) -> tuple[Chunks, Bytes]:
    data, position = _gather(chunks, segments)
    counts = _counts(chunks, segments)
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    cluster_at = np.append(starts, len(of)).astype(np.int64)
    sizes = np.add.reduceat(counts, starts)
    most = int((-(-sizes // MOST_SAMPLES)).sum())
    out = np.zeros(19 * int(sizes.sum()) + 64 * (most + 1), np.uint8)
    made, rows = np.zeros(len(starts) + 1, np.int64), np.zeros((most, 4), np.int64)
    t, v, ranks = (np.zeros(4 * max(int(sizes.max()), 1), np.int64) for _ in range(3))
    bad = kernels.rewrite(
        data,
        position,
        chunks.length,
        _ranks(chunks),
        *cuts.take(chunks.number),
        cluster_at,
        MOST_SAMPLES,
        t,
        v,
        ranks,
        out,
        made,
        rows,
    )
    if bad >= 0:
        raise Corrupt("a chunk of floats cannot be decoded", offset=int(chunks.position[cluster_at[bad]]))
    rows = rows[: made[-1]]
    end = int(rows[-1, 0] + rows[-1, 1]) if len(rows) else 0
    series = np.repeat(chunks.series[starts], np.diff(made))
    return _fresh(series, rows, np.full(len(rows), XOR, np.uint8)), np.append(out[:end], np.zeros(8, np.uint8))


def _ranks(chunks: Chunks) -> Ints:
    """Which chunks come first where samples have the same time: those that begin first, then those of the first set."""
    ranks = np.empty(len(chunks.series), np.int64)
    ranks[np.lexsort((chunks.source, chunks.mint))] = np.arange(len(ranks))
    return ranks


def _fresh(series: Ints, rows: Ints, encoding: Bytes) -> Chunks:
    """`rows`: (position, length, mint, maxt) of new chunks."""
    position, length, mint, maxt = (np.ascontiguousarray(rows[:, k]) for k in range(4))
    none = np.zeros(len(rows), np.int32)
    return Chunks(series, none, none.astype(np.int64), none.copy(), position, length, encoding, mint, maxt)


def _any(chunks: Chunks, cuts: Cuts, segments: Sequence[Bytes]) -> tuple[Chunks, Bytes]:
    """One cluster with histograms, and perhaps floats."""
    at, lows, highs = cuts.take(chunks.number)
    samples: dict[int, Value] = {}
    for c in np.argsort(_ranks(chunks)).tolist():
        start = int(chunks.position[c])
        data = segments[int(chunks.segment[c])][start : start + int(chunks.length[c])]
        gone = list(zip(lows[at[c] : at[c + 1]].tolist(), highs[at[c] : at[c + 1]].tolist(), strict=True))
        for t, value in decode(data, int(chunks.encoding[c])):
            if not any(low <= t <= high for low, high in gone):
                samples.setdefault(t, value)
    parts, rows, encodings, end = [], [], [], 0
    times = sorted(samples)
    for encoding, data_out, mint, maxt in encode(times, [samples[t] for t in times]):
        rows.append((end, len(data_out), mint, maxt))
        encodings.append(encoding)
        parts.append(data_out)
        end += len(data_out)
    series = np.repeat(chunks.series[:1], len(rows))
    buffer = np.frombuffer(bytearray(b"".join(parts) + bytes(8)), np.uint8)
    return _fresh(series, np.array(rows, np.int64).reshape(-1, 4), np.array(encodings, np.uint8)), buffer
