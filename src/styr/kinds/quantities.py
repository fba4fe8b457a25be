"""Quantities such as `500m`, `1Gi`, `2e3`. Exact: they are compared and added, never rounded.

Format: Kubernetes' resource.Quantity (decimal suffixes n u m k M G T P E, binary Ki Mi Gi Ti Pi Ei, or an exponent).
"""

from __future__ import annotations

import re
from fractions import Fraction

_SUFFIX = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{letter: Fraction(1000 ** (power + 1)) for power, letter in enumerate("kMGTPE")},
    **{f"{letter}i": Fraction(1024 ** (power + 1)) for power, letter in enumerate("KMGTPE")},
}
_FORM = re.compile(r"([+-]?(?:\d{1,300}(?:\.\d{0,300})?|\.\d{1,300}))(?:[eE]([+-]?\d{1,4})|([numkMGTPE]|[KMGTPE]i)?)")


class QuantityError(ValueError):
    """Not a quantity. The message quotes it."""


def parse(quantity: str | int | float) -> Fraction:
    """Raises QuantityError."""
    match = _FORM.fullmatch(str(quantity).strip())
    if match is None:
        raise QuantityError(f"{quantity!r} is not a quantity, such as 100m, 1.5 or 2Gi")
    digits, exponent, suffix = match.groups()
    scale = Fraction(10) ** int(exponent) if exponent else _SUFFIX[suffix or ""]
    return Fraction(digits) * scale


def show(value: Fraction, *, binary: bool = False) -> str:
    """In Kubernetes' canonical form. `binary` uses Ki, Mi and so on where the value is whole. Below a billionth it is
    rounded up."""
    sign, value = ("-", -value) if value < 0 else ("", value)
    if binary and value >= 1024 and value.denominator == 1:
        number, power = int(value), 0
        while number % 1024 == 0 and power < 6:
            number, power = number // 1024, power + 1
        return f"{sign}{number}{('', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei')[power]}"
    number = -(-value.numerator * 10**9 // value.denominator)
    if not number:
        return "0"
    step = 0
    while number % 1000 == 0 and step < 9:
        number, step = number // 1000, step + 1
    return f"{sign}{number}{('n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E')[step]}"
