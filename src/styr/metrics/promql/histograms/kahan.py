"""One step of Kahan's summation with Neumaier's improvement. Called by `working`, `zero`, `custom` and `moments`. Pure."""

from __future__ import annotations

import math


def inc(value: float, total: float, lost: float) -> tuple[float, float]:
    """(total + value, what rounding has lost so far)."""
    t = total + value
    if math.isinf(t):
        return t, 0.0
    if abs(total) >= abs(value):
        return t, lost + ((total - t) + value)
    return t, lost + ((value - t) + total)
