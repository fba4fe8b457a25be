"""A small HTTP/1.1 client on asyncio and httptools: probes, smoke checks, Envoy's admin socket, the load generator and
`client.transport` call it. It never follows redirects, keeps no cookies, and decodes nothing: bytes in, bytes out.

    HttpError(OSError)
    ├── ConnectFailed    nobody answers at that address, or TLS failed: the request was not sent
    ├── TimedOut         the deadline passed; whether the request had an effect is unknown
    ├── Disconnected     the peer closed before the response was whole; likewise unknown
    ├── Malformed        what came back is not HTTP
    └── TooLarge         the response is larger than the caller allowed
"""

from __future__ import annotations

import asyncio
import re
import ssl as tls
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httptools

MAX_HEAD = 64 << 10
"""Bytes of status line and headers that a peer may send."""

_HIGH_WATER = 256 << 10
"""Unread bytes of a streamed body at which reading from the socket pauses."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"[\x21-\x7e]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class HttpError(OSError):
    """Any failure to get a whole response. A response with status 500 is none."""


class ConnectFailed(HttpError):
    pass


class TimedOut(HttpError, TimeoutError):
    pass


class Disconnected(HttpError):
    pass


class Malformed(HttpError):
    pass


class TooLarge(HttpError):
    pass


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Header names are lower case; a header that came several times is joined by ", "."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect. With `uds` set, host and port only name the peer in the Host header."""

    host: str
    port: int
    uds: str | None = None
    ssl: tls.SSLContext | None = None
    server_name: str | None = None

    def __str__(self) -> str:
        return self.uds or f"{self.host}:{self.port}"

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port in (0, 443 if self.ssl else 80) else f"{host}:{self.port}"


def encode_head(
    method: str, target: str, host: str, headers: Mapping[str, str] | None, length: int, *, close: bool = False
) -> bytes:
    """The request's bytes up to and with the empty line. Raises ValueError for what would split or smuggle a request."""
    if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(target):
        raise ValueError(f"not a request line: {method!r} {target!r}")
    fields = {"host": host, **{name.lower(): value for name, value in (headers or {}).items()}}
    if length or method in ("POST", "PUT", "PATCH"):
        fields["content-length"] = str(length)
    if close:
        fields["connection"] = "close"
    for name, value in fields.items():
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"not a header: {name!r}: {value!r}")
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


