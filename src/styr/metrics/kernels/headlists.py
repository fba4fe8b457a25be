"""The head's chunks for readers: copies of open ones, lists of closed ones. Called by `storage.headstate` under the head's
lock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int
from styr.metrics.kernels.head import CHUNK, CHUNK_MAXT, CHUNK_MINT, HISTOGRAM, LINK, PACKED, SLAB, free_slab
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.xor import set_count

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]


@kernel("i8(i8[:, ::1], u1[::1], i4[::1], u1[::1], i8[::1])")
def copy_open(state: Ints, slabs: Bytes, slots: Slots, out: Bytes, starts: Ints) -> Int:
    """Copies open float chunks: that of `slots[i]` to `out[starts[i]:starts[i + 1]]`, nothing where there is none. Returns the
    total length; when that is more than `out` holds, only the sizes are right."""
    at = np.int64(0)
    starts[0] = 0
    for i in range(len(slots)):
        slot = np.int64(slots[i])
        packed = state[slot, PACKED]
        count = (packed >> 16) & 0xFFFF
        if count and not (packed >> 56) & HISTOGRAM:
            length = ((packed & 0xFFFF) + 7) >> 3
            if at + length <= len(out):
                begin = state[slot, SLAB]
                out[at : at + length] = slabs[begin : begin + length]
                set_count(out, at, count)
            at += length
        starts[i + 1] = at
    return at


@kernel("void(i8[:, ::1], u1[::1], i8[::1], i4[::1])")
def release(state: Ints, slabs: Bytes, pool: Ints, slots: Slots) -> None:
    """Clears the rows of series that go, and frees the slabs of their open float chunks."""
    for i in range(len(slots)):
        slot = np.int64(slots[i])
        packed = state[slot, PACKED]
        if (packed >> 16) & 0xFFFF and not (packed >> 56) & HISTOGRAM:
            free_slab(slabs, pool, state[slot, SLAB], (packed >> 48) & 0xFF)
        state[slot] = 0


@kernel("i8(i8[:, ::1], i8[:, ::1], i4[::1], i8, i8, i8[::1])")
def count_chunks(state: Ints, chunks: Ints, slots: Slots, start: Int, end: Int, offsets: Ints) -> Int:
    """`offsets[i + 1] - offsets[i]`: closed chunks of `slots[i]` with samples in start..end, both inclusive. Returns all."""
    offsets[0] = 0
    for i in range(len(slots)):
        n = 0
        at = state[np.int64(slots[i]), CHUNK]
        while at >= 0:
            if chunks[at, CHUNK_MAXT] >= start and chunks[at, CHUNK_MINT] <= end:
                n += 1
            at = (chunks[at, LINK] >> 32) - 1
        offsets[i + 1] = offsets[i] + n
    return offsets[len(slots)]


@kernel("void(i8[:, ::1], i8[:, ::1], i4[::1], i8, i8, i8[::1], i8[::1])")
def list_chunks(state: Ints, chunks: Ints, slots: Slots, start: Int, end: Int, offsets: Ints, rows: Ints) -> None:
    """Rows of `chunks`, oldest first, in the places that `count_chunks` counted."""
    for i in range(len(slots)):
        to = offsets[i + 1]
        at = state[np.int64(slots[i]), CHUNK]
        while at >= 0:
            if chunks[at, CHUNK_MAXT] >= start and chunks[at, CHUNK_MINT] <= end:
                to -= 1
                rows[to] = at
            at = (chunks[at, LINK] >> 32) - 1


@kernel("i8(i8[:, ::1], i8[:, ::1], i8[:, ::1], i4[::1], i8)")
def drop_chunks(state: Ints, chunks: Ints, kept: Ints, slots: Slots, mint: Int) -> Int:
    """Copies the closed chunks of `slots` (all that there are) that end at `mint` or later to `kept`, and links them. Returns
    how many."""
    n = np.int64(0)
    for i in range(len(slots)):
        slot = np.int64(slots[i])
        at, newer = state[slot, CHUNK], np.int64(-1)
        state[slot, CHUNK] = -1
        while at >= 0:
            link = chunks[at, LINK]
            if chunks[at, CHUNK_MAXT] >= mint:
                kept[n] = chunks[at]
                kept[n, LINK] = link & 0xFFFFFFFF
                if newer < 0:
                    state[slot, CHUNK] = n
                else:
                    kept[newer, LINK] |= (n + 1) << 32
                newer = n
                n += 1
            at = (link >> 32) - 1
    return n
