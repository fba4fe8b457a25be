"""Series records in bulk into a registry. Called by `recovery`; calls `kernels.walseries`.

The kernel numbers the distinct label pairs of the records; only those become Python strings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import walseries as kernels
from styr.metrics.model.errors import Corrupt
from styr.metrics.storage.arrays import grown
from styr.metrics.storage.records import Reader
from styr.metrics.storage.series import Registry
from styr.metrics.storage.wal import Records

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]


class SeriesReader:
    """Remembers the pairs from one segment to the next."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known = np.zeros(1 << 20, np.uint8)
        self._ends: Ints = np.zeros(1 << 16, np.int64)
        self._table: Slots = np.zeros(1 << 14, np.int32)
        self._count: Ints = np.zeros(2, np.int64)
        self._pair: Slots = np.zeros(0, np.int32)
        """The registry's number of each known pair."""

    def read(self, found: Records, which: Ints) -> tuple[Ints, Slots, Ints]:
        """The series of the records `which`: (references, slots, which of them are new). Raises Corrupt."""
        begin, end = found.starts[which], found.starts[which + 1]
        total = int((end - begin).sum())
        known = int(self._ends[self._count[0]])
        self._known = grown(self._known, known + total + 16, known)
        self._ends = grown(self._ends, int(self._count[0]) + total // 2 + 2, int(self._count[0]) + 1)
        refs, offsets = np.empty(total // 9 + 1, np.int64), np.zeros(total // 9 + 2, np.int64)
        pairs = np.empty(total // 2 + 1, np.int32)
        self._count[1] = 0
        for first, last in zip(begin.tolist(), end.tolist(), strict=True):
            self._record(found, first + 1, last, refs, offsets, pairs)
        count = int(self._count[1])
        refs, offsets = refs[:count].copy(), offsets[: count + 1].copy()
        self._number_pairs()
        flat = self._pair[pairs[: int(offsets[-1])]]
        slots, new = self._registry.resolve_pairs(flat, offsets, refs)
        return refs, slots, new

    def _record(self, found: Records, at: int, end: int, refs: Ints, offsets: Ints, pairs: Slots) -> None:
        while at := int(
            kernels.decode_series(
                found.data, at, end, refs, offsets, pairs, self._known, self._ends, self._table, self._count
            )
        ):
            if at < 0:
                raise Corrupt("a series record of the write-ahead log ends too early")
            self._table = np.zeros(2 * len(self._table), np.int32)
            kernels.reintern(self._known, self._ends, self._table, int(self._count[0]))

    def _number_pairs(self) -> None:
        done, count = len(self._pair), int(self._count[0])
        if done == count:
            return
        first = int(self._ends[done])
        reader = Reader(self._known[first : int(self._ends[count])].tobytes(), 0)
        number = self._registry.pair
        fresh = [number(reader.text(), reader.text()) for _ in range(done, count)]
        self._pair = np.concatenate([self._pair, np.array(fresh, np.int32)])
