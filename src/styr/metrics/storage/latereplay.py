"""The out-of-order log (wbl/) into the head. Called by `recovery` behind the write-ahead log, which names the series; calls
`records`, `histogramrecords` and the head's `oo`. Reads what Styr and what Prometheus wrote, with start timestamps or without.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import wal as kernels
from styr.metrics.model.errors import Corrupt
from styr.metrics.storage import histogramrecords, records
from styr.metrics.storage.chunk import Value
from styr.metrics.storage.head import Head
from styr.metrics.storage.oo import Late
from styr.metrics.storage.wal import Records


class LateReader:
    """`problems` are sentences about records that do not parse and are passed over."""

    def __init__(self, head: Head, problems: list[str]) -> None:
        self._registry, self._late, self._problems = head.registry, head.out_of_order, problems
        self.unknown = 0
        """Samples of series that the log does not define (any more)."""

    def take(self, found: Records) -> None:
        for start, end in zip(found.starts[:-1].tolist(), found.starts[1:].tolist(), strict=True):
            kind = int(found.data[start]) if end > start else 0
            try:
                self._one(kind, found.data[start:end])
            except Corrupt as error:
                self._problems.append(f"a record of type {kind} for late samples was passed over: {error}")

    def _one(self, kind: int, data: NDArray[np.uint8]) -> None:
        if kind == records.MARKERS:
            markers = records.read_markers(data.tobytes())
            for slot, (_, where) in zip(self._slots([ref for ref, _ in markers]), markers, strict=True):
                self._late.replayed_marker(slot, where)
        elif kind == records.SAMPLES:
            most = len(data) // 10 + 1
            refs, t, v = np.zeros(most, np.int64), np.zeros(most, np.int64), np.zeros(most, np.int64)
            count = int(kernels.decode_samples(data, 0, len(data), refs, t, v))
            if count < 0:
                raise Corrupt("it ends too early")
            self._insert(refs[:count].tolist(), zip(t.tolist(), v.tolist(), strict=True))
        elif kind == records.SAMPLES_2:
            self._insert_each(records.read_samples_2(data.tobytes()))
        elif kind in records.ALL_HISTOGRAMS:
            self._insert_each(histogramrecords.read_histograms(data.tobytes()))

    def _insert_each(self, items: Sequence[tuple[int, int, Value]]) -> None:
        self._insert([item[0] for item in items], [(t, value) for _, t, value in items])

    def _insert(self, refs: Sequence[int], samples: Iterable[tuple[int, Value]]) -> None:
        for slot, (t, value) in zip(self._slots(refs), samples, strict=False):
            if slot >= 0:
                self._late.series.setdefault(slot, Late()).insert(t, value)
            else:
                self.unknown += 1

    def _slots(self, refs: Sequence[int]) -> list[int]:
        found: list[int] = self._registry.slots_of(np.array(refs, np.int64)).tolist()
        return found
