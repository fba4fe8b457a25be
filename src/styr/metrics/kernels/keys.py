"""A hash table from the label bytes of a pushed series to its ref. Called by `remote/series.py`, which owns and grows the
arrays.

Open addressing, linear probing; keys (`kernels.wire` says what they are) lie one behind the other in an arena and are compared
byte by byte, so that no two label sets are ever taken for one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import load64
from styr.metrics.kernels.jit import kernel

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Int = Any


@kernel("i8(u1[::1], i8, i8, i8)")
def hash_key(keys: Bytes, start: Int, stop: Int, seed: Int) -> Int:
    """Not negative. Eight bytes a step, which may read up to 7 bytes behind `stop`: the buffer is padded."""
    multiplier = np.uint64(0x9E3779B97F4A7C15)
    state = np.uint64(seed) ^ np.uint64(stop - start)
    at = start
    while at < stop:
        word = load64(keys, at)
        left = stop - at
        if left < 8:
            word >>= np.uint64(64 - 8 * left)
        state = (state ^ word) * multiplier
        state ^= state >> np.uint64(29)
        at += 8
    state *= np.uint64(0xBF58476D1CE4E5B9)
    state ^= state >> np.uint64(32)
    return np.int64(state & np.uint64(0x7FFFFFFFFFFFFFFF))


@kernel()
def _same(one: Bytes, at: Int, other: Bytes, start: Int, length: Int) -> Int:
    i = 0
    while i + 8 <= length:
        if load64(one, at + i) != load64(other, start + i):
            return False
        i += 8
    while i < length:
        if one[at + i] != other[start + i]:
            return False
        i += 1
    return True


@kernel()
def _find(
    keys: Bytes, start: Int, length: Int, hashed: Int, slots: Ints, entries: Ints, arena: Bytes
) -> tuple[Int, Int]:
    """(entry or -1, the slot where it is or belongs)."""
    mask = len(slots) - 1
    slot = hashed & mask
    while True:
        entry = slots[slot]
        if entry < 0:
            return -1, slot
        alike = entries[entry, 0] == hashed and entries[entry, 2] == length
        if alike and _same(arena, entries[entry, 1], keys, start, length):
            return entry, slot
        slot = (slot + 1) & mask


@kernel("i8(u1[::1], i8[::1], i8, i8[::1], i8[:,::1], u1[::1], i8[::1], i8[::1])")
def look_up(
    keys: Bytes, key_ends: Ints, seed: Int, slots: Ints, entries: Ints, arena: Bytes, hashes: Ints, refs: Ints
) -> Int:
    """The ref of every key, -1 for those that are not known; `hashes` are kept for `remember`. Returns how many are not known.
    `entries` has (hash, place in the arena, length, ref)."""
    start, unknown = 0, 0
    for i in range(len(key_ends)):
        stop = key_ends[i]
        hashes[i] = hash_key(keys, start, stop, seed)
        entry, _ = _find(keys, start, stop - start, hashes[i], slots, entries, arena)
        refs[i] = entries[entry, 3] if entry >= 0 else -1
        unknown += entry < 0
        start = stop
    return unknown


@kernel("i8(u1[::1], i8, i8, i8, i8, i8[::1], i8[:,::1], u1[::1], i8, i8)")
def remember(
    keys: Bytes,
    start: Int,
    stop: Int,
    hashed: Int,
    ref: Int,
    slots: Ints,
    entries: Ints,
    arena: Bytes,
    used: Int,
    filled: Int,
) -> Int:
    """Puts one key in as entry number `used`, its bytes at `filled`; the caller has made room. Returns 1, or 0 when it was
    known already, which happens when a request names a series twice."""
    entry, slot = _find(keys, start, stop - start, hashed, slots, entries, arena)
    if entry >= 0:
        return 0
    for i in range(stop - start):
        arena[filled + i] = keys[start + i]
    entries[used, 0] = hashed
    entries[used, 1] = filled
    entries[used, 2] = stop - start
    entries[used, 3] = ref
    slots[slot] = used
    return 1


@kernel("void(i8[:,::1], i8, i8[::1])")
def rehash(entries: Ints, used: Int, slots: Ints) -> None:
    """Fills empty slots (-1) with the entries. The number of slots is a power of two."""
    mask = len(slots) - 1
    for entry in range(used):
        slot = entries[entry, 0] & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = entry
