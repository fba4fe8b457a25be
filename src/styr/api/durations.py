"""Durations as Kubernetes prints them: `5s`, `3m20s`, `4h`, `2d3h`. Called by the columns; pure."""

from __future__ import annotations

from typing import Any

from styr.kit.clock import parse_rfc3339


def human_duration(seconds: float) -> str:
    """The same steps as `duration.HumanDuration` of apimachinery: at most two units, the second only while it matters."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 120:
        return f"{max(0, whole)}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 10:
        return _pair(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _pair(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _pair(days // 365, "y", days % 365, "d") if days < 2920 else f"{days // 365}y"


def _pair(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first}{unit}{second}{smaller}" if second else f"{first}{unit}"


def age(stamp: Any, now: float) -> str:
    """How long ago an RFC 3339 stamp was; `<unknown>` for none, `<invalid>` for one that is not a stamp."""
    if not stamp:
        return "<unknown>"
    try:
        return human_duration(now - parse_rfc3339(stamp))
    except (ValueError, AttributeError, TypeError):
        return "<invalid>"
