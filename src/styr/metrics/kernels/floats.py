"""Decimal numbers as text to float64, every bit right. Called by `text` for the values of an exposition.

What Go's strconv.ParseFloat takes of decimals, infinities and NaN, and Prometheus' parsers with it (they refuse
hexadecimal floats and underscores). Clinger's exact case first, then the algorithm of Eisel and Lemire ("Number
parsing at a gigabyte per second", 2021) with a table of 128 bits for each power of five; the few numbers that it
cannot decide, and those with more than 19 digits, are left to the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Bytes, Int, clz
from styr.metrics.kernels.jit import kernel

DONE, UNDECIDED, INVALID = 0, 1, 2
"""What `read_float` found: a value, a number that Python's float() has to read, no number."""

SMALLEST, LARGEST = -342, 308
"""Powers of ten beyond which 19 digits are zero or infinite."""

NORMAL_NAN = np.int64(0x7FF8000000000001)

_intrinsic: Callable[[Callable[..., Any]], Any] = intrinsic


def _powers_of_five() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The 128 leading bits of 5**q: rounded down for q >= 0; of the reciprocals rounded up for q < 0, as the proof
    wants it."""
    high, low = [], []
    for q in range(SMALLEST, LARGEST + 1):
        if q >= 0:
            power = 5**q
            bits = power.bit_length()
            mantissa = power >> (bits - 128) if bits > 128 else power << (128 - bits)
        else:
            power = 5**-q
            bits = power.bit_length()
            mantissa = (1 << (bits + 127)) // power + 1
            if mantissa.bit_length() > 128:
                mantissa = (1 << (bits + 126)) // power + 1
        high.append(mantissa >> 64)
        low.append(mantissa & (2**64 - 1))
    return np.array(high, np.uint64), np.array(low, np.uint64)


_HIGH, _LOW = _powers_of_five()
_EXACT = np.array([10.0**i for i in range(23)])
"""Powers of ten that a float64 holds exactly."""


@_intrinsic
def _mulhi(_context: Any, left: Any, right: Any) -> Any:
    """The upper 64 bits of the product of two u8."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@_intrinsic
def _as_float(_context: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float64))

    return types.float64(types.uint64), generate


@kernel()
def _eisel_lemire(mantissa: Any, power: Int) -> tuple[Any, Int]:
    """(bits, DONE) of mantissa * 10**power, mantissa > 0, or (0, UNDECIDED)."""
    if power < SMALLEST:
        return np.uint64(0), DONE
    if power > LARGEST:
        return np.uint64(0x7FF0000000000000), DONE
    shift = clz(mantissa)
    shifted = mantissa << np.uint64(shift)
    exponent = ((217706 * power) >> 16) + 64 + 1023 - shift
    upper, lower = _mulhi(shifted, _HIGH[power - SMALLEST]), shifted * _HIGH[power - SMALLEST]
    if (upper & np.uint64(0x1FF)) == np.uint64(0x1FF):
        more = _mulhi(shifted, _LOW[power - SMALLEST])
        lower += more
        if lower < more:
            upper += np.uint64(1)
        # One ulp of the table may still decide, and the table has no more bits.
        if (upper & np.uint64(0x1FF)) == np.uint64(0x1FF) and lower == np.uint64(0xFFFFFFFFFFFFFFFF):
            return np.uint64(0), UNDECIDED
    top = upper >> np.uint64(63)
    result = upper >> (top + np.uint64(9))
    exponent -= 1 - np.int64(top)
    # Half way between two floats: the product's lower bits are not known well enough to round to even.
    if lower == np.uint64(0) and (upper & np.uint64(0x1FF)) == np.uint64(0) and (result & np.uint64(3)) == np.uint64(1):
        return np.uint64(0), UNDECIDED
    result = (result + (result & np.uint64(1))) >> np.uint64(1)
    if result >> np.uint64(53):
        result >>= np.uint64(1)
        exponent += 1
    if exponent <= 0 or exponent >= 0x7FF:
        return np.uint64(0), UNDECIDED  # subnormal, or the caller reports the range
    return (np.uint64(exponent) << np.uint64(52)) | (result & np.uint64(0xFFFFFFFFFFFFF)), DONE


