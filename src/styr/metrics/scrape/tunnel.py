"""A way through a proxy to a server, on one connection: HTTP's CONNECT or SOCKS 5 (RFC 1928, 1929), then TLS if the server
speaks it. Called by `client`. The proxy sees the server's name and port, and with TLS nothing else; names are resolved by it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from styr.metrics.scrape.connection import MAX_HEAD, Connection, FetchError, reason_of

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: ([^\r\n]*))?\r?\n")
_END = b"\r\n\r\n"
_NO_LOGIN, _LOGIN = 0, 2
_REFUSED = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}


@dataclass(frozen=True, slots=True)
class Way:
    """Where the proxy is; with its context and name when it speaks TLS itself."""

    host: str
    port: int
    context: ssl.SSLContext | None = None
    server_name: str | None = None


class Talk(asyncio.Protocol):
    """What is said to the proxy before the server is reached."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None
        self._more = asyncio.Event()
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._more.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._more.set()

    def send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    async def take(self, count: int) -> bytes:
        """So many bytes. Raises FetchError."""
        while len(self._data) < count:
            await self._wait()
        part = bytes(self._data[:count])
        del self._data[:count]
        return part

    async def head(self) -> bytes:
        """Up to an empty line; what there is when that does not come soon. Raises FetchError."""
        while (end := self._data.find(_END)) < 0 and len(self._data) < MAX_HEAD:
            await self._wait()
        return await self.take(end + len(_END) if end >= 0 else len(self._data))

    async def _wait(self) -> None:
        if self._lost:
            raise FetchError(f"the proxy {self.peer} closed the connection")
        self._more.clear()
        await self._more.wait()


Ask = Callable[[Talk], Awaitable[None]]
"""Has the proxy connect. Raises FetchError."""


def by_connect(request: bytes) -> Ask:
    """Sends `request`, a whole CONNECT."""

    async def ask(talk: Talk) -> None:
        talk.send(request)
        status = None
        while status is None or status[1].startswith(b"1"):  # Those are informational; the real one follows.
            status = _STATUS.match(await talk.head())
            if status is None:
                raise FetchError(f"the proxy {talk.peer} sent no valid HTTP/1.1")
        if not status[1].startswith(b"2"):
            reason = (status[2] or b"").decode("latin-1")
            raise FetchError(
                f"the proxy {talk.peer} refused CONNECT with HTTP status {status[1].decode()} {reason}".rstrip()
            )

    return ask


def by_socks(host: str, port: int, login: tuple[str, str] | None) -> Ask:
    """`login` is user and password. Raises FetchError for what SOCKS cannot say."""
    words = [part.encode() for part in (host, *(login or ()))]
    if not all(0 < len(word) < 256 for word in words[:2]) or len(words[-1]) > 255:
        raise FetchError(f"SOCKS has no room for {host!r}, or for the user or the password of its proxy")

    async def ask(talk: Talk) -> None:
        talk.send(bytes([5, 2, _NO_LOGIN, _LOGIN]) if login else bytes([5, 1, _NO_LOGIN]))
        version, method = await talk.take(2)
        if version != 5 or method not in ((_NO_LOGIN, _LOGIN) if login else (_NO_LOGIN,)):
            raise FetchError(f"the proxy {talk.peer} speaks no SOCKS 5, or wants another way to log in")
        if method == _LOGIN:
            user, password = words[1:]
            talk.send(bytes([1, len(user)]) + user + bytes([len(password)]) + password)
            if (await talk.take(2))[1]:
                raise FetchError(f"the proxy {talk.peer} refused its user or password")
        talk.send(bytes([5, 1, 0]) + _address(host) + port.to_bytes(2, "big"))
        _, refused, _, kind = await talk.take(4)
        if refused:
            raise FetchError(f"the proxy {talk.peer} refused to connect: {_REFUSED.get(refused, refused)}")
        length = {1: 4, 4: 16}.get(kind)
        await talk.take(((await talk.take(1))[0] if length is None else length) + 2)

    return ask


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bytes([3, len(host.encode())]) + host.encode()
    return bytes([1 if address.version == 4 else 4]) + address.packed


async def open_tunnel(
    connection: Connection, way: Way, ask: Ask, context: ssl.SSLContext | None, server_name: str
) -> None:
    """Leads `connection` through a proxy to a server, which speaks TLS when there is a `context` for it. Raises FetchError;
    cancelling leaves nothing open."""
    peer = f"{way.host}:{way.port}"
    loop = asyncio.get_running_loop()
    try:
        transport, talk = await loop.create_connection(
            lambda: Talk(peer), way.host, way.port, ssl=way.context, server_hostname=way.server_name
        )
    except OSError as error:
        raise FetchError(f"connecting to the proxy {peer} failed: {reason_of(error)}") from None
    inner: asyncio.Transport | None = transport
    try:
        await ask(talk)
        if context is None:
            transport.set_protocol(connection)
        else:
            inner = await loop.start_tls(transport, connection, context, server_hostname=server_name)
    except OSError as error:
        transport.abort()
        raise FetchError(f"TLS with {connection.peer} through the proxy {peer} failed: {reason_of(error)}") from None
    except BaseException:
        transport.abort()
        raise
    if inner is None or inner.is_closing():
        raise FetchError(f"the proxy {peer} closed the connection")
    connection.connection_made(inner)
