"""Which series there are: label sets as rows of pair numbers in one arena, a hash table over them, postings of each pair.
Called by `storage.series` and `storage.postings` under the head's lock.
 A pair is one (name, value), numbered by the caller. The label set of a slot is `labels[at[slot]:at[slot] + count[slot]]`,
its pairs in the order of their names. `table` is open addressing (slot + 1, 0 is free), its size a power of two, at most half
full. Postings of a pair are `arena[start:start + used]` of its row in `lists`; a full one moves to twice the room.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int
from styr.metrics.kernels.jit import kernel

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]

SLOTS, FREE, LABELS, POSTINGS, NEXT_REF, LIVE, RESUME = range(7)
FIELDS = 7
"""Fields of `info`: slots ever used; entries in `free`, `labels`, `arena`; the next reference; live series; where to go on."""

START, USED, ROOM = range(3)
"""Columns of `lists`."""


@kernel()
def hash_of(pairs: Slots, first: Int, last: Int) -> Int:
    """Of pairs `first .. last - 1`."""
    value = np.uint64(0xCBF29CE484222325)
    for i in range(first, last):
        value = (value ^ np.uint64(pairs[i])) * np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(29)
    return np.int64(value >> np.uint64(1))


@kernel()
def same(pairs: Slots, first: Int, last: Int, labels: Slots, at: Int, count: Int) -> Int:
    if last - first != count:
        return False
    for i in range(count):  # noqa: SIM110  # numba compiles no generator expression
        if pairs[first + i] != labels[at + i]:
            return False
    return True


@kernel()
def probe(table: Slots, labels: Slots, at: Ints, count: Slots, pairs: Slots, first: Int, last: Int) -> Int:
    """The place in `table` of the series, or the free place where it would go."""
    mask = len(table) - 1
    place = hash_of(pairs, first, last) & mask
    while table[place]:
        slot = np.int64(table[place]) - 1
        if same(pairs, first, last, labels, at[slot], np.int64(count[slot])):
            return place
        place = (place + 1) & mask
    return place


@kernel()
def post(lists: Ints, arena: Slots, info: Ints, pair: Int, slot: Int) -> None:
    """Adds a slot to a pair's postings; there is room for twice the list in `arena`."""
    used, room = lists[pair, USED], lists[pair, ROOM]
    if used == room:
        begin, wanted = info[POSTINGS], max(1, 2 * room)
        old = lists[pair, START]
        arena[begin : begin + used] = arena[old : old + used]
        lists[pair, START], lists[pair, ROOM] = begin, wanted
        info[POSTINGS] = begin + wanted
    arena[lists[pair, START] + used] = slot
    lists[pair, USED] = used + 1


@kernel()
def post_all(lists: Ints, arena: Slots, info: Ints, labels: Slots, begin: Int, n: Int, slot: Int) -> Int:
    """Adds a slot to all its pairs' postings. Returns whether `arena` had room (if not, nothing was added)."""
    need = 0
    for i in range(begin, begin + n):
        if lists[labels[i], USED] == lists[labels[i], ROOM]:
            need += max(1, 2 * lists[labels[i], ROOM])
    if info[POSTINGS] + need > len(arena):
        return False
    for i in range(begin, begin + n):
        post(lists, arena, info, np.int64(labels[i]), slot)
    return True


@kernel(
    "i8(i4[::1], i8[::1], i8[::1], i4[::1], i8[::1], i4[::1], i8[::1], i4[::1], i4[::1], i8[:, ::1], i4[::1], i8[::1], i4[::1])"
)
def register(
    pairs: Slots,
    offsets: Ints,
    wanted: Ints,
    labels: Slots,
    at: Ints,
    count: Slots,
    refs: Ints,
    table: Slots,
    free: Slots,
    lists: Ints,
    arena: Slots,
    info: Ints,
    found: Slots,
) -> Int:
    """The slot of each series, made where there is none: series i has the pairs `offsets[i]:offsets[i + 1]`, and gets the
    reference `wanted[i]`, or the next one when that is 0. `found[i]` is its slot, or -1 - slot when it is new. Begins at
    `info[RESUME]`; all arrays but `arena` have room for everything. Returns 1 when `arena` must grow before it can go on,
    else 0."""
    for i in range(info[RESUME], len(offsets) - 1):
        first, last = offsets[i], offsets[i + 1]
        place = probe(table, labels, at, count, pairs, first, last)
        if table[place]:
            found[i] = table[place] - 1
            continue
        begin = info[LABELS]
        labels[begin : begin + last - first] = pairs[first:last]
        slot = np.int64(free[info[FREE] - 1]) if info[FREE] else info[SLOTS]
        if not post_all(lists, arena, info, labels, begin, last - first, slot):
            info[RESUME] = i
            return 1
        if info[FREE]:
            info[FREE] -= 1
        else:
            info[SLOTS] = slot + 1
        at[slot], count[slot] = begin, last - first
        info[LABELS] = begin + last - first
        ref = wanted[i] if wanted[i] else info[NEXT_REF]
        refs[slot] = ref
        info[NEXT_REF] = max(info[NEXT_REF], ref + 1)
        info[LIVE] += 1
        table[place] = slot + 1
        found[i] = -1 - slot
    info[RESUME] = len(offsets) - 1
    return 0


