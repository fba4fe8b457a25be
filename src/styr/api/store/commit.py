"""The store: reads from memory, writes through one serialized, durable, grouped commit.

Called by the verbs, the registry and bootstrap. A write is a function of the current state (`Txn`): it reads, decides,
puts and deletes, or raises, and then nothing of it happened. Writes that wait while one batch is being synced share the next
transaction and its one fsync. Only after the sync does anybody see a change: readers, watchers, the writer itself.

`executor=None` is the inline mode of the simulation: no thread, the same order, the commit within the event loop.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from styr.api.store.checks import WriteFailed
from styr.api.store.records import Change, ObjectKey, Record, change_of, encode
from styr.api.store.sealing import Sealing
from styr.api.store.sqlite import Batch, Database, LogEntry
from styr.api.store.view import Place, View
from styr.api.store.window import MAX_BYTES, MAX_CHANGES, Window
from styr.kinds.errors import InternalError, Unavailable
from styr.kinds.resources import Object
from styr.kit.clock import Clock
from styr.kit.log import Log

T = TypeVar("T")

log = Log("styr.api.store")

MAX_BATCH = 256
LOG_ROWS = 10_000
LOG_BYTES = 64 << 20
LOG_AGE = 3600.0
"""What the log may hold; it is brought down to SHRUNK of the first two, and to the age, once it has grown beyond."""
SHRUNK = 0.95
PRESSING = 1.1
"""Times the limits: from here on a batch forgets more than it adds, because writers leave no time in between."""
SLICE_ROWS = 64
SLICE_BYTES = 256 << 10
"""How much of the log goes in one transaction: a writer that comes meanwhile waits for no more than that."""


class Backend(Protocol):
    """What a batch is made durable by. `Database` is the real one; tests hand in one that fails."""

    def commit(self, batch: Batch) -> None: ...

    def tidy(self, drop: int) -> None:
        """One short transaction: forgets the log through `drop` (0: nothing of it), gives some free space back."""

    def look_for_stale(self) -> None:
        """Notes what `tidy` is to seal anew."""

    @property
    def spare(self) -> int:
        """How much free space `tidy` would give back, in pages; 0 when there is nothing to do."""

    def close(self) -> None: ...


class Txn:
    """The state as one write sees it: committed, plus what earlier writes of the batch did, plus its own."""

    def __init__(self, store: Store, overlay: dict[ObjectKey, Record | None], revision: int) -> None:
        self._store = store
        self._base = overlay
        self._own: dict[ObjectKey, Record | None] = {}
        self.changes: list[Change] = []
        self.revision = revision

    def get(self, key: ObjectKey) -> Record | None:
        if key in self._own:
            return self._own[key]
        return self._base[key] if key in self._base else self._store.get(key)

    def list(self, resource: str, namespace: str = "") -> Iterator[tuple[ObjectKey, Record]]:
        """In no particular order."""
        overlay = {key: value for key, value in (self._base | self._own).items() if key.resource == resource}
        for place, record in self._store.view(resource).items(namespace):
            key = ObjectKey(resource, *place)
            if key not in overlay:
                yield key, record
        for key, value in overlay.items():
            if value is not None and namespace in ("", key.namespace):
                yield key, value

    def put(self, key: ObjectKey, obj: Object) -> Record:
        """Stores the object under the next revision, which is written into it."""
        old = self.get(key)
        self.revision += 1
        record = encode(obj, self.revision)
        self._note(change_of(self.revision, key, old, record))
        return record

    def delete(self, key: ObjectKey) -> Record:
        """Removes it. Returns what a DELETED event shows. Raises KeyError."""
        old = self.get(key)
        if old is None:
            raise KeyError(str(key))
        self.revision += 1
        change = change_of(self.revision, key, old, None)
        self._note(change)
        return change.shown

    def _note(self, change: Change) -> None:
        self.changes.append(change)
        self._own[change.key] = change.new

    def merge(self, overlay: dict[ObjectKey, Record | None]) -> None:
        overlay.update(self._own)


class Store:
    """All objects of the server. Made by `Store.open`; used on one event loop."""

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        executor: Executor | None,
        *,
        revision: int = 0,
        compacted: int = 0,
        window_changes: int = MAX_CHANGES,
        window_bytes: int = MAX_BYTES,
    ) -> None:
        self.revision = revision
        self._backend = backend
        self._clock = clock
        self._executor = executor
        self._next = revision  # may be ahead of `revision` after a failed batch: numbers are never given out twice
        self._compacted = compacted
        self._limits = (window_changes, window_bytes)
        self._state: dict[str, dict[Place, Record]] = {}
        self._orders: dict[str, list[Place]] = {}
        """The keys of a state in order, from the first time that somebody asks for it."""
        self._windows: dict[str, Window] = {}
        self._log: deque[LogEntry] = deque()
        self._log_bytes = 0
        self._shrinking = False
        self._queue: deque[tuple[Callable[[Txn], Any], asyncio.Future[Any]]] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._closed = False
        self._listeners: list[Callable[[Iterable[Change]], None]] = []
        self._timed: list[Callable[[int, float, bool], None]] = []

    @classmethod
    def open(
        cls,
        path: Path | str,
        clock: Clock,
        *,
        inline: bool = False,
        sealing: Sealing | None = None,
        **limits: int,
    ) -> Store:
        """Opens or makes the file. `sealing` encrypts what it is to, and what is not yet as it says. Raises
        `checks.StoreError` and its children. `:memory:` is a store for tests."""
        database = Database(path, sealing)
        try:
            contents = database.load()
            database.reseal()
        except BaseException:
            database.close()
            raise
        executor = None if inline else ThreadPoolExecutor(1, thread_name_prefix="styr-store")
        store = cls(database, clock, executor, revision=contents.revision, compacted=contents.compacted, **limits)
        for key, record in contents.objects.items():
            store._state.setdefault(key.resource, {})[key.namespace, key.name] = record
        for change in contents.changes:
            store.window(change.key.resource).append(change)
        for entry in contents.log:
            store._remember(entry)
        return store

    # Reading: from memory, never waits.

    def get(self, key: ObjectKey) -> Record | None:
        state = self._state.get(key.resource)
        return state.get((key.namespace, key.name)) if state else None

    def state(self, resource: str) -> dict[Place, Record]:
        """Everything of one resource; the store's own, not to be changed."""
        return self._state.get(resource, {})

    def view(self, resource: str, revision: int | None = None) -> View:
        """Everything of one resource in order, now or as it was at a revision. Raises `window.WindowPassed`."""
        state = self.state(resource)
        order = self._orders.get(resource)
        if order is None:
            order = self._orders[resource] = sorted(state)
        if revision is None or revision >= self.revision:
            return View(order, state)
        return View(order, state, self.window(resource).before(revision))

    def window(self, resource: str) -> Window:
        window = self._windows.get(resource)
        if window is None:
            changes, size = self._limits
            window = self._windows[resource] = Window(self._compacted, max_changes=changes, max_bytes=size)
        return window

    def on_commit(self, listener: Callable[[Iterable[Change]], None]) -> None:
        """`listener` runs after each durable batch, before its writers are answered. It must not raise or wait."""
        self._listeners.append(listener)

    def on_batch(self, listener: Callable[[int, float, bool], None]) -> None:
        """`listener(writes, seconds, durable)` runs after each batch, failed ones included. It must not raise or wait."""
        self._timed.append(listener)

    def counts(self) -> list[tuple[str, int]]:
        """How many objects there are of each resource."""
        return [(resource, len(state)) for resource, state in self._state.items()]

    # Writing

    async def write(self, function: Callable[[Txn], T]) -> T:
        """Runs `function` in the serialized write path; returns its result once durable. What it raises is raised here.
        It may be called once only, must not wait, and sees the newest state. Raises InternalError (507 when the disk is
        full) if the batch could not be written, Unavailable after `close`."""
        if self._closed:
            raise Unavailable("the store is closed: the server is shutting down")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.append((function, future))
        if self._drain is None or self._drain.done():
            self._drain = loop.create_task(self._run(), name="store: group commit")
        return await future

    async def _run(self) -> None:
        """Batches while there is something to write; in between, and only then, slices of housekeeping."""
        untidy = True
        while self._queue or untidy:
            if self._queue:
                await self._batch()
                untidy = True
            else:
                untidy = not self._closed and await self._tidy()

    async def _batch(self) -> None:
        overlay: dict[ObjectKey, Record | None] = {}
        changes: list[Change] = []
        answers: list[tuple[asyncio.Future[Any], Any]] = []
        while self._queue and len(answers) < MAX_BATCH:
            function, future = self._queue.popleft()
            if not future.cancelled():
                self._evaluate(function, future, overlay, changes, answers)
        try:
            if changes:
                await self._time(len(answers), changes)
        except Exception as error:
            log.error("a batch was not written", writes=len(answers), cause=error)
            for future, _ in answers:
                if not future.done():
                    future.set_exception(_refusal(error))
            return
        self._publish(changes)
        for future, result in answers:
            if not future.done():
                future.set_result(result)

    async def _tidy(self) -> bool:
        """One slice; False when nothing is left to do, or it cannot be done now."""
        drop = self._droppable(self._clock.time(), SLICE_ROWS, SLICE_BYTES)
        if not drop and not self._backend.spare:
            return False
        try:
            await self._call(self._backend.tidy, drop)
        except Exception as error:
            log.warning("the store was not compacted; tried again after the next write", cause=error)
            return False
        self._forget(drop)
        await asyncio.sleep(
            0
        )  # a writer of the inline mode comes in here, as one of the other while the slice was written
        return True

    async def _call(self, function: Callable[[T], None], argument: T) -> None:
        if self._executor is not None:
            await asyncio.get_running_loop().run_in_executor(self._executor, function, argument)
        else:
            function(argument)

    def _evaluate(
        self,
        function: Callable[[Txn], Any],
        future: asyncio.Future[Any],
        overlay: dict[ObjectKey, Record | None],
        changes: list[Change],
        answers: list[tuple[asyncio.Future[Any], Any]],
    ) -> None:
        txn = Txn(self, overlay, self._next)
        try:
            result = function(txn)
        except Exception as error:
            future.set_exception(error)
            return
        self._next = txn.revision
        txn.merge(overlay)
        changes.extend(txn.changes)
        answers.append((future, result))

    async def _time(self, writes: int, changes: list[Change]) -> None:
        began, durable = self._clock.monotonic(), False
        try:
            await self._commit(changes)
            durable = True
        finally:
            for listener in self._timed:
                listener(writes, self._clock.monotonic() - began, durable)

    async def _commit(self, changes: list[Change]) -> None:
        now = self._clock.time()
        entries = [LogEntry(c.revision, now, len(c.old.data) if c.old else 0) for c in changes]
        drop = 0
        if len(self._log) > LOG_ROWS * PRESSING or self._log_bytes > LOG_BYTES * PRESSING:
            added = sum(entry.size for entry in entries)
            drop = self._droppable(now, max(SLICE_ROWS, 2 * len(entries)), max(SLICE_BYTES, 2 * added))
        batch = Batch(changes, changes[-1].revision, now, drop)
        await self._call(self._backend.commit, batch)
        self._forget(drop)
        for entry in entries:
            self._remember(entry)

    def _publish(self, changes: list[Change]) -> None:
        touched: dict[str, Window] = {}
        for change in changes:
            state = self._state.setdefault(change.key.resource, {})
            place = (change.key.namespace, change.key.name)
            if change.new is None or change.old is None:
                self._reorder(change, place)
            if change.new is None:
                state.pop(place, None)
            else:
                state[place] = change.new
            window = touched[change.key.resource] = self.window(change.key.resource)
            window.append(change)
            self.revision = change.revision
        for listener in self._listeners:
            listener(changes)
        for window in touched.values():
            window.wake()

    def _reorder(self, change: Change, place: Place) -> None:
        order = self._orders.get(change.key.resource)
        if order is None:
            return
        if change.old is None:
            insort(order, place)
        elif (index := bisect_left(order, place)) < len(order) and order[index] == place:
            del order[index]

    def _remember(self, entry: LogEntry) -> None:
        self._log.append(entry)
        self._log_bytes += entry.size

    def _forget(self, drop: int) -> None:
        while self._log and self._log[0].revision <= drop:
            self._log_bytes -= self._log.popleft().size
        self._compacted = max(self._compacted, drop)

    def _droppable(self, now: float, most_rows: int, most_bytes: int) -> int:
        """The revision through which the log may go now, at most so many rows and bytes of it (but one row always may);
        0 for none. A log within its limits is left alone: it is brought down in one go, not after every write."""
        rows, size, drop = len(self._log), self._log_bytes, 0
        if rows > LOG_ROWS or size > LOG_BYTES or (rows and now - self._log[0].at > LOG_AGE / SHRUNK):
            self._shrinking = True
        if not self._shrinking:
            return 0
        for entry in islice(self._log, most_rows):
            if rows <= LOG_ROWS * SHRUNK and size <= LOG_BYTES * SHRUNK and now - entry.at <= LOG_AGE:
                self._shrinking = False
                break
            most_bytes -= entry.size
            if drop and most_bytes < 0:
                break
            drop, rows, size = entry.revision, rows - 1, size - entry.size
        return drop

    async def reseal(self) -> None:
        """The keys of encryption have changed: what they do not seal is sealed anew, in slices between writes."""
        await self._call(lambda _: self._backend.look_for_stale(), None)
        if self._drain is None or self._drain.done():
            self._drain = asyncio.get_running_loop().create_task(self._run(), name="store: sealing anew")

    async def close(self) -> None:
        """Finishes what is queued, then closes the file. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._drain is not None:
            await asyncio.wait([self._drain])
        self._backend.close()
        if self._executor is not None:
            self._executor.shutdown()


def _refusal(error: Exception) -> Exception:
    if isinstance(error, WriteFailed) and error.full:
        return InternalError(
            f"{error}; nothing was changed: free some disk space and try again",
            reason="InsufficientStorage",
            status=507,
        )
    if isinstance(error, WriteFailed):
        return InternalError(f"{error}; nothing was changed")
    return InternalError(f"the write failed: {error!r}")
