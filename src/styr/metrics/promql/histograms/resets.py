"""Whether a counter was reset between two histograms. Called by `rates`, `extended` and by `resets()`. Pure."""

from __future__ import annotations

from operator import lt

from styr.metrics.model.histogram import CUSTOM_BUCKETS, NOT_RESET, RESET, Histogram, Span
from styr.metrics.promql.histograms import custom, zero
from styr.metrics.promql.histograms.bounds import exponential
from styr.metrics.promql.histograms.working import Side, Working, within_zero


def was_reset(h: Histogram, previous: Histogram) -> bool:
    """True when `h` has less of anything than `previous` had: observations, zero count, a bucket; or a finer schema, or a
    narrower zero bucket, which a counter cannot get without a reset. A hint of `h` that says so decides alone."""
    if h.counter_reset_hint in (RESET, NOT_RESET):
        return h.counter_reset_hint == RESET
    if h.count < previous.count:
        return True
    if _alike(h, previous):
        return h.zero_count < previous.zero_count or _less(h, previous)
    now, before = Working.of(h), Working.of(previous)
    if now.uses_custom:
        if not before.uses_custom:
            return True
        if not custom.match(now.custom, before.custom):
            return custom.decreased(now, before)
    if now.schema > before.schema or now.zero_threshold < before.zero_threshold:
        return True
    if not now.uses_custom:
        count, threshold, _ = zero.widened(before, now.zero_threshold)
        if threshold != now.zero_threshold or now.zero_count < count:
            return True
    if before.schema != now.schema:
        before.reduce(now.schema)
    sides = (now.positive, before.positive), (now.negative, before.negative)
    return any(_lost(mine, old, now) for mine, old in sides)


def _alike(h: Histogram, previous: Histogram) -> bool:
    """The same buckets, none of them inside the zero bucket: what samples of one chunk have."""
    return (
        h.schema == previous.schema
        and h.zero_threshold == previous.zero_threshold
        and h.positive_spans == previous.positive_spans
        and h.negative_spans == previous.negative_spans
        and len(h.positive_buckets) == len(previous.positive_buckets)
        and len(h.negative_buckets) == len(previous.negative_buckets)
        and h.custom_values == previous.custom_values
        and _outside_zero(h, h.positive_spans)
        and _outside_zero(h, h.negative_spans)
    )


def _outside_zero(h: Histogram, spans: list[Span]) -> bool:
    return not spans or h.schema == CUSTOM_BUCKETS or exponential(spans[0][0], h.schema) > h.zero_threshold


def _less(h: Histogram, previous: Histogram) -> bool:
    return any(map(lt, h.positive_buckets, previous.positive_buckets)) or any(
        map(lt, h.negative_buckets, previous.negative_buckets)
    )


def _lost(side: Side, previous: Side, h: Working) -> bool:
    first = within_zero(side, h.schema, h.zero_threshold)
    counts = dict(zip(side.indexes[first:], side.counts[first:], strict=True))
    for i in range(within_zero(previous, h.schema, h.zero_threshold), len(previous.indexes)):
        count = counts.get(previous.indexes[i])
        if previous.counts[i] != 0 if count is None else count < previous.counts[i]:
            return True
    return False


def start_time_reset(previous_start: int, previous: int, start: int, t: int) -> bool:
    """Whether start timestamps (ms, 0: unknown) of two samples at `previous` and `t` say that the counter began anew in
    between. A start at the time of the previous sample is one only if that sample's own start is known (delta series)."""
    if start == 0 or start >= t or start < previous:
        return False
    if start > previous:
        return True
    return 0 != previous_start < previous


def start_time_overlaps(previous_start: int, previous: int, start: int) -> bool:
    """A sample cannot begin before the previous one was taken, unless it continues it."""
    return start != 0 and start < previous and start != previous_start
