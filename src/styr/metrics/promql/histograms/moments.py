"""Average and variance of a native histogram's observations. Called by `histogram_avg`, `histogram_stdvar`. Pure."""

from __future__ import annotations

import math

from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram
from styr.metrics.promql.histograms.buckets import Bucket, ascending
from styr.metrics.promql.histograms.kahan import inc
from styr.metrics.promql.histograms.working import quotient


def average(h: Histogram) -> float:
    return quotient(h.sum, h.count)


def variance(h: Histogram) -> float:
    """Every observation is taken to be at its bucket's mean: geometric, of custom buckets arithmetic, of the zero bucket 0."""
    mean = average(h)
    total = lost = 0.0
    for bucket in ascending(h):
        if bucket.count != 0:
            delta = _middle(bucket, h.schema == CUSTOM_BUCKETS) - mean
            total, lost = inc(bucket.count * delta * delta, total, lost)
    return quotient(total + lost, h.count)


def deviation(h: Histogram) -> float:
    found = variance(h)
    return math.sqrt(found) if found >= 0 else math.nan


def _middle(bucket: Bucket, custom: bool) -> float:
    if custom:
        return (bucket.upper + bucket.lower) / 2.0
    if bucket.lower <= 0 <= bucket.upper:
        return 0.0
    middle = math.sqrt(bucket.upper * bucket.lower)
    return -middle if bucket.upper < 0 else middle
