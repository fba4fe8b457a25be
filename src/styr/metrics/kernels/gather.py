"""From the head's arrays to a `ChunkSet`'s, and from chunks to samples. Called by `storage.headread` and `storage.select`.

Chunks lie in several files and buffers. A kernel takes them by address: `bases[s]` is where segment s begins and `sizes[s]`
how many bytes of it may be read. The caller keeps the arrays alive.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Int
from styr.metrics.kernels.head import CHUNK_MAXT, CHUNK_MINT, LINK, WHERE
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.xor import xor_count, xor_decode_until
from styr.metrics.kernels.xor2 import xor2_decode

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]
Bytes = NDArray[np.uint8]

_intrinsic: Any = intrinsic
_types: Any = types
carray: Any = numba.carray  # type: ignore[attr-defined]


def _pointer(_context: Any, address: Any) -> Any:
    """An integer as a pointer to bytes."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(_types.CPointer(_types.uint8)))

    return _types.CPointer(_types.uint8)(_types.int64), generate


pointer: Any = _intrinsic(_pointer)


@kernel(
    "void(i8[::1], i8[::1], i8[::1], i8[:, ::1], i8, i8[::1], i8[::1], i8, i8[::1], i8[::1], i4[::1], i8[::1], i8[::1], "
    "u1[::1], i8[::1], i8[::1])"
)
def collect(
    order: Ints,
    closed: Ints,
    rows: Ints,
    chunks: Ints,
    first: Int,
    starts: Ints,
    open_times: Ints,
    open_segment: Int,
    offsets: Ints,
    staged: Ints,
    segment: Slots,
    position: Ints,
    length: Ints,
    encoding: Bytes,
    mint: Ints,
    maxt: Ints,
) -> None:
    """The chunks of series `order[i]`, in that order: the closed ones `rows[closed[k]:closed[k + 1]]` of `chunks`, then the
    open one (`starts[k]:starts[k + 1]` of segment `open_segment`, times `open_times[2 * k:2 * k + 2]`) where there is one.
    File f is segment f - `first`; but what lies at offset `staged[1]` or later of file `staged[0]` is in segment `staged[2]`,
    from 0 on. `offsets` and all behind `staged` are filled."""
    to = np.int64(0)
    offsets[0] = 0
    for i in range(len(order)):
        k = order[i]
        for c in range(closed[k], closed[k + 1]):
            row = rows[c]
            file, at = chunks[row, WHERE] >> 32, chunks[row, WHERE] & 0xFFFFFFFF
            if file == staged[0] and at >= staged[1]:
                segment[to], position[to] = staged[2], at - staged[1]
            else:
                segment[to], position[to] = file - first, at
            link = chunks[row, LINK]
            length[to], encoding[to] = link & 0xFFFFFF, (link >> 24) & 0xFF
            mint[to], maxt[to] = chunks[row, CHUNK_MINT], chunks[row, CHUNK_MAXT]
            to += 1
        if starts[k + 1] > starts[k]:
            segment[to], position[to] = open_segment, starts[k]
            length[to], encoding[to] = starts[k + 1] - starts[k], 1
            mint[to], maxt[to] = open_times[2 * k], open_times[2 * k + 1]
            to += 1
        offsets[i + 1] = to


@kernel("i8(i8[::1], i8[::1], i4[::1], i8[::1], i8[::1], u1[::1], i8[::1])")
def count_samples(
    bases: Ints, sizes: Ints, segment: Slots, position: Ints, length: Ints, encoding: Bytes, counts: Ints
) -> Int:
    """How many samples each chunk says it has. Returns -1, or the first chunk that is out of bounds of its segment."""
    for c in range(len(segment)):
        s = segment[c]
        if position[c] < 0 or length[c] < 2 or position[c] + length[c] > sizes[s]:
            return c
        data = carray(pointer(bases[s]), (sizes[s],))
        counts[c] = xor_count(data, position[c])
        if encoding[c] > 4:  # Histograms with start timestamps have flags in the two bits before.
            counts[c] &= 0x3FFF
    return -1


@kernel()
def trim(t: Ints, v: Ints, first: Int, last: Int, start: Int, end: Int) -> Int:
    """Moves the samples of `first .. last - 1` with times in start..end to `first`. Returns the index behind them."""
    low = first
    while low < last and t[low] < start:
        low += 1
    high = last
    while high > low and t[high - 1] > end:
        high -= 1
    if low > first:
        for i in range(low, high):
            t[first + i - low], v[first + i - low] = t[i], v[i]
    return first + high - low


@kernel()
def merge_late(t: Ints, v: Ints, first: Int, middle: Int, last: Int, spare_t: Ints, spare_v: Ints) -> Int:
    """Merges two sorted neighbours in place, of equal times the first one's sample stays. Returns the index behind them."""
    n = middle - first
    spare_t[:n], spare_v[:n] = t[first:middle], v[first:middle]
    i, j, to = 0, middle, first
    while i < n and j < last:
        if spare_t[i] <= t[j]:
            if spare_t[i] == t[j]:
                j += 1
            now, value = spare_t[i], spare_v[i]
            i += 1
        else:
            now, value = t[j], v[j]
            j += 1
        t[to], v[to] = now, value
        to += 1
    while i < n:
        t[to], v[to] = spare_t[i], spare_v[i]
        i += 1
        to += 1
    while j < last:
        t[to], v[to] = t[j], v[j]
        j += 1
        to += 1
    return to


@kernel(
    "i8(i8[::1], i8[::1], i4[::1], i8[::1], i8[::1], u1[::1], i8[::1], i8[::1], i8[::1], i8, i8, i8, i8, i8[::1], i8[::1], "
    "i8[::1])"
)
def decode_series(
    bases: Ints,
    sizes: Ints,
    segment: Slots,
    position: Ints,
    length: Ints,
    encoding: Bytes,
    mint: Ints,
    maxt: Ints,
    chunk_at: Ints,
    first: Int,
    last: Int,
    start: Int,
    end: Int,
    offsets: Ints,
    t: Ints,
    v: Ints,
) -> Int:
    """Decodes series `first .. last - 1`, whose chunks are `chunk_at[i]:chunk_at[i + 1]` (those of histograms are left
    out), to `t` and `v` (bits): series i gets `offsets[i - first]:offsets[i - first + 1]`, only times in start..end,
    sorted, each time once. Returns -1, or the first chunk that is corrupt."""
    to = np.int64(0)
    offsets[0] = 0
    spare_t, spare_v = np.empty(0, np.int64), np.empty(0, np.int64)
    for i in range(first, last):
        begin = to
        for c in range(chunk_at[i], chunk_at[i + 1]):
            if (encoding[c] != 1 and encoding[c] != 4) or mint[c] > end or maxt[c] < start:
                continue
            s = segment[c]
            data = carray(pointer(bases[s]), (sizes[s],))
            if encoding[c] == 1:
                got = xor_decode_until(data, position[c], length[c], t, v, to, end)
            else:
                got = xor2_decode(data, position[c], length[c], t, v, to)
            if got < 0:
                return c
            behind = to + got
            if mint[c] < start or maxt[c] > end:
                behind = trim(t, v, to, behind, start, end)
            if to > begin and behind > to and t[to] <= t[to - 1]:
                if to - begin > len(spare_t):
                    spare_t, spare_v = np.empty(2 * (to - begin), np.int64), np.empty(2 * (to - begin), np.int64)
                behind = merge_late(t, v, begin, to, behind, spare_t, spare_v)
            to = behind
        offsets[i - first + 1] = to
    return -1
