"""Samples that come late, within the out-of-order window. Called by `head` under its lock, `headread`, `recovery` and `db`.

Each series that has any keeps up to 32 of them sorted, floats and histograms together; full, they become chunks in
chunks_head/ with the out-of-order bit. They are logged in wbl/ (samples, histograms, and markers that say which are in a chunk
by now), as Prometheus does. `db` makes blocks of them.
"""

from __future__ import annotations

import sys
import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import head as kernels
from styr.metrics.kernels import wal as walkernels
from styr.metrics.model.histogram import Histogram
from styr.metrics.storage import records
from styr.metrics.storage.chunk import Encoded, Value, encode
from styr.metrics.storage.headstate import HeadState
from styr.metrics.storage.histogramrecords import RefHistogram, histograms
from styr.metrics.storage.wal import Wal, segments

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]
Bytes = NDArray[np.uint8]

CAPACITY = 32
OUT_OF_ORDER_BIT = 128
_LATE = (kernels.IS_OUT_OF_ORDER, kernels.IS_TOO_OLD)


@dataclass(slots=True)
class Closed:
    """A chunk in chunks_head/: file << 32 | offset, bytes, encoding, first and last time."""

    where: int
    length: int
    encoding: int
    mint: int
    maxt: int


@dataclass(slots=True)
class Late:
    """Of one series: the sorted samples of the open chunk, and the closed ones."""

    t: list[int] = field(default_factory=list)
    v: list[Value] = field(default_factory=list)
    closed: list[Closed] = field(default_factory=list)

    def insert(self, t: int, v: Value) -> bool:
        """False when there is a sample at that time already."""
        at = bisect_left(self.t, t)
        if at < len(self.t) and self.t[at] == t:
            return False
        self.t.insert(at, t)
        self.v.insert(at, v)
        return True

    def chunks(self) -> list[Encoded]:
        """The open samples; several where their kinds alternate, and after a start."""
        return encode(self.t, self.v)


class OutOfOrder:
    """`lock` is the head's; `window` in milliseconds, and may be changed."""

    def __init__(self, state: HeadState, directory: Path, lock: threading.RLock, window: int) -> None:
        self._state, self._directory, self._lock, self.window = state, directory, lock, window
        state.disk.held = self._oldest_file
        self.series: dict[int, Late] = {}
        """By slot."""
        self.wbl: Wal | None = None

    def _log(self) -> Wal:
        if self.wbl is None:
            self.wbl = Wal(self._directory, self._lock)
        return self.wbl

    def take(self, refused: Ints, slots: Slots, t: Ints, step: int, bits: Ints, result: Bytes) -> Ints:
        """Takes those of the refused samples that are late and within the window, and marks them so in `result`. Returns the
        rest. Raises Unavailable."""
        late = np.isin(result[refused], _LATE) & (t[refused * step] >= self._state.max_t - self.window)
        taken: list[int] = []
        for i in refused[late].tolist():
            if self.insert(int(slots[i]), int(t[i * step]), int(bits[i])):
                taken.append(i)
            result[i] = kernels.OK
        if taken:
            self._log_samples(np.array(taken, np.int64), slots, t, step, bits)
        rest: Ints = refused[result[refused] != kernels.OK]
        return rest

    def _log_samples(self, taken: Ints, slots: Slots, t: Ints, step: int, bits: Ints) -> None:
        refs = self._state.registry.refs[slots[taken]]
        scratch = np.zeros(64 + 28 * len(taken), np.uint8)
        wanted = np.ones(len(taken), np.uint8)
        times, values = np.ascontiguousarray(t[taken * step]), np.ascontiguousarray(bits[taken])
        length = int(walkernels.encode_samples(refs, times, 1, values, wanted, scratch))
        self._log().log(scratch, length, compress=True)

    def take_histogram(self, slot: int, t: int, h: Histogram, told: int) -> bool:
        """Whether a histogram of which the head `told` why it is refused is late and within the window; then it is taken, and
        the caller hands it to `log_histograms`. Raises Unavailable."""
        if not self.window or told not in _LATE or t < self._state.max_t - self.window:
            return False
        self.insert(slot, t, h)
        return True

    def log_histograms(self, taken: Sequence[RefHistogram]) -> None:
        for record in histograms(taken):
            self._log().log_bytes(record)

    def insert(self, slot: int, t: int, v: Value) -> bool:
        """False when a late sample of that time is there already: the first one stays."""
        late = self.series.setdefault(slot, Late())
        if len(late.t) >= CAPACITY:
            self.close(slot)
        return late.insert(t, v)

    def close(self, slot: int) -> None:
        """Makes chunks of the open samples of a series. Raises Unavailable."""
        late = self.series[slot]
        for encoding, data, mint, maxt in late.chunks():
            where = self._state.stage_chunk(slot, mint, maxt, encoding | OUT_OF_ORDER_BIT, data, link=False)
            late.closed.append(Closed(where, len(data), encoding, mint, maxt))
        if late.t:
            late.t, late.v = [], []
            self._log().log_bytes(records.markers([(int(self._state.registry.refs[slot]), late.closed[-1].where)]))

    def close_all(self) -> None:
        """Raises Unavailable."""
        for slot in self.series:
            self.close(slot)

    def replayed_marker(self, slot: int, where: int) -> None:
        """The samples so far are in a chunk, if that chunk was found at the start; otherwise they stay."""
        late = self.series.get(slot)
        if late is not None and any(closed.where == where for closed in late.closed):
            late.t, late.v = [], []

    def span(self) -> tuple[int, int] | None:
        """First and last time of all late samples."""
        times = [t for late in self.series.values() for t in (late.t[:1] + late.t[-1:])]
        times += [t for late in self.series.values() for c in late.closed for t in (c.mint, c.maxt)]
        return (min(times), max(times)) if times else None

    def _oldest_file(self) -> int:
        return min((c.where >> 32 for late in self.series.values() for c in late.closed), default=sys.maxsize)

    def begin(self) -> tuple[dict[int, list[Closed]], int]:
        """Closes everything and moves the log to a new segment: (what there is now by slot, the last segment that is only about
        that). The caller makes blocks of it, then calls `forget`, and then, without the head's lock, `drop_log`."""
        self.close_all()
        last = -1
        if self.wbl is not None or segments(self._directory):
            self._log().cut()
            last = self._log().segment - 1
        return {slot: list(late.closed) for slot, late in self.series.items()}, last

    def forget(self, taken: dict[int, list[Closed]]) -> None:
        """What `begin` returned; what has come since stays."""
        for slot, closed in taken.items():
            late = self.series.get(slot)
            if late is not None:
                late.closed = [each for each in late.closed if each not in closed]
                if not late.closed and not late.t:
                    del self.series[slot]

    def drop_log(self, last: int) -> None:
        """Drops the segments up to `last`. Not under the head's lock. Raises StorageError."""
        if last >= 0:
            self._log().sync()
            self._log().touch()
            self._log().drop_until(last)

    def sync(self) -> None:
        if self.wbl is not None:
            self.wbl.sync()

    def finish(self) -> None:
        """Closes the log. Raises StorageError."""
        if self.wbl is not None:
            self.wbl.close()
