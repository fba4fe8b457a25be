"""A handler on a socket, with TLS or without: `serve` listens, and each connection is a `connection.Connection`.

Called by `plane` for the API, by the metrics process for its own, and by tests.
Knows nothing of Kubernetes but the shape of an error. Never binds anything but the host it
is given. Answers from 128 KiB on are compressed for clients that ask for gzip (`deflate`).

    PortTaken(OSError)     the port is in use; the text says what to do
"""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import errno
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from styr.kinds.transport import Handler, Request
from styr.serving.connection import Connection
from styr.serving.settings import Authenticate, Settings, Timeouts

__all__ = ["PortTaken", "Server", "Timeouts", "serve"]

# asyncio keeps a buffer of 256 KiB for what each TLS connection decrypts: 10,000 idle ones would hold 2.5 GB. A TLS record
# is no longer than 16 KiB.
asyncio.sslproto.SSLProtocol.max_size = 16 << 10

GRACE = 2.0
"""Seconds that `close` gives to answers under way."""


class PortTaken(OSError):
    """Another process listens there."""


@dataclass(slots=True)
class Server:
    """A listening server. `port` is the real one, also when 0 was asked for."""

    host: str
    port: int
    _listener: asyncio.Server
    _settings: Settings

    @property
    def connections(self) -> int:
        return len(self._settings.connections)

    async def close(self, grace: float = GRACE) -> None:
        """Takes no more connections, ends watches and log streams with a proper last chunk, lets other answers finish
        within `grace` seconds, then drops what is left. May be called twice."""
        self._settings.closing = True
        self._listener.close()
        tasks = [task for connection in tuple(self._settings.connections) if (task := connection.shut_down())]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        # One turn of the loop, so that what was closed above flushes before the rest is cut.
        await asyncio.sleep(0)
        for connection in tuple(self._settings.connections):
            connection.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def serve(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None,
    authenticate: Authenticate,
    streaming_prefixes: Sequence[str] = ("/git",),
    passes: Callable[[str], bool] = lambda path: False,
    timeouts: Timeouts | None = None,
    refused: Callable[[Request], None] | None = None,
) -> Server:
    """Listens and answers until `Server.close`. `tls=None` is for tests only: kubectl drops credentials on plain http.
    Requests below a streaming prefix get their body as an async iterator and need a credential; so do those, with one, for
    whose path `passes` says so. `refused` is told of requests whose credential is no good. Raises `PortTaken`."""
    settings = Settings(handler, authenticate, tuple(streaming_prefixes), passes, timeouts or Timeouts(), refused)
    loop = asyncio.get_running_loop()
    try:
        listener = await loop.create_server(
            lambda: Connection(settings),
            host,
            port,
            ssl=tls,
            backlog=512,
            ssl_handshake_timeout=10.0 if tls else None,
            ssl_shutdown_timeout=2.0 if tls else None,
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                error.errno,
                f"port {port} on {host} is already in use. See by whom: `ss -ltnp 'sport = :{port}'`; stop that, or choose "
                "another port (0 takes a free one).",
            ) from None
        raise
    return Server(host, listener.sockets[0].getsockname()[1], listener, settings)
