"""One deadline of one connection, cheap to move: a timer that fires too early sets itself anew. Called by `connection`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class Deadline:
    """`expired` is called once the time that was armed last has passed."""

    __slots__ = ("_at", "_expired", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def arm(self, seconds: float) -> None:
        """From now; infinity for never."""
        self._at = self._loop.time() + seconds
        if self._at < math.inf and (self._timer is None or self._timer.when() > self._at):
            if self._timer:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._at, self._fire)

    def disarm(self) -> None:
        self._at = math.inf

    def cancel(self) -> None:
        """For good: no timer is left behind."""
        self._at = math.inf
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        if self._at == math.inf:
            return
        if self._loop.time() < self._at:
            self._timer = self._loop.call_at(self._at, self._fire)
        else:
            self._expired()
