"""The part of a native histogram's observations between two values. Called by `histogram_fraction`. Pure."""

from __future__ import annotations

import math
from dataclasses import replace

from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram
from styr.metrics.promql import annotations as texts
from styr.metrics.promql.annotations import Annotations, Position
from styr.metrics.promql.histograms.buckets import Bucket, ascending


def fraction(lower: float, upper: float, h: Histogram, notes: Annotations, name: str, position: Position) -> float:
    """NaN without observations; NaN observations are in no part, and `notes` hears of them."""
    if h.count == 0 or math.isnan(lower) or math.isnan(upper):
        return math.nan
    if lower >= upper:
        return 0.0
    low: float | None = None
    high: float | None = None
    rank = seen = 0.0
    buckets = ascending(h)
    for bucket in buckets:
        seen += bucket.count
        bucket, zero = _natural(h, bucket)
        linear = zero or h.schema == CUSTOM_BUCKETS
        if low is None:
            low = _rank(bucket, lower, rank, linear)
        if high is None:
            high = _rank(bucket, upper, rank, linear)
        if low is not None and high is not None:
            break
        rank += bucket.count
    count = h.count
    if math.isnan(h.sum):
        count = seen
        for bucket in buckets:
            count += bucket.count
        if count < h.count:
            notes.add(texts.fraction_nans(name, position))
    low = count if low is None or low > count else low
    high = count if high is None or high > count else high
    return (high - low) / h.count


def _natural(h: Histogram, bucket: Bucket) -> tuple[Bucket, bool]:
    """(the bucket within its natural bounds, whether it is the zero bucket)."""
    if not bucket.lower <= 0 <= bucket.upper:
        return bucket, False
    if not h.negative_buckets and h.positive_buckets:
        return replace(bucket, lower=0.0), True
    if not h.positive_buckets and h.negative_buckets:
        return replace(bucket, upper=0.0), True
    return bucket, True


def _rank(bucket: Bucket, value: float, rank: float, linear: bool) -> float | None:
    """Observations below `value`, when it is at the bucket's start or inside."""
    if bucket.lower >= value:
        return rank
    if not bucket.upper > value:
        return None
    if linear and bucket.lower == -math.inf:
        return bucket.count
    return rank + bucket.count * bucket.fraction_below(value, linear)
