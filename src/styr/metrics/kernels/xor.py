"""XOR chunks in Prometheus' bit format (tsdb/chunkenc/xor.go, after Facebook's Gorilla): decode, encode, append one sample.

Called by `storage` for every chunk of floats. Values are bits (int64), never floats: a staleness marker's payload survives.
A chunk is: count of samples (u16, big endian), varint t0, 64 bits v0, uvarint delta, value; then for each sample the change of
the delta (prefix 0, 10, 110, 1110, 1111 and 0, 14, 17, 20, 64 bits) and the value's XOR with the one before (0: same; 10: bits
in the window of the one before; 11: 5 bits leading zeros, 6 bits width, bits).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int, clz, ctz, load64, store64
from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.varint import read_uvarint, read_varint, write_uvarint, write_varint

Ints = NDArray[np.int64]

MOST_BYTES_PER_SAMPLE = 19
"""68 bits of time and 77 of value, rounded up."""

NO_WINDOW = 255
"""`leading` before the first XOR."""


@kernel()
def peek(data: Bytes, bit: Int) -> Int:
    """The 64 bits from bit `bit` of the buffer. Reads up to 9 bytes."""
    at, shift = bit >> 3, np.uint64(bit & 7)
    word = load64(data, at) << shift
    if shift:
        word |= np.uint64(data[at + 8]) >> (np.uint64(8) - shift)
    return word


@kernel()
def put(data: Bytes, bit: Int, value: Int, width: Int, end: Int) -> Int:
    """Writes the low `width` (1..64) bits of `value` from bit `bit`, touching no byte from `end` on. Returns the next bit. The
    rest of the byte in which it ends becomes zero."""
    at, shift = bit >> 3, bit & 7
    room = np.uint64(value) << np.uint64(64 - width)
    word = room >> np.uint64(shift)
    if shift:
        word |= (np.uint64(data[at]) & ~(np.uint64(255) >> np.uint64(shift))) << np.uint64(56)
    if at + 9 <= end:
        store64(data, at, word)
        if shift + width > 64:
            data[at + 8] = np.uint8((room << np.uint64(8 - shift)) & np.uint64(255))
        return bit + width
    last = (bit + width - 1) >> 3
    for i in range(8):
        if at + i <= last:
            data[at + i] = np.uint8((word >> np.uint64(56 - 8 * i)) & np.uint64(255))
    if shift + width > 64:
        data[at + 8] = np.uint8((room << np.uint64(8 - shift)) & np.uint64(255))
    return bit + width


@kernel()
def dod_bits(change: Int) -> Int:
    """Width of a delta's change, prefix not included: 0, 14, 17, 20 or 64."""
    if change == 0:
        return 0
    if -8191 <= change <= 8192:
        return 14
    if -65535 <= change <= 65536:
        return 17
    if -524287 <= change <= 524288:
        return 20
    return 64


@kernel()
def put_time(data: Bytes, bit: Int, change: Int, end: Int) -> Int:
    """The change of the delta, prefix and bits."""
    width = dod_bits(change)
    if width == 0:
        return put(data, bit, 0, 1, end)
    if width == 14:
        return put(data, bit, (2 << 14) | (change & 0x3FFF), 16, end)
    if width == 17:
        return put(data, bit, (6 << 17) | (change & 0x1FFFF), 20, end)
    if width == 20:
        return put(data, bit, (14 << 20) | (change & 0xFFFFF), 24, end)
    return put(data, put(data, bit, 15, 4, end), change, 64, end)


@kernel()
def put_value(data: Bytes, bit: Int, xor: Int, leading: Int, trailing: Int, end: Int) -> tuple[Int, Int, Int]:
    """The XOR of two values. Returns the next bit and the window."""
    if xor == 0:
        return put(data, bit, 0, 1, end), leading, trailing
    lead, trail = min(clz(np.uint64(xor)), 31), ctz(np.uint64(xor))
    if leading != NO_WINDOW and lead >= leading and trail >= trailing:
        width = 64 - leading - trailing
        bit = put(data, bit, 2, 2, end)
        return put(data, bit, np.int64(np.uint64(xor) >> np.uint64(trailing)), width, end), leading, trailing
    width = 64 - lead - trail
    bit = put(data, bit, (3 << 11) | (lead << 6) | (width & 63), 13, end)
    return put(data, bit, np.int64(np.uint64(xor) >> np.uint64(trail)), width, end), lead, trail