class Connection(asyncio.Protocol):
    """One connection, one exchange at a time: `begin`, then `read` until b"". `reusable` says whether another may follow."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.status = 0
        self.headers: dict[str, str] = {}
        self.reusable = False
        self.closed = False
        self.answered = False
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._head_done = False
        self._complete = True
        self._error: HttpError | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._head_bytes = 0
        self._paused = False
        self._bodiless = False
        self._wake: asyncio.Future[None] | None = None

    async def begin(self, head: bytes, body: bytes, *, bodiless: bool = False) -> None:
        """Sends a request and waits for the response's headers. `bodiless` is for HEAD."""
        if self.closed or self._transport is None:
            raise self._error or Disconnected(f"{self.peer} closed the connection")
        self.reusable, self._complete, self._bodiless, self.answered = False, False, bodiless, False
        self._reset_head()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(head + body if len(body) < 64 << 10 else head)
        if len(body) >= 64 << 10:
            self._transport.write(body)
        while not self._head_done:
            await self._wait()

    async def read(self) -> bytes:
        """The next part of the body, b"" at its end."""
        while not self._chunks:
            if self._complete:
                return b""
            await self._wait()
        chunk = self._chunks.popleft()
        self._buffered -= len(chunk)
        if self._paused and self._buffered < _HIGH_WATER and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return chunk

    def close(self) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _fail(self, error: HttpError) -> None:
        if not self._complete and self._error is None:
            self._error = error
        self.reusable = False
        self._notify()
        if self._transport is not None:
            self._transport.abort()

    def _reset_head(self) -> None:
        self.status, self.headers, self._head_done, self._head_bytes = 0, {}, False, 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._complete:
            self.close()  # nobody asked: this peer is out of step
            return
        self.answered = True
        if not self._head_done:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(Malformed(f"{self.peer} sent no valid HTTP/1.1: {error}"))
            return
        if not self._head_done and self._head_bytes > MAX_HEAD:
            self._fail(TooLarge(f"{self.peer} sent more than {MAX_HEAD} bytes of headers"))
        elif self._buffered > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed, self.reusable, self._transport = True, False, None
        delimited = "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "").lower()
        if self._head_done and not self._complete and not delimited and exc is None and self._error is None:
            self._complete = True
        if not self._complete and self._error is None:
            self._error = Disconnected(f"{self.peer} closed the connection before the response was whole")
        self._notify()

    # httptools

    def on_message_begin(self) -> None:
        if self._complete:
            raise ValueError("a response that nobody asked for")  # ends in `data_received`, which hangs up

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status >= 200 or self.status == 101:
            self._head_done = True
            if self._bodiless:
                self._finish()
            self._notify()

    def on_body(self, chunk: bytes) -> None:
        if not self._bodiless:
            self._chunks.append(chunk)
            self._buffered += len(chunk)
            self._notify()

    def on_message_complete(self) -> None:
        if not self._head_done:
            self._reset_head()  # an informational response: the real one follows
            return
        self._finish()
        self._notify()

    def _finish(self) -> None:
        self._complete = True
        self.reusable = not self._bodiless and bool(self._parser.should_keep_alive()) and not self.closed


async def connect(address: Address) -> Connection:
    """A fresh connection. Raises ConnectFailed."""
    loop = asyncio.get_running_loop()
    try:
        if address.uds:
            _, connection = await loop.create_unix_connection(lambda: Connection(str(address)), address.uds)
        else:
            name = (address.server_name or address.host) if address.ssl else None
            _, connection = await loop.create_connection(
                lambda: Connection(str(address)), address.host, address.port, ssl=address.ssl, server_hostname=name
            )
    except OSError as error:
        raise ConnectFailed(f"cannot connect to {address}: {error}") from error
    return connection


class Body:
    """The rest of a streamed response. Iterate it to its end, or `aclose` it; either releases the connection. `idle` is
    how many seconds may pass between two parts before TimedOut is raised."""

    def __init__(self, connection: Connection, idle: float | None) -> None:
        self._connection = connection
        self._idle = idle

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        try:
            async with asyncio.timeout(self._idle):
                chunk = await self._connection.read()
        except TimeoutError as error:
            self._connection.close()
            raise TimedOut(f"{self._connection.peer} sent nothing for {self._idle} s") from error
        except BaseException:
            self._connection.close()
            raise
        if not chunk:
            self._connection.close()
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self._connection.close()


async def _whole(connection: Connection, max_body: int) -> HttpResponse:
    parts: list[bytes] = []
    size = 0
    while chunk := await connection.read():
        size += len(chunk)
        if size > max_body:
            connection.close()
            raise TooLarge(f"{connection.peer} sent a body of more than {max_body} bytes")
        parts.append(chunk)
    return HttpResponse(connection.status, connection.headers, b"".join(parts))


async def fetch(
    method: str,
    url_host: str,
    port: int,
    target: str,
    *,
    host_header: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout: float,
    uds: str | None = None,
    ssl: tls.SSLContext | None = None,
    server_name: str | None = None,
    max_body: int = 1 << 20,
) -> HttpResponse:
    """One request on a connection of its own, within `timeout` seconds from connecting to the last byte."""
    address = Address(url_host, port, uds, ssl, server_name)
    head = encode_head(method, target, host_header or address.host_header, headers, len(body), close=True)
    connection: Connection | None = None
    try:
        async with asyncio.timeout(timeout):
            connection = await connect(address)
            await connection.begin(head, body, bodiless=method == "HEAD")
            return await _whole(connection, max_body)
    except HttpError:
        raise
    except TimeoutError as error:
        raise TimedOut(f"{method} {target} at {address}: no whole response within {timeout} s") from error
    finally:
        if connection is not None:
            connection.close()


