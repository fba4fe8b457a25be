"""Histograms added, subtracted, scaled, divided, compared. Called by the operators, `rates`, `extended` and `sums`. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram
from styr.metrics.promql.histograms import custom, layout, zero
from styr.metrics.promql.histograms.kahan import inc
from styr.metrics.promql.histograms.working import IncompatibleSchemas, Side, Working, within_zero


@dataclass(frozen=True, slots=True)
class Outcome:
    """What there is to tell of an addition: one histogram said "reset" and the other "not reset"; custom bounds differed."""

    collision: bool
    reconciled: bool


def accumulate(h: Working, other: Histogram | Working, negative: bool = False) -> Outcome:
    """Adds `other` to `h`, or subtracts it: plainly, or with Kahan's compensation when `h` is compensated. Schemas, zero
    buckets and custom bounds are brought to what both can be shown in. Raises IncompatibleSchemas."""
    theirs = other.copy() if isinstance(other, Working) else Working.of(other)
    if h.uses_custom != theirs.uses_custom:
        raise IncompatibleSchemas
    collision = h.adopt_hint(theirs.hint)
    if not h.uses_custom:
        _add_zero(h, theirs, negative)
    sign = -1.0 if negative else 1.0
    if h.compensated:
        h.count, h.count_lost = inc(sign * theirs.count, h.count, h.count_lost)
        h.sum, h.sum_lost = inc(sign * theirs.sum, h.sum, h.sum_lost)
    else:
        h.count += sign * theirs.count
        h.sum += sign * theirs.sum
    if h.uses_custom and not custom.match(h.custom, theirs.custom):
        custom.add_mismatched(h, theirs, negative)
        return Outcome(collision, True)
    if theirs.schema < h.schema:
        h.reduce(theirs.schema)
    elif theirs.schema > h.schema:
        if h.compensated:
            for side in (theirs.positive, theirs.negative):
                side.lost = [0.0] * len(side.indexes)
        theirs.reduce(h.schema)
    for mine, side in ((h.positive, theirs.positive), (h.negative, theirs.negative)):
        mine.add(side, negative, within_zero(side, h.schema, h.zero_threshold), h.compensated)
    return Outcome(collision, False)


def _add_zero(h: Working, theirs: Working, negative: bool) -> None:
    count, lost = zero.reconcile(h, theirs)
    if negative:
        count, lost = -count, -lost
    if not h.compensated:
        h.zero_count += count
        return
    h.zero_count, h.zero_lost = inc(count, h.zero_count, h.zero_lost)
    h.zero_count, h.zero_lost = inc(lost, h.zero_count, h.zero_lost)


def add(a: Histogram, b: Histogram) -> tuple[Histogram, Outcome]:
    """a + b, compact. Raises IncompatibleSchemas."""
    working = Working.of(a)
    outcome = accumulate(working, b)
    return working.histogram(compact=True), outcome


def subtract(a: Histogram, b: Histogram) -> tuple[Histogram, Outcome]:
    """a - b, compact, with the hint that the two give; an operator's result is a gauge. Raises IncompatibleSchemas."""
    working = Working.of(a)
    outcome = accumulate(working, b, negative=True)
    return working.histogram(compact=True), outcome


def scaled(h: Histogram, factor: float, compact: bool = True) -> Histogram:
    working = Working.of(h)
    working.scale(factor)
    return working.histogram(compact)


def divided(h: Histogram, divisor: float) -> Histogram:
    """Compact; by zero: infinities and NaN, and no buckets."""
    working = Working.of(h)
    working.divide(divisor)
    return working.histogram(compact=True)


def negated(h: Histogram) -> Histogram:
    """A gauge."""
    return scaled(h, -1.0, compact=False)


def compacted(h: Histogram) -> Histogram:
    """Without empty buckets, in the fewest spans."""
    return Working.of(h).histogram(compact=True)


def equal(a: Histogram, b: Histogram) -> bool:
    """The same data: counts and sums bit for bit, the same buckets even where they are empty. Hints do not count."""
    if a.schema != b.schema or _bits(a.count, a.sum) != _bits(b.count, b.sum):
        return False
    if a.schema == CUSTOM_BUCKETS and not custom.match(a.custom_values, b.custom_values):
        return False
    if a.zero_threshold != b.zero_threshold or _bits(a.zero_count) != _bits(b.zero_count):
        return False
    sides = (
        (a.negative_spans, a.negative_buckets, b.negative_spans, b.negative_buckets),
        (a.positive_spans, a.positive_buckets, b.positive_spans, b.positive_buckets),
    )
    return all(
        layout.indexes(spans, len(counts)) == layout.indexes(other_spans, len(other_counts))
        and _bits(*counts) == _bits(*other_counts)
        for spans, counts, other_spans, other_counts in sides
    )


def _bits(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


__all__ = [
    "IncompatibleSchemas",
    "Outcome",
    "Side",
    "accumulate",
    "add",
    "compacted",
    "divided",
    "equal",
    "negated",
    "scaled",
    "subtract",
]
