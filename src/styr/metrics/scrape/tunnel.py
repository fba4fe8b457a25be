"""A way through a proxy to a server that speaks TLS: CONNECT, then the handshake over the same connection. Called by `client`.

The proxy sees the server's name and port and nothing else; what is sent on, and the server's certificate, are the caller's.
"""

from __future__ import annotations

import asyncio
import re
import ssl

from styr.metrics.scrape.connection import MAX_HEAD, Connection, FetchError, reason_of

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: ([^\r\n]*))?\r?\n")


class _Answer(asyncio.Protocol):
    """The proxy's answer to CONNECT: a head and nothing behind it."""

    def __init__(self, peer: str) -> None:
        self._peer, self._data = peer, b""
        self.status: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, _ = self._data.partition(b"\r\n\r\n")
        status = _STATUS.match(self._data)
        if not end and len(head) < MAX_HEAD:
            return
        if not end or status is None:
            self._fail(f"the proxy {self._peer} sent no valid HTTP/1.1")
        elif status[1].startswith(b"1"):
            rest, self._data = self._data[len(head) + 4 :], b""
            if rest:
                self.data_received(rest)
        elif not self.status.done():
            self.status.set_result((int(status[1]), (status[2] or b"").decode("latin-1")))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the proxy {self._peer} closed the connection")

    def _fail(self, reason: str) -> None:
        if not self.status.done():
            self.status.set_exception(FetchError(reason))


async def open_tunnel(
    connection: Connection,
    proxy: tuple[str, int, ssl.SSLContext | None, str | None],
    request: bytes,
    context: ssl.SSLContext,
    server_name: str,
) -> None:
    """Leads `connection` through `proxy` (host, port, and for one that speaks TLS itself its context and name), which is sent
    `request`. Raises FetchError; cancelling leaves nothing open."""
    host, port, outer, outer_name = proxy
    peer = f"{host}:{port}"
    loop = asyncio.get_running_loop()
    try:
        transport, answer = await loop.create_connection(
            lambda: _Answer(peer), host, port, ssl=outer, server_hostname=outer_name
        )
    except OSError as error:
        raise FetchError(f"connecting to the proxy {peer} failed: {reason_of(error)}") from None
    try:
        transport.write(request)
        status, reason = await answer.status
        if status // 100 != 2:
            raise FetchError(f"the proxy {peer} refused CONNECT with HTTP status {status} {reason}".rstrip())
        inner = await loop.start_tls(transport, connection, context, server_hostname=server_name)
    except OSError as error:
        transport.abort()
        raise FetchError(f"TLS with {connection.peer} through the proxy {peer} failed: {reason_of(error)}") from None
    except BaseException:
        transport.abort()
        raise
    if inner is None:
        raise FetchError(f"the proxy {peer} closed the connection")
    connection.connection_made(inner)
