"""`rate`, `increase` and `delta` of histograms under the modifiers `anchored` and `smoothed`. Called by `promql.mixed`. Pure.

The window's edges are samples themselves: with `anchored` the last one at or before the start, with `smoothed` what lies
between the samples around each edge. So nothing is extrapolated.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from styr.metrics.model.histogram import CUSTOM_BUCKETS, GAUGE, Histogram
from styr.metrics.promql.histograms.rates import Samples, Teller
from styr.metrics.promql.histograms.resets import was_reset
from styr.metrics.promql.histograms.working import Working


def change(
    samples: Samples,
    start: int,
    end: int,
    seconds: float,
    counter: bool,
    per_second: bool,
    smoothed: bool,
    tell: Teller,
) -> Histogram | None:
    """Over (start, end] in ms; `samples` reach beyond it as far as the lookback. A gauge, compact; None when there is none."""
    times, histograms = list(samples.times), samples.histograms
    last = len(histograms) - 1
    first = max(0, bisect_right(times, start, 0, last) - 1)
    if smoothed:
        last = bisect_left(times, end, 0, last)
    if times[last] <= start or (smoothed and times[first] > end):
        return None
    if not _valid(histograms[first : last + 1], counter, tell):
        return None
    left: Histogram | None = histograms[first]
    right: Histogram | None = histograms[last]
    if smoothed and times[first] < start:
        left = between(samples, first, start, counter, tell)
    if left is not None and smoothed and last > 0 and times[last] > end:
        right = between(samples, last - 1, end, counter, tell)
    if left is None or right is None:
        return None
    if not counter and not left.counter_reset_hint == right.counter_reset_hint == GAUGE:
        tell.not_gauge()
    result = Working.of(right)
    if not tell.accumulate(result, left, negative=True):
        return None
    if counter:
        spanned = smoothed and times[first] < start
        lost, fine = _resets(samples, first, last, (left, right), spanned, tell)
        if not fine or (lost is not None and not tell.accumulate(result, lost.histogram())):
            return None
    if per_second:
        result.divide(seconds)
    result.hint = GAUGE
    return result.histogram(compact=True)


def _valid(histograms: Sequence[Histogram], counter: bool, tell: Teller) -> bool:
    uses_custom = histograms[0].schema == CUSTOM_BUCKETS
    for each in histograms:
        if (each.schema == CUSTOM_BUCKETS) != uses_custom:
            tell.mixed_schemas()
            return False
        if counter and each.counter_reset_hint == GAUGE:
            tell.not_counter()
    return True


def between(samples: Samples, i: int, t: int, counter: bool, tell: Teller) -> Histogram | None:
    """At `t`, between sample i and the next. A counter that was reset there began at zero."""
    one, other = samples.histograms[i], samples.histograms[i + 1]
    before, after = samples.times[i], samples.times[i + 1]
    if t in (before, after):
        return one if t == before else other
    fraction = (t - before) / (after - before)
    result = Working.of(other)
    if counter and was_reset(other, one):
        result.scale(fraction)
        return result.histogram()
    if not tell.accumulate(result, one, negative=True):
        return None
    result.scale(fraction)
    return result.histogram() if tell.accumulate(result, one) else None


def _resets(
    samples: Samples, first: int, last: int, edges: tuple[Histogram, Histogram], spanned: bool, tell: Teller
) -> tuple[Working | None, bool]:
    """(what the counter had before its resets, whether it could be added up). The edges stand for the first and the last
    sample; a reset that the left edge was interpolated across (`spanned`) has been counted there."""
    histograms = samples.histograms
    previous, right = edges
    at = first + 1
    if spanned and was_reset(histograms[first + 1], histograms[first]):
        previous = histograms[first + 1]
        at += 1
    if at > last:
        return None, True
    lost: Working | None = None
    for current in (*histograms[at:last], right):
        if was_reset(current, previous):
            if lost is None:
                lost = Working.of(previous)
            elif not tell.accumulate(lost, previous):
                return None, False
        previous = current
    return lost, True
