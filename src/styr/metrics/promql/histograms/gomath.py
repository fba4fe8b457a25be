"""Logarithm and power of base 2 as Go computes them: its results differ from the C library's in the last bit.

Called by `quantiles` and `fractions`. Pure. After FreeBSD's e_log.c and e_exp.c, which Go's math package follows.
"""

from __future__ import annotations

import math

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_L = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)
_P = (
    1.66666666666666657415e-01,
    -2.77777777770155933842e-03,
    6.61375632143793436117e-05,
    -1.65339022054652515390e-06,
    4.13813679705723846039e-08,
)
_SQRT_HALF = 7.07106781186547524401e-01
_INVERSE_LN2 = 1 / 0.693147180559945309417232121458176568


def log(x: float) -> float:
    if math.isnan(x) or x == math.inf:
        return x
    if x <= 0:
        return -math.inf if x == 0 else math.nan
    fraction, exponent = math.frexp(x)
    if fraction < _SQRT_HALF:
        fraction, exponent = fraction * 2, exponent - 1
    f, k = fraction - 1, float(exponent)
    s = f / (2 + f)
    s2 = s * s
    s4 = s2 * s2
    t1 = s2 * (_L[0] + s4 * (_L[2] + s4 * (_L[4] + s4 * _L[6])))
    t2 = s4 * (_L[1] + s4 * (_L[3] + s4 * _L[5]))
    half = 0.5 * f * f
    return k * _LN2_HIGH - ((half - (s * (half + (t1 + t2)) + k * _LN2_LOW)) - f)


def log2(x: float) -> float:
    fraction, exponent = math.frexp(x)
    if fraction == 0.5:
        return float(exponent - 1)
    return log(fraction) * _INVERSE_LN2 + float(exponent)


def exp2(x: float) -> float:
    if math.isnan(x):
        return x
    if x > 1.0239999999999999e03:
        return math.inf
    if x < -1.0740e03:
        return 0.0
    k = int(x + 0.5) if x > 0 else int(x - 0.5)
    t = x - float(k)
    high, low = t * _LN2_HIGH, -t * _LN2_LOW
    r = high - low
    t = r * r
    c = r - t * (_P[0] + t * (_P[1] + t * (_P[2] + t * (_P[3] + t * _P[4]))))
    return math.ldexp(1 - ((low - (r * c) / (2 - c)) - high), k)
