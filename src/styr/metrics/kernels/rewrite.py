"""Chunks of floats that overlap, or of which a part is deleted, to new chunks. Called by `storage.block.merge`.

A cluster is the chunks of one series that overlap each other. Its samples come out sorted, one for each time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.xor import xor_decode, xor_encode

Ints = NDArray[np.int64]


@kernel("i8(i8[::1], i8[::1], i8[::1], b1[::1])")
def find_clusters(series: Ints, mint: Ints, maxt: Ints, first: NDArray[np.bool_]) -> Int:
    """Of chunks sorted by (series, mint): `first[c]` says whether chunk c begins a cluster. Returns how many there are."""
    found, newest = 0, np.int64(0)
    for c in range(len(series)):
        first[c] = c == 0 or series[c] != series[c - 1] or mint[c] > newest
        newest = maxt[c] if first[c] else max(newest, maxt[c])
        found += first[c]
    return found


@kernel()
def _without(t: Ints, v: Ints, at: Int, count: Int, lows: Ints, highs: Ints, first: Int, last: Int) -> Int:
    """Of the samples `at .. at + count - 1` drops those whose times are in the ranges `first .. last - 1` (inclusive, rising).
    Returns how many stay."""
    kept, k = at, first
    for i in range(at, at + count):
        while k < last and highs[k] < t[i]:
            k += 1
        if k == last or t[i] < lows[k]:
            t[kept], v[kept] = t[i], v[i]
            kept += 1
    return kept - at


@kernel()
def _fold(t: Ints, v: Ints, ranks: Ints, total: Int, room: Int, run: Int) -> Int:
    """Merges the `run` samples at `room` into the `total` samples at 0; of equal times that with the least rank is kept."""
    i, j, begin = 0, room, 3 * room
    k = begin
    while i < total or j < room + run:
        if j == room + run or (i < total and t[i] <= t[j]):
            source = i
            i += 1
        else:
            source = j
            j += 1
        if k > begin and t[k - 1] == t[source]:
            if ranks[source] >= ranks[k - 1]:
                continue
            k -= 1
        t[k], v[k], ranks[k] = t[source], v[source], ranks[source]
        k += 1
    for i in range(k - begin):
        t[i], v[i], ranks[i] = t[begin + i], v[begin + i], ranks[begin + i]
    return k - begin


@kernel()
def _cluster(
    data: Bytes,
    position: Ints,
    length: Ints,
    rank: Ints,
    cut_at: Ints,
    lows: Ints,
    highs: Ints,
    first: Int,
    last: Int,
    t: Ints,
    v: Ints,
    ranks: Ints,
) -> Int:
    """The samples of chunks `first .. last - 1`. Returns how many, -1 when one is corrupt or they are too many. `t`, `v` and
    `ranks` have four equal parts: the result, the run of one source, one chunk, what `_fold` makes."""
    room = len(t) >> 2
    total, run = 0, 0
    for c in range(first, last):
        count = xor_decode(data, position[c], length[c], t, v, 2 * room)
        if count < 0 or count > room:
            return -1
        count = _without(t, v, 2 * room, count, lows, highs, cut_at[c], cut_at[c + 1])
        if count == 0:
            continue
        if run and t[2 * room] <= t[room + run - 1]:
            total = _fold(t, v, ranks, total, room, run)
            run = 0
        if total + run + count > room:
            return -1
        for i in range(count):
            to = room + run + i
            t[to], v[to], ranks[to] = t[2 * room + i], v[2 * room + i], rank[c]
        run += count
    return _fold(t, v, ranks, total, room, run)


@kernel(
    "i8(u1[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8, i8[::1], i8[::1], i8[::1], u1[::1], "
    "i8[::1], i8[:, ::1])"
)
def rewrite(
    data: Bytes,
    position: Ints,
    length: Ints,
    rank: Ints,
    cut_at: Ints,
    lows: Ints,
    highs: Ints,
    cluster_at: Ints,
    most: Int,
    t: Ints,
    v: Ints,
    ranks: Ints,
    out: Bytes,
    made: Ints,
    chunks: Ints,
) -> Int:
    """Cluster k is the chunks `cluster_at[k] .. cluster_at[k + 1] - 1` of `data`, those of one source behind each other. Of
    chunk c the ranges `cut_at[c] .. cut_at[c + 1] - 1` of `lows`, `highs` are deleted; of samples with the same time that of
    the chunk with the least `rank` stays. New chunks of at most `most` samples come to `out`; `made[k + 1]` counts those of
    clusters 0 to k, and the rows of `chunks` get (start, length, mint, maxt) of each. `t`, `v` and `ranks` are four times as
    long as the biggest cluster. Returns -1, or the first cluster that is corrupt or does not fit.
    """
    at, number = 0, 0
    for k in range(len(cluster_at) - 1):
        first, last = cluster_at[k], cluster_at[k + 1]
        count = _cluster(data, position, length, rank, cut_at, lows, highs, first, last, t, v, ranks)
        if count < 0:
            return k
        for begin in range(0, count, most):
            end = min(begin + most, count)
            size = xor_encode(t, v, begin, end, out, at)
            if size < 0 or number >= len(chunks):
                return k
            chunks[number, 0], chunks[number, 1] = at, size
            chunks[number, 2], chunks[number, 3] = t[begin], t[end - 1]
            at += size
            number += 1
        made[k + 1] = number
    return -1
