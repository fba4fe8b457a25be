"""The index of a block: writing its symbols, series, postings and offset table in bulk. `index` is the other half.

Called by `storage.block` (indexwriter). The layout is in docs/formats/metrics-block.md; "ordinal" is a symbol's number in the
sorted symbol table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int
from styr.metrics.kernels.crc import crc32c
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.varint import write_u32, write_uvarint, write_varint

Ints = NDArray[np.int64]
Ids = NDArray[np.int32]

ALIGNMENT = 16
"""A series entry begins at a multiple of this; its number is the multiple."""


@kernel("i8(i4[::1], i4[::1], i8, i8[::1], i4[::1], i4[::1])")
def add_pairs(column: Ids, ordinals: Ids, name: Int, cursor: Ints, names: Ids, values: Ids) -> Int:
    """Appends one label to each series that has it: `ordinals[column[i]]` at `cursor[i]`, which moves on. Returns -1."""
    for i in range(len(column)):
        if column[i] != 0:
            names[cursor[i]], values[cursor[i]] = name, ordinals[column[i]]
            cursor[i] += 1
    return -1


@kernel()
def _write_chunks(out: Bytes, at: Int, first: Int, last: Int, refs: Ints, mints: Ints, maxts: Ints) -> Int:
    at = write_uvarint(out, at, last - first)
    for k in range(first, last):
        at = write_varint(out, at, mints[k]) if k == first else write_uvarint(out, at, mints[k] - maxts[k - 1])
        at = write_uvarint(out, at, maxts[k] - mints[k])
        at = write_uvarint(out, at, refs[k]) if k == first else write_varint(out, at, refs[k] - refs[k - 1])
    return at


@kernel("i8(i8, i8, i8[::1], i4[::1], i4[::1], i8[::1], i8[::1], i8[::1], i8[::1], u1[::1], i8[::1])")
def write_series(
    first: Int,
    last: Int,
    label_at: Ints,
    names: Ids,
    values: Ids,
    chunk_at: Ints,
    refs: Ints,
    mints: Ints,
    maxts: Ints,
    out: Bytes,
    places: Ints,
) -> Int:
    """Series entries `first .. last - 1` to `out`, which is in the file at a multiple of 16 and long enough (`series_bound`);
    `places` gets where in `out` each begins. Returns the length; padding comes before an entry, not after the last."""
    at = 0
    for i in range(first, last):
        while at % ALIGNMENT:
            out[at] = 0
            at += 1
        places[i] = at
        body = at + 5
        end = write_uvarint(out, body, label_at[i + 1] - label_at[i])
        for k in range(label_at[i], label_at[i + 1]):
            end = write_uvarint(out, end, names[k])
            end = write_uvarint(out, end, values[k])
        end = _write_chunks(out, end, chunk_at[i], chunk_at[i + 1], refs, mints, maxts)
        size = end - body
        at = write_uvarint(out, at, size)
        for k in range(size):
            out[at + k] = out[body + k]
        write_u32(out, at + size, np.int64(crc32c(out, at, at + size)))
        at += size + 4
    return at


def series_bound(labels: int, chunks: int, series: int) -> int:
    """How long a buffer `write_series` may need."""
    return series * 64 + labels * 10 + chunks * 30


@kernel("i8(i4[::1], i4[::1], i8[::1], i8[::1], u1[::1], i4[::1], i8[::1])")
def write_postings(column: Ids, ordinals: Ids, ids: Ints, counts: Ints, out: Bytes, values: Ids, starts: Ints) -> Int:
    """The postings lists of one label name: for each value, in the order of ordinals, the `ids` of the series with it. `counts`
    (one for each symbol) is all zero before and after. `values` and `starts` get each list's value and place in `out`, and
    after the last value -1, if there is room. Returns the length written."""
    for i in range(len(column)):
        if column[i] != 0:
            counts[ordinals[column[i]]] += 1
    at, lists = 0, 0
    for ordinal in range(len(counts)):
        count = counts[ordinal]
        if count:
            values[lists], starts[lists] = ordinal, at
            write_u32(out, write_u32(out, at, 4 + 4 * count), count)
            counts[ordinal] = at + 8
            at += 12 + 4 * count
            lists += 1
    for i in range(len(column)):
        if column[i] != 0:
            ordinal = ordinals[column[i]]
            counts[ordinal] = write_u32(out, counts[ordinal], ids[i])
    for k in range(lists):
        end = counts[values[k]]
        write_u32(out, end, np.int64(crc32c(out, starts[k] + 4, end)))
        counts[values[k]] = 0
    if lists < len(values):
        values[lists] = -1
    return at


@kernel("i8(u1[::1], i8[::1], u1[::1])")
def write_symbols(blob: Bytes, bounds: Ints, out: Bytes) -> Int:
    """Symbol i is `blob[bounds[i]:bounds[i + 1]]`. Returns the length, -1 when `out` is too short."""
    at = 0
    for i in range(len(bounds) - 1):
        at = _write_string(blob, bounds, i, out, at)
        if at < 0:
            return -1
    return at


@kernel()
def _write_string(blob: Bytes, bounds: Ints, i: Int, out: Bytes, at: Int) -> Int:
    size = bounds[i + 1] - bounds[i]
    if at + 10 + size > len(out):
        return -1
    at = write_uvarint(out, at, size)
    for k in range(size):
        out[at + k] = blob[bounds[i] + k]
    return at + size


@kernel("i8(i4[::1], i4[::1], i8[::1], u1[::1], i8[::1], u1[::1])")
def write_table(names: Ids, values: Ids, offsets: Ints, blob: Bytes, bounds: Ints, out: Bytes) -> Int:
    """Entries of the postings offset table: name and value as symbols' ordinals, as `write_symbols` has them. Returns the
    length, -1 when `out` is too short."""
    at = 0
    for i in range(len(names)):
        if at + 12 > len(out):
            return -1
        at = write_uvarint(out, at, 2)
        at = _write_string(blob, bounds, names[i], out, at)
        if at < 0:
            return -1
        at = _write_string(blob, bounds, values[i], out, at)
        if at < 0 or at + 10 > len(out):
            return -1
        at = write_uvarint(out, at, offsets[i])
    return at


@kernel("i8(i8[::1], i4[::1], i4[::1])")
def first_unsorted(label_at: Ints, names: Ids, values: Ids) -> Int:
    """The first series that does not come after the one before it, -1 when all do. Labels compare pairwise, name before value;
    of two that agree as far as the shorter goes, the shorter is first."""
    for i in range(1, len(label_at) - 1):
        a, b = label_at[i - 1], label_at[i]
        while a < label_at[i] and b < label_at[i + 1] and names[a] == names[b] and values[a] == values[b]:
            a, b = a + 1, b + 1
        if b == label_at[i + 1]:
            return i
        if a < label_at[i] and (names[a] > names[b] or (names[a] == names[b] and values[a] > values[b])):
            return i
    return -1
