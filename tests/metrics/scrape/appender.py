"""An Appender in memory that keeps every sample, for the tests of scraping: what Prometheus would store, in order."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels, get, without
from styr.metrics.model.samples import STALE_BITS, Appended, Exemplar, Metadata, Refs, Times, Values


class MemoryLayout:
    def __init__(self, refs: Refs) -> None:
        self.refs = refs


class Memory:
    """`samples[labels]` is a list of (t, bits or Histogram)."""

    def __init__(self) -> None:
        self.generation = 0
        self.names: list[Labels] = []
        self._refs: dict[Labels, int] = {}
        self.samples: dict[Labels, list[tuple[int, object]]] = {}
        self.exemplars: list[tuple[Labels, Exemplar]] = []
        self.metadata: dict[str, Metadata] = {}
        self.layouts = self.commits = self.rows = 0
        self.fail: Exception | None = None

    def refs(self, series: Sequence[Labels]) -> Refs:
        for labels in series:
            assert list(labels) == sorted(labels)
            assert all(value for _, value in labels)
            if labels not in self._refs:
                self._refs[labels] = len(self.names)
                self.names.append(labels)
        return np.array([self._refs[labels] for labels in series], np.int64)

    def holds(self, refs: Refs) -> bool:
        return set(self._refs.values()).issuperset(refs.tolist())

    def forget(self, labels: Labels) -> None:
        """As retention does."""
        del self._refs[labels]
        self.generation += 1

    def layout(self, refs: Refs) -> MemoryLayout:
        assert len(np.unique(refs)) == len(refs)
        self.layouts += 1
        return MemoryLayout(np.array(refs))

    def append_row(self, layout: MemoryLayout, t: int, values: Values) -> Appended:
        self.rows += 1
        return self.append(layout.refs, np.full(len(values), t, np.int64), values)

    def append(self, refs: Refs, t: Times, values: Values) -> Appended:
        if self.fail is not None:
            raise self.fail
        done = Appended()
        bits = np.ascontiguousarray(values, np.float64).view(np.int64).tolist()
        for ref, time, value in zip(refs.tolist(), t.tolist(), bits, strict=True):
            self._add(ref, time, value, done)
        return done

    def append_histograms(self, refs: Sequence[int], t: Sequence[int], values: Sequence[Histogram]) -> Appended:
        done = Appended()
        for ref, time, value in zip(refs, t, values, strict=True):
            self._add(ref, time, value, done)
        return done

    def _add(self, ref: int, t: int, value: object, done: Appended) -> None:
        found = self.samples.setdefault(self.names[ref], [])
        if found and found[-1][0] >= t:
            if found[-1] == (t, value):
                done.added += 1
            elif found[-1][0] == t:
                done.duplicate += 1
            else:
                done.out_of_order += 1
            return
        found.append((t, value))
        done.added += 1

    def append_exemplars(self, refs: Sequence[int], exemplars: Sequence[Exemplar]) -> None:
        self.exemplars += [(self.names[ref], each) for ref, each in zip(refs, exemplars, strict=True)]

    def set_metadata(self, family: str, metadata: Metadata) -> None:
        self.metadata[family] = metadata

    async def commit(self) -> None:
        self.commits += 1
        if self.fail is not None:
            raise self.fail

    # For assertions.

    def series(self, name: str, **labels: str) -> list[tuple[int, object]]:
        """Samples of the one series that has this name and these labels; values as floats, "stale", or histograms."""
        wanted = set(labels.items())
        found = [each for each in self.samples if get(each, "__name__") == name and wanted <= set(each)]
        assert len(found) == 1, found
        return [(t, readable(value)) for t, value in self.samples[found[0]]]

    def last(self) -> dict[str, object]:
        """The newest value of every scraped series, by its text without the labels job and instance."""
        reports = ("up", "scrape_")
        return {
            key(labels): readable(values[-1][1])
            for labels, values in self.samples.items()
            if not get(labels, "__name__").startswith(reports)
        }


def key(labels: Labels) -> str:
    rest = without(labels, "job", "instance", "__name__")
    return get(labels, "__name__") + "".join(f" {name}={value}" for name, value in rest)


def readable(value: object) -> object:
    if not isinstance(value, int):
        return value
    if value == STALE_BITS:
        return "stale"
    return struct.unpack("<d", struct.pack("<q", value))[0]
