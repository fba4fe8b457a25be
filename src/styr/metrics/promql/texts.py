"""Numbers as labels, written as Go writes them. Called by `count_values` and `classic`. Pure."""

from __future__ import annotations

import math
from decimal import Decimal

from styr.metrics.promql.annotations import go_float


def plain_float(value: float) -> str:
    """The shortest digits without an exponent (Go's `FormatFloat(v, 'f', -1, 64)`)."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def openmetrics_float(value: float) -> str:
    """With a point or an exponent, always."""
    text = go_float(value)
    return text if any(c in text for c in ".eN") or "Inf" in text else text + ".0"
