"""Where the buckets of a native histogram begin and end. Called by `buckets`, `zero` and `resets`. Pure."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from decimal import Context, Decimal
from functools import cache, lru_cache

from styr.metrics.model.histogram import CUSTOM_BUCKETS

FINEST, COARSEST = 8, -4
_STEPS = 1 << FINEST

_BELOW = (
    "111111211121111111231122222222221121112112221122112210221122112211111122223321321121112111121111"
    "111210112133112212221121213322222121223322322122222222323233323311221121223321332233212232332232"
    "2243223233433343333333444455435422322333324422333243223333543344"
)
"""Prometheus' table of the bounds in [0.5, 1) is not correctly rounded: how many floats each entry lies below the one above the
nearest. The bounds must be its own, because results are interpolated between them."""


@cache
def _fractions() -> list[float]:
    """2 ** (i / 256 - 1), as Prometheus has it."""
    context = Context(prec=40)
    ln2 = context.ln(Decimal(2))
    found = []
    for i, below in enumerate(_BELOW):
        power = context.exp(context.multiply(ln2, context.subtract(context.divide(Decimal(i), _STEPS), 1)))
        bound = math.nextafter(float(power), math.inf)
        for _ in range(int(below)):
            bound = math.nextafter(bound, 0.0)
        found.append(bound)
    return found


@lru_cache(maxsize=65536)
def exponential(index: int, schema: int) -> float:
    """Upper bound of the bucket `index`. The last one for regular numbers ends at the largest float, the next at +Inf."""
    if schema < 0:
        fraction, exponent = 0.5, (index << -schema) + 1
    else:
        fraction = _fractions()[(index & ((1 << schema) - 1)) << (FINEST - schema)]
        exponent = (index >> schema) + 1
    if fraction == 0.5 and exponent == 1025:
        return sys.float_info.max
    try:
        return math.ldexp(fraction, exponent)
    except OverflowError:
        return math.inf


def upper(index: int, schema: int, custom: Sequence[float]) -> float:
    """Upper bound of the bucket `index`; for custom buckets, -1 is what ends at -Inf."""
    if schema != CUSTOM_BUCKETS:
        return exponential(index, schema)
    if index >= len(custom):
        return math.inf
    return -math.inf if index < 0 else custom[index]