@kernel()
def value_bits(xor: Int, leading: Int, trailing: Int) -> Int:
    """How many bits `put_value` writes."""
    if xor == 0:
        return 1
    lead, trail = min(clz(np.uint64(xor)), 31), ctz(np.uint64(xor))
    if leading != NO_WINDOW and lead >= leading and trail >= trailing:
        return 66 - leading - trailing
    return 77 - lead - trail


@kernel()
def put_head(data: Bytes, start: Int, t: Int, v: Int) -> Int:
    """A new chunk with one sample at byte `start`; takes at most 20 bytes. Returns the number of bits of the chunk."""
    data[start], data[start + 1] = 0, 1
    at = write_varint(data, start + 2, t)
    for i in range(8):
        data[at + i] = np.uint8((np.uint64(v) >> np.uint64(56 - 8 * i)) & np.uint64(255))
    return (at + 8 - start) * 8


@kernel()
def set_count(data: Bytes, start: Int, count: Int) -> None:
    data[start], data[start + 1] = np.uint8(count >> 8), np.uint8(count & 255)


@kernel("i8(i8[::1], i8[::1], i8, i8, u1[::1], i8)")
def xor_encode(t: Ints, v: Ints, first: Int, last: Int, out: Bytes, at: Int) -> Int:
    """Encodes samples `first .. last - 1` (1 to 65,535 of them) as one chunk to `out[at:]`. Returns its length in bytes, -1 if
    `out` might not hold it (22 bytes and `MOST_BYTES_PER_SAMPLE` for each sample suffice) or the count is out of range."""
    count = last - first
    if not 1 <= count <= 65535 or at + 22 > len(out):
        return -1
    bit = at * 8 + put_head(out, at, t[first], v[first])
    leading, trailing, delta, end = NO_WINDOW, 0, 0, len(out)
    for i in range(first + 1, last):
        if (bit >> 3) + MOST_BYTES_PER_SAMPLE + 1 > end:
            return -1
        step = t[i] - t[i - 1]
        bit = put_time(out, bit, step - delta, end) if i > first + 1 else write_uvarint(out, bit >> 3, step) * 8
        bit, leading, trailing = put_value(out, bit, v[i] ^ v[i - 1], leading, trailing, end)
        delta = step
    set_count(out, at, count)
    return ((bit + 7) >> 3) - at


@kernel("i8(i8[::1], i8[::1], i8[::1], u1[::1], i8[::1])")
def xor_encode_many(t: Ints, v: Ints, bounds: Ints, out: Bytes, starts: Ints) -> Int:
    """Chunk i holds samples `bounds[i] .. bounds[i + 1] - 1` and comes to `out[starts[i]:starts[i + 1]]`; `starts` (filled
    here) is as long as `bounds`. Returns the total length, -1 when `out` might not hold it."""
    at = 0
    starts[0] = 0
    for i in range(len(bounds) - 1):
        length = xor_encode(t, v, bounds[i], bounds[i + 1], out, at)
        if length < 0:
            return -1
        at += length
        starts[i + 1] = at
    return at


@kernel("i8(u1[::1], i8)")
def xor_count(data: Bytes, start: Int) -> Int:
    """How many samples the chunk at byte `start` says it has."""
    return (np.int64(data[start]) << 8) | np.int64(data[start + 1])


@kernel()
def _time_width(word: Int) -> tuple[Int, Int]:
    """(prefix bits, bits after it) of a delta's change that begins with a 1."""
    ones = clz(~np.uint64(word))
    if ones == 1:
        return 2, 14
    if ones == 2:
        return 3, 17
    if ones == 3:
        return 4, 20
    return 4, 64


@kernel()
def _read_time(data: Bytes, bit: Int, word: Int, limit: Int) -> tuple[Int, Int]:
    """(change of the delta, next bit); the next bit is -1 when it is cut off. `word` is what `peek` gave at `bit`."""
    prefix, width = _time_width(word)
    if bit + prefix + width > limit:
        return np.int64(0), -1
    if width == 64:
        return np.int64(peek(data, bit + 4)), bit + 68
    raw: Int = np.int64((np.uint64(word) << np.uint64(prefix)) >> np.uint64(64 - width))
    if raw > (1 << (width - 1)):
        raw -= 1 << width
    return raw, bit + prefix + width


