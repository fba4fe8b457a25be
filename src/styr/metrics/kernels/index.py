"""The index of a block: reading its symbols, series and offset table in bulk. `indexwriter` is the other half.

Called by `storage.block` (index). The layout is in docs/formats/metrics-block.md. Readers check every bound and
checksum and say where they stopped; "ordinal" is a symbol's number in the sorted symbol table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int
from styr.metrics.kernels.crc import crc32c
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.varint import read_u32, read_uvarint, read_varint

Ints = NDArray[np.int64]
Ids = NDArray[np.int32]
Columns = NDArray[np.int32]


@kernel("i8(u1[::1], i8, i8, i8[::1])")
def scan_symbols(data: Bytes, at: Int, end: Int, entries: Ints) -> Int:
    """Where each entry (length, string) of the table begins. Returns the position behind the last, -1 when they do not fit."""
    for i in range(len(entries)):
        size, after = read_uvarint(data, at, end)
        if after < 0 or size < 0 or size > end - after:
            return -1
        entries[i] = at
        at = after + size
    return at


@kernel("i8(u1[::1], i8[::1], i8[::1], i8[::1], i8[::1])")
def strings_at(data: Bytes, entries: Ints, which: Ints, starts: Ints, ends: Ints) -> Int:
    """The bounds of the strings of the entries `which`, which `scan_symbols` has checked. Returns -1."""
    for i in range(len(which)):
        size, after = read_uvarint(data, entries[which[i]], len(data))
        starts[i], ends[i] = after, after + size
    return -1


@kernel("i8(u1[::1], i8[::1], i8[::1], u1[::1])")
def join_strings(data: Bytes, starts: Ints, ends: Ints, out: Bytes) -> Int:
    """Copies `data[starts[i]:ends[i]]` one behind the other to `out`, a zero byte behind each. Returns the length, -1 when one
    has a zero byte itself or they do not fit."""
    at = 0
    for i in range(len(starts)):
        if at + ends[i] - starts[i] >= len(out):
            return -1
        for k in range(starts[i], ends[i]):
            if data[k] == 0:
                return -1
            out[at] = data[k]
            at += 1
        out[at] = 0
        at += 1
    return at


@kernel()
def _same(data: Bytes, a: Int, b: Int, size: Int) -> Int:
    for k in range(size):  # noqa: SIM110  # a kernel has no generators
        if data[a + k] != data[b + k]:
            return False
    return True


@kernel()
def _table_entry(data: Bytes, at: Int, end: Int) -> tuple[Int, Int, Int, Int, Int]:
    """(start and length of the name, start and length of the value, position after it) of an entry of the offset table; the
    position is -1 when it is malformed. The offset is between the value and that position."""
    keys, at = read_uvarint(data, at, end)
    if at < 0 or keys != 2:
        return 0, 0, 0, 0, -1
    name_size, name = read_uvarint(data, at, end)
    if name < 0 or name_size < 0 or name_size > end - name:
        return 0, 0, 0, 0, -1
    value_size, value = read_uvarint(data, name + name_size, end)
    if value < 0 or value_size < 0 or value_size > end - value:
        return 0, 0, 0, 0, -1
    _, after = read_uvarint(data, value + value_size, end)
    return name, name_size, value, value_size, after


@kernel("i8(u1[::1], i8, i8, i8[::1], i8[::1])")
def scan_table(data: Bytes, at: Int, end: Int, entries: Ints, runs: Ints) -> Int:
    """Where each entry of the postings offset table begins, and in `runs` the numbers of the entries that begin another name.
    Returns how many names there are, -1 when an entry is malformed."""
    names, last, last_size = 0, np.int64(0), np.int64(-1)
    for i in range(len(entries)):
        name, size, _, _, after = _table_entry(data, at, end)
        if after < 0:
            return -1
        if size != last_size or not _same(data, name, last, size):
            runs[names] = i
            names += 1
        entries[i], last, last_size = at, name, size
        at = after
    return names


@kernel("i8(u1[::1], i8, i8[::1], i8[::1], i8[::1], i8[::1])")
def table_values(data: Bytes, end: Int, entries: Ints, starts: Ints, ends: Ints, offsets: Ints) -> Int:
    """The bounds of the values and the postings' offsets of `entries`, which `scan_table` has checked. Returns -1."""
    for i in range(len(entries)):
        _, _, value, size, _ = _table_entry(data, entries[i], end)
        starts[i], ends[i] = value, value + size
        offsets[i] = read_uvarint(data, value + size, end)[0]
    return -1


@kernel()
def _ordinal(symbols: Ints, reference: Int, by_position: Int) -> Int:
    """The ordinal that a label's reference means, -1 when there is none. Version 1 refers by position in the file."""
    if not by_position:
        return reference if 0 <= reference < len(symbols) else -1
    low, high = 0, len(symbols)
    while low < high:
        middle = (low + high) >> 1
        if symbols[middle] < reference:
            low = middle + 1
        else:
            high = middle
    return low if low < len(symbols) and symbols[low] == reference else -1


