"""Quantiles of a native histogram. Called by `histogram_quantile` and `histogram_quantiles`. Pure.

Inside a bucket, observations are taken to lie evenly on a logarithmic scale; in custom buckets and in the zero bucket, evenly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram
from styr.metrics.promql import annotations as texts
from styr.metrics.promql.annotations import Annotations, Position
from styr.metrics.promql.histograms import gomath
from styr.metrics.promql.histograms.buckets import Bucket, ascending, descending
from styr.metrics.promql.histograms.working import quotient

_NONE = Bucket(0.0, 0.0, False, False, 0.0)


def quantile(q: float, h: Histogram, notes: Annotations, name: str, position: Position) -> float:
    """NaN observations make the sum NaN and count as the largest; `notes` hears of it."""
    if q < 0 or q > 1:
        return -math.inf if q < 0 else math.inf
    if h.count == 0 or math.isnan(q):
        return math.nan
    forward = math.isnan(h.sum) or q < 0.5
    buckets = ascending(h) if forward else descending(h)
    rank = q * h.count if forward else (1 - q) * h.count
    bucket, count = _find(buckets, rank)
    decided, bucket = _natural(h, bucket)
    if decided is not None:
        return decided
    count = min(count, h.count)
    if count < rank:
        if not math.isnan(h.sum):
            return bucket.upper
        notes.add(texts.quantile_nan_result(name, position))
        return math.nan
    rank = rank - (count - bucket.count) if forward else count - rank
    if math.isnan(h.sum):
        for bucket in buckets:
            count += bucket.count
        if count < h.count:
            notes.add(texts.quantile_nan_skew(name, position))
    return _interpolate(h, bucket, quotient(rank, bucket.count))


def _find(buckets: Iterator[Bucket], rank: float) -> tuple[Bucket, float]:
    """(the bucket in which the rank is reached, observations up to and with it)."""
    bucket, count = _NONE, 0.0
    for bucket in buckets:
        if bucket.count == 0:
            continue
        count += bucket.count
        if count >= rank:
            break
    return bucket, count


def _natural(h: Histogram, bucket: Bucket) -> tuple[float | None, Bucket]:
    """(the answer where nothing can be interpolated, the bucket within natural bounds: zero, where nothing lies beyond)."""
    if h.schema == CUSTOM_BUCKETS:
        if bucket.lower == -math.inf:
            return (bucket.upper if bucket.upper <= 0 else None), replace(bucket, lower=0.0)
        return (bucket.lower if bucket.upper == math.inf else None), bucket
    if bucket.lower < 0 < bucket.upper:
        if not h.negative_buckets and h.positive_buckets:
            return None, replace(bucket, lower=0.0)
        if not h.positive_buckets and h.negative_buckets:
            return None, replace(bucket, upper=0.0)
    return None, bucket


def _interpolate(h: Histogram, bucket: Bucket, fraction: float) -> float:
    if h.schema == CUSTOM_BUCKETS or bucket.lower <= 0 <= bucket.upper:
        return bucket.lower + (bucket.upper - bucket.lower) * fraction
    low, high = gomath.log2(abs(bucket.lower)), gomath.log2(abs(bucket.upper))
    if bucket.lower > 0:
        return gomath.exp2(low + (high - low) * fraction)
    return -gomath.exp2(high + (low - high) * (1 - fraction))