@kernel("void(i4[::1], i4[::1], i8[::1], i4[::1], i8[::1], i8)")
def rehash(table: Slots, labels: Slots, at: Ints, count: Slots, refs: Ints, slots: Int) -> None:
    """Fills an empty table with all live slots (those with a reference)."""
    mask = len(table) - 1
    for slot in range(slots):
        if refs[slot]:
            place = hash_of(labels, at[slot], at[slot] + np.int64(count[slot])) & mask
            while table[place]:
                place = (place + 1) & mask
            table[place] = slot + 1


@kernel("i8(i4[::1], i8[::1], i4[::1], i8[::1], i8, i4[::1], i8[:, ::1], i4[::1])")
def rebuild(
    labels: Slots, at: Ints, count: Slots, refs: Ints, slots: Int, kept: Slots, lists: Ints, arena: Slots
) -> Int:
    """Copies the label sets of live slots to `kept` and makes all postings anew, without gaps; `lists` is zeros and becomes
    the new one, `arena` has a place for each label of a live slot. Returns how much of `kept` is used."""
    to = np.int64(0)
    for slot in range(slots):
        if refs[slot]:
            n = np.int64(count[slot])
            kept[to : to + n] = labels[at[slot] : at[slot] + n]
            at[slot] = to
            to += n
    for i in range(to):
        lists[kept[i], ROOM] += 1
    begin = np.int64(0)
    for pair in range(len(lists)):
        lists[pair, START] = begin
        begin += lists[pair, ROOM]
    for slot in range(slots):
        if refs[slot]:
            for i in range(at[slot], at[slot] + np.int64(count[slot])):
                arena[lists[kept[i], START] + lists[kept[i], USED]] = slot
                lists[kept[i], USED] += 1
    return to


@kernel("i8(i4[::1], i8, i4[::1], i8[::1], i4[::1], i4[::1], i8, u1[::1], u1)")
def keep_slots(
    slots: Slots, n: Int, labels: Slots, at: Ints, count: Slots, name_of: Slots, name: Int, good: Bytes, absent: Int
) -> Int:
    """Of the first `n` of `slots`, moves those to the front whose pair of the label `name` is `good[pair]`, or that have none
    when `absent`. Returns how many."""
    kept = 0
    for i in range(n):
        slot = np.int64(slots[i])
        answer = absent
        for k in range(at[slot], at[slot] + np.int64(count[slot])):
            if name_of[labels[k]] == name:
                answer = good[labels[k]]
                break
        if answer:
            slots[kept] = slots[i]
            kept += 1
    return kept


@kernel("void(i4[::1], i4[::1], i8[::1], i4[::1], u1[::1])")
def mark_pairs(slots: Slots, labels: Slots, at: Ints, count: Slots, used: Bytes) -> None:
    """`used[pair] = 1` for every pair of `slots`."""
    for i in range(len(slots)):
        slot = np.int64(slots[i])
        for k in range(at[slot], at[slot] + np.int64(count[slot])):
            used[labels[k]] = 1


@kernel("void(i4[::1], i4[::1], i8[::1], i4[::1], i4[::1], i4[::1], i4[::1], i4[:, ::1])")
def fill_columns(
    slots: Slots, labels: Slots, at: Ints, count: Slots, name_of: Slots, column_of: Slots, symbol: Slots, out: Slots
) -> None:
    """`out[i, column_of[name]]`: the symbol of the value of that label of `slots[i]`; `out` is zeros before."""
    for i in range(len(slots)):
        slot = np.int64(slots[i])
        for k in range(at[slot], at[slot] + np.int64(count[slot])):
            out[i, column_of[name_of[labels[k]]]] = symbol[labels[k]]
