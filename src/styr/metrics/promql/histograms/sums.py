"""Sums and averages of many histograms, compensated as Kahan does. Called by `sum`, `avg` and their `_over_time`. Pure.

total = Mean(first)
for h in rest: total.add(h)        # raises IncompatibleSchemas
total.result()
"""

from __future__ import annotations

from styr.metrics.model.histogram import NOT_RESET, RESET, Histogram
from styr.metrics.promql.histograms.arithmetic import accumulate
from styr.metrics.promql.histograms.working import Working


class Sum:
    """`collision`: both resets and the absence of resets were claimed. `reconciled`: custom bounds differed."""

    __slots__ = ("_hints", "_total", "count", "reconciled")

    def __init__(self, first: Histogram) -> None:
        self._total = Working.of(first, compensated=True)
        self._hints = {first.counter_reset_hint}
        self.count = 1
        self.reconciled = False

    @property
    def collision(self) -> bool:
        return {RESET, NOT_RESET} <= self._hints

    def add(self, h: Histogram) -> None:
        self._hints.add(h.counter_reset_hint)
        self.count += 1
        self._accumulate(self._total, h)

    def _accumulate(self, total: Working, h: Histogram | Working) -> None:
        if accumulate(total, h).reconciled:
            self.reconciled = True

    def result(self, compact: bool = True) -> Histogram:
        if self.count > 1:
            self._total.settle()
        return self._total.histogram(compact)


class Mean(Sum):
    """The sum divided at the end or, once the sum has overflowed, a mean that is moved along."""

    __slots__ = ("_incremental",)

    def __init__(self, first: Histogram) -> None:
        super().__init__(first)
        self._incremental = False

    def add(self, h: Histogram) -> None:
        self._hints.add(h.counter_reset_hint)
        count = float(self.count + 1)
        if not self._incremental:
            total = self._total.copy()
            self._accumulate(total, h)
            if not total.overflows:
                self._total, self.count = total, self.count + 1
                return
            self._incremental = True
            self._total.divide(count - 1)
            self._total.divide_lost(count - 1)
        self.count += 1
        share = (count - 1) / count
        self._total.scale_lost(share)
        self._total.scale(share)
        part = Working.of(h)
        part.divide(count)
        self._accumulate(self._total, part)

    def result(self, compact: bool = True) -> Histogram:
        if not self._incremental:
            self._total.divide(float(self.count))
            self._total.divide_lost(float(self.count))
        return super().result(compact)
