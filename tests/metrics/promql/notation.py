"""The series notation of test scripts, which lives with the language, since `styr metrics test rules` reads it too."""

from __future__ import annotations

from styr.metrics.promql.notation import Value, parse_series, parse_starts

__all__ = ["Value", "parse_series", "parse_starts"]
