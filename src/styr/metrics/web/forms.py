"""Parameters of a request, read as Prometheus reads them. Called by every endpoint; pure.

Every complaint is a BadData that names the parameter: `invalid parameter "step": cannot parse "x" to a valid duration`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import parse_qsl

from styr.metrics.model.errors import BadData

MIN_TIME = (-(2**63 // 1000) + 62135596801) * 1000
MAX_TIME = (2**63 // 1000 - 62135596801) * 1000
"""Milliseconds: the ends of time, as Prometheus has them."""
MAX_BODY = 32 << 20
MAX_FIELDS = 10_000

_FLOAT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_UNITS = (31536000000, 604800000, 86400000, 3600000, 60000, 1000, 1)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:[.,](\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")


class Form:
    """The fields of a body and of the query, the body's first."""

    def __init__(self, query: Sequence[tuple[str, str]], body: bytes = b"", content_type: str = "") -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in (*_body_fields(body, content_type), *query):
            self._fields.setdefault(name, []).append(value)

    def text(self, name: str) -> str:
        return self._fields.get(name, ("",))[0]

    def all(self, name: str) -> list[str]:
        return self._fields.get(name, [])

    def time(self, name: str, default: int | None = None) -> int:
        """Milliseconds; without a default the parameter is required."""
        value = self.text(name)
        if not value and default is not None:
            return default
        try:
            return parse_time(value)
        except BadData as error:
            told = f"invalid time value for '{name}': {error}" if default is not None else str(error)
            raise invalid(name, told) from None

    def seconds(self, name: str) -> float:
        """A duration."""
        try:
            return parse_duration(self.text(name))
        except BadData as error:
            raise invalid(name, str(error)) from None

    def limit(self, name: str = "limit") -> int:
        """0: none."""
        value = self.text(name)
        if not value:
            return 0
        if not _INTEGER.fullmatch(value) or len(value) > 19:
            raise invalid(name, f"{value[:100]!r} is no whole number")
        if int(value) < 0:
            raise invalid(name, f"{name} must be non-negative")
        return int(value)

    def number(self, name: str, default: int) -> int:
        value = self.text(name)
        if not value:
            return default
        if not _INTEGER.fullmatch(value) or len(value) > 19:
            raise BadData(f"{name} must be a number")
        return int(value)

    def flag(self, name: str) -> bool:
        value = self.text(name)
        if not value:
            return False
        if value.lower() not in _TRUE + _FALSE:
            raise invalid(name, f"{value[:100]!r} is neither true nor false")
        return value.lower() in _TRUE


def _body_fields(body: bytes, content_type: str) -> list[tuple[str, str]]:
    if not body or content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return []
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise BadData(f"error parsing form values: {error}") from None


def invalid(name: str, reason: str) -> BadData:
    return BadData(f'invalid parameter "{name}": {reason}')


def parse_time(text: str) -> int:
    """Seconds since 1970 as a decimal, or RFC 3339, to milliseconds."""
    if _FLOAT.fullmatch(text):
        seconds = float(text)
        if not MIN_TIME <= seconds * 1000 <= MAX_TIME:
            raise BadData(f"{_quoted(text)} lies outside of all time")
        whole = int(seconds)
        fraction = (seconds - whole) * 1000
        return whole * 1000 + int(fraction + (0.5 if fraction >= 0 else -0.5))
    found = _RFC3339.fullmatch(text)
    if found:
        digits, zone = found.groups()
        base = text[:19].upper() + ("+00:00" if zone in "Zz" else zone)
        try:
            return int(datetime.fromisoformat(base).timestamp()) * 1000 + int((digits or "").ljust(3, "0")[:3])
        except (ValueError, OverflowError):
            pass
    raise BadData(f"cannot parse {_quoted(text)} to a valid timestamp")


def parse_duration(text: str) -> float:
    """Seconds, or `1h30m`, to seconds."""
    if _FLOAT.fullmatch(text):
        if abs(float(text)) * 1e9 > 2**63:
            raise BadData(f"cannot parse {_quoted(text)} to a valid duration. It overflows int64")
        return float(text)
    found = _DURATION.fullmatch(text) if text and len(text) < 200 else None
    if found:
        total = sum(int(number) * unit for number, unit in zip(found.groups("0"), _UNITS, strict=True))
        if total * 10**6 < 2**63:
            return total / 1000
    raise BadData(f"cannot parse {_quoted(text)} to a valid duration")


def _quoted(text: str) -> str:
    return '"' + text[:200].replace("\\", "\\\\").replace('"', '\\"') + '"'
