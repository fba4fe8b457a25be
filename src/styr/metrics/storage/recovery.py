"""Fills an empty head from a data directory: chunks_head/, the write-ahead log, the out-of-order log. Called by `db` at its
start; calls `wal`, `records`, `latereplay`, `kernels.replay`. Reads what Styr and what Prometheus wrote.

Samples that are in a closed chunk already are skipped. Where the log is not whole it ends: a torn end is what a crash leaves,
and anything before is told as a problem; what is behind it is dropped, as Prometheus does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import head as headkernels
from styr.metrics.kernels import headscan, replay
from styr.metrics.kernels import wal as kernels
from styr.metrics.model.errors import Corrupt
from styr.metrics.model.labels import METRIC_NAME, get
from styr.metrics.storage import histogramrecords, records
from styr.metrics.storage.arrays import grown
from styr.metrics.storage.head import Head
from styr.metrics.storage.headchunks import Scanned
from styr.metrics.storage.latereplay import LateReader
from styr.metrics.storage.oo import OUT_OF_ORDER_BIT, Closed, Late
from styr.metrics.storage.rowreplay import RowReader
from styr.metrics.storage.seriesreplay import SeriesReader
from styr.metrics.storage.wal import Records, history, read_segment, segments, truncate_after

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]


@dataclass(slots=True)
class Recovered:
    """What a start found. `problems` are sentences about what was lost, empty when nothing was."""

    series: int = 0
    chunks: int = 0
    records: int = 0
    unknown: int = 0
    """Samples and rows of series or layouts that the log does not define (any more)."""
    torn: int = 0
    """Bytes at the end of the log that were no whole record: what a crash leaves."""
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


def recover(head: Head, report: Recovered | None = None, look: bool = False) -> Recovered:
    """Raises OSError and StorageError when the directory cannot be read or repaired. To `look` repairs nothing."""
    report = report or Recovered()
    began = time.perf_counter()
    scanned = head.disk.load(look)
    report.problems += scanned.problems
    _Replay(head, scanned, report, look).run()
    report.series = len(head.registry)
    report.chunks = int(head.state.info[headkernels.CHUNKS])
    report.seconds = time.perf_counter() - began
    return report


class _Replay:
    def __init__(self, head: Head, scanned: Scanned, report: Recovered, look: bool) -> None:
        self._head, self._state, self._report, self._look = head, head.state, report, look
        order = np.argsort(scanned.chunks[:, headscan.REF], kind="stable")
        self._chunks = np.ascontiguousarray(scanned.chunks[order])
        self._files = scanned.files[order]
        self._series = SeriesReader(head.registry)
        self._rows = RowReader(head)

    def run(self) -> None:
        head = self._head
        head.state.place()
        head.state.info[headkernels.MIN_VALID] = head.min_valid
        self._log(head.directory / "wal", self._apply)
        self._rows.finish()
        self._report.unknown += self._rows.skipped
        late = LateReader(head, self._report.problems)
        self._log(head.directory / "wbl", late.take)
        self._report.unknown += late.unknown
        head.state.flush()

    def _log(self, directory: Path, apply: Callable[[Records], None]) -> None:
        last = max((number for number, _ in segments(directory)), default=-1)
        expected = None
        for number, path in history(directory):
            if expected is not None and number != expected:
                self._report.problems.append(
                    f"{path}: segment {expected:08d} is missing before it, with all its samples"
                )
            expected = number + 1 if number >= 0 else None
            found = read_segment(path)
            self._report.records += len(found)
            apply(found)
            if found.bad:
                self._report.problems.append(f"{path}: {found.bad} records do not decompress and are passed over")
            if found.clean:
                continue
            size = path.stat().st_size
            if number < 0:
                self._report.problems.append(f"{path}: unreadable behind byte {found.good}; the rest of it is ignored")
                continue
            gone = [] if self._look else truncate_after(directory, number, path, found.good)
            if number == last:
                self._report.torn += size - found.good
            elif self._look:
                self._report.problems.append(
                    f"{path}: corrupt at byte {found.good}; the rest of the log is passed over"
                )
            else:
                self._report.problems.append(
                    f"{path}: corrupt at byte {found.good}; the log ends there now, {len(gone)} later segments are dropped"
                )
            break

    def _apply(self, found: Records) -> None:
        starts, data = found.starts, found.data
        kinds = data[np.minimum(starts[:-1], len(data) - 1)] if len(found) else data[:0]
        kinds[np.flatnonzero(np.diff(starts) == 0)] = 0
        self._register(found, np.flatnonzero(kinds == records.SERIES))
        kinds[kinds == records.SERIES] = records.ROW  # Done; and rows on both sides of them go together.
        changes = np.flatnonzero(np.diff(kinds)) + 1
        bounds = [0, *changes.tolist(), len(kinds)] if len(kinds) else [0]
        for first, last in pairwise(bounds):
            kind = int(kinds[first])
            if kind == records.ROW:
                self._rows.take(found, first, last)
            else:
                for i in range(first, last):
                    self._one(kind, found, int(starts[i]), int(starts[i + 1]))

    def _register(self, found: Records, which: Ints) -> None:
        if not len(which):
            return
        refs, slots, new = self._series.read(found, which)
        self._state.add_slots(slots[new])
        refs.sort()
        self._attach(refs[np.flatnonzero(np.diff(refs, prepend=refs[0] - 1))])

    def _attach(self, refs: Ints) -> None:
        """Closed chunks of series that the log has just named."""
        of = self._chunks[:, headscan.REF]
        low, high = np.searchsorted(of, refs, "left"), np.searchsorted(of, refs, "right")
        counts = high - low
        total = int(counts.sum())
        if not total:
            return
        which = np.repeat(low - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(total)
        chunks = np.ascontiguousarray(self._chunks[which])
        slots = self._head.registry.slots_of(chunks[:, headscan.REF])
        state = self._state
        state.chunks = grown(state.chunks, int(state.info[headkernels.CHUNKS]) + total)
        files = np.ascontiguousarray(self._files[which])
        headscan.attach_chunks(chunks, slots, files, self._head.min_valid, state.rows, state.info, state.chunks)
        for i in np.flatnonzero(chunks[:, headscan.ENCODING] >= 128).tolist():
            row = chunks[i].tolist()
            where = int(files[i]) << 32 | row[headscan.POSITION]
            encoding = row[headscan.ENCODING] & ~OUT_OF_ORDER_BIT
            closed = Closed(where, row[headscan.LENGTH], encoding, row[headscan.MINT], row[headscan.MAXT])
            self._head.out_of_order.series.setdefault(int(slots[i]), Late()).closed.append(closed)

    def _samples(self, data: NDArray[np.uint8], start: int, end: int) -> None:
        most = (end - start) // 10 + 1
        refs, t, v = np.zeros(most, np.int64), np.zeros(most, np.int64), np.zeros(most, np.int64)
        count = int(kernels.decode_samples(data, start, end, refs, t, v))
        if count < 0:
            raise Corrupt("a samples record of the write-ahead log ends too early")
        self._append(refs[:count], t[:count], v[:count])

    def _append(self, refs: Ints, t: Ints, v: Ints) -> None:
        slots = self._head.registry.slots_of(refs)
        self._report.unknown += int((slots < 0).sum())
        self._rows.before(slots)
        self._state.append(slots, t, 1, v)

    def _one(self, kind: int, found: Records, start: int, end: int) -> None:
        """Any other record. One that does not parse although its checksum is right is told of and passed over."""
        data = found.data
        try:
            if kind == records.SAMPLES:
                self._samples(data, start, end)
            elif kind == records.LAYOUT:
                self._rows.layout(data, start, end)
            elif kind == records.OPEN:
                self._open(data, start, end)
            else:
                self._small(kind, data[start:end].tobytes())
        except Corrupt as error:
            self._report.problems.append(f"a record of type {kind} was passed over: {error}")

    def _open(self, data: NDArray[np.uint8], start: int, end: int) -> None:
        state = self._state
        entries = np.zeros((end - start) // replay.OPEN_HEADER + 1, np.int64)
        count = int(replay.open_refs(data, start + 1, end, entries))
        if count < 0:
            raise Corrupt("a record of open chunks does not parse")
        entries = entries[:count]
        at = entries[:, None] + np.arange(8)
        refs = np.ascontiguousarray(data[at]).view(">i8").astype(np.int64).reshape(-1)
        slots, done = self._head.registry.slots_of(refs), 0
        rows, pool, info = state.rows, state.pool, state.info
        while (done := int(replay.restore_open(data, entries, slots, done, rows, state.slabs, pool, info))) >= 0:
            state.provide(headkernels.NO_SLAB)

    def _slot(self, ref: int) -> int:
        return int(self._head.registry.slots_of(np.array([ref], np.int64))[0])

    def _small(self, kind: int, data: bytes) -> None:
        head = self._head
        if kind == records.SAMPLES_2:
            each = np.array(records.read_samples_2(data), np.int64).reshape(-1, 3)
            self._append(*(np.ascontiguousarray(each[:, i]) for i in range(3)))
        elif kind in records.ALL_HISTOGRAMS:
            self._histograms(data)
        elif kind == records.TOMBSTONES:
            for ref, mint, maxt in records.read_tombstones(data):
                slot = self._slot(ref)  # The log may name the series by an older reference.
                if slot >= 0:
                    head.tombstones.setdefault(int(head.registry.refs[slot]), []).append((mint, maxt))
        elif kind == records.EXEMPLARS:
            for ref, exemplar in records.read_exemplars(data):
                head.exemplars.add(ref, exemplar)
        elif kind == records.FAMILY:
            name, metadata = records.read_family(data)
            head.metadata[name] = metadata
        elif kind == records.METADATA:
            self._metadata(data)

    def _histograms(self, data: bytes) -> None:
        for ref, t, h in histogramrecords.read_histograms(data):
            slot = self._slot(ref)
            if slot >= 0:
                self._rows.before(np.array([slot], np.int32))
                self._head.histograms.append(slot, t, h)
            else:
                self._report.unknown += 1

    def _metadata(self, data: bytes) -> None:
        for ref, metadata in records.read_metadata(data):
            slot = self._slot(ref)
            if slot >= 0:
                name = get(self._head.registry.labels_of(slot), METRIC_NAME)
                self._head.metadata.setdefault(name, metadata)
