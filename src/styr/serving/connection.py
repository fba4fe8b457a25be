"""One HTTP/1.1 connection: bytes in, `Request`s to the handler, `Response`s out, in order.

Called by asyncio (`http.serve` makes one per connection). Calls httptools, `wire`, the authenticator and the handler.
Requests of one connection are answered one after the other, also when they arrive together (pipelining). The body of an
API request is collected, up to a limit; that of a request under a streaming prefix is handed on as it comes, and the peer
is held back when the handler is slow. A peer that does not read holds up its own response only, and not for ever.

Life of a request: head complete (`_Exchange` is made, authenticated, refused early where that is due) -> body complete,
or at once when streaming -> `_answer` runs as a task -> next in the queue.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httptools

from styr.kinds.errors import ApiError, BadRequest, InternalError, Unauthorized
from styr.kinds.transport import ANONYMOUS, Handler, Request, Response, User
from styr.kit.log import Log
from styr.serving import wire
from styr.serving.body import HIGH_WATER, Body, inflated

log = Log("styr.serving.http")

MAX_PIPELINED = 16
"""Requests waiting on one connection before we stop reading from it."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHALLENGE = 'Basic realm="styr", charset="UTF-8"'
"""git asks its credential helper only when challenged."""

Authenticate = Callable[[Mapping[str, str], Mapping[str, Any] | None], User | Callable[[], Awaitable[User]]]
"""(headers, client certificate as `getpeercert()` has it) -> user, or what to wait for to know; raises `Unauthorized`."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `head`: from the first byte of a request to the end of its headers (slow loris). `idle`: between
    requests. `body`: without any progress of a body. `stall`: a peer that does not read what we write. `linger`: how long
    the rest of a refused body is read and thrown away, so that the peer sees the answer instead of a reset."""

    head: float = 10.0
    idle: float = 180.0
    body: float = 60.0
    stall: float = 60.0
    linger: float = 5.0


