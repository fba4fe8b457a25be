"""Bytes on their way from a connection's reader to whoever wants them, with back-pressure. Called by `spdy` and the API's
streams."""

from __future__ import annotations

import asyncio
from collections import deque

from styr.serving.body import HIGH_WATER


class Budget:
    """How much all inboxes of one connection may hold together."""

    __slots__ = ("_changed", "_limit", "_used")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._changed = asyncio.Event()

    async def wait(self) -> None:
        while self._used >= self._limit:
            self._changed.clear()
            await self._changed.wait()

    def add(self, size: int) -> None:
        self._used += size
        if size < 0:
            self._changed.set()


class Inbox:
    """`put` waits while more than `limit` bytes have not been taken, or the budget is used up."""

    __slots__ = ("_budget", "_changed", "_ended", "_error", "_limit", "_pieces", "_size")

    def __init__(self, limit: int = HIGH_WATER, budget: Budget | None = None) -> None:
        self._budget = budget
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._limit = limit
        self._ended = False
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    async def put(self, data: bytes) -> None:
        """After the end, or for nobody: thrown away."""
        while self._size >= self._limit and not self._ended:
            await self._wait()
        if self._budget is not None and data and not self._ended:
            await self._budget.wait()
        if data and not self._ended:
            self._pieces.append(data)
            self._count(len(data))
            self._changed.set()

    async def get(self) -> bytes:
        """The next piece, b"" at the end. Raises what `end` was told."""
        while not self._pieces:
            if self._error:
                raise self._error
            if self._ended:
                return b""
            await self._wait()
        piece = self._pieces.popleft()
        self._count(-len(piece))
        self._changed.set()
        return piece

    def end(self, error: Exception | None = None) -> None:
        self._ended = True
        self._error = self._error or error
        self._changed.set()

    def drop(self) -> None:
        """Nobody reads any more."""
        self._pieces.clear()
        self._count(-self._size)
        self.end()

    def _count(self, size: int) -> None:
        self._size += size
        if self._budget is not None:
            self._budget.add(size)

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()
