"""Samples into open chunks, full chunks out of them: the inner loop of the head. Called by `storage.head` under its lock.

Each series has a slot: one row of `state` (64 bytes, one cache line). Its open chunk lies in `slabs`, in a slab of one of nine
sizes, and moves to the next size when it is full. Chunks are cut where Prometheus cuts them (tsdb/head_append.go): at the end
of the block range, at the time that spreads the samples evenly once a quarter is there, at twice the target, at 1,005 bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int, load64, store64
from styr.metrics.kernels.crc import crc32c
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.varint import write_uvarint
from styr.metrics.kernels.xor import NO_WINDOW, dod_bits, put_head, put_time, put_value, set_count, value_bits

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]

LAST_T, LAST_V, DELTA, MINT, NEXT, PACKED, SLAB, CHUNK = range(8)
"""Columns of `state`: newest time and value bits, newest delta, first time and cut time of the open chunk, PACKED, the byte of
its slab, and the newest closed chunk (-1: none)."""

NEVER = -(1 << 63)
"""LAST_T of a series without a sample."""

UNKNOWN, HISTOGRAM = 1, 2
"""Flags of a slot: LAST_V is not known (the sample is only in a closed chunk); the open chunk holds histograms."""

RESUME, STAGED, CHUNKS, MAX_T, MIN_T, MIN_VALID, RANGE, TARGET, FILE, BASE = range(10)
ADDED, DUPLICATE, OUT_OF_ORDER, TOO_OLD = range(10, 14)
INFO = 14
"""Fields of `info`: index of the next sample, bytes in `stage`, rows in `chunks`, newest and oldest time of the head, oldest
time that is taken, range of a block, samples that a chunk should have, number of the head chunk file, its offset that `stage`
begins at; then counts."""

WHERE, CHUNK_MINT, CHUNK_MAXT, LINK = range(4)
"""Columns of `chunks`: file << 32 | offset of the data; times; (chunk before + 1) << 32 | encoding << 24 | length."""

DONE, NO_SLAB, NO_STAGE, NO_CHUNK, IS_HISTOGRAM = range(5)
"""What `append_samples` returns: done, or what is missing before it can go on at `info[RESUME]`."""

OK, IS_DUPLICATE, IS_OUT_OF_ORDER, IS_TOO_OLD, IS_GONE = range(5)
"""What became of one sample."""

SIZES = np.array([64, 96, 128, 192, 256, 384, 512, 768, 1088], np.int64)
MOST_BYTES = 1005
"""A chunk longer than this takes no more."""
FRAME = 8 * 3 + 1 + 3 + 4
"""Bytes around a chunk's data in a head chunk file, at most (the length is under 2 MiB)."""


@kernel()
def pack(bit: Int, count: Int, leading: Int, trailing: Int, size: Int, flags: Int) -> Int:
    return bit | (count << 16) | (leading << 32) | (trailing << 40) | (size << 48) | (flags << 56)


@kernel()
def take_slab(slabs: Bytes, pool: Ints, size: Int) -> Int:
    """The byte of a free slab, -1 when `slabs` must grow first. `pool[0]` is where no slab has been yet; `pool[1 + size]` the
    first free slab of a size (-1: none), which holds the byte of the next."""
    free = pool[1 + size]
    if free >= 0:
        pool[1 + size] = np.int64(load64(slabs, free))
        return free
    at = pool[0]
    if at + SIZES[size] > len(slabs):
        return -1
    pool[0] = at + SIZES[size]
    return at


@kernel("void(u1[::1], i8[::1], i8, i8)")
def free_slab(slabs: Bytes, pool: Ints, at: Int, size: Int) -> None:
    store64(slabs, at, np.uint64(pool[1 + size]))
    pool[1 + size] = at


