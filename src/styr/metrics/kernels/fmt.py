"""Floats and points as text, in compiled loops: shortest decimals that read back to the same bits, as Go's strconv prints them.

Called by `web/json.py` (points of a query's answer) and `web/federate.py`. Calls nothing. The shortest decimal is found as R.
Giulietti's "The Schubfach way to render doubles" (2020) describes: one 128-bit power of ten, three multiplications, no loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.jit import kernel

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Int = Any

FLOAT_WIDTH = 26
"""Bytes that one float takes at the most: `-0.000001234567890123456789`, `-1.2345678901234567e-308`."""
PLAIN_WIDTH = 345
"""The same without exponents: -5e-324 has 324 decimals, or 309 digits before the point."""
POINT_WIDTH = FLOAT_WIDTH + 28
"""Bytes that one point takes at the most: `[-9223372036854775.808,"..."],`."""

_FIRST_POWER, _LAST_POWER = -292, 324


def _powers() -> NDArray[np.uint64]:
    """Row k + 292: the 128 leading bits of 10**k, rounded up, as (high, low)."""
    rows = np.zeros((_LAST_POWER - _FIRST_POWER + 1, 2), np.uint64)
    for k in range(_FIRST_POWER, _LAST_POWER + 1):
        if k >= 0:
            number = 10**k
            shift = number.bit_length() - 128
            leading = -(-number >> shift) if shift > 0 else number << -shift
        else:
            divisor = 10**-k
            shift = divisor.bit_length() + 127
            leading = -(-(1 << shift) // divisor)
            if leading >> 128:
                leading = -(-(1 << (shift - 1)) // divisor)
        rows[k - _FIRST_POWER] = leading >> 64, leading & 0xFFFFFFFFFFFFFFFF
    return rows


_POWERS = _powers()
_PAIRS = np.array([(48 + i // 10, 48 + i % 10) for i in range(100)], np.uint8)
"""00 to 99 as text."""


@kernel()
def _multiply(a: Int, b: Int) -> tuple[Int, Int]:
    """(high, low) of the 128-bit product of two u8."""
    low32, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    a0, a1, b0, b1 = a & low32, a >> half, b & low32, b >> half
    p00, p01, p10, p11 = a0 * b0, a0 * b1, a1 * b0, a1 * b1
    middle = (p00 >> half) + (p01 & low32) + (p10 & low32)
    high = p11 + (p01 >> half) + (p10 >> half) + (middle >> half)
    return high, (middle << half) | (p00 & low32)


@kernel()
def _round_to_odd(high: Int, low: Int, factor: Int) -> Int:
    x, _ = _multiply(low, factor)
    y1, y0 = _multiply(high, factor)
    total = y0 + x
    y1 += np.uint64(1) if total < y0 else np.uint64(0)
    return y1 | (np.uint64(1) if total > np.uint64(1) else np.uint64(0))


@kernel()
def _shortest(fraction: Int, exponent: Int) -> tuple[Int, Int]:
    """(digits, power of ten) of a positive finite double, from the two fields of its bits. Section 9.9 of the paper."""
    if exponent:
        c, q = fraction | np.uint64(1 << 52), exponent - 1075
        if -53 < q <= 0 and not c & ((np.uint64(1) << np.uint64(-q)) - np.uint64(1)):
            return c >> np.uint64(-q), 0
    else:
        c, q = fraction, -1074
    closer = fraction == np.uint64(0) and exponent > 1
    out = c & np.uint64(1)
    k = (q * 1262611 - (524031 if closer else 0)) >> 22
    h = np.uint64(q + ((-k * 1741647) >> 19) + 1)
    high, low = _POWERS[-k - _FIRST_POWER, 0], _POWERS[-k - _FIRST_POWER, 1]
    four = c << np.uint64(2)
    below = four - (np.uint64(1) if closer else np.uint64(2))
    lower = _round_to_odd(high, low, below << h) + out
    middle = _round_to_odd(high, low, four << h)
    upper = _round_to_odd(high, low, (four + np.uint64(2)) << h) - out
    s = middle >> np.uint64(2)
    if s >= np.uint64(10):
        tens = s // np.uint64(10)
        down = lower <= np.uint64(40) * tens
        up = np.uint64(40) * tens + np.uint64(40) <= upper
        if down != up:
            return tens + (np.uint64(1) if up else np.uint64(0)), k + 1
    down = lower <= np.uint64(4) * s
    up = np.uint64(4) * s + np.uint64(4) <= upper
    if down != up:
        return s + (np.uint64(1) if up else np.uint64(0)), k
    half = np.uint64(4) * s + np.uint64(2)
    round_up = middle > half or (middle == half and s & np.uint64(1))
    return s + (np.uint64(1) if round_up else np.uint64(0)), k


@kernel()
def _digits(out: Bytes, at: Int, number: Int) -> Int:
    """A u8 in decimal, two digits a division. Returns the position after it."""
    count, bound = 1, np.uint64(10)
    while number >= bound and count < 19:
        bound *= np.uint64(10)
        count += 1
    if number >= bound:
        count += 1  # 10**20 is no u8.
    end = at + count
    while number >= np.uint64(100):
        rest = number // np.uint64(100)
        pair = np.int64(number - rest * np.uint64(100))
        end -= 2
        out[end], out[end + 1] = _PAIRS[pair, 0], _PAIRS[pair, 1]
        number = rest
    pair = np.int64(number)
    out[end - 1] = _PAIRS[pair, 1]
    if pair >= 10:
        out[end - 2] = _PAIRS[pair, 0]
    return at + count


@kernel()
def _plain(out: Bytes, at: Int, count: Int, power: Int) -> Int:
    """Puts the point into, or zeros around, the `count` digits at `at` that are to be multiplied by 10**power."""
    if power >= 0:
        for i in range(power):
            out[at + count + i] = 48
        return at + count + power
    whole = count + power
    if whole > 0:
        for i in range(count - 1, whole - 1, -1):
            out[at + i + 1] = out[at + i]
        out[at + whole] = 46
        return at + count + 1
    lead = 2 - whole
    for i in range(count - 1, -1, -1):
        out[at + i + lead] = out[at + i]
    for i in range(lead):
        out[at + i] = 48
    out[at + 1] = 46
    return at + lead + count


@kernel()
def _scientific(out: Bytes, at: Int, count: Int, power: Int) -> Int:
    """`d.ddde+XX`, at least two digits of exponent."""
    exponent = power + count - 1
    end = at + count
    if count > 1:
        for i in range(count - 1, 0, -1):
            out[at + i + 1] = out[at + i]
        out[at + 1] = 46
        end += 1
    out[end] = 101
    out[end + 1] = 45 if exponent < 0 else 43
    exponent = abs(exponent)
    end += 2
    if exponent < 10:
        out[end] = 48
        end += 1
    return _digits(out, end, np.uint64(exponent))


@kernel()
def _special(out: Bytes, at: Int, infinite: Int, negative: Int) -> Int:
    if infinite:
        out[at], out[at + 1], out[at + 2], out[at + 3] = 45 if negative else 43, 73, 110, 102
        return at + 4
    out[at], out[at + 1], out[at + 2] = 78, 97, 78
    return at + 3


@kernel()
def write_float(out: Bytes, at: Int, bits: Int, always_plain: Int) -> Int:
    """One double by its bits: `NaN`, `+Inf`, `-Inf`, else the shortest decimal; from 1e21 on and below 1e-6 with an exponent
    unless `always_plain` (then `PLAIN_WIDTH` bytes must be there). Returns the position after it."""
    word = np.uint64(bits)
    negative = word >> np.uint64(63) != np.uint64(0)
    fraction = word & np.uint64((1 << 52) - 1)
    exponent = np.int64((word >> np.uint64(52)) & np.uint64(0x7FF))
    if exponent == 0x7FF:
        return _special(out, at, fraction == np.uint64(0), negative)
    if negative:
        out[at] = 45
        at += 1
    if exponent == 0 and fraction == np.uint64(0):
        out[at] = 48
        return at + 1
    digits, power = _shortest(fraction, exponent)
    while digits % np.uint64(10) == np.uint64(0):
        digits //= np.uint64(10)
        power += 1
    count = _digits(out, at, digits) - at
    if -6 <= power + count - 1 < 21 or always_plain:
        return _plain(out, at, count, power)
    return _scientific(out, at, count, power)


@kernel()
def write_time(out: Bytes, at: Int, t: Int) -> Int:
    """Milliseconds as seconds, with three decimals unless they are all zero."""
    if t < 0:
        out[at] = 45
        at += 1
    size = np.uint64(-t) if t < 0 else np.uint64(t)
    at = _digits(out, at, size // np.uint64(1000))
    rest = size % np.uint64(1000)
    if rest:
        out[at] = 46
        out[at + 1] = np.uint8(np.uint64(48) + rest // np.uint64(100))
        out[at + 2] = np.uint8(np.uint64(48) + rest // np.uint64(10) % np.uint64(10))
        out[at + 3] = np.uint8(np.uint64(48) + rest % np.uint64(10))
        at += 4
    return at


@kernel("i8(i8[::1], i8[::1], i8[::1], u1[::1], i8[::1])")
def points(t: Ints, bits: Ints, offsets: Ints, out: Bytes, ends: Ints) -> Int:
    """`[1435781451.781,"1"],[...]` of each series i, whose points are `offsets[i]:offsets[i + 1]`; its text ends at
    `ends[i]`. `out` has `POINT_WIDTH` bytes for each point. Returns the bytes written."""
    at, text, size = 0, 0, 0
    for series in range(len(offsets) - 1):
        for i in range(offsets[series], offsets[series + 1]):
            out[at] = 91
            at = write_time(out, at + 1, t[i])
            out[at], out[at + 1] = 44, 34
            at += 2
            if (
                i > offsets[0] and bits[i] == bits[i - 1]
            ):  # As in most steps between two scrapes: its text is there already.
                for k in range(size):
                    out[at + k] = out[text + k]
            else:
                size = write_float(out, at, bits[i], 0) - at
            text = at
            at += size
            out[at], out[at + 1], out[at + 2] = 34, 93, 44
            at += 3
        if offsets[series + 1] > offsets[series]:
            at -= 1
        ends[series] = at
    return at


@kernel("i8(i8[::1], i8, u1[::1], i8[::1])")
def floats(bits: Ints, always_plain: Int, out: Bytes, ends: Ints) -> Int:
    """Floats one after the other, each ending at `ends[i]`. `out` has `FLOAT_WIDTH` bytes for each, `PLAIN_WIDTH` if
    `always_plain`."""
    at = 0
    for i in range(len(bits)):
        at = write_float(out, at, bits[i], always_plain)
        ends[i] = at
    return at
