"""The recent changes of one resource, in memory, on the event loop: what a watch reads.

A watcher holds a cursor and reads from here; it owns no queue, so a slow one costs nothing and is told `Expired` once
the window has moved past it. Fed by `commit.Store` after each durable batch; never touches the database.
"""

from __future__ import annotations

import asyncio

from styr.api.store.records import Change, Record

MAX_CHANGES = 4096
MAX_BYTES = 16 << 20


class WindowPassed(Exception):
    """The changes after this revision are no longer all here."""


class Window:
    """`floor` is the revision from which (exclusive) every change is still here."""

    def __init__(self, floor: int, *, max_changes: int = MAX_CHANGES, max_bytes: int = MAX_BYTES) -> None:
        self.floor = floor
        self._max_changes = max_changes
        self._max_bytes = max_bytes
        self._changes: list[Change] = []
        self._first = 0  # position in _changes of the oldest one that counts
        self._dropped = 0  # how many were cut off the front of the list for good
        self._bytes = 0
        self._waiters: dict[asyncio.Future[None], None] = {}

    def append(self, change: Change) -> None:
        self._changes.append(change)
        self._bytes += change.size
        while self._bytes > self._max_bytes or len(self._changes) - self._first > self._max_changes:
            gone = self._changes[self._first]
            self._bytes -= gone.size
            self.floor = gone.revision
            self._first += 1
        if self._first > 512 and self._first * 2 > len(self._changes):
            del self._changes[: self._first]
            self._dropped += self._first
            self._first = 0

    def wake(self) -> None:
        """Called once after a batch was appended."""
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def cursor(self, revision: int) -> int:
        """The position of the first change after `revision`. Raises WindowPassed."""
        if revision < self.floor:
            raise WindowPassed
        low, high = self._first, len(self._changes)
        while low < high:
            middle = (low + high) // 2
            if self._changes[middle].revision <= revision:
                low = middle + 1
            else:
                high = middle
        return low + self._dropped

    def read(self, cursor: int, limit: int = 256) -> list[Change]:
        """Up to `limit` changes from the cursor on; the next cursor is `cursor + len(result)`. Raises WindowPassed."""
        start = cursor - self._dropped
        if start < self._first:
            raise WindowPassed
        return self._changes[start : start + limit]

    def waiter(self) -> asyncio.Future[None]:
        """A future that is done after the next batch. Give it back by `forget` when it is no longer awaited."""
        future = asyncio.get_running_loop().create_future()
        self._waiters[future] = None
        return future

    def forget(self, waiter: asyncio.Future[None]) -> None:
        self._waiters.pop(waiter, None)

    @property
    def watchers(self) -> int:
        return len(self._waiters)

    def before(self, revision: int) -> dict[tuple[str, str], Record | None]:
        """What the objects that have changed since `revision` were then, by (namespace, name); None for those that were not
        there. Raises WindowPassed."""
        if revision < self.floor:
            raise WindowPassed
        found: dict[tuple[str, str], Record | None] = {}
        for change in reversed(self._changes[self._first :]):
            if change.revision <= revision:
                break
            found[change.key.namespace, change.key.name] = change.old
        return found
