"""XOR2 chunks, which Prometheus writes with `--enable-feature=xor2-encoding` (tsdb/chunkenc/xor2.go): decoded, never written.

Called by `gather` and `storage.chunk`. Values are bits (int64). A chunk is: count of samples (u16, big endian), a byte about
start timestamps (bit 7: the first sample has one; the rest: from which sample on each has), then

    varint t0, 64 bits v0, varint t0 - start0 if there is one
    uvarint delta, value
    each other sample: 0       step and value as before          1110   the step's change in 20 bits, value
                       10      the step as before, other value   11110  the step's change in 64 bits, value
                       110     the step's change in 13 bits, value
                                                                 11111  the step as before, staleness marker
    value:             0       as before                         110    XOR: 5 bits leading zeros, 6 bits width, bits
                       10      XOR in the window of the last     111    staleness marker
    other value:       0       XOR in the window of the last     1      XOR: leading zeros, width, bits

"As before" skips staleness markers. Behind each sample that has a start timestamp lies what changed of it (a variable-bit
integer); it is passed over, as Styr stores no start timestamps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int, clz, load64
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.varint import read_uvarint, read_varint
from styr.metrics.kernels.xor import peek, xor_count

Ints = NDArray[np.int64]

STALE = 0x7FF0000000000002


@kernel()
def _read(data: Bytes, bit: Int, width: Int, limit: Int) -> tuple[Int, Int]:
    """(the `width` (1..64) bits from `bit`, next bit); the next bit is -1 when they are cut off, or `bit` was."""
    if bit < 0 or bit + width > limit:
        return np.int64(0), np.int64(-1)
    return np.int64(peek(data, bit) >> np.uint64(64 - width)), np.int64(bit + width)


@kernel()
def _ones(data: Bytes, bit: Int, most: Int, limit: Int) -> tuple[Int, Int]:
    """(how many ones a prefix has that ends with a zero or after `most`, next bit), as `_read`."""
    if bit < 0 or bit >= limit:
        return np.int64(0), np.int64(-1)
    ones = min(clz(~peek(data, bit)), most)
    behind = bit + ones + (1 if ones < most else 0)
    return np.int64(ones), np.int64(behind if behind <= limit else -1)


@kernel()
def _window(data: Bytes, bit: Int, limit: Int) -> tuple[Int, Int, Int]:
    """(leading zeros, trailing zeros, next bit) of a new window."""
    both, bit = _read(data, bit, 11, limit)
    leading = both >> 6
    width = ((both - 1) & 63) + 1
    if leading + width > 64:
        return np.int64(0), np.int64(0), np.int64(-1)
    return np.int64(leading), np.int64(64 - leading - width), bit


@kernel()
def _skip_start(data: Bytes, bit: Int, limit: Int) -> Int:
    """Behind a variable-bit integer."""
    ones, bit = _ones(data, bit, 8, limit)
    width = 3 * ones if ones < 5 else 18 if ones == 5 else 25 if ones == 6 else 56 if ones == 7 else 64
    return bit + width if bit >= 0 and bit + width <= limit else np.int64(-1)


@kernel()
def _decode(data: Bytes, start: Int, end: Int, t: Ints, v: Ints, at: Int) -> Int:  # noqa: C901  # one hot loop
    """`xor2_decode` for a chunk with 9 readable bytes behind its last but one."""
    count, limit = xor_count(data, start), end * 8
    starts_at = np.int64(data[start + 2]) & 127
    if count == 0:
        return 0
    if at + count > len(t) or at + count > len(v):
        return -1
    now, byte = read_varint(data, start + 3, end)
    if byte < 0 or byte + 8 > end:
        return -1
    value = np.int64(load64(data, byte))
    byte += 8
    if data[start + 2] & 128:
        _, byte = read_varint(data, byte, end)
        if byte < 0:
            return -1
    t[at], v[at] = now, value
    before = np.int64(0) if value == STALE else value  # What the next XOR is of.
    if count == 1:
        return 1
    delta, byte = read_uvarint(data, byte, end)
    if byte < 0:
        return -1
    bit = np.int64(byte * 8)
    leading = trailing = np.int64(0)
    for i in range(1, count):
        kind = np.int64(2)
        if i > 1:
            kind, bit = _ones(data, bit, 5, limit)
            if 2 <= kind <= 4:
                width = 13 if kind == 2 else 20 if kind == 3 else 64
                change, bit = _read(data, bit, width, limit)
                delta += change - (1 << width if width < 64 and change >> (width - 1) else 0)
        now += delta
        told = np.int64(0)  # As `value` in the table above: 0 as before, 1 in the window, 2 a new window, 3 stale.
        if kind == 1:
            told, bit = _ones(data, bit, 1, limit)
            told += 1
        elif kind == 5:
            told = np.int64(3)
        elif kind > 0:
            told, bit = _ones(data, bit, 3, limit)
        if told == 2:
            leading, trailing, bit = _window(data, bit, limit)
        if told == 1 or told == 2:
            xor, bit = _read(data, bit, 64 - leading - trailing, limit)
            before ^= xor << trailing
        if starts_at and i >= starts_at:
            bit = _skip_start(data, bit, limit)
        if bit < 0:
            return -1
        t[at + i], v[at + i] = now, STALE if told == 3 else before
    return count


@kernel("i8(u1[::1], i8, i8, i8[::1], i8[::1], i8)")
def xor2_decode(data: Bytes, start: Int, length: Int, t: Ints, v: Ints, at: Int) -> Int:
    """Decodes the chunk `data[start:start + length]` to `t[at:]` and, as bits, `v[at:]`. Returns how many samples, -1 when the
    chunk is corrupt or they do not fit. Reads and writes nothing out of bounds, whatever the bytes are."""
    end = start + length
    if start < 0 or length < 3 or end > len(data) or at < 0:
        return -1
    if end + 8 <= len(data):
        return _decode(data, start, end, t, v, at)
    padded = np.zeros(length + 9, np.uint8)
    padded[:length] = data[start:end]
    return _decode(padded, 0, length, t, v, at)
