"""One HTTP/1.1 connection: bytes in, `Request`s to the handler, `Response`s out, in order.

Called by asyncio (`http.serve` makes one per connection). Calls httptools, `wire`, `writer`, the authenticator and the handler.
Requests of one connection are answered one after the other, also when they arrive together (pipelining). The body of an
API request is collected, up to a limit; that of a request under a streaming prefix is handed on as it comes, and the peer
is held back when the handler is slow. A peer that does not read holds up its own response only, and not for ever.

Life of a request: head complete (an `Exchange` is made, authenticated, refused early where that is due) -> body complete,
or at once when streaming -> `_answer` runs as a task -> next in the queue. A response with an `upgrade` takes the connection
over (`takeover`): what comes after its request is no HTTP, and goes to it as it is.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import httptools

from styr.kinds.errors import ApiError, BadRequest, InternalError, Unauthorized
from styr.kinds.transport import ANONYMOUS, Request, Response, User
from styr.kit.log import Log
from styr.serving import deflate, wire
from styr.serving.body import HIGH_WATER, Body, inflated
from styr.serving.deadline import Deadline
from styr.serving.exchange import Exchange
from styr.serving.head import Head, HeadTooLarge
from styr.serving.settings import Settings
from styr.serving.takeover import Takeover
from styr.serving.writer import Stalled, Writer

log = Log("styr.serving.http")

MAX_PIPELINED = 16
"""Requests waiting on one connection before we stop reading from it."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHALLENGE = 'Basic realm="styr", charset="UTF-8"'
"""git asks its credential helper only when challenged."""


