"""Native histograms as text and as JSON rows. Called by `count_values`, `promql` tools, the HTTP API and tests. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from styr.metrics.model.histogram import CUSTOM_BUCKETS, GAUGE, NOT_RESET, RESET, Histogram
from styr.metrics.promql.annotations import go_float
from styr.metrics.promql.histograms.arithmetic import compacted
from styr.metrics.promql.histograms.buckets import Bucket, ascending, negative, positive, zero

_HINTS = {RESET: "reset", NOT_RESET: "not_reset", GAUGE: "gauge"}

JsonBucket = tuple[int, float, float, float]
"""(boundary rule, lower, upper, count); the rule says which ends are inside: 0 upper, 1 lower, 2 none, 3 both."""


def shown(h: Histogram) -> str:
    """`{count:3, sum:4.5, (0.5,1]:1, (1,2]:2}`: populated buckets only, with square brackets at ends that are inside."""
    parts = [f"count:{go_float(h.count)}", f"sum:{go_float(h.sum)}"]
    sides = (
        [*reversed(negative(h)), zero(h), *positive(h)] if h.zero_count != 0 else [*reversed(negative(h)), *positive(h)]
    )
    parts += [_bucket(bucket) for bucket in sides if bucket.count != 0]
    return "{" + ", ".join(parts) + "}"


def _bucket(bucket: Bucket) -> str:
    opening, closing = "[" if bucket.lower_inclusive else "(", "]" if bucket.upper_inclusive else ")"
    return f"{opening}{go_float(bucket.lower)},{go_float(bucket.upper)}{closing}:{go_float(bucket.count)}"


def expression(h: Histogram) -> str:
    """`{{schema:1 count:3 sum:4.5 buckets:[1 2]}}`, as test scripts and unit tests of rules write histograms. Gaps between
    spans are empty buckets."""
    h = compacted(h)
    fields = [
        ("schema", h.schema),
        ("count", h.count),
        ("sum", h.sum),
        ("z_bucket", h.zero_count),
        ("z_bucket_w", h.zero_threshold),
    ]
    parts = [f"{name}:{go_float(value)}" for name, value in fields if value != 0]
    if h.schema == CUSTOM_BUCKETS:
        parts.append(f"custom_values:{_list(h.custom_values)}")
    if h.counter_reset_hint in _HINTS:
        parts.append(f"counter_reset_hint:{_HINTS[h.counter_reset_hint]}")
    for spans, counts, prefix in (
        (h.positive_spans, h.positive_buckets, ""),
        (h.negative_spans, h.negative_buckets, "n_"),
    ):
        if spans and spans[0][0] != 0:
            parts.append(f"{prefix}offset:{spans[0][0]}")
        if counts:
            parts.append(f"{prefix}buckets:{_list(_filled(spans, counts))}")
    return "{{" + " ".join(parts) + "}}"


def _filled(spans: Sequence[tuple[int, int]], counts: Sequence[float]) -> list[float]:
    found: list[float] = []
    at = 0
    for n, (offset, length) in enumerate(spans):
        if n:
            found.extend([0.0] * offset)
        found.extend(counts[at : at + length])
        at += length
    return found


def _list(values: Sequence[float]) -> str:
    return "[" + " ".join(go_float(value) for value in values) + "]"


def json_buckets(h: Histogram) -> list[JsonBucket]:
    """The populated buckets, ascending, as the HTTP API gives them."""
    rules = {(False, True): 0, (True, False): 1, (False, False): 2, (True, True): 3}
    return [
        (rules[bucket.lower_inclusive, bucket.upper_inclusive], bucket.lower, bucket.upper, bucket.count)
        for bucket in ascending(h)
        if bucket.count != 0
    ]
