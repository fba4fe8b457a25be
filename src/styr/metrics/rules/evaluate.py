"""The seam to PromQL: what rules and templates ask, and what they get. Pure.

`process` binds it to `promql.engine`. Calls come from worker threads, several at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels

Value = float | Histogram
Vector = list[tuple[Labels, Value]]


class Evaluate(Protocol):
    def __call__(self, expr: Any, t: int, /) -> Vector:
        """The instant vector of an expression (a text, or the tree that the parser made of one) at `t` milliseconds; a
        scalar comes as one element without labels. Raises MetricsError, also when the result is neither."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample to be written; `t` in milliseconds."""

    labels: Labels
    t: int
    value: Value


class RuleFailed(Exception):
    """An evaluation gave what a rule may not give; the text is the rule's lastError."""
