"""A storage in memory for tests: `Memory.add(labels, [(t, value), ...])`; implements `model.samples.Querier`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels, get
from styr.metrics.model.matchers import Matcher
from styr.metrics.model.samples import STALE_BITS, Batch, Selection

STALE = float(np.int64(STALE_BITS).view(np.float64))
Point = tuple[int, float | Histogram]


@dataclass(slots=True)
class Found:
    frame: LabelFrame
    points: list[list[Point]]

    def batches(self, most: int = 4_000_000) -> Iterator[Batch]:
        for first in range(0, len(self.points), 7):  # several batches, to show that they are put together
            rows = self.points[first : first + 7]
            flat = [point for row in rows for point in row]
            offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
            v = np.zeros(len(flat))
            v.view(np.int64)[:] = [0 if isinstance(p, Histogram) else np.float64(p).view(np.int64) for _, p in flat]
            histograms = {i: p for i, (_, p) in enumerate(flat) if isinstance(p, Histogram)}
            yield Batch(first, offsets, np.array([t for t, _ in flat], np.int64), v, histograms)


class Memory:
    def __init__(self) -> None:
        self.samples: dict[Labels, dict[int, float | Histogram]] = {}

    def add(self, labels: Labels, points: Sequence[Point]) -> None:
        self.samples.setdefault(labels, {}).update(points)

    def _matching(self, matchers: Sequence[Matcher]) -> list[Labels]:
        return sorted(labels for labels in self.samples if all(m.matches(get(labels, m.name)) for m in matchers))

    def select(self, matchers: Sequence[Matcher], start: int, end: int) -> Selection:
        found = self._matching(matchers)
        rows = [sorted((t, v) for t, v in self.samples[each].items() if start <= t <= end) for each in found]
        kept = [(labels, row) for labels, row in zip(found, rows, strict=True) if row]
        return Found(LabelFrame.of([labels for labels, _ in kept]), [row for _, row in kept])

    def series(self, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[Labels]:
        sets = {labels for each in matchers or [()] for labels in self._matching(each)}
        return sorted(sets)

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[str]:
        return sorted({name for labels in self.series(matchers, start, end) for name, _ in labels})

    def label_values(self, name: str, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[str]:
        return sorted({get(labels, name) for labels in self.series(matchers, start, end)} - {""})
