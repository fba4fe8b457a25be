"""The samples of the head: open chunks in memory, the list of closed ones. Called by `head` and `recovery` under the
head's lock; calls `kernels.head`, `kernels.headlists` and `headchunks`.

The kernel stops when an array is full, gets a larger one and goes on. Closed chunks go to `stage` and from there to the
disk at the end of the call; what the disk does not take stays there, readable, and is written later."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import head as kernels
from styr.metrics.kernels import headlists
from styr.metrics.model.errors import StorageError, Unavailable
from styr.metrics.storage.arrays import grown
from styr.metrics.storage.headchunks import HeadChunks
from styr.metrics.storage.series import Registry

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Slots = NDArray[np.int32]

_STAGE = 1 << 20
_MOST_STAGED = 128 << 20
_WORTH = 256 << 10
"""Staged bytes that are worth a write."""
NO_TIME = -(1 << 63)
"""Newest time of a head without samples; its oldest is `LATE`."""
LATE = (1 << 63) - 1


class HeadState:
    def __init__(self, registry: Registry, disk: HeadChunks, chunk_range: int, target: int) -> None:
        self.registry, self.disk = registry, disk
        self.rows: Ints = np.zeros((1024, 8), np.int64)
        self.slabs: Bytes = np.zeros(1 << 20, np.uint8)
        self.pool: Ints = np.full(1 + len(kernels.SIZES), -1, np.int64)
        self.pool[0] = 0
        self.chunks: Ints = np.zeros((1024, 4), np.int64)
        self.stage: Bytes = np.zeros(_STAGE, np.uint8)
        self.info: Ints = np.zeros(kernels.INFO, np.int64)
        self.info[kernels.MAX_T], self.info[kernels.MIN_T] = NO_TIME, LATE
        self.info[kernels.MIN_VALID] = NO_TIME
        self.info[kernels.RANGE], self.info[kernels.TARGET] = chunk_range, target
        self.counts: Ints = self.info[kernels.ADDED :]
        """Counts of the last `append`: added, duplicate, out of order, too old."""

    @property
    def max_t(self) -> int:
        return int(self.info[kernels.MAX_T])

    @property
    def min_t(self) -> int:
        return int(self.info[kernels.MIN_T])

    @property
    def staged(self) -> int:
        """Bytes of closed chunks that are not in a file yet."""
        return int(self.info[kernels.STAGED])

    @property
    def closed(self) -> int:
        """How many closed chunks there are."""
        return int(self.info[kernels.CHUNKS])

    def add_slots(self, slots: Slots) -> None:
        """Makes rows for new series."""
        if len(slots):
            self.rows = grown(self.rows, int(slots.max()) + 1)
            self.rows[slots] = 0
            self.rows[slots, kernels.LAST_T] = kernels.NEVER
            self.rows[slots, kernels.CHUNK] = -1

    def append(self, slots: Slots, t: Ints, step: int, v: Ints) -> Bytes:
        """Value bits `v[i]` at `t[i * step]` for `slots[i]`; returns what became of each (`kernels.OK` ...). Raises
        Unavailable, and appends nothing, when too much waits for the disk."""
        self.check()
        info, result = self.info, np.zeros(len(slots), np.uint8)
        info[kernels.RESUME] = 0
        info[kernels.ADDED :] = 0
        while missing := kernels.append_samples(
            self.rows,
            self.slabs,
            self.pool,
            info,
            self.stage,
            self.chunks,
            self.registry.refs,
            slots,
            t,
            step,
            v,
            result,
        ):
            if missing == kernels.IS_HISTOGRAM:
                self.close_histogram(int(slots[int(info[kernels.RESUME])]))
            else:
                self.provide(missing)
        if info[kernels.STAGED] > _WORTH:
            self.flush()
        return result

    def close_histogram(self, slot: int) -> None:
        """A float comes to a series whose open chunk holds histograms. `head` replaces this."""
        raise AssertionError(f"slot {slot} has no histograms")

    def cut(self, slots: Slots) -> None:
        """Closes the open float chunks of `slots`."""
        self.info[kernels.RESUME] = 0
        while missing := kernels.cut_many(
            self.rows, self.slabs, self.pool, self.info, self.stage, self.chunks, self.registry.refs, slots
        ):
            self.provide(missing)
        self.flush()

    def provide(self, missing: int) -> None:
        """What a kernel said it needs before it goes on."""
        if missing == kernels.NO_SLAB:
            self.slabs = grown(self.slabs, len(self.slabs) * 2, int(self.pool[0]))
        elif missing == kernels.NO_CHUNK:
            self.chunks = grown(self.chunks, len(self.chunks) * 2)
        else:
            self.flush()
            if int(self.info[kernels.STAGED]):
                self.stage = grown(self.stage, len(self.stage) * 2)

    def place(self) -> None:
        """Says where the next staged chunk will lie on the disk; nothing is staged. Raises StorageError when there is no file
        at all; one that is full is used on while the disk gives no other."""
        if self.disk.room() < _STAGE:
            try:
                self.disk.rotate()
            except StorageError:
                if not self.info[kernels.FILE]:
                    raise
        self.info[kernels.FILE], self.info[kernels.BASE] = self.disk.number, self.disk.position

    def flush(self) -> None:
        """Writes what is staged. When the disk refuses, it stays staged."""
        staged = int(self.info[kernels.STAGED])
        try:
            if staged:
                self.disk.write(self.stage[:staged], self.max_t)
                self.info[kernels.STAGED] = 0
            self.place()
        except StorageError:
            return

    def check(self) -> None:
        """Raises Unavailable when no more can be staged."""
        if int(self.info[kernels.STAGED]) > _MOST_STAGED or not self.info[kernels.FILE]:
            self.flush()
            staged = int(self.info[kernels.STAGED])
            if staged > _MOST_STAGED or not self.info[kernels.FILE]:
                raise Unavailable(f"the disk of {self.disk.directory} takes no chunks; free some space on it")

    def stage_chunk(self, slot: int, mint: int, maxt: int, encoding: int, data: bytes, link: bool = True) -> int:
        """A chunk made elsewhere (histograms, out of order): to the disk, and as the newest closed one of its series
        when `link`. Returns file << 32 | offset of its data. Raises Unavailable."""
        self.check()
        while int(self.info[kernels.STAGED]) + len(data) + kernels.FRAME + 8 > len(self.stage):
            self.provide(kernels.NO_STAGE)
        self.chunks = grown(self.chunks, int(self.info[kernels.CHUNKS]) + 1)
        raw = np.frombuffer(bytearray(data), np.uint8)
        ref = int(self.registry.refs[slot])
        begin, end = kernels.stage_chunk(
            ref, mint, maxt, encoding, raw, 0, len(raw), self.stage, int(self.info[kernels.STAGED])
        )
        where = int(self.info[kernels.FILE]) << 32 | (int(self.info[kernels.BASE]) + int(begin))
        self.info[kernels.STAGED] = end
        if link:
            meta = encoding << 24 | len(raw)
            kernels.link_chunk(self.rows, slot, self.info, self.chunks, where, mint, maxt, meta)
        return where

    def read(self, where: int, length: int) -> bytes:
        """The data of a closed chunk by its place."""
        file, at = where >> 32, where & 0xFFFFFFFF
        if file == int(self.info[kernels.FILE]) and at >= int(self.info[kernels.BASE]):
            at -= int(self.info[kernels.BASE])
            return self.stage[at : at + length].tobytes()
        return self.disk.segments[file - self.disk.first][at : at + length].tobytes()

    def has_open(self, slots: Slots) -> NDArray[np.bool_]:
        """Whether each series has an open chunk of floats."""
        packed = self.rows[slots, kernels.PACKED]
        found: NDArray[np.bool_] = ((packed >> 16) & 0xFFFF > 0) & ((packed >> 56) & kernels.HISTOGRAM == 0)
        return found

    def copy_open(self, slots: Slots) -> tuple[Bytes, Ints]:
        """The bytes of open float chunks, padded, and the offsets: chunk of `slots[i]` is `[starts[i]:starts[i + 1]]`."""
        starts = np.zeros(len(slots) + 1, np.int64)
        packed = self.rows[slots, kernels.PACKED]
        size = int((((packed & 0xFFFF) + 7) >> 3).sum())
        out = np.zeros(size + 16, np.uint8)
        headlists.copy_open(self.rows, self.slabs, slots, out, starts)
        return out, starts

    def list_chunks(self, slots: Slots, start: int, end: int) -> tuple[Ints, Ints]:
        """(offsets, rows of `chunks`): the closed chunks of each series with samples in start..end, oldest first."""
        offsets = np.zeros(len(slots) + 1, np.int64)
        rows = np.zeros(int(headlists.count_chunks(self.rows, self.chunks, slots, start, end, offsets)), np.int64)
        headlists.list_chunks(self.rows, self.chunks, slots, start, end, offsets, rows)
        return offsets, rows

    def oldest(self) -> int:
        """The first time in any chunk; the newest time of the head when there is none."""
        opened = self.rows[(self.rows[:, kernels.PACKED] >> 16) & 0xFFFF > 0, kernels.MINT]
        closed = self.chunks[: self.closed, kernels.CHUNK_MINT]
        return int(min(opened.min(initial=self.max_t), closed.min(initial=self.max_t)))

    def drop_before(self, mint: int) -> None:
        """Forgets the closed chunks that end before `mint`."""
        kept = np.zeros_like(self.chunks)
        live = self.registry.live()
        self.info[kernels.CHUNKS] = headlists.drop_chunks(self.rows, self.chunks, kept, live, mint)
        self.chunks = kept

    def release(self, slots: Slots) -> None:
        """Frees the open chunks of series that go."""
        headlists.release(self.rows, self.slabs, self.pool, np.ascontiguousarray(slots))
