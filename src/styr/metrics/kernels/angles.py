"""Sine, cosine and tangent that round as Go's do on amd64. Called by `gomath`.

The methods are those that Go's package math follows: Cephes (S. Moshier), and Payne and Hanek's reduction (K. C. Ng, "Argument
reduction for huge arguments") for angles beyond 2**29, whose place on the circle needs more digits of pi than a float has.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Int, clz
from styr.metrics.kernels.floatbits import bits_of, of_bits
from styr.metrics.kernels.jit import kernel

_PI = math.pi
_PI4A, _PI4B, _PI4C = 7.85398125648498535156e-1, 3.77489470793079817668e-8, 2.69515142907905952645e-15
_FAR = float(1 << 29)


def _four_over_pi() -> NDArray[np.uint64]:
    """The binary digits of 4/pi: 1, then 19 words behind the point. By Machin's formula, in whole numbers."""
    bits = 64 * 21

    def arctangent_of_one_over(n: int) -> int:
        term = (1 << bits) // n
        total, k = term, 1
        while term:
            term //= n * n
            k += 2
            total += (-term if k % 4 == 3 else term) // k
        return total

    quarter = 4 * arctangent_of_one_over(5) - arctangent_of_one_over(239)
    digits = (1 << (bits + 64 * 19)) // quarter
    return np.array([digits >> (64 * (19 - i)) & 0xFFFFFFFFFFFFFFFF for i in range(20)], np.uint64)


_DIGITS = _four_over_pi()


@kernel()
def _high(a: Int, b: Int) -> Int:
    """The upper 64 bits of a product of two words."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    a0, a1, b0, b1 = a & low, a >> half, b & low, b >> half
    middle = a1 * b0 + ((a0 * b0) >> half)
    other = a0 * b1 + (middle & low)
    return a1 * b1 + (middle >> half) + (other >> half)


@kernel()
def _word(at: Int, shift: Int) -> Int:
    """64 digits of 4/pi from bit `shift` of word `at` on."""
    if shift == 0:
        return _DIGITS[at]
    return (_DIGITS[at] << np.uint64(shift)) | (_DIGITS[at + 1] >> np.uint64(64 - shift))


@kernel()
def _far_octant(x: float) -> tuple[Int, float]:
    """`_octant` of a large angle: the product of its mantissa and the digits of 4/pi that matter for it."""
    bits = bits_of(x)
    exponent = ((bits >> 52) & 0x7FF) - 1023 - 52
    mantissa = np.uint64((bits & 0x000FFFFFFFFFFFFF) | 0x0010000000000000)
    at, shift = (exponent + 61) >> 6, (exponent + 61) & 63
    z0, z1, z2 = _word(at, shift), _word(at + 1, shift), _word(at + 2, shift)
    product = z1 * mantissa
    low = product + _high(z2, mantissa)
    carry = np.uint64(1) if low < product else np.uint64(0)
    high = z0 * mantissa + _high(z1, mantissa) + carry
    j = np.int64(high >> np.uint64(61))
    high = (high << np.uint64(3)) | (low >> np.uint64(61))
    zeros = clz(high)
    shifted = (high << np.uint64(zeros + 1)) | (low >> np.uint64(63 - zeros)) if zeros < 63 else low
    fraction: Int = (shifted >> np.uint64(12)) | (np.uint64(1023 - zeros - 1) << np.uint64(52))
    z = of_bits(fraction)
    if j & 1:
        j = (j + 1) & 7
        z -= 1.0
    return j, z * (_PI / 4)


@kernel()
def _octant(x: float) -> tuple[Int, float]:
    """(even multiple of pi/4, what is left) of a positive angle."""
    if x >= _FAR:
        return _far_octant(x)
    j = np.int64(x * (4.0 / _PI))
    y = np.float64(j)
    if j & 1:
        j += 1
        y += 1.0
    return j, ((x - y * _PI4A) - y * _PI4B) - y * _PI4C


@kernel()
def _sine(z: float) -> float:
    w = z * z
    p = 1.58962301576546568060e-10 * w - 2.50507477628578072866e-8
    p = p * w + 2.75573136213857245213e-6
    p = p * w - 1.98412698295895385996e-4
    p = p * w + 8.33333333332211858878e-3
    p = p * w - 1.66666666666666307295e-1
    return z + z * w * p


@kernel()
def _cosine(z: float) -> float:
    w = z * z
    p = -1.13585365213876817300e-11 * w + 2.08757008419747316778e-9
    p = p * w - 2.75573141792967388112e-7
    p = p * w + 2.48015872888517045348e-5
    p = p * w - 1.38888888888730564116e-3
    p = p * w + 4.16666666666665929218e-2
    return 1.0 - 0.5 * w + w * w * p


@kernel()
def sin(x: float) -> float:
    if x == 0 or np.isnan(x):
        return x
    if np.isinf(x):
        return np.nan
    j, z = _octant(abs(x))
    j &= 7
    negative = (x < 0) != (j > 3)
    y = _cosine(z) if j & 3 == 1 or j & 3 == 2 else _sine(z)
    return -y if negative else y


@kernel()
def cos(x: float) -> float:
    if np.isnan(x) or np.isinf(x):
        return np.nan
    j, z = _octant(abs(x))
    j &= 7
    negative = (j > 3) != (j & 3 > 1)
    y = _sine(z) if j & 3 == 1 or j & 3 == 2 else _cosine(z)
    return -y if negative else y


@kernel()
def tan(x: float) -> float:
    if x == 0 or np.isnan(x):
        return x
    if np.isinf(x):
        return np.nan
    j, z = _octant(abs(x))
    w = z * z
    y = z
    if w > 1e-14:
        p = (-1.30936939181383777646e4 * w + 1.15351664838587416140e6) * w - 1.79565251976484877988e7
        q = ((w + 1.36812963470692954678e4) * w - 1.32089234440210967447e6) * w + 2.50083801823357915839e7
        y = z + z * (w * p / (q * w - 5.38695755929454629881e7))
    if j & 2:
        y = -1.0 / y
    return -y if x < 0 else y
