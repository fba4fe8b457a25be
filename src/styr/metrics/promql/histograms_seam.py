"""What PromQL asks of single native histograms, with notes for the query. Called by `classic` and `evaluate`."""

from __future__ import annotations

from styr.metrics.model.histogram import Histogram
from styr.metrics.promql.histograms import fractions, quantiles
from styr.metrics.promql.histograms.arithmetic import negated
from styr.metrics.promql.histograms.moments import average, deviation, variance
from styr.metrics.promql.histograms.text import shown as histogram_text
from styr.metrics.promql.query import Query

Position = tuple[int, int]


def quantile(query: Query, q: float, h: Histogram, name: str, where: Position) -> float:
    return quantiles.quantile(q, h, query.notes, name, where)


def fraction(query: Query, lower: float, upper: float, h: Histogram, name: str, where: Position) -> float:
    return fractions.fraction(lower, upper, h, query.notes, name, where)


__all__ = ["average", "deviation", "fraction", "histogram_text", "negated", "quantile", "variance"]
