"""The storage of test scripts: in memory, but native histograms come back as from Prometheus' chunks. Called by `runner`.

What chunks change is the counter reset hint: it says how a sample relates to the one before it in the same chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels
from styr.metrics.model.matchers import Matcher
from styr.metrics.model.samples import STALE_BITS, Batch, Selection
from styr.metrics.storage.histograms import decode, encode
from tests.metrics.promql.memory import STALE, Memory

Sample = float | Histogram


@dataclass(slots=True)
class Found:
    frame: LabelFrame
    rows: list[list[tuple[int, Sample, int]]]

    def batches(self, most: int = 4_000_000) -> Iterator[Batch]:
        for first in range(0, len(self.rows), 7):  # several batches, to show that they are put together
            rows = self.rows[first : first + 7]
            flat = [point for row in rows for point in row]
            offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
            v = np.zeros(len(flat), np.int64)
            v[:] = [0 if isinstance(p, Histogram) else np.float64(p).view(np.int64) for _, p, _ in flat]
            histograms = {i: p for i, (_, p, _) in enumerate(flat) if isinstance(p, Histogram)}
            t, starts = (np.array([point[k] for point in flat], np.int64) for k in (0, 2))
            yield Batch(first, offsets, t, v.view(np.float64), histograms, starts)


@dataclass(slots=True)
class Store(Memory):
    starts: dict[tuple[Labels, int], int] = field(default_factory=dict)
    samples: dict[Labels, dict[int, Sample]] = field(default_factory=dict)
    _stored: dict[Labels, list[tuple[int, Sample]]] = field(default_factory=dict)

    def add(self, labels: Labels, t: int, value: Sample, start: int = 0) -> None:  # type: ignore[override]
        self.samples.setdefault(labels, {})[t] = value
        self._stored.pop(labels, None)
        if start:
            self.starts[labels, t] = start

    def select(self, matchers: Sequence[Matcher], start: int, end: int) -> Selection:
        found = self._matching(matchers)
        rows = [
            [(t, v, self.starts.get((labels, t), 0)) for t, v in self._points(labels) if start <= t <= end]
            for labels in found
        ]
        kept = [(labels, row) for labels, row in zip(found, rows, strict=True) if row]
        return Found(LabelFrame.of([labels for labels, _ in kept]), [row for _, row in kept])

    def _points(self, labels: Labels) -> list[tuple[int, Sample]]:
        if labels not in self._stored:
            self._stored[labels] = stored(sorted(self.samples[labels].items()))
        return self._stored[labels]


def stored(points: Sequence[tuple[int, Sample]]) -> list[tuple[int, Sample]]:
    """As they come back from chunks. A staleness marker behind a histogram is a histogram's."""
    found: list[tuple[int, Sample]] = []
    run: list[tuple[int, Histogram]] = []
    for t, value in points:
        if isinstance(value, Histogram):
            run.append((t, value))
        elif run and np.float64(value).view(np.int64) == STALE_BITS:
            run.append((t, Histogram(sum=STALE)))
        else:
            found += _chunked(run)
            found.append((t, value))
            run = []
    return [*found, *_chunked(run)]


def _chunked(run: Sequence[tuple[int, Histogram]]) -> list[tuple[int, Sample]]:
    if not run:
        return []
    found: list[tuple[int, Sample]] = []
    for chunk in encode([t for t, _ in run], [h for _, h in run]):
        times, histograms = decode(chunk.data(), chunk.encoding)
        found += zip(times, histograms, strict=True)
    return found
