"""The write-ahead log's bytes: records into pages and out of them, and the records that hold many numbers. Called by
`storage.wal`, `storage.records` and `kernels.replay`; docs/formats/metrics-wal.md draws them.

A page has 32 KiB; a fragment in it is: kind (u8), length (u16), CRC-32C (u32), data. Kinds: 1 a whole record, 2 its beginning,
3 a middle, 4 its end, 0 the rest of the page is empty; bits 8 and 16: the record is compressed with snappy or zstd.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int, clz, ctz, load64, store64
from styr.metrics.kernels.crc import crc32c
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.varint import read_varint, write_uvarint, write_varint

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]

PAGE, HEADER = 32 << 10, 7
SNAPPY, ZSTD = 8, 16
SAMPLES, LAYOUT, ROW = 2, 96, 97
"""Record types: Prometheus' samples; ours, which Prometheus skips as unknown."""


@kernel("i8(u1[::1], i8, i8, u1, u1[::1], i8, i8)")
def frame(record: Bytes, start: Int, end: Int, flags: Int, out: Bytes, at: Int, page: Int) -> Int:
    """Writes `record[start:end]` as fragments to `out[at:]`, the page being filled up to `page` bytes. Returns the next byte.
    There is room for 7 bytes a fragment and 6 of padding a page more than the record."""
    first = True
    while first or start < end:
        if PAGE - page < HEADER:
            out[at : at + PAGE - page] = 0
            at += PAGE - page
            page = 0
        length = min(end - start, PAGE - page - HEADER)
        last = start + length == end
        kind = (1 if last else 2) if first else (4 if last else 3)
        out[at] = np.uint8(kind | flags)
        out[at + 1], out[at + 2] = np.uint8(length >> 8), np.uint8(length & 255)
        crc = np.uint64(crc32c(record, start, start + length))
        for i in range(4):
            out[at + 3 + i] = np.uint8((crc >> np.uint64(24 - 8 * i)) & np.uint64(255))
        out[at + 7 : at + 7 + length] = record[start : start + length]
        at += HEADER + length
        page += HEADER + length
        start += length
        first = False
    if PAGE - page < HEADER:
        out[at : at + PAGE - page] = 0
        at += PAGE - page
    return at


@kernel()
def empty_until(data: Bytes, at: Int, end: Int) -> Int:
    for i in range(at, end):  # noqa: SIM110  # numba compiles no generator expression
        if data[i]:
            return False
    return True


@kernel()
def fragment(data: Bytes, at: Int, end: Int) -> Int:
    """The length of the fragment at `at`, whose header and data are there and right; -1 if not."""
    if at + HEADER > end:
        return -1
    length = np.int64(data[at + 1]) << 8 | np.int64(data[at + 2])
    if at % PAGE + HEADER + length > PAGE or at + HEADER + length > end:
        return -1
    crc = np.int64(0)
    for i in range(4):
        crc = crc << 8 | np.int64(data[at + 3 + i])
    return length if np.int64(crc32c(data, at + HEADER, at + HEADER + length)) == crc else -1


@kernel("i8(u1[::1], i8, u1[::1], i8[::1], u1[::1], i8[::1])")
def deframe(data: Bytes, end: Int, out: Bytes, starts: Ints, flags: Bytes, good: Ints) -> Int:
    """All whole records of a segment `data[:end]`, one behind the other in `out`: record i is `out[starts[i]:starts[i + 1]]`,
    compressed as `flags[i]` says. Returns how many; `good[0]` is the byte behind the last whole record, `good[1]` is 1 when
    nothing but padding follows, 0 when something is there that is no whole record."""
    at, to, n, inside = np.int64(0), np.int64(0), 0, False
    starts[0] = good[0] = 0
    while at < end:
        rest = PAGE - at % PAGE
        kind = data[at] & 7
        if kind == 0 or rest < HEADER:
            if inside and kind:
                break
            if not empty_until(data, at, min(at + rest, end)):
                break
            at += rest
            continue
        length = fragment(data, at, end)
        if length < 0 or kind > 4 or inside != (kind >= 3):
            break
        out[to : to + length] = data[at + HEADER : at + HEADER + length]
        to += length
        at += HEADER + length
        inside = kind == 2 or kind == 3
        if not inside:
            flags[n] = data[at - HEADER - length] & (SNAPPY | ZSTD)
            n += 1
            starts[n] = to
            good[0] = at
    good[1] = 1 if at >= end and not inside else 0
    return n


@kernel("i8(i8, i8[::1], u1[::1])")
def encode_layout(number: Int, refs: Ints, out: Bytes) -> Int:
    """A layout record: its number, how many columns, the references as differences. 20 bytes and 10 a column suffice."""
    out[0] = LAYOUT
    at = write_uvarint(out, write_uvarint(out, 1, number), len(refs))
    before = np.int64(0)
    for i in range(len(refs)):
        at = write_varint(out, at, refs[i] - before)
        before = refs[i]
    return at


