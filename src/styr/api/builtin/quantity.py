"""The form in which Kubernetes writes a quantity: `1000m` is `1`, `1.5Gi` is `1536Mi`, and what is canonical stays as it is.

Called by `leaves`; `kinds.quantities` reads their values. Pure. Format: resource.Quantity, section "Canonicalization".
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from styr.kinds import quantities

NOT_ONE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_NO_NUMBER = "unable to parse numeric part of quantity"
_NO_SUFFIX = "unable to parse quantity's suffix"

_FORM = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_NAMES = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_BINARY_NAMES = {exponent: suffix for suffix, exponent in _BINARY.items()} | {0: ""}
_INT64 = (1 << 63) - 1
_MAX_EXPONENT = 999
_MAX_DIGITS = 18


class QuantityError(ValueError):
    """Not a quantity; the message is Kubernetes' own."""


def canonical(text: str) -> str:
    """Raises QuantityError."""
    text = text.strip()
    match = _FORM.fullmatch(text)
    if match is None or len(text) > 300:
        raise QuantityError(NOT_ONE)
    sign, whole, part, suffix = match.groups()
    if not whole and part is None:
        raise QuantityError(NOT_ONE)
    whole, part = whole.lstrip("0"), part or ""
    if suffix in _DECIMAL:
        style, exponent = "si", _DECIMAL[suffix]
    elif suffix in _BINARY:
        return _binary(text, sign, whole, part, _BINARY[suffix])
    else:
        style, exponent = "exponent", _exponent(suffix)
    digits = (whole or "0") + part
    scale = exponent - len(part)
    if _MAX_DIGITS - len(digits) >= 0 and scale >= -9:
        number = int(digits)
        if number and scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0":
            return text
    else:
        number = int(digits)
        if scale < -9:  # what is smaller than a billionth counts as one
            number, scale = -(-number // 10 ** (-9 - scale)), -9
    return _decimal(sign, number, scale, style)


def _exponent(suffix: str) -> int:
    if suffix[:1] not in ("e", "E") or not (suffix[1:].lstrip("+-").isdigit() and len(suffix) < 12):
        raise QuantityError(_NO_SUFFIX)
    try:
        found = int(suffix[1:])
    except ValueError:
        raise QuantityError(_NO_SUFFIX) from None
    if abs(found) > _MAX_EXPONENT:
        raise QuantityError(_NO_NUMBER)
    return found


def _decimal(sign: str, number: int, scale: int, style: str) -> str:
    if not number:
        return "0"
    while number % 10 == 0:
        number, scale = number // 10, scale + 1
    shift = scale % 3
    number, scale = number * 10**shift, scale - shift
    minus = "-" if sign == "-" else ""
    if style == "exponent":
        return f"{minus}{number}e{scale}" if scale else f"{minus}{number}"
    return f"{minus}{number}{_NAMES.get(scale, '')}"


def _binary(text: str, sign: str, whole: str, part: str, exponent: int) -> str:
    if exponent >= 50 and not whole and not part:
        raise QuantityError(_NO_NUMBER)
    number = int(whole + part or "0") << exponent
    scale = 10 ** len(part)
    if not part and whole and 15 - len(whole) - int(exponent * 3 / 10) - 1 >= 0 and int(whole) & 7:
        return text
    if number > _INT64 * scale:
        number, scale = _INT64, 1
    if number < 1024 * scale or number % scale:
        number = -(-number * 10**9 // scale)
        return _decimal(sign, number, -9, "si")
    return _powers(sign, number // scale)


def _powers(sign: str, number: int) -> str:
    power = 0
    while number and number % 1024 == 0:
        number, power = number // 1024, power + 10
    return f"{'-' if sign == '-' else ''}{number}{_BINARY_NAMES[power]}" if number else "0"


def rounded(text: str) -> str:
    """A canonical quantity, rounded up to whole thousandths."""
    value = quantities.parse(text)
    thousandths = value * 1000
    if thousandths.denominator == 1:
        return text
    whole = math.ceil(abs(thousandths))
    style = _style(text)
    return _decimal("-" if value < 0 else "", whole, -3, "si" if style == "binary" else style)


def add(one: str, other: str) -> str:
    """The sum of two canonical quantities, in the style of the first (of the second where the first is nothing)."""
    value = quantities.parse(one) + quantities.parse(other)
    return of(value, _style(one if quantities.parse(one) else other))


def of(value: Fraction, style: str) -> str:
    """`value` in a style: `si`, `binary` or `exponent`."""
    sign = "-" if value < 0 else ""
    if style == "binary" and abs(value) >= 1024 and value.denominator == 1:
        return _powers(sign, abs(value.numerator))
    return _decimal(sign, math.ceil(abs(value) * 10**9), -9, "si" if style == "binary" else style)


def _style(text: str) -> str:
    if text.endswith("i"):
        return "binary"
    return "exponent" if re.search(r"[eE][-+]?[0-9]", text) else "si"
