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
    MIN_VALID,
    MINT,
    NEXT,
    PACKED,
    SIZES,
    SLAB,
    append_one,
    repeat,
    take_slab,
)
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.varint import read_uvarint
from styr.metrics.kernels.wal import ROW, decode_row

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]

BATCH = 16
"""Rows of a layout that wait until they are appended, column by column: so a series' state is fetched once for all of them."""

AT, COLUMNS, READY, CLOSED, WAITING, SHARED = range(6)
"""Columns of `layouts`: where its columns begin in `slots` and `last`, how many it has, whether a whole row has been read,
the time until which all its series have their samples in closed chunks, how many rows wait, and whether a newer layout has
series of it, so that its rows cannot wait."""
RECORD, SKIPPED, UNFINISHED, COLUMN, AGAIN, SLOT = range(6)
"""Fields of `progress`: the next record; rows that made no sense; the layout whose rows are being appended (-1: none), the
column and the row there; the slot of that column."""
OPEN_HEADER = 7 * 8
"""Bytes of an open chunk's entry before its data: reference, MINT, NEXT, LAST_T, LAST_V, DELTA, PACKED."""


@kernel()
def append_waiting(
    number: Int,
    layouts: Ints,
    slots: Slots,
    waiting: Ints,
    times: Ints,
    progress: Ints,
    state: Ints,
    slabs: Bytes,
    pool: Ints,
    info: Ints,
    stage: Bytes,
    chunks: Ints,
    refs: Ints,
) -> Int:
    """Appends the waiting rows of a layout, from `progress[COLUMN]` and `progress[AGAIN]` on. Returns DONE or what is
    missing."""
    base, n, count = layouts[number, AT], layouts[number, COLUMNS], layouts[number, WAITING]
    for c in range(progress[COLUMN], n):
        slot = np.int64(slots[base + c])
        for r in range(progress[AGAIN], count if slot >= 0 else 0):
            t, v = times[number * BATCH + r], waiting[base * BATCH + r * n + c]
            if t <= state[slot, LAST_T] or t < info[MIN_VALID] or repeat(state, slot, slabs, info, t, v):
                continue
            missing = append_one(state, slot, slabs, pool, info, stage, chunks, refs[slot], t, v)
            if missing != DONE:
                progress[COLUMN], progress[AGAIN], progress[SLOT] = c, r, slot
                return missing
        progress[AGAIN] = 0
    for r in range(count):
        t = times[number * BATCH + r]
        if t >= info[MIN_VALID]:
            info[MAX_T], info[MIN_T] = max(info[MAX_T], t), min(info[MIN_T], t)
    layouts[number, WAITING] = progress[COLUMN] = 0
    return DONE


@kernel()
def other_waiting(layouts: Ints, number: Int) -> Int:
    """A layout other than `number` whose rows wait; -1 when there is none."""
    for other in range(len(layouts)):
        if other != number and layouts[other, WAITING] > 0:
            return other
    return -1


@kernel()
def row_at(data: Bytes, start: Int, end: Int, layouts: Ints, progress: Ints) -> tuple[Int, Int]:
    """(layout, where the time is) of a record; the layout is -1 when it is no row, or one that makes no sense, which is
    counted."""
    if start >= end or data[start] != ROW:
        return np.int64(-1), np.int64(-1)
    number, at = read_uvarint(data, start + 1, end)
    if at >= 0 and at + 9 <= end and 0 <= number < len(layouts) and layouts[number, COLUMNS] >= 0:
        return number, at
    progress[SKIPPED] += 1
    return np.int64(-1), np.int64(-1)


@kernel()
def take_row(data: Bytes, at: Int, end: Int, number: Int, layouts: Ints, last: Ints, waiting: Ints, times: Ints) -> Int:
    """Decodes a row, whose time is at `at`, and lets it wait. Returns whether it made sense."""
    base, n = layouts[number, AT], layouts[number, COLUMNS]
    t: Int = np.int64(load64(data, at))
    good = (data[at + 8] or layouts[number, READY]) and decode_row(data, at + 8, end, last[base : base + n]) >= 0
    layouts[number, READY] = good
    if good and t > layouts[number, CLOSED]:
        row = layouts[number, WAITING]
        begin = base * BATCH + row * n
        waiting[begin : begin + n] = last[base : base + n]
        times[number * BATCH + row] = t
        layouts[number, WAITING] = row + 1
    return good


@kernel(
    "i8(u1[::1], i8[::1], i8, u1, i8[:, ::1], i4[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[:, ::1], u1[::1], i8[::1], "
    "i8[::1], u1[::1], i8[:, ::1], i8[::1])"
)
def replay_rows(
    data: Bytes,
    starts: Ints,
    end: Int,
    everything: Int,
    layouts: Ints,
    slots: Slots,
    last: Ints,
    waiting: Ints,
    times: Ints,
    progress: Ints,
    state: Ints,
    slabs: Bytes,
    pool: Ints,
    info: Ints,
    stage: Bytes,
    chunks: Ints,
    refs: Ints,
) -> Int:
    """Takes the row records among `progress[RECORD] .. end - 1`; others are passed over. With `everything`, no row waits
    afterwards. Returns DONE, or what is missing before it can go on."""
    while True:
        if progress[UNFINISHED] >= 0:
            missing = append_waiting(
                progress[UNFINISHED],
                layouts,
                slots,
                waiting,
                times,
                progress,
                state,
                slabs,
                pool,
                info,
                stage,
                chunks,
                refs,
            )
            if missing != DONE:
                return missing
            progress[UNFINISHED] = -1
        i = progress[RECORD]
        if i >= end:
            progress[UNFINISHED] = other_waiting(layouts, -1) if everything else -1
            if progress[UNFINISHED] < 0:
                return DONE
            continue
        number, at = row_at(data, starts[i], starts[i + 1], layouts, progress)
        if number >= 0:
            if layouts[number, SHARED]:
                progress[UNFINISHED] = other_waiting(layouts, number)
                if progress[UNFINISHED] >= 0:
                    continue
            if not take_row(data, at, starts[i + 1], number, layouts, last, waiting, times):
                progress[SKIPPED] += 1
            if layouts[number, WAITING] >= (1 if layouts[number, SHARED] else BATCH):
                progress[UNFINISHED] = number
        progress[RECORD] += 1


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