@kernel()
def _is_word(data: Bytes, start: Int, word: Bytes) -> bool:
    """Lower-case `word` at `start`, in any case; the caller has checked the length."""
    same = True
    for i in range(len(word)):
        same &= (data[start + i] | 32) == word[i]
    return same


_INF, _INFINITY, _NAN = (np.frombuffer(word, np.uint8).copy() for word in (b"inf", b"infinity", b"nan"))


@kernel()
def _special(data: Bytes, start: Int, stop: Int) -> tuple[float, Int]:
    """inf, infinity (both with a sign or without) and nan."""
    sign = 1.0
    at = start
    if data[at] == 43 or data[at] == 45:
        sign = -1.0 if data[at] == 45 else 1.0
        at += 1
    length = stop - at
    if (length == 3 and _is_word(data, at, _INF)) or (length == 8 and _is_word(data, at, _INFINITY)):
        return sign * np.inf, DONE
    if length == 3 and at == start and _is_word(data, at, _NAN):
        return _as_float(np.uint64(NORMAL_NAN)), DONE
    return 0.0, INVALID


@kernel()
def _exponent(data: Bytes, at: Int, stop: Int) -> tuple[Int, bool]:
    """The number behind an `e`, all of it: (exponent, whether it is one). Beyond 9999 it does not grow."""
    sign = 1
    if at < stop and (data[at] == 43 or data[at] == 45):
        sign = -1 if data[at] == 45 else 1
        at += 1
    if at >= stop:
        return 0, False
    value: Int = 0
    while at < stop:
        digit = np.int64(data[at]) - 48
        if digit < 0 or digit > 9:
            return 0, False
        if value < 10000:
            value = value * 10 + digit
        at += 1
    return sign * value, True


@kernel()
def _digits(data: Bytes, at: Int, stop: Int) -> tuple[Any, Int, Int, Int, Int]:
    """Reads digits with at most one point: (mantissa of the first 19 significant ones, power of ten, digits in all,
    significant digits, where it stopped)."""
    mantissa = np.uint64(0)
    power, count, significant, point = 0, 0, 0, False
    while at < stop:
        digit = np.int64(data[at]) - 48
        if 0 <= digit <= 9:
            count += 1
            if significant > 0 or digit > 0:
                significant += 1
            if significant <= 19:
                mantissa = mantissa * np.uint64(10) + np.uint64(digit)
                power -= point
            else:
                power += not point
        elif digit == -2 and not point:
            point = True
        else:
            break
        at += 1
    return mantissa, power, count, significant, at


@kernel("UniTuple(f8, 2)(u1[::1], i8, i8)")
def read_float(data: Bytes, start: Int, stop: Int) -> tuple[float, Int]:
    """The float that `data[start:stop]` is, and DONE, UNDECIDED (read it with Python's float, and mind the range) or
    INVALID."""
    if start >= stop:
        return 0.0, INVALID
    first = data[start]
    negative = first == 45
    at = start + (negative or first == 43)
    mantissa, power, count, significant, at = _digits(data, at, stop)
    if count == 0:
        return _special(data, start, stop)
    if at < stop:
        if (data[at] | 32) != 101:
            return 0.0, INVALID
        exponent, whole = _exponent(data, at + 1, stop)
        if not whole:
            return 0.0, INVALID
        power += exponent
    if significant > 19:
        return 0.0, UNDECIDED
    sign = -1.0 if negative else 1.0
    if mantissa == np.uint64(0):
        return sign * 0.0, DONE
    if mantissa < np.uint64(1 << 53) and -22 <= power <= 22:
        value: Any = np.float64(mantissa)
        return sign * (value / _EXACT[-power] if power < 0 else value * _EXACT[power]), DONE
    bits, state = _eisel_lemire(mantissa, power)
    if state != DONE or bits == np.uint64(0x7FF0000000000000):
        return 0.0, UNDECIDED
    return sign * _as_float(bits), DONE