@kernel()
def _read_value(data: Bytes, bit: Int, word: Int, leading: Int, trailing: Int, limit: Int) -> tuple[Int, Int, Int, Int]:
    """(XOR, next bit, leading, trailing) of a value whose first bit, a 1, is at `bit`; next bit -1 when it is cut off. `word`
    is at least 62 bits from there on."""
    if (word >> np.uint64(62)) & np.uint64(1):
        leading = np.int64((word >> np.uint64(57)) & np.uint64(31))
        width = (np.int64((word >> np.uint64(51)) - np.uint64(1)) & 63) + 1
        trailing = 64 - leading - width
        prefix = 13
    else:
        width = 64 - leading - trailing
        prefix = 2
    if trailing < 0 or width <= 0 or bit + prefix + width > limit:
        return np.int64(0), -1, leading, trailing
    rest = word << np.uint64(prefix) if prefix + width <= 62 else peek(data, bit + prefix)
    raw = rest >> np.uint64(64 - width)
    return np.int64(raw << np.uint64(trailing)), bit + prefix + width, leading, trailing


@kernel()
def _decode(  # noqa: C901  # one hot loop
    data: Bytes, start: Int, end: Int, t: Ints, v: Ints, at: Int, last: Int
) -> Int:
    """`xor_decode_until` for a chunk with 9 readable bytes behind its last but one."""
    if end - start < 2:
        return -1
    count = xor_count(data, start)
    if count == 0:
        return 0
    if at + count > len(t) or at + count > len(v):
        return -1
    limit = end * 8
    now, byte = read_varint(data, start + 2, end)
    if byte < 0 or byte + 8 > end:
        return -1
    value = np.int64(load64(data, byte))
    t[at], v[at] = now, value
    if count == 1 or now > last:
        return 1
    delta, byte = read_uvarint(data, byte + 8, end)
    if byte < 0:
        return -1
    bit, leading, trailing = byte * 8, 0, 0
    i, behind, second = at + 1, at + count, True
    while i < behind:
        if bit >= limit:
            return -1
        word = peek(data, bit)
        if not second:
            run = min(clz(word) >> 1, behind - i, (limit - bit) >> 1)
            for _ in range(run):  # Samples with the step and the value of the one before: two zero bits each.
                now += delta
                t[i], v[i] = now, value
                i += 1
            bit += 2 * run
            if i >= behind:
                break
            if bit >= limit:
                return -1
            if run:
                word = peek(data, bit)
            if word >> np.uint64(63):
                change, bit = _read_time(data, bit, word, limit)
                if bit < 0 or bit >= limit:
                    return -1
                delta += change
                word = peek(data, bit)
            else:
                bit += 1
                word <<= np.uint64(1)
        second = False
        now += delta
        if word >> np.uint64(63):
            xor, bit, leading, trailing = _read_value(data, bit, word, leading, trailing, limit)
            if bit < 0:
                return -1
            value ^= xor
        else:
            bit += 1
        t[i], v[i] = now, value
        i += 1
        if now > last:
            break
    if bit > limit:
        return -1
    return i - at


@kernel()
def xor_decode_until(data: Bytes, start: Int, length: Int, t: Ints, v: Ints, at: Int, last: Int) -> Int:
    """`xor_decode`, at least up to the time `last`: what comes behind it may be left out, unread."""
    end = start + length
    if start < 0 or length < 2 or end > len(data) or at < 0:
        return -1
    if end + 8 <= len(data):
        return _decode(data, start, end, t, v, at, last)
    padded = np.zeros(length + 9, np.uint8)
    padded[:length] = data[start:end]
    return _decode(padded, 0, length, t, v, at, last)


@kernel("i8(u1[::1], i8, i8, i8[::1], i8[::1], i8)")
def xor_decode(data: Bytes, start: Int, length: Int, t: Ints, v: Ints, at: Int) -> Int:
    """Decodes the chunk `data[start:start + length]` to `t[at:]` and, as bits, `v[at:]`. Returns how many samples, -1 when the
    chunk is corrupt or they do not fit. Reads and writes nothing out of bounds, whatever the bytes are."""
    return xor_decode_until(data, start, length, t, v, at, np.int64(0x7FFFFFFFFFFFFFFF))