class Connection(asyncio.Protocol):
    """See the module. Everything runs on the server's event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeouts = settings.timeouts
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._writer: Writer
        self._certificate: Mapping[str, Any] | None = None
        self._peer = ""
        self._head = Head()
        self._in_head = True
        self._head_started = False
        self._receiving: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._paused = False
        self._deaf = False
        """No more requests are taken from this connection; input is thrown away."""
        self._lost = False
        self._endless = False
        """The handler that runs now may last as long as the peer likes: cancelled when the peer goes, or the server closes."""
        self._after_http: bytes | None = None
        """What came behind a request for another protocol."""
        self._takeover: Takeover | None = None
        self._deadline = Deadline(self._loop, self._expired)

    # --- asyncio's side ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._writer = Writer(transport, self._timeouts.stall)
        if self._settings.closing or len(self._settings.connections) >= self._settings.max_connections:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._certificate = transport.get_extra_info("peercert") or None
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        self._settings.connections.add(self)
        self._deadline.arm(self._timeouts.head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._settings.connections.discard(self)
        self._lost = self._deaf = self._writer.lost = True
        self._deadline.cancel()
        self._queue.clear()
        for exchange in (self._current, self._receiving):
            if exchange and exchange.stream and not exchange.complete:
                exchange.stream.end(BadRequest("the peer went away before the end of the body"))
        self._writer.resume()
        if self._takeover:
            self._takeover.end()
        if self._task and (self._endless or self._writer.endless):
            # Anything else finishes: a write that was begun is not torn in two because its author hung up.
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writer.pause()

    def resume_writing(self) -> None:
        self._writer.resume()

    def data_received(self, data: bytes) -> None:
        if self._takeover:
            self._takeover.feed(data)
            return
        if self._after_http is not None and not self._lost:
            self._after_http += data
            return
        if self._deaf and not self._receiving:
            return
        was_in_head = self._in_head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # Whether it is taken up or answered as an ordinary request: what follows it is not HTTP.
            self._deaf = True
            self._after_http = bytes(data[upgrade.args[0] :])
            self._pause()
        except httptools.HttpParserError as error:
            self._malformed(error)
            return
        if self._in_head and was_in_head:
            # Also an endless header is bounded: the parser itself would buffer it until its end.
            try:
                self._head.grow(len(data))
            except HeadTooLarge as error:
                self._malformed(error)
                return
        self._watch()

    # --- time ----------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """After each piece of input: what are we waiting for now, and how long?"""
        if self._receiving is not None:
            if not self._deaf:
                self._deadline.arm(math.inf if self._paused else self._timeouts.body)
        elif self._current is not None:
            self._deadline.disarm()
        elif self._head.size and not self._head_started:
            self._head_started = True
            self._deadline.arm(self._timeouts.head)

    def _expired(self) -> None:
        exchange = self._receiving
        if self._lost:
            return
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
        self._head = Head()

    def on_url(self, url: bytes) -> None:
        self._head.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head.add(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = self._head_started = False
        self._head.size = 0
        exchange = Exchange(self._parser.get_method().decode("ascii"))
        self._receiving = exchange
        if self._deaf:
            return
        exchange.chunked = self._parser.get_http_version() != "1.0"
        exchange.upgrade = self._parser.should_upgrade()
        exchange.keep_alive = exchange.chunked and self._parser.should_keep_alive() and not exchange.upgrade
        exchange.expects = self._head.headers.get("expect", "").lower() == "100-continue"
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

    def _admit(self, exchange: Exchange) -> None:
        """Reads the head; refuses what can be refused before the body is read. Raises `ApiError`."""
        headers = self._head.headers
        path, query = wire.parse_target(self._head.target)
        exchange.request = Request("GET" if exchange.method == "HEAD" else exchange.method, path, query, headers)
        exchange.request.peer = self._peer
        exchange.request.target = wire.bare_target(self._head.target)
        streaming = any(path == prefix or path.startswith(prefix + "/") for prefix in self._settings.streaming_prefixes)
        exchange.challenge = streaming
        found = self._settings.authenticate(headers, self._certificate)
        if isinstance(found, User):
            exchange.request.user = found
        else:
            exchange.identify = found
        if not streaming and exchange.request.user not in (None, ANONYMOUS) and self._settings.passes(path):
            exchange.request.body = exchange.stream = Body(lambda: self._want_body(exchange))
            return
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

    def _want_body(self, exchange: Exchange) -> None:
        self._say_continue(exchange)
        self._resume()
        if not exchange.complete:
            self._deadline.arm(self._timeouts.body)

    def _say_continue(self, exchange: Exchange) -> None:
        if exchange.expects and not self._lost:
            exchange.expects = False
            self._transport.write(CONTINUE)

    def _malformed(self, error: Exception) -> None:
        """Input that is not HTTP: the requests before it are still answered, then this is said, then we close."""
        if isinstance(error, HeadTooLarge) or isinstance(error.__context__, HeadTooLarge):
            limit = f"{wire.MAX_HEAD} bytes, {wire.MAX_HEADERS} headers"
            refusal = ApiError(f"the request headers are too large (limit: {limit})", reason="BadRequest", status=431)
        else:
            refusal = BadRequest(f"malformed HTTP request: {error}")
        self._refuse(refusal)

    def _refuse(self, error: ApiError) -> None:
        """Ends the request that is coming in, and with it the connection."""
        exchange, self._receiving = self._receiving or Exchange(), None
        self._in_head, self._deaf = True, True
        self._deadline.disarm()
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

    def _enqueue(self, exchange: Exchange) -> None:
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
            self._deadline.arm(self._timeouts.body)
        else:
            self._deadline.arm(self._timeouts.head if self._head.size else self._timeouts.idle)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            response = await self._respond(exchange)
            if response.upgrade is not None and exchange.upgrade:
                await self._hand_over(response)
            else:
                if response.upgrade is not None:
                    response = wire.error_response(
                        BadRequest("the request asks for no upgrade: Connection must name it")
                    )
                if deflate.worthwhile(response) and wire.takes_gzip(exchange.request.headers):
                    response = await deflate.compressed(response)
                await self._send(exchange, response)
        except asyncio.CancelledError:
            self._transport.close()
            raise
        except Stalled:
            log.info("peer does not read, connection dropped", path=exchange.request.path)
            self._transport.abort()
        except Exception as error:
            # A body that broke off: without the last chunk, the peer sees that it is not whole.
            log.error("response broke off", error, path=exchange.request.path)
            self._transport.abort()
        else:
            self._finish(exchange)

    async def _hand_over(self, response: Response) -> None:
        """Until the other protocol is through with the connection."""
        assert response.upgrade is not None
        if self._lost:
            return
        self._deadline.disarm()
        self._writer.write(wire.head(response, length=None, close=False, chunked=False))
        begun, self._after_http = self._after_http or b"", None
        self._takeover = Takeover(self._transport, self._writer, begun)
        self._resume()
        self._endless = True
        try:
            await response.upgrade(self._takeover)
        except ConnectionError as error:
            log.debug("the peer of a stream has gone", error=error)
        finally:
            self._endless = False

    async def _respond(self, exchange: Exchange) -> Response:
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
            if response.status == 401 and request.user is None and self._settings.refused is not None:
                self._settings.refused(request)
            if exchange.challenge and response.status == 401:
                response.headers["www-authenticate"] = CHALLENGE
            return response
        except Exception as error:
            log.error("request failed", error, method=request.method, path=request.path)
            return wire.error_response(
                InternalError(f"Internal error occurred: {type(error).__name__}; see the server's log")
            )

    async def _send(self, exchange: Exchange, response: Response) -> None:
        exchange.keep_alive &= exchange.complete and not (self._settings.closing or self._deaf)
        wanted = wire.has_body(exchange.method, response.status)
        await self._writer.send(response, wanted=wanted, keep_alive=exchange.keep_alive, chunked=exchange.chunked)

    def _finish(self, exchange: Exchange) -> None:
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
        self._deadline.arm(self._timeouts.linger)

    # --- the server's side ---------------------------------------------------------------------------------------------

    def shut_down(self) -> asyncio.Task[None] | None:
        """Closes when idle, ends a stream properly, lets a short answer finish. Returns the task to wait for, if any."""
        if self._task is None:
            self._transport.close()
        elif self._endless or self._writer.endless:
            self._task.cancel()
        return self._task

    def abort(self) -> None:
        self._transport.abort()
