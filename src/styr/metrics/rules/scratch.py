"""A storage in memory, for unit tests of rules: both an Appender and a Querier. Called by `unittest`. Nothing is written
anywhere."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels, get
from styr.metrics.model.matchers import Matcher
from styr.metrics.model.samples import (
    STALE_BITS,
    Appended,
    Batch,
    Exemplar,
    Layout,
    Metadata,
    Refs,
    Selection,
    Times,
    Values,
)
from styr.metrics.storage.histograms import decode, encode

_STALE = float(np.array([STALE_BITS], np.uint64).view(np.float64)[0])
Point = int | Histogram
"""The bits of a float, since a NaN's payload matters, or a histogram."""


@dataclass(slots=True)
class _Series:
    labels: Labels
    t: list[int] = field(default_factory=list)
    v: list[Point] = field(default_factory=list)
    _stored: list[Point] = field(default_factory=list)

    def stored(self) -> list[Point]:
        """As they come back from chunks: what a histogram says of counter resets is about the one before it in its chunk."""
        if not any(isinstance(point, Histogram) for point in self.v):
            return self.v
        if len(self._stored) != len(self.v):
            self._stored = [*_chunked(self.t, self.v)]
        return self._stored


def _chunked(times: Sequence[int], points: Sequence[Point]) -> Iterator[Point]:
    run: list[Histogram] = []
    for at, point in enumerate(points):
        stale = bool(run) and point == STALE_BITS
        if isinstance(point, Histogram) or stale:
            run.append(point if isinstance(point, Histogram) else Histogram(sum=_STALE))
            continue
        yield from _decoded(times[at - len(run) : at], run)
        run = []
        yield point
    yield from _decoded(times[len(points) - len(run) :], run)


def _decoded(times: Sequence[int], run: list[Histogram]) -> Iterator[Point]:
    for chunk in encode(times, run) if run else ():
        yield from decode(chunk.data(), chunk.encoding)[1]


@dataclass(slots=True)
class _Found:
    frame: LabelFrame
    rows: list[tuple[list[int], list[Point]]]

    def batches(self, most: int = 4_000_000) -> Iterator[Batch]:
        times = [t for row, _ in self.rows for t in row]
        points = [v for _, row in self.rows for v in row]
        offsets = np.cumsum([0, *(len(row) for row, _ in self.rows)]).astype(np.int64)
        bits = np.array([0 if isinstance(point, Histogram) else point for point in points], np.int64)
        histograms = {at: point for at, point in enumerate(points) if isinstance(point, Histogram)}
        yield Batch(0, offsets, np.array(times, np.int64), bits.view(np.float64), histograms)


@dataclass(slots=True)
class Scratch:
    """Samples of a series must come in the order of their times; the same time again is refused."""

    generation: int = 0
    _series: list[_Series] = field(default_factory=list)
    _numbers: dict[Labels, int] = field(default_factory=dict)

    def refs(self, series: Sequence[Labels]) -> Refs:
        out = []
        for labels in series:
            number = self._numbers.setdefault(labels, len(self._series))
            if number == len(self._series):
                self._series.append(_Series(labels))
            out.append(number)
        return np.array(out, np.int64)

    def holds(self, refs: Refs) -> bool:
        return bool((refs < len(self._series)).all())

    def layout(self, refs: Refs) -> Layout:
        return _Layout(refs)

    def append_row(self, layout: Layout, t: int, values: Values) -> Appended:
        return self.append(layout.refs, np.full(len(values), t, np.int64), values)

    def append(self, refs: Refs, t: Times, values: Values) -> Appended:
        return self._append(refs.tolist(), t.tolist(), values.view(np.int64).tolist())

    def append_histograms(self, refs: Sequence[int], t: Sequence[int], values: Sequence[Histogram]) -> Appended:
        return self._append(refs, t, values)

    def _append(self, refs: Sequence[int], t: Sequence[int], points: Sequence[Point]) -> Appended:
        refused = []
        for place, (ref, at, point) in enumerate(zip(refs, t, points, strict=True)):
            series = self._series[ref]
            if series.t and at <= series.t[-1]:
                if at < series.t[-1] or point != series.v[-1]:
                    refused.append(place)
                continue
            series.t.append(at)
            series.v.append(point)
        return Appended(added=len(refs) - len(refused), out_of_order=len(refused), refused=refused)

    def append_exemplars(self, refs: Sequence[int], exemplars: Sequence[Exemplar]) -> None:
        """Unit tests have none."""

    def set_metadata(self, family: str, metadata: Metadata) -> None:
        """Unit tests have none."""

    async def commit(self) -> None:
        """There is no disk."""

    def select(self, matchers: Sequence[Matcher], start: int, end: int) -> Selection:
        found = sorted(self._matching(matchers), key=lambda series: series.labels)
        rows = []
        for series in found:
            low, high = bisect_left(series.t, start), bisect_right(series.t, end)
            rows.append((series.t[low:high], series.stored()[low:high]))
        return _Found(LabelFrame.of([series.labels for series in found]), rows)

    def _matching(self, matchers: Sequence[Matcher]) -> list[_Series]:
        return [each for each in self._series if all(m.matches(get(each.labels, m.name)) for m in matchers)]

    def series(self, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[Labels]:
        return sorted({each.labels for some in matchers or [()] for each in self._matching(some)})

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[str]:
        return sorted({name for labels in self.series(matchers, start, end) for name, _ in labels})

    def label_values(self, name: str, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[str]:
        return sorted({get(labels, name) for labels in self.series(matchers, start, end)} - {""})


@dataclass(frozen=True, slots=True)
class _Layout:
    numbers: Any

    @property
    def refs(self) -> Refs:
        found: Refs = self.numbers
        return found
