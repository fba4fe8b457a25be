"""The database: a data directory of Prometheus' layout, opened. Called by `process` and `web`; calls everything in this room.

    database = Database.open(path, clock, Settings(), random)
    database.appender                  # model.samples.Appender
    database.querier()                 # model.samples.Querier
    await database.maintain()          # every minute or so: compaction, retention, checkpoints
    database.close()                   # cuts what is open, so that Prometheus reads everything

Appending and querying go on during maintenance, which runs in a thread and holds the head's lock for slices only.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom

from styr.kit.clock import Clock
from styr.metrics.model.errors import StorageError, Unavailable
from styr.metrics.model.matchers import Matcher
from styr.metrics.model.samples import Appender
from styr.metrics.storage import headblocks
from styr.metrics.storage.block import catalog, compact, delete, retention, snapshot, ulid
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.block.meta import Meta
from styr.metrics.storage.checkpoint import checkpoint
from styr.metrics.storage.head import Head, HeadSettings
from styr.metrics.storage.headblocks import Span
from styr.metrics.storage.postings import match
from styr.metrics.storage.querier import DatabaseQuerier
from styr.metrics.storage.recovery import Recovered, recover

DAY = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Settings:
    """`retention` in milliseconds, `retention_size` in bytes (0: no limit). `checkpoint_bytes`: how much log is written
    between two checkpoints, which bounds what a start has to read. `stale_share`: from which share of ended series on they
    are moved to blocks before their time, if there are `stale_least` of them."""

    head: HeadSettings = field(default_factory=HeadSettings)
    retention: int = 15 * DAY
    retention_size: int = 0
    checkpoint_bytes: int = 64 << 20
    stale_share: float = 0.25
    stale_least: int = 20_000


@dataclass(slots=True)
class Maintained:
    """What one round did: names of blocks."""

    written: list[str] = field(default_factory=list)
    compacted: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    checkpoints: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stats:
    series: int
    chunks: int
    min_t: int
    max_t: int
    blocks: int
    wal_bytes: int
    """Written since the start."""
    chunk_bytes: int
    samples: int
    """Appended since the start."""


class Database:
    """Thread-safe. `maintain_now`, `delete_series`, `clean_tombstones`, `snapshot` and `close` exclude each other."""

    def __init__(self, path: Path, clock: Clock, settings: Settings, random: Random, lock: int) -> None:
        self.path, self.settings = path, settings
        self.name = ulid.names(clock, random)
        self._clock, self._lock_file = clock, lock
        self._busy = threading.Lock()
        self._empty: set[int] = set()
        self._checkpointed = 0
        self.blocks: tuple[Block, ...] = ()
        self.problems: list[str] = []
        self.recovered = Recovered()
        self.head: Head
        self.closed = False

    @classmethod
    def open(cls, path: Path, clock: Clock, settings: Settings | None = None, random: Random | None = None) -> Database:
        """Makes the directory if it is not there. Raises Unavailable when another process has it open, StorageError when it
        cannot be read or written."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = _locked(path)
        except OSError as error:
            raise StorageError(f"cannot open the data directory {path}: {error.strerror}") from error
        database = cls(path, clock, settings or Settings(), random or SystemRandom(), lock)
        try:
            database._load()
        except OSError as error:
            os.close(lock)
            raise StorageError(f"cannot open the data directory {path}: {error}; check its disk and rights") from error
        except BaseException:
            os.close(lock)
            raise
        return database

    def _load(self) -> None:
        catalog.clean(self.path)
        self._reload()
        self.head = Head(self.path, self.settings.head)
        self.head.min_valid = catalog.newest(self.blocks, self.head.min_valid)
        recover(self.head, self.recovered)
        self.problems += self.recovered.problems
        self.head.start()

    def _reload(self) -> None:
        """Takes note of the blocks that are there now. Raises StorageError."""
        loaded = catalog.load(self.path, {block.meta.ulid: block for block in self.blocks})
        self.problems += [f"block {name} is left out: {error}" for name, error in loaded.corrupt.items()]
        self.blocks = tuple(loaded.blocks)

    @property
    def appender(self) -> Appender:
        return self.head

    def querier(self) -> DatabaseQuerier:
        return DatabaseQuerier(self.head, lambda: self.blocks)

    async def maintain(self) -> Maintained:
        """`maintain_now` in a thread."""
        return await asyncio.to_thread(self.maintain_now)

    def maintain_now(self) -> Maintained:
        """One round: head into blocks, late samples, ended series, checkpoint, compaction, retention. A disk that refuses is
        told in `problems`; nothing is lost then, and the next round tries again."""
        done = Maintained()
        with self._busy:
            if self.closed:
                return done
            for step in (
                self._cut_head,
                self._cut_late,
                self._cut_stale,
                self._checkpoint,
                self._compact,
                self._retain,
            ):
                try:
                    step(done)
                except (StorageError, Unavailable) as error:
                    done.problems.append(str(error))
        return done

    def _cut_head(self, done: Maintained) -> None:
        cut = False
        while span := headblocks.compactable(self.head):
            self._serve(done, [headblocks.write_range(self.head, self.path, span, self.name)])
            self._empty = headblocks.truncate(self.head, span.end, self._empty)
            cut = True
        if cut:
            self._take_checkpoint(done)

    def _serve(self, done: Maintained, made: Sequence[Meta | None]) -> None:
        names = [each.ulid for each in made if each is not None]
        done.written += names
        if names:
            self._reload()

    def _cut_late(self, done: Maintained) -> None:
        """Late samples of ranges that the head has left, or all of them when there are many."""
        bounds, head = self.head.out_of_order.span(), self.head
        if bounds is None or bounds[0] >= head.state.max_t - head.settings.chunk_range * 3 // 2:
            return
        with head.lock:
            taken, last = head.out_of_order.begin()
        self._serve(done, headblocks.write_late(head, self.path, self.name))
        with head.lock:
            head.out_of_order.forget(taken)
        head.out_of_order.drop_log(last)

    def _cut_stale(self, done: Maintained) -> None:
        slots = headblocks.stale_slots(self.head)
        if len(slots) < max(self.settings.stale_least, self.settings.stale_share * len(self.head.registry)):
            return
        self._serve(done, headblocks.write_stale(self.head, self.path, slots, self.name))
        headblocks.forget_stale(self.head, slots)
        self._take_checkpoint(done)

    def _checkpoint(self, done: Maintained) -> None:
        if self.head.wal.written - self._checkpointed > self.settings.checkpoint_bytes:
            self._take_checkpoint(done)

    def _take_checkpoint(self, done: Maintained) -> None:
        checkpoint(self.head)
        self._checkpointed = self.head.wal.written
        done.checkpoints += 1

    def _compact(self, done: Maintained) -> None:
        lengths = compact.ranges(
            max(self.settings.head.chunk_range, min(31 * DAY, self.settings.retention // 10)),
            self.settings.head.chunk_range,
        )
        while names := compact.plan([block.meta for block in self.blocks], lengths):
            chosen = [block for block in self.blocks if block.meta.ulid in names]
            made = compact.compact(self.path, chosen, self.name())
            done.compacted += names
            self._drop(names)
            if made is not None:
                done.written.append(made.ulid)

    def _drop(self, names: Sequence[str]) -> None:
        self._reload()
        for name in names:
            catalog.remove(self.path, name)
        self.blocks = tuple(block for block in self.blocks if block.meta.ulid not in names)

    def _retain(self, done: Maintained) -> None:
        other = self.head.disk_bytes() if self.settings.retention_size else 0
        sized = [(block.meta, block.size) for block in self.blocks]
        names = retention.expired(sized, self.settings.retention, self.settings.retention_size, other)
        if names:
            self._drop(names)
            done.removed += names

    def delete_series(self, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> None:
        """Deletes the samples in start..end, both inclusive, of the series that any of the matcher sets finds. Raises
        StorageError."""
        with self._busy:
            for each in matchers:
                with self.head.lock:
                    self.head.delete(match(self.head.registry, each), start, end)
                for block in self.blocks:
                    if block.meta.overlaps(start, end):
                        delete.delete(block, each, start, end)
            self.head.sync()

    def clean_tombstones(self) -> None:
        """Rewrites the blocks that have deleted samples. Raises StorageError."""
        with self._busy:
            for block in self.blocks:
                if block.tombstones:
                    compact.clean(self.path, block, self.name())
                    self._drop([block.meta.ulid])

    def snapshot(self, target: Path, with_head: bool = True) -> None:
        """All blocks by hard links, and the head as blocks, into the folder `target`. Raises StorageError."""
        with self._busy:
            target.mkdir(parents=True, exist_ok=True)
            for block in self.blocks:
                snapshot.snapshot(block, target)
            if with_head and self.head.state.min_t <= self.head.state.max_t:
                low, high = self.head.state.min_t, self.head.state.max_t
                headblocks.write_range(self.head, target, Span(low, high + 1), self.name)
                headblocks.write_late(self.head, target, self.name)

    def stats(self) -> Stats:
        head = self.head
        with head.lock:
            return Stats(
                len(head.registry), head.state.closed, head.state.min_t, head.state.max_t, len(self.blocks),
                head.wal.written, head.disk.written, head.appended,
            )  # fmt: skip

    def close(self) -> None:
        """Cuts all open chunks and drops the log, so that nothing has to be replayed and Prometheus reads all of it. Raises
        StorageError when the disk refuses; the log is complete then, and the next start replays it."""
        with self._busy:
            if self.closed:
                return
            self.closed = True
            try:
                self._close()
            finally:
                os.close(self._lock_file)

    def _close(self) -> None:
        self.head.stop()
        try:
            self.head.cut_all()
            with self.head.lock:
                _, last = self.head.out_of_order.begin()
            checkpoint(self.head)
            self.head.out_of_order.drop_log(last)
        finally:
            self.head.close()


def _locked(path: Path) -> int:
    """The descriptor of the directory's lock file, as Prometheus locks it. Raises Unavailable."""
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise Unavailable(f"{path} is open in another process; stop that first") from None
    return descriptor


def close_directory(path: Path, clock: Clock, settings: Settings | None = None) -> Recovered:
    """Opens and closes a directory that was left by a crash: afterwards Prometheus reads everything in it."""
    database = Database.open(path, clock, settings)
    database.close()
    return database.recovered
