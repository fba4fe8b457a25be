"""What PromQL asks of single native histograms, with notes for the query. Called by `classic` and `evaluate`."""

from __future__ import annotations

from styr.metrics.model.histogram import Histogram
from styr.metrics.promql.query import Query

Position = tuple[int, int]


def negated(h: Histogram) -> Histogram:
    raise NotImplementedError


def histogram_text(h: Histogram) -> str:
    raise NotImplementedError


def quantile(query: Query, q: float, h: Histogram, name: str, where: Position) -> float:
    raise NotImplementedError


def fraction(query: Query, lower: float, upper: float, h: Histogram, name: str, where: Position) -> float:
    raise NotImplementedError


def variance(h: Histogram) -> float:
    raise NotImplementedError
