"""Number and duration literals. Called by the parser and whoever reads durations as Prometheus writes them. Pure."""

from __future__ import annotations

import re

from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import quote

_UNITS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_ORDER = list(_UNITS)
_PART = re.compile(r"([0-9]+)([^0-9]*)")
MOST_MS = ((1 << 63) - 1) // 1_000_000
"""The longest duration: what int64 nanoseconds hold, about 292 years."""


def parse_duration(text: str) -> int:
    """Milliseconds of `1d12h`, `5m`, `0`. Raises BadData with Prometheus' words."""
    if text == "0":
        return 0
    if not text:
        raise BadData("empty duration string")
    at, last, total = 0, -1, 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None or not found.group(2):
            raise BadData(f"not a valid duration string: {quote(text)}")
        unit = found.group(2)
        if unit not in _UNITS:
            raise BadData(f"unknown unit {quote(unit)} in duration {quote(text)}")
        rank = _ORDER.index(unit)
        if rank <= last:
            raise BadData(f"not a valid duration string: {quote(text)}")
        last, at = rank, found.end()
        total += int(found.group(1)[:25]) * _UNITS[unit]
        if total > MOST_MS:
            raise BadData("duration out of range")
    return total


def parse_number(text: str) -> float:
    """Decimal, hexadecimal (`0x1F`), octal (`010`), with underscores, Inf and NaN. Raises BadData with Go's words."""
    plain = text.lower()
    try:
        whole = int(plain, 8) if re.fullmatch(r"0[0-7_]+", plain) else int(plain, 0)
        if -(1 << 63) <= whole < 1 << 63:
            return float(whole)
    except ValueError:
        pass
    if plain.startswith("0x") or "__" in plain:
        raise BadData(f"error parsing number: strconv.ParseFloat: parsing {quote(text)}: invalid syntax")
    try:
        value = float(plain)
    except ValueError:
        raise BadData(f"error parsing number: strconv.ParseFloat: parsing {quote(text)}: invalid syntax") from None
    if value in (float("inf"), float("-inf")) and "inf" not in plain:
        raise BadData(f"error parsing number: strconv.ParseFloat: parsing {quote(text)}: value out of range")
    return value
