"""Floats as Go's strconv and fmt print them. Called by `printing`, `functions` and the API's status. Pure."""

from __future__ import annotations

import math


def format_float(value: float, verb: str, precision: int = -1) -> str:
    """strconv.FormatFloat for 64 bits: verbs e, E, f, F, g, G, b, x; precision -1 is the shortest that reads back."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    lower = verb.lower()
    if lower == "b":
        return _binary(value)
    if lower == "x":
        text = _hexadecimal(value, precision)
    elif precision >= 0:
        text = f"{value:.{precision}{lower}}" if lower != "g" else f"{value:.{max(precision, 1)}g}"
    else:
        text = _shortest(value, lower)
    return text.upper() if verb in "EGX" else text


def _shortest(value: float, verb: str) -> str:
    sign, digits, exponent = _digits(value)
    if verb == "f" or (verb == "g" and -4 <= exponent < 6):
        return sign + _positional(digits, exponent)
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _digits(value: float) -> tuple[str, str, int]:
    """Sign, shortest digits, and the exponent of the first of them."""
    text = repr(abs(value))
    mantissa, _, power = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    exponent = int(power or 0) + len(whole) - 1
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return ("-" if math.copysign(1, value) < 0 else "", "0", 0)
    exponent -= len(whole + fraction) - len(digits)
    return ("-" if value < 0 else "", digits.rstrip("0"), exponent)


def _positional(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{whole}.{fraction}" if fraction else whole


def _binary(value: float) -> str:
    mantissa, exponent = math.frexp(value)
    if value == 0:
        return "-0p-1074" if math.copysign(1, value) < 0 else "0p-1074"
    shift = max(exponent - 53, -1074)
    return f"{int(math.ldexp(mantissa, exponent - shift))}p{shift:+d}"


def _hexadecimal(value: float, precision: int) -> str:
    sign = "-" if math.copysign(1, value) < 0 else ""
    value = abs(value)
    if value == 0:
        return f"{sign}0x0{'.' + '0' * precision if precision > 0 else ''}p+00"
    mantissa, exponent = math.frexp(value)
    bits = int(math.ldexp(mantissa, 53))
    exponent -= 1
    if 0 <= precision < 13:
        drop = 4 * (13 - precision)
        rest, half = bits & ((1 << drop) - 1), 1 << (drop - 1)
        bits >>= drop
        bits += rest > half or (rest == half and bits & 1)
        if bits >> (4 * precision + 1):
            bits, exponent = bits >> 1, exponent + 1
        bits <<= drop
    fraction = f"{bits & ((1 << 52) - 1):013x}"
    fraction = fraction.rstrip("0") if precision < 0 else fraction[:precision].ljust(precision, "0")
    return f"{sign}0x1{'.' + fraction if fraction else ''}p{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
