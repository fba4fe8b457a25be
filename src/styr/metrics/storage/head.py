"""The newest samples: in memory for queries, in the write-ahead log for the next start. Called by `db`, `scrape`, `remote` and
`rules` (as `model.samples.Appender`); calls `series`, `headstate`, `wal`, `oo`.

One lock guards everything; it is held for one append or one copy at a time, and never while the disk is waited for. Lock order:
`Wal.sync`'s own, then this one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import head as kernels
from styr.metrics.kernels import wal as walkernels
from styr.metrics.model.errors import BadData
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels
from styr.metrics.model.samples import STALE_BITS, Appended, Exemplar, Layout, Metadata, Refs, Times, Values
from styr.metrics.storage import histogramrecords, records
from styr.metrics.storage.commit import Committer
from styr.metrics.storage.exemplars import Exemplars
from styr.metrics.storage.headchunks import HeadChunks
from styr.metrics.storage.headhistograms import HeadHistograms
from styr.metrics.storage.headstate import HeadState
from styr.metrics.storage.histogramrecords import RefHistogram
from styr.metrics.storage.oo import OutOfOrder
from styr.metrics.storage.series import Registry
from styr.metrics.storage.wal import SEGMENT, Wal

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]
Bytes = NDArray[np.uint8]

HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """Times in milliseconds. `rows`: scrapes are written as rows of what changed, which only Styr reads; otherwise as samples,
    which Prometheus reads too, at about five times the bytes."""

    chunk_range: int = 2 * HOUR
    samples_per_chunk: int = 120
    out_of_order_window: int = 0
    exemplars: int = 100_000
    rows: bool = True
    segment_size: int = SEGMENT


class HeadLayout:
    """See `model.samples.Layout`. `last` is the row before in the log's `segment`, where `number` was declared."""

    __slots__ = ("generation", "last", "number", "refs", "segment", "slots")

    def __init__(self, refs: Refs) -> None:
        self.refs: Refs = refs
        self.number = 0
        self.slots: Slots = np.zeros(0, np.int32)
        self.last: Ints = np.zeros(len(refs), np.int64)
        self.segment = self.generation = -1


