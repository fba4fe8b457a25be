"""The buckets of a native histogram with their bounds, in ascending order. Called by `json` and `federate`;
calls PromQL's bounds. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram, Span
from styr.metrics.promql.histograms.bounds import exponential

LEFT_OPEN, RIGHT_OPEN, CLOSED = 0, 1, 3
"""Which bound belongs to a bucket: the upper, the lower, both."""

Bucket = tuple[int, float, float, float]
"""(rule, lower, upper, count)."""


def indexed(spans: Sequence[Span], counts: Sequence[float]) -> Iterator[tuple[int, float]]:
    """(bucket index, count)."""
    index, values = 0, iter(counts)
    for offset, length in spans:
        index += offset
        for _ in range(length):
            yield index, next(values)
            index += 1


def buckets(found: Histogram) -> list[Bucket]:
    """Those that are not empty. With custom bounds, the first goes down to -Inf and the last up to +Inf."""
    if found.schema == CUSTOM_BUCKETS:
        bounds = [-math.inf, *found.custom_values, math.inf]
        rows = indexed(found.positive_spans, found.positive_buckets)
        return [
            (CLOSED if i == 0 else LEFT_OPEN, bounds[i], bounds[i + 1], count)
            for i, count in rows
            if count and i + 1 < len(bounds)
        ]
    schema, zero = found.schema, found.zero_threshold
    negative = [
        (RIGHT_OPEN, -exponential(i, schema), min(-exponential(i - 1, schema), -zero), count)
        for i, count in indexed(found.negative_spans, found.negative_buckets)
        if count
    ]
    middle = [(CLOSED, -zero, zero, found.zero_count)] if found.zero_count else []
    positive = [
        (LEFT_OPEN, max(exponential(i - 1, schema), zero), exponential(i, schema), count)
        for i, count in indexed(found.positive_spans, found.positive_buckets)
        if count
    ]
    return [*reversed(negative), *middle, *positive]
