"""Elementary functions that round as Go's do on amd64. Called by `promql.functions` and `promql.binary`.

Results of PromQL are compared to the bit, and the C library's exp, log, pow, sin and the like differ from Go's in the last
one. The methods are those that Go's package math follows: Cephes (S. Moshier) for inverses of angles and hyperbolics, FreeBSD's
msun for logarithms, SLEEF (N. Shibata) for exp, with fused multiplications as Go's assembly for amd64 has them. Sine, cosine
and tangent are in `angles`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from styr.metrics.kernels.angles import cos, sin, tan
from styr.metrics.kernels.floatbits import bits_of, of_bits
from styr.metrics.kernels.jit import kernel

Floats = NDArray[np.float64]

EXP, LN, LOG2, LOG10, SIN, COS, TAN, ASIN, ACOS, ATAN, SINH, COSH, TANH, ASINH, ACOSH, ATANH = range(16)
"""Operations of `apply`."""

_LN2 = 0.693147180559945309417232121458176568
_LOG2_E, _LOG10_E = 1.44269504088896340735992468100189214, 0.434294481903251827651128918916605082
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_SQRT_HALF = 7.07106781186547524401e-01
_PI = math.pi


def _fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), build


fma: Any = intrinsic(_fma)


@kernel()
def exp(x: float) -> float:
    if np.isnan(x) or x > 7.09782712893384e02:
        return np.inf if x > 0 else x
    if x < -800.0:
        return 0.0
    k = np.rint(1.4426950408889634073599246810018920 * x)
    r: float = fma(-k, 0.69314718055966295651160180568695068359375, x)
    r = fma(-k, 0.28235290563031577122588448175013436025525412068e-12, r)
    r *= 0.0625
    p = 2.4801587301587301587e-5
    p = fma(r, p, 1.9841269841269841270e-4)
    p = fma(r, p, 1.3888888888888888889e-3)
    p = fma(r, p, 8.3333333333333333333e-3)
    p = fma(r, p, 4.1666666666666666667e-2)
    p = fma(r, p, 1.6666666666666666667e-1)
    p = fma(r, p, 0.5)
    p = fma(r, p, 1.0)
    r *= p
    for _ in range(3):
        r *= r + 2.0
    r = fma(r + 2.0, r, 1.0)
    biased = int(k) + 0x3FF
    if biased <= 0:
        if biased < -52:
            return 0.0
        return r * of_bits((biased + 0x3FE) << 52) * 2.2250738585072014e-308
    if biased >= 0x7FF:
        return np.inf
    return r * of_bits(biased << 52)


@kernel()
def _series(f: float) -> float:
    """What log(1 + f) / s - 2 is made of, s = f / (2 + f)."""
    s = f / (2.0 + f)
    s2 = s * s
    s4 = s2 * s2
    t1 = s2 * (
        6.666666666666735130e-01
        + s4 * (2.857142874366239149e-01 + s4 * (1.818357216161805012e-01 + s4 * 1.479819860511658591e-01))
    )
    t2 = s4 * (3.999999999940941908e-01 + s4 * (2.222219843214978396e-01 + s4 * 1.531383769920937332e-01))
    return t1 + t2


@kernel()
def log(x: float) -> float:
    if x == 0:
        return -np.inf
    if x < 0:
        return np.nan
    if np.isnan(x) or np.isinf(x):
        return x
    bits = bits_of(x)
    f1 = of_bits((bits & 0x000FFFFFFFFFFFFF) | 0x3FE0000000000000)
    k = np.float64(((bits >> 52) & 0x7FF) - 0x3FE)  # of subnormal numbers it is wrong, as in Go's assembly
    if not f1 > _SQRT_HALF:
        k -= 1.0
        f1 *= 2.0
    f = f1 - 1.0
    s = f / (2.0 + f)
    half = 0.5 * f * f
    return k * _LN2_HIGH - ((half - (s * (half + _series(f)) + k * _LN2_LOW)) - f)


@kernel()
def log2(x: float) -> float:
    fraction, exponent = math.frexp(x)
    if fraction == 0.5:
        return np.float64(exponent - 1)
    return log(fraction) * _LOG2_E + np.float64(exponent)


@kernel()
def _log1p_reduced(x: float) -> tuple[float, int, float, bool]:
    """(f, k, correction, whether f is tiny) with 1 + x = 2**k * (1 + f)."""
    if -2.928932188134524755992e-01 < x < 4.142135623730950488017e-01:
        return x, 0, 0.0, False
    u = x
    c = 0.0
    if abs(x) < 9007199254740992.0:
        u = 1.0 + x
    bits = bits_of(u)
    k = (bits >> 52) - 1023
    if abs(x) < 9007199254740992.0:
        c = (1.0 - (u - x) if k > 0 else x - (u - 1.0)) / u
    bits &= 0x000FFFFFFFFFFFFF
    if bits < 0x0006A09E667F3BCD:
        u = of_bits(bits | 0x3FF0000000000000)
    else:
        k += 1
        u = of_bits(bits | 0x3FE0000000000000)
        bits = (0x0010000000000000 - bits) >> 2
    return u - 1.0, k, c, bits == 0


@kernel()
def log1p(x: float) -> float:
    if x < -1 or np.isnan(x):
        return np.nan
    if x == -1:
        return -np.inf
    if np.isinf(x):
        return x
    if abs(x) < 1.8626451492309570e-09:  # 2**-29
        return x if abs(x) < 5.5511151231257827e-17 else x - x * x * 0.5
    f, k, c, tiny = _log1p_reduced(x)
    half = 0.5 * f * f
    high, low = np.float64(k) * _LN2_HIGH, np.float64(k) * _LN2_LOW
    if tiny:
        if f == 0:
            return high + (c + low) if k else 0.0
        r = half * (1.0 - 0.66666666666666666 * f)
        return high - ((r - (low + c)) - f) if k else f - r
    s = f / (2.0 + f)
    z = s * s
    p = 1.531383769920937332e-01 + z * 1.479819860511658591e-01
    p = 1.818357216161805012e-01 + z * p
    p = 2.222219843214978396e-01 + z * p
    p = 2.857142874366239149e-01 + z * p
    p = 3.999999999940941908e-01 + z * p
    r = z * (6.666666666666735130e-01 + z * p)
    if k == 0:
        return f - (half - s * (half + r))
    return high - ((half - (s * (half + r) + (low + c))) - f)


@kernel()
def _arctangent(x: float) -> float:
    z = x * x
    p = (-8.750608600031904122785e-01 * z - 1.615753718733365076637e01) * z - 7.500855792314704667340e01
    p = (p * z - 1.228866684490136173410e02) * z - 6.485021904942025371773e01
    q = ((z + 2.485846490142306297962e01) * z + 1.650270098316988542046e02) * z + 4.328810604912902668951e02
    q = (q * z + 4.853903996359136964868e02) * z + 1.945506571482613964425e02
    z = z * p / q
    return x * z + x


@kernel()
def _arctangent_positive(x: float) -> float:
    more = 6.123233995736765886130e-17
    if x <= 0.66:
        return _arctangent(x)
    if x > 2.41421356237309504880:
        return _PI / 2 - _arctangent(1 / x) + more
    return _PI / 4 + _arctangent((x - 1) / (x + 1)) + 0.5 * more


@kernel()
def atan(x: float) -> float:
    if x == 0:
        return x
    return _arctangent_positive(x) if x > 0 else -_arctangent_positive(-x)


@kernel()
def asin(x: float) -> float:
    if x == 0:
        return x
    a = abs(x)
    if a > 1:
        return np.nan
    root = np.sqrt(1 - a * a)
    y = _PI / 2 - _arctangent_positive(root / a) if a > 0.7 else _arctangent_positive(a / root)
    return -y if x < 0 else y


@kernel()
def sinh(x: float) -> float:
    a = abs(x)
    if a > 21:
        y = exp(a) * 0.5
    elif a > 0.5:
        e = exp(a)
        y = (e - 1 / e) * 0.5
    else:
        w = a * a
        p = (-0.2630563213397497062819489e2 * w - 0.2894211355989563807284660366e4) * w
        p = (p - 0.8991272022039509355398013511e5) * w - 0.6307673640497716991184787251e6
        q = (w - 0.173678953558233699533450911e3) * w + 0.1521517378790019070696485176e5
        y = p * a / (q * w - 0.6307673640497716991212077277e6)
    return -y if x < 0 else y


@kernel()
def cosh(x: float) -> float:
    a = abs(x)
    if a > 21:
        return exp(a) * 0.5
    e = exp(a)
    return (e + 1 / e) * 0.5


@kernel()
def tanh(x: float) -> float:
    a = abs(x)
    if a > 0.5 * 8.8029691931113054295988e01:
        return -1.0 if x < 0 else 1.0
    if a >= 0.625:
        y = 1 - 2 / (exp(2 * a) + 1)
        return -y if x < 0 else y
    if x == 0:
        return x
    w = x * x
    p = (-9.64399179425052238628e-1 * w - 9.92877231001918586564e1) * w - 1.61468768441708447952e3
    q = ((w + 1.12811678491632931402e2) * w + 2.23548839060100448583e3) * w + 4.84406305325125486048e3
    return x + x * w * p / q


@kernel()
def asinh(x: float) -> float:
    if np.isnan(x) or np.isinf(x):
        return x
    a = abs(x)
    if a > 268435456.0:
        y = log(a) + _LN2
    elif a > 2:
        y = log(2 * a + 1 / (np.sqrt(a * a + 1) + a))
    elif a < 1 / 268435456.0:
        y = a
    else:
        y = log1p(a + a * a / (1 + np.sqrt(1 + a * a)))
    return -y if x < 0 else y


@kernel()
def acosh(x: float) -> float:
    if x < 1 or np.isnan(x):
        return np.nan
    if x == 1:
        return 0.0
    if x >= 268435456.0:
        return log(x) + _LN2
    if x > 2:
        return log(2 * x - 1 / (x + np.sqrt(x * x - 1)))
    t = x - 1
    return log1p(t + np.sqrt(2 * t + t * t))


@kernel()
def atanh(x: float) -> float:
    a = abs(x)
    if a > 1 or np.isnan(x):
        return np.nan
    if a == 1:
        return np.inf if x > 0 else -np.inf
    if a < 1 / 268435456.0:
        y = a
    elif a < 0.5:
        t = a + a
        y = 0.5 * log1p(t + t * a / (1 - a))
    else:
        y = 0.5 * log1p((a + a) / (1 - a))
    return -y if x < 0 else y


@kernel()
def _logarithm(op: int, x: float) -> float:
    if op == EXP:
        return exp(x)
    if op == LN:
        return log(x)
    if op == LOG2:
        return log2(x)
    return log(x) * _LOG10_E


@kernel()
def _angle(op: int, x: float) -> float:
    if op == SIN:
        return sin(x)
    if op == COS:
        return cos(x)
    if op == TAN:
        return tan(x)
    if op == ASIN:
        return asin(x)
    if op == ACOS:
        return _PI / 2 - asin(x)
    return atan(x)


@kernel()
def _hyperbolic(op: int, x: float) -> float:
    if op == SINH:
        return sinh(x)
    if op == COSH:
        return cosh(x)
    if op == TANH:
        return tanh(x)
    if op == ASINH:
        return asinh(x)
    if op == ACOSH:
        return acosh(x)
    return atanh(x)


@kernel("void(i8, f8[::1], f8[::1])")
def apply(op: int, x: Floats, out: Floats) -> None:
    """`out[i]` = the function `op` of `x[i]`."""
    for i in range(len(x)):
        if op <= LOG10:
            out[i] = _logarithm(op, x[i])
        elif op <= ATAN:
            out[i] = _angle(op, x[i])
        else:
            out[i] = _hyperbolic(op, x[i])


@kernel()
def _odd(x: float) -> bool:
    return abs(x) < 9007199254740992.0 and np.floor(x) == x and np.int64(x) & 1 == 1


@kernel()
def _special_power(x: float, y: float) -> tuple[bool, float]:  # a table
    """(whether it is a special case, the result)."""
    if y == 0 or x == 1:
        return True, 1.0
    if y == 1:
        return True, x
    if np.isnan(x) or np.isnan(y):
        return True, np.nan
    if x == 0:
        odd = np.signbit(x) and _odd(y)
        if y < 0:
            return True, -np.inf if odd else np.inf
        return True, x if odd else 0.0
    if np.isinf(y):
        if x == -1:
            return True, 1.0
        return True, 0.0 if (abs(x) < 1) == (y > 0) else np.inf
    if np.isinf(x):
        odd = x < 0 and _odd(y)
        if y < 0:
            return True, -0.0 if odd else 0.0
        return True, -np.inf if odd else np.inf
    if y == 0.5:
        return True, np.sqrt(x)
    if y == -0.5:
        return True, 1 / np.sqrt(x)
    return False, 0.0


@kernel("f8(f8, f8)")
def power(x: float, y: float) -> float:
    """By squaring for the whole part of `y`, by exp and log for the rest."""
    special, result = _special_power(x, y)
    if special:
        return result
    whole = np.floor(abs(y))
    part = abs(y) - whole
    if part != 0 and x < 0:
        return np.nan
    if whole >= 9.223372036854775808e18:
        if x == -1:
            return 1.0
        return 0.0 if (abs(x) < 1) == (y > 0) else np.inf
    a, e = 1.0, 0
    if part != 0:
        if part > 0.5:
            part -= 1
            whole += 1
        a = exp(part * log(x))
    base, exponent = math.frexp(x)
    i = np.int64(whole)
    while i:
        if exponent < -4096 or exponent > 4096:
            e += exponent
            break
        if i & 1:
            a *= base
            e += exponent
        base *= base
        exponent <<= 1
        if base < 0.5:
            base += base
            exponent -= 1
        i >>= 1
    if y < 0:
        a, e = 1 / a, -e
    return math.ldexp(a, e)


@kernel("f8(f8, f8)")
def atan2(y: float, x: float) -> float:
    if np.isnan(y) or np.isnan(x) or y == 0 or x == 0 or np.isinf(x) or np.isinf(y):
        return math.atan2(y, x)
    q = atan(y / x)
    if x < 0:
        return q + _PI if q <= 0 else q - _PI
    return q


@kernel("void(b1, f8[::1], f8[::1], f8[::1])")
def apply_two(angle: bool, x: Floats, y: Floats, out: Floats) -> None:
    """atan2 (`angle`) or power of each pair."""
    for i in range(len(x)):
        out[i] = atan2(x[i], y[i]) if angle else power(x[i], y[i])
