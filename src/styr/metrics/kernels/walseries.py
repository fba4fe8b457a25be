"""Series records of the write-ahead log in bulk: label pairs become numbers without ever being strings. Called by
`storage.seriesreplay`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int, load64
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.varint import read_uvarint

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]


@kernel()
def hash_bytes(data: Bytes, start: Int, end: Int) -> Int:
    """Reads up to 8 bytes behind `end`, and ignores them."""
    value = np.uint64(end - start) * np.uint64(0x9E3779B97F4A7C15)
    at = start
    while at < end:
        word = load64(data, at)
        if at + 8 > end:
            word >>= np.uint64(8 * (at + 8 - end))
        value = (value ^ word) * np.uint64(0xD6E8FEB86659FD93)
        value ^= value >> np.uint64(32)
        at += 8
    return np.int64(value >> np.uint64(1))


@kernel()
def same_bytes(a: Bytes, at: Int, b: Bytes, start: Int, length: Int) -> Int:
    for i in range(length):  # noqa: SIM110  # numba compiles no generator expression
        if a[at + i] != b[start + i]:
            return False
    return True


@kernel()
def intern(data: Bytes, start: Int, end: Int, known: Bytes, ends: Ints, table: Slots, count: Ints) -> Int:
    """The number of the bytes `data[start:end]` among the `count[0]` in `known`, put there if they are new."""
    mask = len(table) - 1
    place = hash_bytes(data, start, end) & mask
    while table[place]:
        number = np.int64(table[place]) - 1
        length = ends[number + 1] - ends[number]
        if length == end - start and same_bytes(known, ends[number], data, start, length):
            return number
        place = (place + 1) & mask
    number = count[0]
    count[0] = number + 1
    table[place] = number + 1
    known[ends[number] : ends[number] + end - start] = data[start:end]
    ends[number + 1] = ends[number] + end - start
    return number


@kernel("void(u1[::1], i8[::1], i4[::1], i8)")
def reintern(known: Bytes, ends: Ints, table: Slots, count: Int) -> None:
    """Fills an empty table with the first `count` of `known`."""
    mask = len(table) - 1
    for number in range(count):
        place = hash_bytes(known, ends[number], ends[number + 1]) & mask
        while table[place]:
            place = (place + 1) & mask
        table[place] = number + 1


@kernel()
def label_end(data: Bytes, at: Int, end: Int) -> Int:
    """The byte behind a name and a value; -1 when they are cut off."""
    for _ in range(2):
        length, at = read_uvarint(data, at, end)
        if at < 0 or length < 0 or length > end - at:
            return -1
        at += length
    return at


@kernel("i8(u1[::1], i8, i8, i8[::1], i8[::1], i4[::1], u1[::1], i8[::1], i4[::1], i8[::1])")
def decode_series(
    data: Bytes,
    at: Int,
    end: Int,
    refs: Ints,
    offsets: Ints,
    pairs: Slots,
    known: Bytes,
    ends: Ints,
    table: Slots,
    count: Ints,
) -> Int:
    """Series of a series record from byte `at` on: series i has the reference `refs[i]` and the pairs
    `pairs[offsets[i]:offsets[i + 1]]`. A pair's number is that of its bytes (length, name, length, value) among `known`.
    `count[0]` pairs are known and `count[1]` series are there already. Room: a series for each 9 bytes, a pair for each 2,
    `known` as much as the records. Returns 0; -1 when the record is corrupt; or, when `table` is half full, where to go on."""
    i = count[1]
    to = offsets[i]
    while at < end:
        if at + 8 > end:
            return -1
        ref = np.int64(load64(data, at))
        labels, after = read_uvarint(data, at + 8, end)
        if after < 0 or labels < 0 or labels > end - after:
            return -1
        if 2 * (count[0] + labels) > len(table):
            return at
        at = after
        for _ in range(labels):
            after = label_end(data, at, end)
            if after < 0:
                return -1
            pairs[to] = intern(data, at, after, known, ends, table, count)
            to += 1
            at = after
        refs[i] = ref
        i += 1
        offsets[i] = to
        count[1] = i
    return 0
