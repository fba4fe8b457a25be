"""Native histograms that are finer than a job allows, made coarser. Called by `ingest`; pure.

Meaning of the two limits: native_histogram_bucket_limit and native_histogram_min_bucket_factor of Prometheus' scrape_config.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram, Span
from styr.metrics.scrape.resolve import Refused

COARSEST, FINEST = -4, 8


def finest_schema(factor: float) -> int:
    """The finest schema whose buckets grow by at least `factor` from one to the next; 8 when `factor` asks for nothing."""
    if factor <= 1:
        return FINEST
    return max(COARSEST, min(FINEST, math.floor(-math.log2(math.log2(factor)))))


def coarsen(histogram: Histogram, bucket_limit: int, finest: int) -> Histogram:
    """The histogram within the limits (a limit of 0 is none). Raises Refused when no schema is coarse enough."""
    if histogram.schema != CUSTOM_BUCKETS and histogram.schema > finest:
        histogram = _reduced(histogram, finest)
    while bucket_limit and len(histogram.positive_buckets) + len(histogram.negative_buckets) > bucket_limit:
        if histogram.schema == CUSTOM_BUCKETS or histogram.schema <= COARSEST:
            raise Refused("histogram bucket limit exceeded")
        histogram = _reduced(histogram, histogram.schema - 1)
    return histogram


def _reduced(histogram: Histogram, schema: int) -> Histogram:
    steps = histogram.schema - schema
    positive_spans, positive = _merge(histogram.positive_spans, histogram.positive_buckets, steps)
    negative_spans, negative = _merge(histogram.negative_spans, histogram.negative_buckets, steps)
    return replace(
        histogram,
        schema=schema,
        positive_spans=positive_spans,
        positive_buckets=positive,
        negative_spans=negative_spans,
        negative_buckets=negative,
    )


def _merge(spans: Sequence[Span], buckets: Sequence[float], steps: int) -> tuple[list[Span], list[float]]:
    """2**steps neighbours become one bucket."""
    counts: dict[int, float] = {}
    index, place = 0, 0
    for offset, length in spans:
        index += offset
        for _ in range(length):
            coarse = ((index - 1) >> steps) + 1
            counts[coarse] = counts.get(coarse, 0.0) + buckets[place]
            index += 1
            place += 1
    merged: list[Span] = []
    end = 0
    for coarse in counts:
        if merged and coarse == end:
            merged[-1] = (merged[-1][0], merged[-1][1] + 1)
        else:
            merged.append((coarse - end, 1))
        end = coarse + 1
    return merged, list(counts.values())