@kernel("i8(i8, i8)")
def range_end(t: Int, width: Int) -> Int:
    """The end of the block range that holds `t`."""
    return (t // width) * width + width


@kernel()
def even_end(mint: Int, maxt: Int, end: Int) -> Int:
    """When to cut, a quarter of the chunk being there, so that the chunks up to `end` come out about equal."""
    n = (end - mint) // ((maxt - mint + 1) * 4)
    return end if n <= 1 else mint + (end - mint) // n


@kernel("UniTuple(i8, 2)(i8, i8, i8, i8, u1[::1], i8, i8, u1[::1], i8)")
def stage_chunk(
    ref: Int, mint: Int, maxt: Int, encoding: Int, data: Bytes, start: Int, length: Int, stage: Bytes, at: Int
) -> tuple[Int, Int]:
    """Frames a chunk as in chunks_head/. Returns (where its data begins, next byte) of `stage`."""
    store64(stage, at, np.uint64(ref))
    store64(stage, at + 8, np.uint64(mint))
    store64(stage, at + 16, np.uint64(maxt))
    stage[at + 24] = np.uint8(encoding)
    begin = write_uvarint(stage, at + 25, length)
    end = begin + length
    stage[begin:end] = data[start : start + length]
    crc = crc32c(stage, at, end)
    for i in range(4):
        stage[end + i] = np.uint8((np.uint64(crc) >> np.uint64(24 - 8 * i)) & np.uint64(255))
    return begin, end + 4


@kernel("void(i8[:, ::1], i8, i8[::1], i8[:, ::1], i8, i8, i8, i8)")
def link_chunk(state: Ints, slot: Int, info: Ints, chunks: Ints, where: Int, mint: Int, maxt: Int, meta: Int) -> None:
    """Makes a chunk the newest closed one of a series; `meta` is encoding << 24 | length."""
    row = info[CHUNKS]
    chunks[row, WHERE] = where
    chunks[row, CHUNK_MINT] = mint
    chunks[row, CHUNK_MAXT] = maxt
    chunks[row, LINK] = ((state[slot, CHUNK] + 1) << 32) | meta
    state[slot, CHUNK] = row
    info[CHUNKS] = row + 1


@kernel()
def cut(state: Ints, slot: Int, slabs: Bytes, pool: Ints, info: Ints, stage: Bytes, chunks: Ints, ref: Int) -> Int:
    """Closes the open chunk of floats. Returns DONE or what is missing."""
    packed = state[slot, PACKED]
    length = ((packed & 0xFFFF) + 7) >> 3
    if info[STAGED] + length + FRAME > len(stage):
        return NO_STAGE
    if info[CHUNKS] >= len(chunks):
        return NO_CHUNK
    at = state[slot, SLAB]
    set_count(slabs, at, (packed >> 16) & 0xFFFF)
    mint, maxt = state[slot, MINT], state[slot, LAST_T]
    begin, end = stage_chunk(ref, mint, maxt, 1, slabs, at, length, stage, info[STAGED])
    where = (info[FILE] << 32) | (info[BASE] + begin)
    info[STAGED] = end
    link_chunk(state, slot, info, chunks, where, mint, maxt, (1 << 24) | length)
    free_slab(slabs, pool, at, (packed >> 48) & 0xFF)
    state[slot, PACKED] = 0
    return DONE


@kernel()
def open_chunk(state: Ints, slot: Int, slabs: Bytes, pool: Ints, info: Ints, t: Int, v: Int) -> Int:
    at = take_slab(slabs, pool, 0)
    if at < 0:
        return NO_SLAB
    bit = put_head(slabs, at, t, v)
    state[slot, SLAB] = at
    state[slot, MINT] = t
    state[slot, NEXT] = range_end(t, info[RANGE])
    state[slot, DELTA] = 0
    state[slot, PACKED] = pack(bit, 1, NO_WINDOW, 0, 0, 0)
    return DONE


@kernel()
def add(state: Ints, slot: Int, slabs: Bytes, pool: Ints, packed: Int, t: Int, v: Int) -> Int:
    """One sample to an open chunk, moved to a larger slab when it must. Returns DONE, or NO_SLAB and has changed nothing."""
    bit, count = packed & 0xFFFF, (packed >> 16) & 0xFFFF
    leading, trailing, size = (packed >> 32) & 0xFF, (packed >> 40) & 0xFF, (packed >> 48) & 0xFF
    step, xor = t - state[slot, LAST_T], v ^ state[slot, LAST_V]
    change = step - state[slot, DELTA]
    need = 80 + 77 if count == 1 else 5 + dod_bits(change) + value_bits(xor, leading, trailing)
    at = state[slot, SLAB]
    if bit + need > SIZES[size] * 8:
        wanted = size + 1
        while bit + need > SIZES[wanted] * 8:
            wanted += 1
        place = take_slab(slabs, pool, wanted)
        if place < 0:
            return NO_SLAB
        used = (bit + 7) >> 3
        slabs[place : place + used] = slabs[at : at + used]
        free_slab(slabs, pool, at, size)
        state[slot, SLAB] = place
        at, size = place, wanted
    end = at + SIZES[size]
    where = at * 8 + bit
    where = put_time(slabs, where, change, end) if count > 1 else write_uvarint(slabs, where >> 3, step) * 8
    where, leading, trailing = put_value(slabs, where, xor, leading, trailing, end)
    state[slot, DELTA] = step
    state[slot, PACKED] = pack(where - at * 8, count + 1, leading, trailing, size, 0)
    return DONE


@kernel()
def repeat(state: Ints, slot: Int, slabs: Bytes, info: Ints, t: Int, v: Int) -> Int:
    """The sample that most are: the value and the step of the one before, two zero bits, no end of the chunk in sight. Returns
    whether it was that and is appended; a byte is only written where the bits begin one."""
    if v != state[slot, LAST_V] or t - state[slot, LAST_T] != state[slot, DELTA] or t >= state[slot, NEXT]:
        return False
    packed = state[slot, PACKED]
    bit, count = packed & 0xFFFF, (packed >> 16) & 0xFFFF
    if count < 2 or count >= 2 * info[TARGET] or count == info[TARGET] >> 2 or bit > MOST_BYTES * 8 or packed >> 56:
        return False
    inside = bit & 7
    if inside == 0 or inside == 7:
        if bit + 2 > SIZES[(packed >> 48) & 0xFF] * 8:
            return False
        slabs[state[slot, SLAB] + ((bit + 1) >> 3)] = 0
    state[slot, PACKED] = packed + 2 + (1 << 16)
    state[slot, LAST_T] = t
    return True


@kernel()
def refusal(state: Ints, slot: Int, info: Ints, t: Int, v: Int) -> Int:
    """Prometheus' rules for a sample that is not newer than the series' newest, or is older than what the head takes: what to
    tell, or -1 when it is the very sample that is there."""
    last = state[slot, LAST_T]
    if t >= info[MIN_VALID] and t == last:
        known = (state[slot, PACKED] >> 56) & UNKNOWN == 0
        return -1 if not known or state[slot, LAST_V] == v else IS_DUPLICATE
    return IS_TOO_OLD if t < info[MIN_VALID] else IS_OUT_OF_ORDER


@kernel()
def append_one(
    state: Ints, slot: Int, slabs: Bytes, pool: Ints, info: Ints, stage: Bytes, chunks: Ints, ref: Int, t: Int, v: Int
) -> Int:
    """A sample that is newer than all of its series."""
    packed = state[slot, PACKED]
    count = (packed >> 16) & 0xFFFF
    if count:
        if (packed >> 56) & HISTOGRAM:
            return IS_HISTOGRAM
        if count == info[TARGET] >> 2:
            state[slot, NEXT] = even_end(state[slot, MINT], state[slot, LAST_T], state[slot, NEXT])
        if t >= state[slot, NEXT] or count >= 2 * info[TARGET] or (packed & 0xFFFF) > MOST_BYTES * 8:
            missing = cut(state, slot, slabs, pool, info, stage, chunks, ref)
            if missing != DONE:
                return missing
            count = 0
    missing = add(state, slot, slabs, pool, packed, t, v) if count else open_chunk(state, slot, slabs, pool, info, t, v)
    if missing == DONE:
        state[slot, LAST_T] = t
        state[slot, LAST_V] = v
    return missing


@kernel(
    "i8(i8[:, ::1], u1[::1], i8[::1], i8[::1], u1[::1], i8[:, ::1], i8[::1], i4[::1], i8[::1], i8, i8[::1], u1[::1])"
)
def append_samples(
    state: Ints,
    slabs: Bytes,
    pool: Ints,
    info: Ints,
    stage: Bytes,
    chunks: Ints,
    refs: Ints,
    slots: Slots,
    t: Ints,
    step: Int,
    v: Ints,
    result: Bytes,
) -> Int:
    """Sample i, from `info[RESUME]` on: value bits `v[i]` at time `t[i * step]` for slot `slots[i]` (-1: gone). `result[i]`
    says what became of it. Returns DONE, or what the caller must provide before it calls again with the same arguments."""
    for i in range(info[RESUME], len(slots)):
        slot, now = np.int64(slots[i]), t[i * step]
        if slot < 0:
            result[i] = IS_GONE
            continue
        if now <= state[slot, LAST_T] or now < info[MIN_VALID]:
            told = refusal(state, slot, info, now, v[i])
            result[i] = OK if told < 0 else told
            info[ADDED + result[i]] += 1
            continue
        if not repeat(state, slot, slabs, info, now, v[i]):
            missing = append_one(state, slot, slabs, pool, info, stage, chunks, refs[slot], now, v[i])
            if missing != DONE:
                info[RESUME] = i
                return missing
        result[i] = OK
        info[ADDED] += 1
        info[MAX_T] = max(info[MAX_T], now)
        info[MIN_T] = min(info[MIN_T], now)
    info[RESUME] = len(slots)
    return DONE


@kernel("i8(i8[:, ::1], u1[::1], i8[::1], i8[::1], u1[::1], i8[:, ::1], i8[::1], i4[::1])")
def cut_many(
    state: Ints, slabs: Bytes, pool: Ints, info: Ints, stage: Bytes, chunks: Ints, refs: Ints, slots: Slots
) -> Int:
    """Closes the open float chunks of `slots`, from index `info[RESUME]` on. Returns as `append_samples` does."""
    for i in range(info[RESUME], len(slots)):
        slot = np.int64(slots[i])
        packed = state[slot, PACKED]
        if (packed >> 16) & 0xFFFF and not (packed >> 56) & HISTOGRAM:
            missing = cut(state, slot, slabs, pool, info, stage, chunks, refs[slot])
            if missing != DONE:
                info[RESUME] = i
                return missing
    info[RESUME] = len(slots)
    return DONE
