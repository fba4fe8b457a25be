"""Durations as Prometheus writes them, in milliseconds. Called by whoever prints or reads rules, alerts and notifier
settings. Pure."""

from __future__ import annotations

import re

from styr.metrics.model.errors import BadData
from styr.metrics.promql.numbers import parse_duration

_EXACT = (("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000))
_UNITS = (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
_GO = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_GO_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}


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


def read_go_duration(text: str) -> float:
    """Milliseconds of Go's `time.ParseDuration` notation (`1.5h`, `-3m0.5s`), which Alertmanager's templates and amtool
    use. Raises BadData."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, at = 0.0, 0
    for found in _GO.finditer(rest):
        if found.start() != at:
            break
        total += float(found.group(1)) * _GO_MS[found.group(2)]
        at = found.end()
    if not rest or at != len(rest):
        raise BadData(f'time: invalid duration "{text}"')
    return sign * total