class Head:
    """Begins empty; `recovery.recover` fills it, and only then `start` opens the log for writing."""

    def __init__(self, directory: Path, settings: HeadSettings | None = None) -> None:
        self.directory, self.settings = directory, settings or HeadSettings()
        self.lock = threading.RLock()
        self.registry = Registry()
        self.disk = HeadChunks(directory / "chunks_head")
        self.state = HeadState(self.registry, self.disk, self.settings.chunk_range, self.settings.samples_per_chunk)
        self.histograms = HeadHistograms(self.state)
        self.state.close_histogram = self.histograms.close  # type: ignore[method-assign]
        self.exemplars = Exemplars(self.settings.exemplars)
        self.metadata: dict[str, Metadata] = {}
        self.tombstones: dict[int, list[tuple[int, int]]] = {}
        """By reference: times (inclusive) of deleted samples."""
        self.out_of_order = OutOfOrder(self.state, directory / "wbl", self.lock, self.settings.out_of_order_window)
        self.min_valid = kernels.NEVER
        """What is older is in a block, and nothing is appended there."""
        self._generation = 0
        self._layouts, self._layouts_in = 0, -1
        self._scratch: Bytes = np.zeros(1 << 16, np.uint8)
        self.wal: Wal
        self.appended = 0
        """Samples since the start."""

    def start(self) -> None:
        """Opens the log and the chunk files for writing. Raises StorageError, OSError."""
        self.wal = Wal(self.directory / "wal", self.lock, self.settings.segment_size)
        self._committer = Committer(self.sync)
        self.state.place()

    @property
    def generation(self) -> int:
        return self._generation

    def refs(self, series: Sequence[Labels]) -> Refs:
        with self.lock:
            slots, new = self.registry.resolve(series)
            fresh = slots[new]
            refs = self.registry.refs[slots]
            self.state.add_slots(fresh)
            if len(new):
                made = zip(refs[new].tolist(), [series[i] for i in new.tolist()], strict=True)
                self.wal.log_bytes(records.series(made))
            return refs

    def holds(self, refs: Refs) -> bool:
        with self.lock:
            return bool((self.registry.slots_of(np.ascontiguousarray(refs, np.int64)) >= 0).all())

    def layout(self, refs: Refs) -> HeadLayout:
        return HeadLayout(np.ascontiguousarray(refs, np.int64))

    def append_row(self, layout: Layout, t: int, values: Values) -> Appended:
        if not isinstance(layout, HeadLayout) or len(values) != len(layout.refs):
            raise BadData(
                f"a row of {len(values)} values for a layout of {len(layout.refs)} series, or of another storage"
            )
        bits = np.ascontiguousarray(values, np.float64).view(np.int64)
        with self.lock:
            if layout.generation != self._generation:
                layout.slots = self.registry.slots_of(layout.refs)
                layout.generation = self._generation
            done = self._append(layout.refs, layout.slots, np.array([t], np.int64), 0, bits)
            if self.settings.rows:
                self._log_row(layout, t, bits)
            return done

    def append(self, refs: Refs, t: Times, values: Values) -> Appended:
        bits = np.ascontiguousarray(values, np.float64).view(np.int64)
        refs, t = np.ascontiguousarray(refs, np.int64), np.ascontiguousarray(t, np.int64)
        if not len(refs) == len(t) == len(bits):
            raise BadData(f"{len(refs)} references, {len(t)} times and {len(bits)} values do not go together")
        with self.lock:
            return self._append(refs, self.registry.slots_of(refs), t, 1, bits, log=True)

    def _append(self, refs: Refs, slots: Slots, t: Ints, step: int, bits: Ints, log: bool = False) -> Appended:
        state = self.state
        self._advance()
        if self.histograms.open:
            slots, bits = self._divert_stale(slots, t, step, bits)
        result = state.append(slots, t, step, bits)
        if log or not self.settings.rows:
            self._log_samples(refs, t, step, bits, result)
        added, duplicate, late, old = state.counts.tolist()
        self.appended += added
        if added == len(slots):
            return Appended(added)
        refused = np.flatnonzero(result)
        if late + old and self.out_of_order.window:
            refused = self.out_of_order.take(refused, slots, t, step, bits, result)
            counts = np.bincount(result, minlength=5).tolist()
            added, duplicate, late, old = counts[:4]
        return Appended(added, duplicate, late, old, refused.tolist())

    def _advance(self) -> None:
        """The oldest time that is taken follows the newest."""
        info = self.state.info
        newest = int(info[kernels.MAX_T])
        oldest = newest - self.settings.chunk_range // 2 if newest > kernels.NEVER else kernels.NEVER
        info[kernels.MIN_VALID] = max(self.min_valid, oldest)

    def _divert_stale(self, slots: Slots, t: Ints, step: int, bits: Ints) -> tuple[Slots, Ints]:
        """Staleness markers of series of histograms become histograms."""
        packed = self.state.rows[np.maximum(slots, 0), kernels.PACKED] >> 56
        found = np.flatnonzero((packed & kernels.HISTOGRAM > 0) & (bits == STALE_BITS) & (slots >= 0))
        if not len(found):
            return slots, bits
        slots = slots.copy()
        for i in found.tolist():
            slot = int(slots[i])
            self._append_histograms([(int(self.registry.refs[slot]), int(t[i * step]), self.histograms.stale(slot))])
            slots[i] = -1
        return slots, bits

    def _room(self, size: int) -> Bytes:
        if len(self._scratch) < size:
            self._scratch = np.zeros(2 * size, np.uint8)
        return self._scratch

    def _log_samples(self, refs: Refs, t: Ints, step: int, bits: Ints, result: Bytes) -> None:
        scratch = self._room(64 + 28 * len(refs))
        wanted = (result == kernels.OK).view(np.uint8)
        length = int(walkernels.encode_samples(refs, t, step, bits, wanted, scratch))
        if length:
            self.wal.log(scratch, length, compress=True)

    def _log_row(self, layout: HeadLayout, t: int, bits: Ints) -> None:
        most = 64 + 20 * len(bits)
        self.wal.reserve(2 * most)
        scratch = self._room(most)
        whole = layout.segment != self.wal.segment
        if whole:
            if self._layouts_in != self.wal.segment:
                self._layouts, self._layouts_in = 0, self.wal.segment
            self._layouts += 1
            layout.number = self._layouts
            self.wal.log(scratch, int(walkernels.encode_layout(layout.number, layout.refs, scratch)), compress=True)
        length = int(walkernels.encode_row(layout.number, t, layout.last, bits, np.uint8(whole), scratch))
        layout.segment = (
            -1
        )  # Until it is logged: if that fails, `last` is no row of the log, and the next one is whole again.
        self.wal.log(scratch, length)
        layout.segment = self.wal.segment

    def append_histograms(self, refs: Sequence[int], t: Sequence[int], values: Sequence[Histogram]) -> Appended:
        with self.lock:
            self._advance()
            return self._append_histograms(list(zip(refs, t, values, strict=True)))

    def _append_histograms(self, items: Sequence[RefHistogram]) -> Appended:
        done, refused = Appended(), []
        taken: list[RefHistogram] = []
        late: list[RefHistogram] = []
        slots = self.registry.slots_of(np.array([item[0] for item in items], np.int64)).tolist()
        for i, (slot, item) in enumerate(zip(slots, items, strict=True)):
            told = kernels.IS_GONE if slot < 0 else self.histograms.append(slot, *item[1:])
            if told == kernels.OK:
                taken.append(item)
            elif self.out_of_order.take_histogram(slot, *item[1:], told):
                late.append(item)
            else:
                refused.append(i)
                done.duplicate += told == kernels.IS_DUPLICATE
                done.out_of_order += told == kernels.IS_OUT_OF_ORDER
                done.too_old += told == kernels.IS_TOO_OLD
        for record in histogramrecords.histograms(taken):
            self.wal.log_bytes(record)
        self.out_of_order.log_histograms(late)
        done.added, done.refused = len(taken) + len(late), refused
        self.appended += done.added
        return done

    def append_exemplars(self, refs: Sequence[int], exemplars: Sequence[Exemplar]) -> None:
        with self.lock:
            added = [pair for pair in zip(refs, exemplars, strict=True) if self.exemplars.add(*pair)]
            if added:
                self.wal.log_bytes(records.exemplars(added))

    def set_metadata(self, family: str, metadata: Metadata) -> None:
        with self.lock:
            if self.metadata.get(family) != metadata:
                self.metadata[family] = metadata
                self.wal.log_bytes(records.family(family, metadata))

    async def commit(self) -> None:
        await asyncio.wrap_future(self._committer.request())

    def sync(self) -> None:
        """`commit` for a thread that may wait. Raises StorageError."""
        self.wal.sync()
        self.out_of_order.sync()

    def delete(self, slots: Slots, start: int, end: int) -> None:
        """Marks the samples of series in start..end, both inclusive, as deleted."""
        with self.lock:
            rows = self.state.rows[slots]
            stones = []
            for slot, newest in zip(slots.tolist(), rows[:, kernels.LAST_T].tolist(), strict=True):
                ref = int(self.registry.refs[slot])
                if newest >= start:
                    stones.append((ref, start, min(end, newest)))
                    self.tombstones.setdefault(ref, []).append((start, min(end, newest)))
            if stones:
                self.wal.log_bytes(records.tombstones(stones))

    def forget(self, slots: Slots) -> None:
        """Removes series and all that belongs to them."""
        with self.lock:
            if not len(slots):
                return
            _forget(self.tombstones, self.registry.refs[slots])
            _forget(self.histograms.open, slots)
            _forget(self.out_of_order.series, slots)
            self.state.release(slots)
            self.registry.remove(slots)
            self._generation += 1

    def cut_all(self) -> None:
        """Closes every open chunk. Raises Unavailable."""
        with self.lock:
            for slot in list(self.histograms.open):
                self.histograms.close(slot)
            self.state.cut(self.registry.live())

    def overlaps(self, start: int, end: int) -> bool:
        """Whether there may be samples in start..end, both inclusive."""
        late = bool(self.out_of_order.series)
        return (self.state.min_t <= end or late) and (self.state.max_t >= start or late)

    def disk_bytes(self) -> int:
        """Of the logs and chunk files."""
        folders = (self.directory / name for name in ("wal", "wbl", "chunks_head"))
        return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())

    def stop(self) -> None:
        """Ends the thread that syncs."""
        self._committer.stop()

    def close(self) -> None:
        """Closes the files; what is appended after it is lost. Raises StorageError."""
        with self.lock:
            self.state.flush()
            self.disk.close()
        self.out_of_order.finish()
        self.wal.close()


def _forget(by_number: dict[int, Any], numbers: Slots | Ints) -> None:
    if by_number:
        for number in by_number.keys() & set(numbers.tolist()):
            del by_number[number]