@kernel()
def _read_chunk(data: Bytes, at: Int, end: Int, first: Int, maxt: Int, ref: Int) -> tuple[Int, Int, Int, Int]:
    """The meta (mint, maxt, ref) of a series' chunk after that with `maxt` and `ref`; position after it, -1 when cut off."""
    if first:
        mint, at = read_varint(data, at, end)
    else:
        step, at = read_uvarint(data, at, end)
        mint = maxt + step
    if at < 0:
        return 0, 0, 0, -1
    span, at = read_uvarint(data, at, end)
    if at < 0:
        return 0, 0, 0, -1
    if first:
        ref, at = read_uvarint(data, at, end)
    else:
        jump, at = read_varint(data, at, end)
        ref += jump
    return mint, mint + span, ref, at


@kernel("i8(u1[::1], i8[::1], i8, i8, i8, i8[::1], i8[::1], i8[::1])")
def count_series(
    data: Bytes, positions: Ints, limit: Int, mint: Int, maxt: Int, bodies: Ints, labels: Ints, chunks: Ints
) -> Int:
    """Checks the series entries at `positions` (in `data[:limit]`, checksums included) and counts their labels and their chunks
    that overlap `mint .. maxt` (inclusive). `bodies` gets the positions behind their lengths. Returns -1, or the number of the
    first entry that is corrupt."""
    for i in range(len(positions)):
        if positions[i] < 0:
            return i
        size, at = read_uvarint(data, positions[i], limit)
        if at < 0 or size < 0 or size > limit - at - 4:
            return i
        end = at + size
        if np.int64(crc32c(data, at, end)) != read_u32(data, end):
            return i
        bodies[i] = at
        labels[i], at = read_uvarint(data, at, end)
        if at < 0 or labels[i] < 0 or labels[i] > size:
            return i
        for _ in range(2 * labels[i]):
            _, at = read_uvarint(data, at, end)
            if at < 0:
                return i
        count, at = read_uvarint(data, at, end)
        if at < 0 or count < 0 or count > size:
            return i
        low, high, ref, chunks[i] = np.int64(0), np.int64(0), np.int64(0), 0
        for k in range(count):
            low, high, ref, at = _read_chunk(data, at, end, k == 0, high, ref)
            if at < 0:
                return i
            chunks[i] += low <= maxt and high >= mint
    return -1


@kernel("i8(u1[::1], i8[::1], i8, i8, i8[::1], i8, i8[::1], i8[::1], i4[::1], i4[::1], i8[::1], i8[::1], i8[::1])")
def read_series(
    data: Bytes,
    bodies: Ints,
    mint: Int,
    maxt: Int,
    symbols: Ints,
    by_position: Int,
    label_at: Ints,
    chunk_at: Ints,
    names: Ids,
    values: Ids,
    refs: Ints,
    mints: Ints,
    maxts: Ints,
) -> Int:
    """Reads entries that `count_series` has checked. Series i gets its labels (ordinals) from `label_at[i]` on and its chunks
    that overlap from `chunk_at[i]` on. Returns -1, or the number of the first entry that refers to no symbol or has more than
    was counted."""
    for i in range(len(bodies)):
        to = label_at[i]
        count, at = read_uvarint(data, bodies[i], len(data))
        if count != label_at[i + 1] - to:
            return i
        for _ in range(count):
            name, at = read_uvarint(data, at, len(data))
            value, at = read_uvarint(data, at, len(data))
            names[to], values[to] = _ordinal(symbols, name, by_position), _ordinal(symbols, value, by_position)
            if names[to] < 0 or values[to] < 0:
                return i
            to += 1
        to = chunk_at[i]
        count, at = read_uvarint(data, at, len(data))
        low, high, ref = np.int64(0), np.int64(0), np.int64(0)
        for k in range(count):
            low, high, ref, at = _read_chunk(data, at, len(data), k == 0, high, ref)
            if low <= maxt and high >= mint:
                if to >= chunk_at[i + 1]:
                    return i
                refs[to], mints[to], maxts[to] = ref, low, high
                to += 1
    return -1


@kernel("i8(i4[::1], i4[::1], i8[::1], i4[::1], i4[::1], i4[:, ::1])")
def fill_columns(names: Ids, values: Ids, label_at: Ints, column_of: Ids, id_of: Ids, out: Columns) -> Int:
    """`out[column_of[name], series] = id_of[value]` for every label that `read_series` found. Returns -1."""
    for i in range(len(label_at) - 1):
        for k in range(label_at[i], label_at[i + 1]):
            out[column_of[names[k]], i] = id_of[values[k]]
    return -1
