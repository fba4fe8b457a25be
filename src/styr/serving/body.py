"""A request body on its way to a streaming handler: an async iterator with flow control.

Made and fed by `connection`, read by the handler (git's endpoint). Never holds much more than `HIGH_WATER` bytes: beyond
that the connection stops reading, and TCP holds the peer back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from styr.serving import wire

HIGH_WATER = 256 * 1024
"""Bytes buffered in either direction before the other side is held back."""


class Body:
    """`wanted` is called whenever the handler asks for more: the connection then reads on (and says 100 Continue)."""

    def __init__(self, wanted: Callable[[], None]) -> None:
        self._wanted = wanted
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._dropped = False
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        """Raises `BadRequest` when the peer goes away, or stops, in the middle."""
        while not self._pieces:
            if self._error:
                raise self._error
            if self._ended or self._dropped:
                raise StopAsyncIteration
            self._wanted()
            self._changed.clear()
            await self._changed.wait()
        piece = self._pieces.popleft()
        self._size -= len(piece)
        return piece

    def feed(self, data: bytes) -> bool:
        """Takes a piece in. False: enough for now."""
        if self._dropped or self._error:
            return True
        self._pieces.append(data)
        self._size += len(data)
        self._changed.set()
        return self._size < HIGH_WATER

    def end(self, error: Exception | None = None) -> None:
        self._ended = True
        self._error = self._error or error
        self._changed.set()

    def drop(self) -> None:
        """The handler is through with it: what still comes is thrown away."""
        self._dropped = True
        self._pieces.clear()
        self._size = 0
        self._changed.set()


async def inflated(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A gzip body, decompressed as it comes. Raises `BadRequest` when it is damaged."""
    stream = wire.Inflate()
    async for data in body:
        for piece in stream.feed(data):
            yield piece
    stream.end()
