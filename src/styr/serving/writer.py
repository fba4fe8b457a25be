"""The way out of a connection: heads and bodies of responses, and waiting for a peer that reads slowly.

Called by `connection`. Never holds much more than `HIGH_WATER` bytes that the peer has not taken.

    Stalled(Exception)     the peer has not read anything for `Timeouts.stall`
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from styr.kinds.transport import Response
from styr.serving import wire
from styr.serving.body import HIGH_WATER


class Stalled(Exception):
    """The peer reads nothing at all."""


class Writer:
    """`lost` is set when the connection is gone: what is written then goes nowhere."""

    __slots__ = ("_transport", "_writable", "endless", "lost", "stall")

    def __init__(self, transport: asyncio.Transport, stall: float) -> None:
        self._transport = transport
        self._writable = asyncio.Event()
        self._writable.set()
        self.stall = stall
        self.lost = False
        self.endless = False
        """What is sent now may last as long as the peer likes."""

    def pause(self) -> None:
        self._writable.clear()

    def resume(self) -> None:
        self._writable.set()

    def write(self, *pieces: bytes | memoryview) -> None:
        if self.lost:
            return
        if len(pieces) == 1:
            self._transport.write(pieces[0])
        else:
            self._transport.writelines(pieces)

    async def send(self, response: Response, *, wanted: bool, keep_alive: bool, chunked: bool) -> None:
        """A whole response; `wanted` is False for an answer to HEAD and the like. Raises Stalled."""
        body = response.body
        if isinstance(body, bytes):
            head = wire.head(response, length=len(body), close=not keep_alive)
            if wanted and len(body) > HIGH_WATER:
                # Never copied: neither behind the head, nor what the socket does not take at once.
                self.write(head)
                self.write(memoryview(body))
            else:
                self.write(head + body if wanted else head)
            await self.drain()
            return
        try:
            if not self.lost:
                self.write(wire.head(response, length=None, close=not keep_alive, chunked=chunked))
                if wanted:
                    await self._stream(body, chunked and "content-length" not in response.headers)
        finally:
            closing = getattr(body, "aclose", None)
            if closing:
                await closing()

    async def _stream(self, body: AsyncIterator[bytes], chunked: bool) -> None:
        self.endless = True
        try:
            async for piece in body:
                if piece:
                    self.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                    await self.drain()
        except asyncio.CancelledError:
            if chunked:
                self.write(b"0\r\n\r\n")
            raise
        finally:
            self.endless = False
        if chunked:
            self.write(b"0\r\n\r\n")
            await self.drain()

    async def drain(self) -> None:
        """Waits until the peer has read enough. Raises Stalled when it reads nothing at all for too long."""
        while not self._writable.is_set():
            before = self._transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(self.stall):
                    await self._writable.wait()
            except TimeoutError:
                if self._transport.get_write_buffer_size() >= before:
                    raise Stalled from None
