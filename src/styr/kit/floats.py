"""Numbers as Go prints them. Called by `cel` and by the checks of objects. Pure."""

from __future__ import annotations

import math


def show_double(value: float) -> str:
    """As Go's FormatFloat(value, 'g', -1, 64)."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent = f"{value!r}".partition("e")
    digits = mantissa.lstrip("-").replace(".", "").strip("0")
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    power = int(exponent or 0) + _point(mantissa) - 1
    if power < -4 or power >= 6:
        head = digits[0] + ("." + digits[1:] if digits[1:] else "")
        return f"{'-' if value < 0 else ''}{head}e{'-' if power < 0 else '+'}{abs(power):02d}"
    shown = f"{value:.20f}".rstrip("0").rstrip(".") if power < 0 else mantissa
    if exponent or power < 0:
        shown = _plain(digits, power)
        return f"-{shown}" if value < 0 else shown
    return shown.removesuffix(".0")


def _point(mantissa: str) -> int:
    """Where the decimal point is, counted from the first digit that is not 0."""
    whole, _, part = mantissa.lstrip("-").partition(".")
    if whole.strip("0"):
        return len(whole)
    return -(len(part) - len(part.lstrip("0")))


def _plain(digits: str, power: int) -> str:
    if power < 0:
        return "0." + "0" * (-power - 1) + digits
    if len(digits) <= power + 1:
        return digits + "0" * (power + 1 - len(digits))
    return f"{digits[: power + 1]}.{digits[power + 1 :]}"
