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


class Bell:
    """What one watcher waits for: the next batch, or a time. Made once for each; its timer is only set anew when the time is
    another, for most waits end by a batch. To be closed."""

    __slots__ = ("_at", "_future", "_loop", "_timer", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    async def wait(self, until: float) -> None:
        """`until` is a time of the event loop."""
        if self._timer is None or until != self._at:
            self.close()
            self._at, self._timer = until, self._loop.call_at(until, self._late)
        self._future = self._loop.create_future()
        self.window._waiting[self] = None
        try:
            await self._future
        finally:
            self.window._waiting.pop(self, None)

    def ring(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        self.ring()


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
        self._waiting: dict[Bell, None] = {}

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
        waiting, self._waiting = self._waiting, {}
        for bell in waiting:
            bell.ring()

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

    @property
    def watchers(self) -> int:
        return len(self._waiting)

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
