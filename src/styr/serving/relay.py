"""Hands a request on to another HTTP server and its answer back, bodies as they come, upgrades included.

Called by the API's proxy subresources. Speaks HTTP/1.1 with httptools, one connection a request. Never follows a redirect,
and never hands on what is between two neighbours alone (RFC 9110, section 7.6.1) or the client's credential.

    Unreachable(OSError)     nobody answers there, or not in HTTP; nothing has been told to the client yet
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httptools

from styr.kinds.transport import Request, Response, Wire

CONNECT = 10.0
"""Seconds."""
CHUNK = 64 << 10
MAX_HEAD = 64 << 10
_HOP = frozenset({"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"})
_OURS = frozenset({"authorization", "content-length", "expect", "host"})


class Unreachable(OSError):
    """The text says why."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """`target` is the path and query to ask for, encoded. Without `tls` it is plain HTTP."""

    host: str
    port: int
    target: str
    tls: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Set in addition to the client's."""
    repeated: tuple[tuple[str, str], ...] = ()
    """Likewise; names may come several times."""
    server_name: str = ""
    """What the certificate must be for, when it is not `host`."""


async def relay(request: Request, upstream: Upstream) -> Response:
    """Raises Unreachable."""
    try:
        async with asyncio.timeout(CONNECT):
            name = upstream.server_name or upstream.host if upstream.tls else None
            reader, writer = await asyncio.open_connection(
                upstream.host, upstream.port, ssl=upstream.tls, server_hostname=name, limit=CHUNK
            )
    except TimeoutError:
        raise Unreachable(f"dial tcp {upstream.host}:{upstream.port}: i/o timeout") from None
    except OSError as error:
        why = "connection refused" if isinstance(error, ConnectionRefusedError) else error.strerror or str(error)
        raise Unreachable(f"dial tcp {upstream.host}:{upstream.port}: connect: {why}") from error
    answer = _Answer(reader, writer)
    try:
        writer.write(_head(request, upstream))
        answer.sending = asyncio.ensure_future(_send_body(request, writer))
        await answer.begin()
    except BaseException:
        await answer.aclose()
        raise
    headers = {name: value for name, value in answer.headers.items() if name not in _HOP}
    if answer.status == 101:
        headers |= {"connection": "Upgrade", "upgrade": answer.headers.get("upgrade", "")}
        return Response(101, headers=headers, repeated=answer.cookies, upgrade=answer.splice)
    return Response(answer.status, answer, headers, answer.cookies)


def _head(request: Request, upstream: Upstream) -> bytes:
    asked = request.headers
    lines = [f"{request.method} {upstream.target} HTTP/1.1", f"host: {asked.get('host') or upstream.host}"]
    named = {word.strip().lower() for word in asked.get("connection", "").split(",")}
    kept = {name: value for name, value in asked.items() if name not in _HOP | _OURS | named}
    lines += [
        f"{name}: {value}"
        for name, value in {**kept, **upstream.headers}.items()
        if not name.startswith("impersonate-")
    ]
    lines += [f"{name}: {value}" for name, value in upstream.repeated]
    if "upgrade" in named and asked.get("upgrade"):
        lines += ["connection: Upgrade", f"upgrade: {asked['upgrade']}"]
    else:
        lines.append("connection: close")
    if isinstance(request.body, bytes):
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            lines.append(f"content-length: {len(request.body)}")
    elif "content-length" in asked:
        lines.append(f"content-length: {asked['content-length']}")
    elif "transfer-encoding" in asked:
        lines.append("transfer-encoding: chunked")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


async def _send_body(request: Request, writer: asyncio.StreamWriter) -> None:
    body = request.body
    if isinstance(body, bytes):
        writer.write(body)
        return
    chunked = "content-length" not in request.headers and "transfer-encoding" in request.headers
    with suppress(OSError):  # a server that has heard enough says so in its answer
        async for piece in body:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
        if chunked:
            writer.write(b"0\r\n\r\n")


class _Answer:
    """A response as it comes; an async iterator over its body."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._parser: Any = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._size = 0
        self._over = self._known = False
        self._behind = b""
        """What came behind the head of an upgrade."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.cookies: tuple[tuple[str, str], ...] = ()
        self.sending: asyncio.Future[None] | None = None

    async def begin(self) -> None:
        """Until the head is there. Raises Unreachable."""
        while not self._known:
            if not await self._more():
                raise Unreachable("the server closed the connection without an answer")
            if not self._known and self._size > MAX_HEAD:
                raise Unreachable("the server's answer has a head without end")

    async def _more(self) -> bool:
        """False at the end of the connection. Raises Unreachable."""
        try:
            data = await self._reader.read(CHUNK)
            self._size += len(data)
            if data:
                self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._behind = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            raise Unreachable(f"malformed HTTP response: {error}") from None
        except OSError as error:
            raise Unreachable(f"the server broke off: {error}") from None
        return bool(data)

    # httptools' side

    def on_message_begin(self) -> None:
        self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key == "set-cookie":
            self.cookies += ((key, text),)
        else:
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._known = self.status >= 200 or self.status == 101

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        self._over = self._known

    # the body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Raises Unreachable when the server breaks off: the client must see that it is not whole."""
        while not self._pieces:
            if self._over:
                raise StopAsyncIteration
            if not await self._more():
                if "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", ""):
                    raise Unreachable("the server broke off in the middle of its answer")
                self._over = True
        return self._pieces.pop(0)

    async def aclose(self) -> None:
        if self.sending is not None:
            self.sending.cancel()
            await asyncio.gather(self.sending, return_exceptions=True)
        self._writer.close()

    async def splice(self, wire: Wire) -> None:
        """After an upgrade: bytes both ways until one side has had enough."""
        tasks = [asyncio.ensure_future(work) for work in (self._to_client(wire), self._to_server(wire))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.aclose()

    async def _to_client(self, wire: Wire) -> None:
        if self._behind:
            await wire.write(self._behind)
        while data := await self._reader.read(CHUNK):
            await wire.write(data)

    async def _to_server(self, wire: Wire) -> None:
        while data := await wire.read():
            self._writer.write(data)
            await self._writer.drain()