@dataclass
class Pool:
    """Keep-alive connections to one peer, at most `limit` requests at a time, of which `spare` (else all) stay open once
    they are idle; streams have connections of their own.

    A request that fails on a kept connection before any byte of a response came is sent once more on a fresh one if its
    method is safe to repeat (GET, HEAD, OPTIONS) or its caller says that it is; others raise, since nobody knows whether they
    had an effect.
    """

    host: str
    port: int
    uds: str | None = None
    ssl: tls.SSLContext | None = None
    limit: int = 16
    server_name: str | None = None
    host_header: str = ""
    spare: int | None = None
    _idle: list[Connection] = field(default_factory=list)
    _streams: dict[int, Connection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.address = Address(self.host, self.port, self.uds, self.ssl, self.server_name)
        self._slots = asyncio.Semaphore(self.limit)

    async def request(
        self,
        method: str,
        target: str,
        *,
        host_header: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 30.0,
        max_body: int = 64 << 20,
        repeats: bool = False,
    ) -> HttpResponse:
        """A whole response within `timeout` seconds, waiting for a free slot included. Raises HttpError."""
        head = encode_head(method, target, self._host(host_header), headers, len(body))
        try:
            async with asyncio.timeout(timeout), self._slots:
                return await self._exchange(method, head, body, max_body, repeats=repeats)
        except HttpError:
            raise
        except TimeoutError as error:
            raise TimedOut(f"{method} {target} at {self.address}: no whole response within {timeout} s") from error

    async def stream(
        self,
        method: str,
        target: str,
        *,
        host_header: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 30.0,
        idle: float | None = None,
    ) -> tuple[int, dict[str, str], Body]:
        """Status, headers and a body that comes as it is sent. `timeout` covers the headers only."""
        head = encode_head(method, target, self._host(host_header), headers, len(body))
        connection: Connection | None = None
        try:
            async with asyncio.timeout(timeout):
                connection = await connect(self.address)
                await connection.begin(head, body, bodiless=method == "HEAD")
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, TimeoutError) and not isinstance(error, HttpError):
                raise TimedOut(f"{method} {target} at {self.address}: no response within {timeout} s") from error
            raise
        self._streams = {number: open_ for number, open_ in self._streams.items() if not open_.closed}
        self._streams[id(connection)] = connection
        return connection.status, connection.headers, Body(connection, idle)

    async def close(self) -> None:
        """Closes kept connections and open streams."""
        for connection in [*self._idle, *self._streams.values()]:
            connection.close()
        self._idle.clear()
        self._streams.clear()

    def _host(self, given: str) -> str:
        return given or self.host_header or self.address.host_header

    async def _exchange(self, method: str, head: bytes, body: bytes, max_body: int, *, repeats: bool) -> HttpResponse:
        kept = self._take()
        if kept is not None:
            try:
                return await self._use(kept, method, head, body, max_body)
            except Disconnected:
                if kept.answered or not (repeats or method in ("GET", "HEAD", "OPTIONS")):
                    raise
        return await self._use(await connect(self.address), method, head, body, max_body)

    async def _use(self, connection: Connection, method: str, head: bytes, body: bytes, max_body: int) -> HttpResponse:
        try:
            await connection.begin(head, body, bodiless=method == "HEAD")
            response = await _whole(connection, max_body)
        except BaseException:
            connection.close()
            raise
        if connection.reusable and len(self._idle) < (self.limit if self.spare is None else self.spare):
            self._idle.append(connection)
        else:
            connection.close()
        return response

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable and not connection.closed:
                return connection
        return None
