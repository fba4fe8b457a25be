"""An appender that keeps what it is given, and refuses what it is told to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from styr.metrics.model.errors import Unavailable
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels
from styr.metrics.model.samples import Appended, Exemplar, Metadata, Refs, Times, Values


class FakeAppender:
    def __init__(self) -> None:
        self.generation = 0
        self.series: dict[Labels, int] = {}
        self.samples: list[tuple[Labels, int, float]] = []
        self.bits: list[int] = []
        self.histograms: list[tuple[Labels, int, Histogram]] = []
        self.exemplars: list[tuple[Labels, Exemplar]] = []
        self.metadata: dict[str, Metadata] = {}
        self.resolved = 0
        self.commits = 0
        self.full = False
        self.newest: dict[int, int] = {}

    def refs(self, series: Sequence[Labels]) -> Refs:
        self.resolved += len(series)
        return np.array([self.series.setdefault(labels, len(self.series) + 1) for labels in series], np.int64)

    def holds(self, refs: Refs) -> bool:
        return set(refs.tolist()) <= set(self.series.values())

    def labels(self, ref: int) -> Labels:
        return next(labels for labels, known in self.series.items() if known == ref)

    def append(self, refs: Refs, t: Times, values: Values) -> Appended:
        out = Appended(refused=[])
        for i, (ref, time, value, bits) in enumerate(
            zip(refs.tolist(), t.tolist(), values.tolist(), values.view(np.int64).tolist(), strict=True)
        ):
            if time < self.newest.get(ref, -(2**62)):
                out.out_of_order += 1
                out.refused.append(i)  # type: ignore[attr-defined]
                continue
            self.newest[ref] = time
            self.samples.append((self.labels(ref), time, value))
            self.bits.append(bits)
            out.added += 1
        return out

    def append_histograms(self, refs: Sequence[int], t: Sequence[int], values: Sequence[Histogram]) -> Appended:
        for ref, time, value in zip(refs, t, values, strict=True):
            self.histograms.append((self.labels(ref), time, value))
        return Appended(added=len(refs))

    def append_exemplars(self, refs: Sequence[int], exemplars: Sequence[Exemplar]) -> None:
        self.exemplars += [(self.labels(ref), each) for ref, each in zip(refs, exemplars, strict=True)]

    def set_metadata(self, family: str, metadata: Metadata) -> None:
        self.metadata[family] = metadata

    async def commit(self) -> None:
        if self.full:
            raise Unavailable("the disk is full")
        self.commits += 1
