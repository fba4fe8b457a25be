"""Finding the chunks in a file of chunks_head/ at a start, and linking them to their series. Called by `storage.headchunks`
and `storage.recovery`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int, load64
from styr.metrics.kernels.crc import crc32c
from styr.metrics.kernels.head import (
    CHUNK,
    CHUNK_MAXT,
    CHUNK_MINT,
    CHUNKS,
    LAST_T,
    LINK,
    MAX_T,
    MIN_T,
    PACKED,
    UNKNOWN,
    WHERE,
)
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.varint import read_uvarint

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]

REF, MINT, MAXT, POSITION, LENGTH, ENCODING = range(6)
"""Columns of `found`; ENCODING with the out-of-order bit (128)."""


@kernel("i8(u1[::1], i8, i8[:, ::1], i8[::1])")
def scan_chunks(data: Bytes, at: Int, found: Ints, good: Ints) -> Int:
    """All chunks from byte `at` of a file on, in order. Returns how many; `good[0]` is the byte behind the last whole one,
    `good[1]` is 1 when only zeros follow (a file is longer than what was written to it), else 0."""
    n, end = 0, len(data)
    good[0] = at
    good[1] = 1
    while at + 8 * 3 + 1 + 1 + 4 <= end and n < len(found):
        if load64(data, at) == 0 and load64(data, at + 8) == 0 and load64(data, at + 16) == 0:
            break
        length, begin = read_uvarint(data, at + 25, min(end, at + 30))
        if begin < 0 or length < 0 or begin + length + 4 > end:
            break
        crc = np.int64(0)
        for i in range(4):
            crc = crc << 8 | np.int64(data[begin + length + i])
        if np.int64(crc32c(data, at, begin + length)) != crc:
            break
        found[n, REF] = np.int64(load64(data, at))
        found[n, MINT] = np.int64(load64(data, at + 8))
        found[n, MAXT] = np.int64(load64(data, at + 16))
        found[n, ENCODING] = np.int64(data[at + 24])
        found[n, POSITION] = begin
        found[n, LENGTH] = length
        n += 1
        at = begin + length + 4
        good[0] = at
    for i in range(at, end):
        if data[i]:
            good[1] = 0
            break
    return n


@kernel("i8(i8[:, ::1], i4[::1], i8[::1], i8, i8[:, ::1], i8[::1], i8[:, ::1])")
def attach_chunks(found: Ints, slots: Slots, files: Ints, mint: Int, state: Ints, info: Ints, chunks: Ints) -> Int:
    """Links chunks of file `files[i]` to the series in `slots[i]` (-1: unknown), oldest first; those that end before `mint`,
    are out of order, or do not come after the ones before are left out. `chunks` has room for all. Returns how many were
    linked."""
    n = 0
    for i in range(len(slots)):
        slot, maxt = np.int64(slots[i]), found[i, MAXT]
        if slot < 0 or maxt < mint or found[i, ENCODING] >= 128 or found[i, MINT] <= state[slot, LAST_T]:
            continue
        row = info[CHUNKS]
        chunks[row, WHERE] = files[i] << 32 | found[i, POSITION]
        chunks[row, CHUNK_MINT] = found[i, MINT]
        chunks[row, CHUNK_MAXT] = maxt
        chunks[row, LINK] = (state[slot, CHUNK] + 1) << 32 | found[i, ENCODING] << 24 | found[i, LENGTH]
        state[slot, CHUNK] = row
        state[slot, LAST_T] = maxt
        state[slot, PACKED] = UNKNOWN << 56
        info[CHUNKS] = row + 1
        info[MAX_T] = max(info[MAX_T], maxt)
        info[MIN_T] = min(info[MIN_T], found[i, MINT])
        n += 1
    return n
