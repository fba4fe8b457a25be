"""The buckets of one histogram, in order. Called by quantiles, fractions, moments, trim and text. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram
from styr.metrics.promql.histograms import gomath, layout
from styr.metrics.promql.histograms.bounds import upper
from styr.metrics.promql.histograms.working import quotient


@dataclass(frozen=True, slots=True)
class Bucket:
    """(lower, upper] of positive, [lower, upper) of negative observations; the zero bucket and the first custom one have both
    ends."""

    lower: float
    upper: float
    lower_inclusive: bool
    upper_inclusive: bool
    count: float

    def fraction_below(self, value: float, linear: bool) -> float:
        """The part of the bucket's width that is below a value inside it; `linear`, or on a logarithmic scale."""
        if linear:
            return quotient(value - self.lower, self.upper - self.lower)
        low, high, at = (gomath.log2(abs(each)) for each in (self.lower, self.upper, value))
        if value > 0:
            return quotient(at - low, high - low)
        return 1 - quotient(at - high, low - high)


def positive(h: Histogram) -> list[Bucket]:
    """From zero upwards; empty ones too."""
    custom = h.schema == CUSTOM_BUCKETS
    at = layout.indexes(h.positive_spans, len(h.positive_buckets))
    found = []
    for index, count in zip(at, h.positive_buckets, strict=False):
        low, high = upper(index - 1, h.schema, h.custom_values), upper(index, h.schema, h.custom_values)
        found.append(Bucket(low, high, index == 0 if custom else low < 0, custom or high > 0, count))
    return found


def negative(h: Histogram) -> list[Bucket]:
    """From zero downwards; empty ones too. Custom buckets have none."""
    if h.schema == CUSTOM_BUCKETS:
        return []
    at = layout.indexes(h.negative_spans, len(h.negative_buckets))
    found = []
    for index, count in zip(at, h.negative_buckets, strict=False):
        low, high = -upper(index, h.schema, ()), -upper(index - 1, h.schema, ())
        found.append(Bucket(low, high, low < 0, high > 0, count))
    return found


def zero(h: Histogram) -> Bucket:
    return Bucket(-h.zero_threshold, h.zero_threshold, True, True, h.zero_count)


def ascending(h: Histogram) -> Iterator[Bucket]:
    """All of them; the zero bucket if it is not empty. Buckets that reach into the zero bucket begin where it ends."""
    for bucket in reversed(negative(h)):
        yield _outside_zero(h, bucket)
    if h.zero_count > 0:
        yield zero(h)
    for bucket in positive(h):
        yield _outside_zero(h, bucket)


def descending(h: Histogram) -> Iterator[Bucket]:
    for bucket in reversed(positive(h)):
        yield _outside_zero(h, bucket)
    if h.zero_count > 0:
        yield zero(h)
    for bucket in negative(h):
        yield _outside_zero(h, bucket)


def _outside_zero(h: Histogram, bucket: Bucket) -> Bucket:
    if 0 < bucket.lower < h.zero_threshold:
        return replace(bucket, lower=h.zero_threshold)
    if -h.zero_threshold < bucket.upper < 0:
        return replace(bucket, upper=-h.zero_threshold)
    return bucket
