"""Durations and timestamps: their text forms, and the parts of them. Formats: RFC 3339, and Go's time.ParseDuration."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from styr.cel.errors import EvaluationError
from styr.cel.functions import Functions, Overload, member
from styr.cel.types import DURATION, INT, STRING, TIMESTAMP
from styr.cel.values import SECOND, Duration, Timestamp, duration, timestamp

_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
_PART = re.compile(r"(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,30}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_OFFSET = re.compile(r"([+-]?)(\d{1,2}):(\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_duration(text: str) -> Duration:
    """`1h30m`, `-1.5s`, `0`. Raises EvaluationError."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    total = Fraction(0)
    at = 0
    while at < len(rest):
        match = _PART.match(rest, at)
        if match is None or len(match[1]) > 20 or not (match[1] or match[2]):
            break
        total += int(match[1] or 0) * _UNITS[match[3]]
        part = (match[2] or "")[:20]
        total += Fraction(int(part or 0) * _UNITS[match[3]], 10 ** len(part))
        at = match.end()
    if not rest or (at < len(rest) and rest != "0"):
        raise EvaluationError(f'time: invalid duration "{text[:80]}"')
    return duration(int(total) * (-1 if text[:1] == "-" else 1))


def parse_timestamp(text: str) -> Timestamp:
    """RFC 3339. Raises EvaluationError."""
    match = _STAMP.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        year, month, day, hour, minute, second = (int(match[index]) for index in range(1, 7))
        whole = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        shift = _fixed(match[8]) if match[8] != "Z" else timedelta()
    except (ValueError, OverflowError):
        raise EvaluationError(f'parsing time "{text[:80]}" as "2006-01-02T15:04:05Z07:00": cannot parse') from None
    nanoseconds = int((match[7] or "0")[:9].ljust(9, "0"))
    return timestamp(_seconds(whole - _EPOCH - shift) * SECOND + nanoseconds)


def _seconds(delta: timedelta) -> int:
    return delta.days * 86_400 + delta.seconds


def _fixed(text: str) -> timedelta:
    match = _OFFSET.fullmatch(text)
    if match is None or int(match[2]) > 24 or int(match[3]) > 60:
        raise ValueError(text)
    delta = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return -delta if match[1] == "-" else delta


def show_duration(value: int) -> str:
    """Seconds, as `1.5s`."""
    whole, rest = divmod(abs(value), SECOND)
    part = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{'-' if value < 0 else ''}{whole}{part}s"


def show_timestamp(value: int) -> str:
    """RFC 3339 in UTC, with no more digits than there are."""
    whole, rest = divmod(int(value), SECOND)
    moment = _EPOCH + timedelta(seconds=whole)
    part = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}{part}Z"


@lru_cache(maxsize=64)
def _zone(name: str) -> timedelta | tzinfo:
    """A fixed offset such as -08:00, or a zone of the IANA database. Raises EvaluationError."""
    if name in ("", "UTC"):
        return timedelta()
    try:
        return _fixed(name) if ":" in name else ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise EvaluationError(f"unknown time zone {name[:80]}") from None


def _local(value: int, zone: str) -> datetime:
    moment = _EPOCH + timedelta(seconds=int(value) // SECOND)
    place = _zone(zone)
    try:
        return moment + place if isinstance(place, timedelta) else moment.astimezone(place)
    except OverflowError:
        raise EvaluationError("timestamp overflow") from None


def _of(id: str, read: Callable[[datetime], int]) -> tuple[Overload, ...]:
    return (
        member(id, (TIMESTAMP,), INT, lambda value: read(_local(value, ""))),
        member(f"{id}_with_tz", (TIMESTAMP, STRING), INT, lambda value, zone: read(_local(value, zone))),
    )


def _split(size: int) -> Callable[[int], int]:
    """Whole units of a duration, rounded towards zero."""
    return lambda value: abs(int(value)) // size * (-1 if value < 0 else 1)


def _milliseconds(value: int, zone: str = "") -> int:
    _zone(zone)
    return int(value) % SECOND // 10**6


FUNCTIONS: Functions = {
    "getFullYear": _of("timestamp_to_year", lambda at: at.year),
    "getMonth": _of("timestamp_to_month", lambda at: at.month - 1),
    "getDayOfYear": _of("timestamp_to_day_of_year", lambda at: at.timetuple().tm_yday - 1),
    "getDayOfMonth": _of("timestamp_to_day_of_month", lambda at: at.day - 1),
    "getDate": _of("timestamp_to_day_of_month_1_based", lambda at: at.day),
    "getDayOfWeek": _of("timestamp_to_day_of_week", lambda at: at.isoweekday() % 7),
    "getHours": (
        *_of("timestamp_to_hours_tz", lambda at: at.hour),
        member("duration_to_hours", (DURATION,), INT, _split(3600 * SECOND)),
    ),
    "getMinutes": (
        *_of("timestamp_to_minutes", lambda at: at.minute),
        member("duration_to_minutes", (DURATION,), INT, _split(60 * SECOND)),
    ),
    "getSeconds": (
        *_of("timestamp_to_seconds_tz", lambda at: at.second),
        member("duration_to_seconds", (DURATION,), INT, _split(SECOND)),
    ),
    "getMilliseconds": (
        member("timestamp_to_milliseconds", (TIMESTAMP,), INT, _milliseconds),
        member("timestamp_to_milliseconds_with_tz", (TIMESTAMP, STRING), INT, _milliseconds),
        member("duration_to_milliseconds", (DURATION,), INT, _split(10**6)),
    ),
}
