"""Zero buckets of different widths, made equal. Called by `arithmetic` and `resets`. Pure."""

from __future__ import annotations

from styr.metrics.promql.histograms.bounds import exponential
from styr.metrics.promql.histograms.kahan import inc
from styr.metrics.promql.histograms.working import Side, Working


def widened(h: Working, threshold: float) -> tuple[float, float, float]:
    """(zero count, threshold, what was lost) of a histogram whose zero bucket were as wide as `threshold` or, when that is
    inside a populated bucket, as far as that bucket reaches."""
    lost = h.zero_lost
    if threshold == h.zero_threshold:
        return h.zero_count, threshold, lost
    while True:
        count, lost, reach = _swallow(h.positive, h.schema, threshold, h.zero_count, lost)
        threshold = max(threshold, reach)
        count, lost, reach = _swallow(h.negative, h.schema, threshold, count, lost)
        if reach <= threshold:
            return count, threshold, lost
        threshold = reach


def _swallow(side: Side, schema: int, threshold: float, count: float, lost: float) -> tuple[float, float, float]:
    """(count, lost, upper bound of the populated bucket that the threshold is in, else 0)."""
    for i, index in enumerate(side.indexes):
        if exponential(index - 1, schema) >= threshold:
            break
        count, lost = inc(side.counts[i], count, lost)
        if side.lost:
            count, lost = inc(side.lost[i], count, lost)
        end = exponential(index, schema)
        if end > threshold:
            return count, lost, end if side.counts[i] != 0 else 0.0
    return count, lost, 0.0


def reconcile(h: Working, other: Working) -> tuple[float, float]:
    """Widens the zero bucket of `h` as needed; `other` stays. Returns the zero count that `other` would have, and what was
    lost in computing it."""
    count, threshold, lost = other.zero_count, other.zero_threshold, 0.0
    while threshold != h.zero_threshold:
        if h.zero_threshold > threshold:
            count, threshold, lost = widened(other, h.zero_threshold)
        if threshold > h.zero_threshold:
            h.zero_count, h.zero_threshold, left = widened(h, threshold)
            if h.compensated:
                h.zero_lost = left
            _trim(h)
    return count, lost


def _trim(h: Working) -> None:
    """Takes out the buckets that the zero bucket now covers."""
    for side in (h.positive, h.negative):
        for i, index in enumerate(side.indexes):
            if exponential(index - 1, h.schema) >= h.zero_threshold:
                break
            side.counts[i] = 0.0
            if side.lost:
                side.lost[i] = 0.0
        side.compact()