@dataclass(slots=True)
class Settings:
    """What all connections of a server share."""

    handler: Handler
    authenticate: Authenticate
    streaming_prefixes: tuple[str, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    connections: set[Connection] = field(default_factory=set)
    max_connections: int = 2000
    closing: bool = False


class _HeadTooLarge(Exception):
    """Raised inside a parser callback; httptools hands it on as the cause of its own error."""


class _Stalled(Exception):
    """The peer has not read anything for `Timeouts.stall`."""


class _Exchange:
    """One request being received, and what is known of how to answer it."""

    __slots__ = (
        *("body", "challenge", "chunked", "complete", "expects", "identify", "keep_alive"),
        *("method", "refusal", "request", "size", "stream"),
    )

    def __init__(self, method: str = "GET") -> None:
        self.method = method
        self.request = Request(method, "/")
        self.refusal: ApiError | None = None
        self.identify: Callable[[], Awaitable[User]] | None = None
        self.challenge = False
        self.body: list[bytes] = []
        self.size = 0
        self.stream: Body | None = None
        self.complete = False
        self.keep_alive = False
        self.chunked = True
        """HTTP/1.1: the answer may be chunked. An older peer is answered until the end of the connection."""
        self.expects = False

    def refuse(self, error: ApiError) -> None:
        self.refusal = error
        self.keep_alive = False
        self.body.clear()


class Connection(asyncio.Protocol):
    """See the module. Everything runs on the server's event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeouts = settings.timeouts
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._certificate: Mapping[str, Any] | None = None
        self._target = b""
        self._headers: dict[str, str] = {}
        self._head_size = 0
        self._head_count = 0
        self._in_head = True
        self._head_started = False
        self._receiving: _Exchange | None = None
        self._queue: deque[_Exchange] = deque()
        self._current: _Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._paused = False
        self._deaf = False
        """No more requests are taken from this connection; input is thrown away."""
        self._lost = False
        self._endless = False
        """What runs now may last as long as the peer likes: it is cancelled when the peer goes, or the server closes."""
        self._deadline = math.inf
        self._timer: asyncio.TimerHandle | None = None

    # --- asyncio's side ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._settings.closing or len(self._settings.connections) >= self._settings.max_connections:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._certificate = transport.get_extra_info("peercert") or None
        self._settings.connections.add(self)
        self._arm(self._timeouts.head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._settings.connections.discard(self)
        self._lost = self._deaf = True
        if self._timer:
            self._timer.cancel()
        self._queue.clear()
        for exchange in (self._current, self._receiving):
            if exchange and exchange.stream and not exchange.complete:
                exchange.stream.end(BadRequest("the peer went away before the end of the body"))
        self._writable.set()
        if self._task and self._endless:
            # Anything else finishes: a write that was begun is not torn in two because its author hung up.
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        if self._deaf and not self._receiving:
            return
        was_in_head = self._in_head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request was answered as an ordinary one; its connection ends with it.
            self._deaf = True
        except httptools.HttpParserError as error:
            self._malformed(error)
            return
        if self._in_head and was_in_head:
            # Also an endless header is bounded: the parser itself would buffer it until its end.
            self._head_size += len(data)
            if self._head_size > wire.MAX_HEAD:
                self._malformed(_HeadTooLarge())
                return
        self._watch()

    # --- time ----------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """After each piece of input: what are we waiting for now, and how long?"""
        if self._receiving is not None:
            if not self._deaf:
                self._arm(math.inf if self._paused else self._timeouts.body)
        elif self._current is not None:
            self._deadline = math.inf
        elif self._head_size and not self._head_started:
            self._head_started = True
            self._arm(self._timeouts.head)

    def _arm(self, seconds: float) -> None:
        """Sets the one deadline of this connection. A timer that fires too early sets itself anew: cheap to move."""
        self._deadline = self._loop.time() + seconds
        if self._deadline < math.inf and (self._timer is None or self._timer.when() > self._deadline):
            if self._timer:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._deadline == math.inf or self._lost:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._on_timer)
        else:
            self._expired()

    def _expired(self) -> None:
        exchange = self._receiving
        if self._deaf or (exchange and exchange.refusal):
            self._transport.abort()
        elif exchange and exchange.stream:
            exchange.stream.end(BadRequest(f"no more of the body came within {self._timeouts.body:g} seconds"))
        elif exchange or self._head_started:
            part = "body" if exchange else "headers"
            late = ApiError(f"the {part} did not come in time", reason="Timeout", status=408)
            self._refuse(late)
        else:
            self._transport.close()

    # --- httptools' side -----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers = {}
        self._head_size = self._head_count = 0

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_count += 1
        self._head_size += len(name) + len(value)
        if self._head_count > wire.MAX_HEADERS or self._head_size > wire.MAX_HEAD:
            raise _HeadTooLarge
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        self._headers[key] = f"{self._headers[key]},{text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        self._in_head = self._head_started = False
        self._head_size = 0
        exchange = _Exchange(self._parser.get_method().decode("ascii"))
        self._receiving = exchange
        if self._deaf:
            return
        exchange.chunked = self._parser.get_http_version() != "1.0"
        exchange.keep_alive = (
            exchange.chunked and self._parser.should_keep_alive() and not self._parser.should_upgrade()
        )
        exchange.expects = self._headers.get("expect", "").lower() == "100-continue"
        try:
            self._admit(exchange)
        except ApiError as error:
            exchange.refuse(error)
        if exchange.stream or exchange.refusal:
            self._enqueue(exchange)
        elif self._current is None:
            self._say_continue(exchange)

    def on_body(self, data: bytes) -> None:
        exchange = self._receiving
        if exchange is None or exchange.refusal or self._deaf:
            return
        exchange.expects = False
        if exchange.stream:
            if not exchange.stream.feed(data):
                self._pause()
            return
        exchange.size += len(data)
        exchange.body.append(data)
        if exchange.size > wire.MAX_BODY:
            exchange.refuse(wire.too_large())
            self._enqueue(exchange)

    def on_message_complete(self) -> None:
        exchange, self._receiving = self._receiving, None
        self._in_head = True
        if exchange is None:
            return
        exchange.complete = True
        if self._deaf:
            self._transport.close()
        elif exchange.stream:
            exchange.stream.end()
        elif not exchange.refusal:
            self._enqueue(exchange)

    # --- a request -----------------------------------------------------------------------------------------------------

    def _admit(self, exchange: _Exchange) -> None:
        """Reads the head; refuses what can be refused before the body is read. Raises `ApiError`."""
        headers = self._headers
        path, query = wire.parse_target(self._target)
        exchange.request = Request("GET" if exchange.method == "HEAD" else exchange.method, path, query, headers)
        streaming = any(path == prefix or path.startswith(prefix + "/") for prefix in self._settings.streaming_prefixes)
        exchange.challenge = streaming
        found = self._settings.authenticate(headers, self._certificate)
        if isinstance(found, User):
            exchange.request.user = found
        else:
            exchange.identify = found
        if not streaming:
            if int(headers.get("content-length") or 0) > wire.MAX_BODY:
                raise wire.too_large()
            return
        if exchange.request.user == ANONYMOUS:
            raise Unauthorized("Unauthorized: give the token of Styr's data folder as the password")
        exchange.stream = Body(lambda: self._want_body(exchange))
        exchange.request.body = exchange.stream
        if wire.is_gzip(headers):
            del headers["content-encoding"]
            exchange.request.body = inflated(exchange.stream)

    def _want_body(self, exchange: _Exchange) -> None:
        self._say_continue(exchange)
        self._resume()
        if not exchange.complete:
            self._arm(self._timeouts.body)

    def _say_continue(self, exchange: _Exchange) -> None:
        if exchange.expects and not self._lost:
            exchange.expects = False
            self._transport.write(CONTINUE)

    def _malformed(self, error: Exception) -> None:
        """Input that is not HTTP: the requests before it are still answered, then this is said, then we close."""
        if isinstance(error, _HeadTooLarge) or isinstance(error.__context__, _HeadTooLarge):
            limit = f"{wire.MAX_HEAD} bytes, {wire.MAX_HEADERS} headers"
            refusal = ApiError(f"the request headers are too large (limit: {limit})", reason="BadRequest", status=431)
        else:
            refusal = BadRequest(f"malformed HTTP request: {error}")
        self._refuse(refusal)

    def _refuse(self, error: ApiError) -> None:
        """Ends the request that is coming in, and with it the connection."""
        exchange, self._receiving = self._receiving or _Exchange(), None
        self._in_head, self._deaf = True, True
        self._deadline = math.inf
        if exchange.stream:
            exchange.stream.end(error)
            exchange.keep_alive = False
        elif not exchange.refusal:
            exchange.refuse(error)
            self._enqueue(exchange)

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._lost:
            self._paused = False
            self._transport.resume_reading()

    # --- the answers, in order -----------------------------------------------------------------------------------------

    def _enqueue(self, exchange: _Exchange) -> None:
        self._queue.append(exchange)
        if self._current is None:
            self._next()
        elif len(self._queue) >= MAX_PIPELINED:
            self._pause()

    def _next(self) -> None:
        if self._queue:
            self._current = self._queue.popleft()
            self._task = self._loop.create_task(self._answer(self._current))
            return
        self._current = self._task = None
        self._resume()
        if self._receiving is not None:
            self._say_continue(self._receiving)
            self._arm(self._timeouts.body)
        else:
            self._arm(self._timeouts.head if self._head_size else self._timeouts.idle)

    async def _answer(self, exchange: _Exchange) -> None:
        try:
            await self._send(exchange, await self._respond(exchange))
        except asyncio.CancelledError:
            self._transport.close()
            raise
        except _Stalled:
            log.info("peer does not read, connection dropped", path=exchange.request.path)
            self._transport.abort()
        except Exception as error:
            # A body that broke off: without the last chunk, the peer sees that it is not whole.
            log.error("response broke off", error, path=exchange.request.path)
            self._transport.abort()
        else:
            self._finish(exchange)

    async def _respond(self, exchange: _Exchange) -> Response:
        request = exchange.request
        try:
            if exchange.refusal:
                raise exchange.refusal
            if exchange.identify is not None:
                request.user = await exchange.identify()
            if exchange.stream is None:
                request.body = b"".join(exchange.body)
                exchange.body.clear()
                if request.body and wire.is_gzip(request.headers):
                    request.body = wire.inflate(request.body)
            self._endless = exchange.stream is not None
            try:
                return await self._settings.handler(request)
            finally:
                self._endless = False
        except ApiError as error:
            response = wire.error_response(error)
            if exchange.challenge and response.status == 401:
                response.headers["www-authenticate"] = CHALLENGE
            return response
        except Exception as error:
            log.error("request failed", error, method=request.method, path=request.path)
            return wire.error_response(
                InternalError(f"Internal error occurred: {type(error).__name__}; see the server's log")
            )

    async def _send(self, exchange: _Exchange, response: Response) -> None:
        exchange.keep_alive &= exchange.complete and not (self._settings.closing or self._deaf)
        body, wanted = response.body, wire.has_body(exchange.method, response.status)
        if isinstance(body, bytes):
            head = wire.head(response, length=len(body), close=not exchange.keep_alive)
            if not self._lost:
                if wanted and len(body) > HIGH_WATER:
                    # Never copied: neither behind the head, nor what the socket does not take at once.
                    self._transport.write(head)
                    self._transport.write(memoryview(body))
                else:
                    self._transport.write(head + body if wanted else head)
                await self._drain()
            return
        try:
            if not self._lost:
                self._transport.write(
                    wire.head(response, length=None, close=not exchange.keep_alive, chunked=exchange.chunked)
                )
                if wanted:
                    await self._stream(body, exchange.chunked)
        finally:
            closing = getattr(body, "aclose", None)
            if closing:
                await closing()

    async def _stream(self, body: AsyncIterator[bytes], chunked: bool) -> None:
        self._endless = True
        try:
            async for piece in body:
                if piece:
                    self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                    await self._drain()
        except asyncio.CancelledError:
            if chunked and not self._lost:
                self._transport.write(b"0\r\n\r\n")
            raise
        finally:
            self._endless = False
        if chunked:
            self._transport.write(b"0\r\n\r\n")
            await self._drain()

    async def _drain(self) -> None:
        """Waits until the peer has read enough. Raises `_Stalled` when it reads nothing at all for too long."""
        while not self._writable.is_set():
            before = self._transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(self._timeouts.stall):
                    await self._writable.wait()
            except TimeoutError:
                if self._transport.get_write_buffer_size() >= before:
                    raise _Stalled from None

    def _finish(self, exchange: _Exchange) -> None:
        if self._lost:
            return
        if exchange.keep_alive and exchange.complete:
            self._next()
            return
        self._deaf = True
        self._queue.clear()
        if exchange.complete or exchange.expects:
            self._transport.close()
            return
        # The peer may still be sending, and would miss our answer if we closed now: the kernel resets it.
        if exchange.stream:
            exchange.stream.drop()
        self._resume()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._arm(self._timeouts.linger)

    # --- the server's side ---------------------------------------------------------------------------------------------

    def shut_down(self) -> asyncio.Task[None] | None:
        """Closes when idle, ends a stream properly, lets a short answer finish. Returns the task to wait for, if any."""
        if self._task is None:
            self._transport.close()
        elif self._endless:
            self._task.cancel()
        return self._task

    def abort(self) -> None:
        self._transport.abort()
