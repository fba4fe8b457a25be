"""The write-ahead log back into the head: rows in bulk, open chunks from a checkpoint. Called by `storage.recovery` and
`storage.checkpoint`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int, load64, store64
from styr.metrics.kernels.head import (
    DELTA,
    DONE,
    HISTOGRAM,
    LAST_T,
    LAST_V,
    MAX_T,
    MIN_T,
    MINT,
    NEXT,
    PACKED,
    RESUME,
    SIZES,
    SLAB,
    append_samples,
    take_slab,
)
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.varint import read_uvarint
from styr.metrics.kernels.wal import decode_row

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]

AT, COLUMNS, READY, CLOSED = range(4)
"""Columns of `layouts`: where its columns begin in `slots` and `last`, how many it has, whether a whole row has been read, and
the time until which all its series have their samples in closed chunks."""
RECORD, INSIDE, SKIPPED = range(3)
"""Fields of `progress`: the next record; 1 when its row is decoded already; rows that made no sense."""
OPEN_HEADER = 7 * 8
"""Bytes of an open chunk's entry before its data: reference, MINT, NEXT, LAST_T, LAST_V, DELTA, PACKED."""


@kernel(
    "i8(u1[::1], i8[::1], i8, i8[:, ::1], i4[::1], i8[::1], i8[::1], i8[:, ::1], u1[::1], i8[::1], i8[::1], u1[::1], "
    "i8[:, ::1], i8[::1], u1[::1])"
)
def replay_rows(
    data: Bytes,
    starts: Ints,
    end: Int,
    layouts: Ints,
    slots: Slots,
    last: Ints,
    progress: Ints,
    state: Ints,
    slabs: Bytes,
    pool: Ints,
    info: Ints,
    stage: Bytes,
    chunks: Ints,
    refs: Ints,
    result: Bytes,
) -> Int:
    """Appends the row records `progress[RECORD] .. end - 1`. Returns DONE, or what is missing before it can go on."""
    t = np.zeros(1, np.int64)
    while progress[RECORD] < end:
        i = progress[RECORD]
        number, at = read_uvarint(data, starts[i] + 1, starts[i + 1])
        if at < 0 or at + 9 > starts[i + 1] or number < 0 or number >= len(layouts) or layouts[number, COLUMNS] < 0:
            progress[SKIPPED] += 1
            progress[RECORD] += 1
            continue
        t[0] = np.int64(load64(data, at))
        first, behind = layouts[number, AT], layouts[number, AT] + layouts[number, COLUMNS]
        if not progress[INSIDE]:
            whole = data[at + 8]
            good = decode_row(data, at + 8, starts[i + 1], last[first:behind]) >= 0 and (
                whole or layouts[number, READY]
            )
            layouts[number, READY] = good
            if not good:
                progress[SKIPPED] += 1
                progress[RECORD] += 1
                continue
            if t[0] <= layouts[number, CLOSED]:
                progress[RECORD] += 1
                continue
            progress[INSIDE] = 1
            info[RESUME] = 0
        missing = append_samples(
            state, slabs, pool, info, stage, chunks, refs, slots[first:behind], t, 0, last[first:behind], result
        )
        if missing != DONE:
            return missing
        progress[INSIDE] = 0
        progress[RECORD] += 1
    return DONE


@kernel("i8(i8[:, ::1], u1[::1], i8[::1], i4[::1], u1[::1], i8)")
def write_open(state: Ints, slabs: Bytes, refs: Ints, slots: Slots, out: Bytes, at: Int) -> Int:
    """The open float chunks of `slots` as entries of an open-chunks record, to `out[at:]`. Returns the next byte; 1,144 bytes
    for each slot suffice."""
    for i in range(len(slots)):
        slot = np.int64(slots[i])
        packed = state[slot, PACKED]
        if (packed >> 16) & 0xFFFF == 0 or (packed >> 56) & HISTOGRAM:
            continue
        store64(out, at, np.uint64(refs[slot]))
        store64(out, at + 8, np.uint64(state[slot, MINT]))
        store64(out, at + 16, np.uint64(state[slot, NEXT]))
        store64(out, at + 24, np.uint64(state[slot, LAST_T]))
        store64(out, at + 32, np.uint64(state[slot, LAST_V]))
        store64(out, at + 40, np.uint64(state[slot, DELTA]))
        store64(out, at + 48, np.uint64(packed))
        length, begin = ((packed & 0xFFFF) + 7) >> 3, state[slot, SLAB]
        at += OPEN_HEADER
        out[at : at + length] = slabs[begin : begin + length]
        at += length
    return at


@kernel("i8(u1[::1], i8, i8, i8[::1])")
def open_refs(data: Bytes, at: Int, end: Int, entries: Ints) -> Int:
    """Where the entries of an open-chunks record begin. Returns how many, -1 when it is corrupt."""
    n = 0
    while at < end:
        if at + OPEN_HEADER > end:
            return -1
        packed = np.int64(load64(data, at + 48))
        bits, size = packed & 0xFFFF, (packed >> 48) & 0xFF
        if size >= len(SIZES) or bits > 8 * SIZES[size] or bits < 88 or (packed >> 16) & 0xFFFF == 0:
            return -1
        entries[n] = at
        n += 1
        at += OPEN_HEADER + ((bits + 7) >> 3)
    return n if at == end else -1


@kernel("i8(u1[::1], i8[::1], i4[::1], i8, i8[:, ::1], u1[::1], i8[::1], i8[::1])")
def restore_open(
    data: Bytes, entries: Ints, slots: Slots, first: Int, state: Ints, slabs: Bytes, pool: Ints, info: Ints
) -> Int:
    """Opens the chunks again for series (slot -1: gone) that have none and no sample as new. Returns -1, or the entry at which
    `slabs` must grow."""
    for i in range(first, len(slots)):
        at, slot = entries[i], np.int64(slots[i])
        last = np.int64(load64(data, at + 24))
        if slot < 0 or (state[slot, PACKED] >> 16) & 0xFFFF or last <= state[slot, LAST_T]:
            continue
        packed = np.int64(load64(data, at + 48))
        place = take_slab(slabs, pool, (packed >> 48) & 0xFF)
        if place < 0:
            return i
        length = ((packed & 0xFFFF) + 7) >> 3
        slabs[place : place + length] = data[at + OPEN_HEADER : at + OPEN_HEADER + length]
        state[slot, SLAB] = place
        state[slot, MINT] = np.int64(load64(data, at + 8))
        state[slot, NEXT] = np.int64(load64(data, at + 16))
        state[slot, LAST_T] = last
        state[slot, LAST_V] = np.int64(load64(data, at + 32))
        state[slot, DELTA] = np.int64(load64(data, at + 40))
        state[slot, PACKED] = packed & ((1 << 56) - 1)
        info[MAX_T] = max(info[MAX_T], last)
        info[MIN_T] = min(info[MIN_T], state[slot, MINT])
    return -1
