"""Numbers in an exposition, as Go reads and writes them. Called by the parsers and by `web` for `le` and `quantile`.
Pure.

Facts: strconv.ParseFloat and FormatFloat of Go; Prometheus' model/textparse and model/labels (FormatOpenMetricsFloat).
"""

from __future__ import annotations

import math
import re
import struct

from styr.metrics.model.samples import NORMAL_NAN_BITS

NORMAL_NAN: float = struct.unpack("<d", struct.pack("<Q", NORMAL_NAN_BITS))[0]

_DECIMAL = re.compile(rb"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_INFINITE = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)


def parse_float(text: bytes) -> float:
    """A sample's value; every NaN becomes Prometheus' normal one. Raises ValueError for what is no float or out of
    range."""
    if _DECIMAL.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            raise ValueError("value out of range")
        return value
    if _INFINITE.fullmatch(text):
        return float(text)
    if text.lower() == b"nan":
        return NORMAL_NAN
    raise ValueError("invalid syntax")


def milliseconds(seconds: float) -> int:
    """Cut off, not rounded, and held within 64 bits."""
    return max(-(2**63) + 1, min(2**63 - 1, int(seconds * 1000.0)))


def go_float(value: float) -> str:
    """strconv.FormatFloat(value, 'g', -1, 64)."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return sign + "0"
    if not -4 <= point - 1 < 6:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{point - 1:+03d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[:point].ljust(point, '0')}" + (f".{digits[point:]}" if len(digits) > point else "")


def openmetrics_float(value: float) -> str:
    """As `le` and `quantile` are written: always with a point or an exponent."""
    text = go_float(value)
    return text if any(mark in text for mark in "e.NI") else text + ".0"
