"""Durations as Prometheus writes them, in milliseconds. Called by whoever prints or reads rules, alerts and notifier
settings. Pure."""

from __future__ import annotations

from styr.metrics.model.errors import BadData
from styr.metrics.promql.numbers import parse_duration

_EXACT = (("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000))
_UNITS = (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def format_duration(ms: int) -> str:
    """`1d`, `1h30m`, `0s`: weeks, days and years only when they divide it exactly, as Prometheus' model.Duration
    prints."""
    if ms == 0:
        return "0s"
    out = ["-"] if ms < 0 else []
    left = abs(ms)
    for unit, size in _EXACT:
        if left and left % size == 0:
            out.append(f"{left // size}{unit}")
            left = 0
    for unit, size in _UNITS:
        if left >= size:
            out.append(f"{left // size}{unit}")
            left %= size
    return "".join(out)


def read_duration(value: object, path: str) -> int:
    """Milliseconds of a field of a config; None and "" are 0. Raises BadData that begins with the field's path."""
    if value is None or value == "":
        return 0
    text = "0" if value == 0 and not isinstance(value, bool) else value
    if not isinstance(text, str):
        raise BadData(f"{path}: {value!r} is no duration; write it as 30s, 5m or 1d12h")
    try:
        return parse_duration(text)
    except BadData as error:
        raise BadData(f"{path}: {error}; write it as 30s, 5m or 1d12h") from None
