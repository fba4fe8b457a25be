"""One HTTP/1.1 connection that gets one page again and again, received straight into a buffer of `buffers`. Called by `fetch`.

A client of its own beside `kit.http`, which hands out parts of a body as bytes objects: here no byte of a body is copied
between the socket and the walk through the text. It sends what it is given, follows nothing and decompresses nothing.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from dataclasses import dataclass

import numpy as np

from styr.metrics.kernels import chunked
from styr.metrics.kernels.text import PADDING
from styr.metrics.scrape.buffers import MOST, Body, Buffers

MAX_HEAD = 64 << 10
"""Bytes of status line and headers that a target may send."""

_USUAL_HEAD = 1 << 10
_FIRST = 64 << 10
_ROOM = PADDING + 2
_NOTHING = np.empty(0, np.uint8)
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([^\r\n]*))?\r?\n")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*?)[ \t]*\r?\n")
_END = re.compile(rb"\r?\n\r?\n")


class FetchError(Exception):
    """A page could not be fetched. `str()` is what the targets page shows."""


def reason_of(error: OSError) -> str:
    """asyncio puts addresses into `strerror`; the number says why. Those of name resolution are negative."""
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    number = error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or str(error)


class BodyTooLarge(FetchError):
    def __init__(self) -> None:
        super().__init__("body size limit exceeded")


class Dropped(FetchError):
    """The target closed a connection that had been kept, before it answered: worth another try."""


@dataclass(slots=True)
class Page:
    """`headers` in lower case; those that came several times hold the last value."""

    status: int
    reason: str
    headers: dict[str, str]
    body: Body


class Connection(asyncio.BufferedProtocol):
    """`get` once at a time. `open` says whether another `get` may follow."""

    def __init__(self, peer: str, buffers: Buffers) -> None:
        self.peer, self._buffers = peer, buffers
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Page] | None = None
        self._idle = bytearray(1)
        self._last_size = _FIRST
        self._page: Page | None = None
        self._used = False
        self._chunks = np.zeros(4, np.int64)
        self._forget()

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def connect(self, host: str, port: int, context: ssl.SSLContext | None, server_name: str | None) -> None:
        """Raises FetchError."""
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self, host, port, ssl=context, server_hostname=server_name)
        except ssl.SSLError as error:
            raise FetchError(f"TLS with {self.peer} failed: {reason_of(error)}") from None
        except OSError as error:
            raise FetchError(f"connecting to {self.peer} failed: {reason_of(error)}") from None

    async def get(self, request: bytes, most: int) -> Page:
        """Sends a request and waits for the whole answer; a body of more than `most` bytes (0: no limit but memory) is refused.
        The page's buffer is the caller's. Raises FetchError; cancelling closes the connection."""
        if self._transport is None or self._transport.is_closing():
            raise Dropped(f"{self.peer} closed the connection")
        self._forget()
        self._most = min(most or MOST, MOST)
        waiter: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        self._transport.write(request)
        try:
            return await waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _forget(self) -> None:
        self._filled, self._begin, self._length = 0, -1, -1
        self._buffer = _NOTHING
        self._chunked = False
        self._page = None

    def _done(self, end: int, surplus: bool = False) -> None:
        """The answer is whole; with a `surplus` behind it the peer is out of step."""
        page, waiter = self._page, self._waiter
        if page is None or waiter is None or waiter.done():
            return
        self._last_size = max(_FIRST >> 4, self._filled + (self._filled >> 3))
        page.body = Body(self._buffer, self._begin, end)
        self._used = True
        if (surplus or self._closes(page)) and self._transport is not None:
            self._transport.close()
        waiter.set_result(page)

    def _closes(self, page: Page) -> bool:
        ends = not self._chunked and self._length < 0
        return ends or page.headers.get("connection", "").lower() == "close"

    def _fail(self, error: FetchError) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._buffers.give(self._buffer)
            self._waiter.set_exception(error)
        self.close()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview | bytearray:
        if self._waiter is None or self._waiter.done():
            return self._idle
        room = len(self._buffer) - _ROOM - self._filled
        if room <= 0:
            self._grow(max(2 * len(self._buffer), self._last_size + _ROOM))
            room = len(self._buffer) - _ROOM - self._filled
        return self._buffer[self._filled : self._filled + room].data

    def _grow(self, size: int) -> None:
        """Nothing is held while a target has not begun to answer: many may hang at once."""
        larger = self._buffers.take(size)
        larger[: self._filled] = self._buffer[: self._filled]
        self._buffers.give(self._buffer)
        self._buffer = larger

    def buffer_updated(self, nbytes: int) -> None:
        if self._waiter is None or self._waiter.done():
            self.close()  # nobody asked: this peer is out of step
            return
        self._filled += nbytes
        try:
            if self._page is None and not self._read_head():
                return
            self._read_body()
        except FetchError as error:
            self._fail(error)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waiter is None or self._waiter.done():
            return
        if self._page is not None and not self._chunked and self._length < 0 and exc is None:
            self._done(self._filled)
        elif self._filled == 0 and self._used:
            self._fail(Dropped(f"{self.peer} closed the connection"))
        else:
            self._fail(FetchError(f"{self.peer} closed the connection before the answer was whole"))

    # The answer.

    def _read_head(self) -> bool:
        head = self._buffer[: min(self._filled, _USUAL_HEAD)].tobytes()
        end = _END.search(head)
        if end is None and self._filled > _USUAL_HEAD:
            head = self._buffer[: min(self._filled, MAX_HEAD)].tobytes()
            end = _END.search(head)
        if end is None:
            if self._filled >= MAX_HEAD:
                raise FetchError(f"{self.peer} sent more than {MAX_HEAD} bytes of headers")
            return False
        status = _STATUS.match(head)
        if status is None:
            raise FetchError(f"{self.peer} sent no valid HTTP/1.1")
        if status[2].startswith(b"1"):  # an informational answer; the real one follows
            self._buffer[: self._filled - end.end()] = self._buffer[end.end() : self._filled].copy()
            self._filled -= end.end()
            return self._read_head() if self._filled else False
        headers = {}
        at = status.end()
        while at < end.end() and (found := _HEADER.match(head, at)) is not None:
            headers[found[1].decode("ascii").lower()] = found[2].decode("latin-1")
            at = found.end()
        if head[at : end.end()] not in (b"\r\n", b"\n"):
            raise FetchError(f"{self.peer} sent no valid HTTP/1.1")
        if status[1] == b"0":
            headers.setdefault("connection", "close")
        self._page = Page(int(status[2]), (status[3] or b"").decode("latin-1"), headers, Body(self._buffer, 0, 0))
        self._begin = end.end()
        self._frame(self._page)
        return True

    def _frame(self, page: Page) -> None:
        """How the body's end is told."""
        coding, length = page.headers.get("transfer-encoding", "").lower(), page.headers.get("content-length")
        if coding == "chunked":
            self._chunked = True
            self._chunks[:] = (self._begin, self._begin, -1, chunked.SIZE)
        elif coding:
            raise FetchError(f"{self.peer} sent a body in the unknown transfer encoding {coding!r}")
        elif page.status in (204, 304):
            self._length = 0
        elif length is not None:
            if not length.isascii() or not length.isdecimal() or len(length) > 18:
                raise FetchError(f"{self.peer} sent no valid HTTP/1.1: content-length {length[:50]!r}")
            self._length = int(length)
            if self._length > self._most:
                raise BodyTooLarge
            if self._begin + self._length + _ROOM > len(self._buffer):
                self._grow(self._begin + self._length + _ROOM)

    def _read_body(self) -> None:
        end, whole, surplus = self._filled, False, False
        if self._chunked:
            chunked.dechunk(self._buffer, self._filled, self._chunks)
            read, end, _, phase = self._chunks.tolist()
            if phase == chunked.BROKEN:
                raise FetchError(f"{self.peer} sent no valid HTTP/1.1: a broken chunk")
            whole, surplus = phase == chunked.DONE, read < self._filled
            if not whole:
                self._filled = self._chunks[chunked.READ] = end  # what has been read needs no room
        elif self._length >= 0:
            end = min(end, self._begin + self._length)
            whole, surplus = end == self._begin + self._length, end < self._filled
        if end - self._begin > self._most:
            raise BodyTooLarge
        if whole:
            self._done(end, surplus)
