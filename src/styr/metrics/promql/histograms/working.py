"""A histogram that is being computed: its buckets by index, each with what rounding has lost. Used inside this package only.

`Working.of` copies a sample, `add` and the others change it, `histogram` gives the result. Layouts are reconciled here, zero
buckets by `zero`, custom bounds by `custom`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from styr.metrics.model.histogram import CUSTOM_BUCKETS, GAUGE, UNKNOWN, Histogram, Span
from styr.metrics.promql.histograms import layout
from styr.metrics.promql.histograms.bounds import exponential
from styr.metrics.promql.histograms.kahan import inc


class IncompatibleSchemas(Exception):
    """Exponential and custom buckets have nothing in common that could be added."""


@dataclass(slots=True)
class Side:
    """The positive or the negative buckets. `lost` is empty unless the histogram is compensated."""

    indexes: list[int]
    counts: list[float]
    lost: list[float]

    @classmethod
    def of(cls, spans: Sequence[Span], buckets: Sequence[float], compensated: bool = False) -> Side:
        at = layout.indexes(spans, len(buckets))
        return cls(at, list(buckets[: len(at)]), [0.0] * len(at) if compensated else [])

    def copy(self) -> Side:
        return Side(list(self.indexes), list(self.counts), list(self.lost))

    def lost_at(self, i: int) -> float:
        return self.lost[i] if self.lost else 0.0

    def compact(self) -> None:
        """Without empty buckets."""
        keep = [i for i, count in enumerate(self.counts) if count != 0 or self.lost_at(i) != 0]
        if len(keep) == len(self.counts):
            return
        self.indexes = [self.indexes[i] for i in keep]
        self.counts = [self.counts[i] for i in keep]
        if self.lost:
            self.lost = [self.lost[i] for i in keep]

    def reduce(self, schema: int, target: int) -> None:
        """To a coarser schema."""
        indexes: list[int] = []
        counts: list[float] = []
        lost: list[float] = []
        for i, index in enumerate(self.indexes):
            to = layout.coarser(index, schema, target)
            if not indexes or indexes[-1] != to:
                indexes.append(to)
                counts.append(self.counts[i])
                if self.lost:
                    lost.append(self.lost[i])
            elif self.lost:
                counts[-1], lost[-1] = inc(self.counts[i], counts[-1], lost[-1])
                counts[-1], lost[-1] = inc(self.lost[i], counts[-1], lost[-1])
            else:
                counts[-1] += self.counts[i]
        self.indexes, self.counts, self.lost = indexes, counts, lost

    def add(self, other: Side, negative: bool, skip: int, compensated: bool) -> None:
        """Bucket by bucket; the first `skip` ones of `other` are left out. Both have the same schema."""
        mine = dict(zip(self.indexes, range(len(self.indexes)), strict=True))
        fresh: list[tuple[int, float, float]] = []
        for i in range(skip, len(other.indexes)):
            count, lost = other.counts[i], other.lost_at(i)
            if negative:
                count, lost = -count, -lost
            at = mine.get(other.indexes[i])
            if at is None:
                fresh.append((other.indexes[i], count, lost))
            elif not compensated:
                self.counts[at] += count
            else:
                self.counts[at], self.lost[at] = inc(count, self.counts[at], self.lost[at])
                if lost != 0:
                    self.counts[at], self.lost[at] = inc(lost, self.counts[at], self.lost[at])
        if fresh:
            self._insert(fresh, compensated)

    def _insert(self, fresh: list[tuple[int, float, float]], compensated: bool) -> None:
        old = [
            (index, count, self.lost_at(i))
            for i, (index, count) in enumerate(zip(self.indexes, self.counts, strict=True))
        ]
        merged = sorted([*old, *fresh], key=lambda bucket: bucket[0])
        self.indexes = [bucket[0] for bucket in merged]
        self.counts = [bucket[1] for bucket in merged]
        self.lost = [bucket[2] for bucket in merged] if compensated else []

    def scale(self, factor: float) -> None:
        self.counts = [count * factor for count in self.counts]

    def divide(self, divisor: float) -> None:
        self.counts = [count / divisor for count in self.counts]


@dataclass(slots=True)
class Working:
    """`compensated`: sums are Kahan's, and `lost` says what rounding has cost each field so far."""

    schema: int
    zero_threshold: float
    zero_count: float
    count: float
    sum: float
    hint: int
    custom: Sequence[float]
    positive: Side
    negative: Side
    compensated: bool = False
    zero_lost: float = 0.0
    count_lost: float = 0.0
    sum_lost: float = 0.0

    @classmethod
    def of(cls, h: Histogram, compensated: bool = False) -> Working:
        positive = Side.of(h.positive_spans, h.positive_buckets, compensated)
        if h.schema == CUSTOM_BUCKETS:
            none = Side([], [], [])
            return cls(
                h.schema, 0.0, 0.0, h.count, h.sum, h.counter_reset_hint, h.custom_values, positive, none, compensated
            )
        negative = Side.of(h.negative_spans, h.negative_buckets, compensated)
        return cls(
            h.schema,
            h.zero_threshold,
            h.zero_count,
            h.count,
            h.sum,
            h.counter_reset_hint,
            (),
            positive,
            negative,
            compensated,
        )

    @property
    def uses_custom(self) -> bool:
        return self.schema == CUSTOM_BUCKETS

    def histogram(self, compact: bool = False) -> Histogram:
        """What is there now, without the compensation."""
        if compact:
            self.positive.compact()
            self.negative.compact()
        return Histogram(
            schema=self.schema,
            zero_threshold=self.zero_threshold,
            zero_count=self.zero_count,
            count=self.count,
            sum=self.sum,
            positive_spans=layout.spans(self.positive.indexes),
            positive_buckets=list(self.positive.counts),
            negative_spans=layout.spans(self.negative.indexes),
            negative_buckets=list(self.negative.counts),
            custom_values=list(self.custom),
            counter_reset_hint=self.hint,
        )

    def copy(self) -> Working:
        return Working(
            self.schema,
            self.zero_threshold,
            self.zero_count,
            self.count,
            self.sum,
            self.hint,
            self.custom,
            self.positive.copy(),
            self.negative.copy(),
            self.compensated,
            self.zero_lost,
            self.count_lost,
            self.sum_lost,
        )

    def reduce(self, target: int) -> None:
        """To a coarser exponential schema."""
        self.positive.reduce(self.schema, target)
        self.negative.reduce(self.schema, target)
        self.schema = target

    def adopt_hint(self, other: int) -> bool:
        """The counter reset hint of a sum or difference; true when one says "reset" and the other "not reset"."""
        hints = {self.hint, other}
        if len(hints) == 1:
            return False
        self.hint = GAUGE if GAUGE in hints else UNKNOWN
        return not hints & {GAUGE, UNKNOWN}

    def scale(self, factor: float) -> None:
        """Negative factors make a gauge."""
        self.zero_count, self.count, self.sum = self.zero_count * factor, self.count * factor, self.sum * factor
        self.positive.scale(factor)
        self.negative.scale(factor)
        if factor < 0:
            self.hint = GAUGE

    def divide(self, divisor: float) -> None:
        """By zero: infinities and NaN, and no buckets."""
        self.zero_count, self.count = quotient(self.zero_count, divisor), quotient(self.count, divisor)
        self.sum = quotient(self.sum, divisor)
        if divisor == 0:
            self.positive, self.negative = Side([], [], []), Side([], [], [])
            return
        self.positive.divide(divisor)
        self.negative.divide(divisor)
        if divisor < 0:
            self.hint = GAUGE

    def scale_lost(self, factor: float) -> None:
        self.zero_lost, self.count_lost = self.zero_lost * factor, self.count_lost * factor
        self.sum_lost *= factor
        for side in (self.positive, self.negative):
            side.lost = [lost * factor for lost in side.lost]

    def divide_lost(self, divisor: float) -> None:
        self.zero_lost, self.count_lost = self.zero_lost / divisor, self.count_lost / divisor
        self.sum_lost /= divisor
        for side in (self.positive, self.negative):
            side.lost = [lost / divisor for lost in side.lost]

    def settle(self) -> None:
        """Adds what was lost; compensated no more."""
        self.zero_count += self.zero_lost
        self.count += self.count_lost
        self.sum += self.sum_lost
        for side in (self.positive, self.negative):
            skip = within_zero(side, self.schema, self.zero_threshold)
            kept = range(skip, len(side.counts))
            side.counts = side.counts[:skip] + [side.counts[i] + side.lost_at(i) for i in kept]
            side.lost = []
        self.compensated = False

    @property
    def overflows(self) -> bool:
        fields = (self.zero_count, self.count, self.sum)
        return any(map(math.isinf, (*fields, *self.positive.counts, *self.negative.counts, *self.custom)))


def within_zero(side: Side, schema: int, threshold: float) -> int:
    """How many of the first buckets end inside the zero bucket."""
    if schema == CUSTOM_BUCKETS:
        return 0
    for i, index in enumerate(side.indexes):
        if exponential(index, schema) > threshold:
            return i
    return len(side.indexes)


def quotient(value: float, divisor: float) -> float:
    """As IEEE 754 divides."""
    if divisor != 0:
        return value / divisor
    if value == 0 or math.isnan(value):
        return math.nan
    return math.copysign(math.inf, value) * math.copysign(1.0, divisor)