@kernel("i8(u1[::1], i8, i8, i8[::1])")
def decode_layout(data: Bytes, at: Int, end: Int, refs: Ints) -> Int:
    """The references of a layout whose columns begin at `at`. Returns the next byte, -1 when it is cut off."""
    before = np.int64(0)
    for i in range(len(refs)):
        change, at = read_varint(data, at, end)
        if at < 0:
            return -1
        before += change
        refs[i] = before
    return at


@kernel("i8(i8, i8, i8[::1], i8[::1], u1, u1[::1])")
def encode_row(number: Int, t: Int, last: Ints, v: Ints, whole: Int, out: Bytes) -> Int:
    """A row record: layout, time, a bit for each column that changed since `last` (all zeros before the first row, which is
    `whole`), and for each of those a byte (zero bytes at the end << 4 | bytes in between) and the bytes in between of the
    XOR. `last` becomes `v`. 40 bytes, an eighth and 9 a column suffice."""
    n = len(v)
    out[0] = ROW
    at = write_uvarint(out, 1, number)
    store64(out, at, np.uint64(t))
    out[at + 8] = whole
    bits = at + 9
    at = bits + ((n + 7) >> 3)
    for base in range(0, n, 8):
        byte = 0
        for i in range(base, min(base + 8, n)):
            xor = np.uint64(v[i] ^ (np.int64(0) if whole else last[i]))
            if xor:
                byte |= 128 >> (i - base)
                low = ctz(xor) >> 3
                width = 8 - low - (clz(xor) >> 3)
                out[at] = np.uint8(low << 4 | width)
                store64(out, at + 1, xor << np.uint64(64 - 8 * (low + width)))
                at += 1 + width
                last[i] = v[i]
        out[bits + (base >> 3)] = np.uint8(byte)
    if whole:
        last[:] = v
    return at


@kernel("i8(u1[::1], i8, i8, i8[::1])")
def decode_row(data: Bytes, at: Int, end: Int, last: Ints) -> Int:
    """The values of a row whose `whole` flag is at `at`: `last` goes from the row before to this one. Returns the next byte,
    -1 when it is cut off. Eight bytes behind `end` are readable."""
    n = len(last)
    bits = at + 1
    if bits + ((n + 7) >> 3) > end:
        return -1
    if data[at]:
        last[:] = 0
    at = bits + ((n + 7) >> 3)
    for i in range(n):
        if data[bits + (i >> 3)] & (128 >> (i & 7)):
            if at >= end:
                return -1
            low, width = np.int64(data[at] >> 4), np.int64(data[at] & 15)
            if at + 1 + width > end or width == 0 or low + width > 8:
                return -1
            last[i] ^= np.int64((load64(data, at + 1) >> np.uint64(64 - 8 * width)) << np.uint64(8 * low))
            at += 1 + width
    return at


@kernel("i8(i8[::1], i8[::1], i8, i8[::1], u1[::1], u1[::1])")
def encode_samples(refs: Ints, t: Ints, step: Int, v: Ints, wanted: Bytes, out: Bytes) -> Int:
    """Prometheus' samples record of those samples that `wanted` marks; sample i is at `t[i * step]`. 17 bytes and 28 a sample
    suffice. Returns its length, 0 when no sample is wanted."""
    at, ref, time = np.int64(0), np.int64(0), np.int64(0)
    for i in range(len(refs)):
        if not wanted[i]:
            continue
        now = t[i * step]
        if at == 0:
            ref, time = refs[i], now
            out[0] = SAMPLES
            store64(out, 1, np.uint64(ref))
            store64(out, 9, np.uint64(time))
            at = np.int64(17)
        at = write_varint(out, write_varint(out, at, refs[i] - ref), now - time)
        store64(out, at, np.uint64(v[i]))
        at += 8
    return at


@kernel("i8(u1[::1], i8, i8, i8[::1], i8[::1], i8[::1])")
def decode_samples(data: Bytes, at: Int, end: Int, refs: Ints, t: Ints, v: Ints) -> Int:
    """Prometheus' samples record, whose type byte is at `at`; the arrays hold an entry for each 10 bytes of it. Returns how
    many samples, -1 when it is corrupt."""
    if at + 1 == end:
        return 0
    if at + 17 > end:
        return -1
    ref, time = np.int64(load64(data, at + 1)), np.int64(load64(data, at + 9))
    at += 17
    n = 0
    while at < end:
        change, at = read_varint(data, at, end)
        if at < 0:
            return -1
        moved, at = read_varint(data, at, end)
        if at < 0 or at + 8 > end:
            return -1
        refs[n], t[n], v[n] = ref + change, time + moved, np.int64(load64(data, at))
        at += 8
        n += 1
    return n
