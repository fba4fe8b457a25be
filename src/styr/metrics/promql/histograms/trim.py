"""A native histogram cut at a value: the operators `</` (keep what is below) and `>/` (keep what is above). Pure.

The bucket that the cut goes through keeps a share by interpolation. When anything was cut, count and sum are estimated anew
from the buckets, each observation at its bucket's middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram
from styr.metrics.promql.histograms import buckets
from styr.metrics.promql.histograms.buckets import Bucket
from styr.metrics.promql.histograms.working import Working, quotient


@dataclass(frozen=True, slots=True)
class Cut:
    """At `at`; `below` is kept, or what is above."""

    at: float
    below: bool


@dataclass(slots=True)
class Tally:
    count: float = 0.0
    sum: float = 0.0
    cut: bool = False

    def keep(self, kept: float, middle: float) -> None:
        self.count += kept
        self.sum += middle * kept


def trimmed(h: Histogram, at: float, below: bool) -> Histogram:
    cut, tally, working = Cut(at, below), Tally(), Working.of(h)
    custom = h.schema == CUSTOM_BUCKETS
    positive, negative = buckets.positive(h), buckets.negative(h)
    _side(working.positive.counts, positive, cut, tally, custom=custom, above_zero=True)
    _side(working.negative.counts, negative, cut, tally, custom=custom, above_zero=False)
    if h.zero_count > 0:
        bounds = buckets.zero(h)
        lower = 0.0 if _populated(positive) and not _populated(negative) else bounds.lower
        upper = 0.0 if _populated(negative) and not _populated(positive) else bounds.upper
        kept, middle = _zero(h.zero_count, lower, upper, cut)
        tally.cut = tally.cut or kept != h.zero_count
        working.zero_count = kept
        tally.keep(kept, middle)
    if not tally.cut:
        return working.histogram()
    working.count, working.sum = tally.count, tally.sum
    return working.histogram(compact=True)


def _populated(side: list[Bucket]) -> bool:
    return any(bucket.count != 0 for bucket in side)


def _side(counts: list[float], side: list[Bucket], cut: Cut, tally: Tally, *, custom: bool, above_zero: bool) -> None:
    for i, bucket in enumerate(side):
        if bucket.count == 0:
            continue
        whole = bucket.upper <= cut.at if cut.below else bucket.lower >= cut.at
        crossed = bucket.lower < cut.at if cut.below else bucket.upper > cut.at
        if whole:
            tally.keep(bucket.count, _middle(bucket.lower, bucket.upper, above_zero, custom))
        elif crossed:
            kept, middle = _crossed(bucket, cut, above_zero, custom)
            tally.keep(kept, middle)
            if counts[i] != kept:
                counts[i], tally.cut = kept, True
        else:
            counts[i], tally.cut = 0.0, True


def _crossed(bucket: Bucket, cut: Cut, above_zero: bool, custom: bool) -> tuple[float, float]:
    """(what is kept of a bucket that the cut goes through, where its middle is)."""
    if bucket.lower == -math.inf:
        return _open_below(bucket, cut)
    if bucket.upper == math.inf:
        if cut.below or cut.at < bucket.lower:
            return 0.0, _finite(bucket.lower)
        return bucket.count, cut.at
    if cut.at <= bucket.lower:
        under = 0.0
    elif cut.at >= bucket.upper:
        under = bucket.count
    else:
        under = bucket.count * bucket.fraction_below(cut.at, custom)
    if cut.below:
        return under, _middle(bucket.lower, cut.at, above_zero, custom)
    return bucket.count - under, _middle(cut.at, bucket.upper, above_zero, custom)


def _open_below(bucket: Bucket, cut: Cut) -> tuple[float, float]:
    """The first custom bucket reaches down to -Inf; when its upper bound is positive, it is taken to begin at 0."""
    positive = 0 < bucket.upper < math.inf
    if cut.below:
        if cut.at >= bucket.upper:
            return bucket.count, 0.0
        if cut.at > 0 and positive:
            return bucket.count * cut.at / bucket.upper, cut.at / 2
        if bucket.upper <= 0:
            return bucket.count, cut.at
        return 0.0, _finite(bucket.upper)
    if cut.at <= bucket.lower:
        return bucket.count, 0.0
    if cut.at >= 0 and cut.at < bucket.upper < math.inf:
        return bucket.count * (1 - cut.at / bucket.upper), (cut.at + bucket.upper) / 2
    return 0.0, _finite(bucket.upper)


def _finite(bound: float) -> float:
    return 0.0 if math.isinf(bound) else bound


def _zero(count: float, lower: float, upper: float, cut: Cut) -> tuple[float, float]:
    """(what is kept of the zero bucket, where its middle is)."""
    all_kept, none_kept = (count, (lower + upper) / 2), (0.0, 0.0)
    if cut.at <= lower:
        return none_kept if cut.below else all_kept
    if cut.at >= upper:
        return all_kept if cut.below else none_kept
    if cut.below:
        return count * quotient(cut.at - lower, upper - lower), (lower + cut.at) / 2
    return count * quotient(upper - cut.at, upper - lower), (cut.at + upper) / 2


def _middle(lower: float, upper: float, above_zero: bool, linear: bool) -> float:
    """Arithmetic or geometric; of an interval with an open end, the other end (half of it when it is a positive upper one)."""
    if math.isinf(lower):
        if math.isinf(upper):
            return 0.0
        return upper / 2 if upper > 0 else upper
    if math.isinf(upper):
        return lower
    if linear:
        return (lower + upper) / 2
    middle = math.sqrt(abs(lower * upper))
    return middle if above_zero else -middle
