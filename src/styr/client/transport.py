"""How a request reaches the API: over TLS to any Kubernetes server, or in-process to a `Handler`. Both stream.

`client.Client` calls these; they know paths and bytes, never objects. The in-process transport skips sockets, never
authorization or validation: the server behind it sees a `User` and the same request as from the wire.

    ApiError
    └── Unavailable
        └── TransportError    no whole answer came; whether a write had an effect is unknown
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlencode

from styr.client.kubeconfig import Access, read_kubeconfig
from styr.kinds.errors import Unavailable
from styr.kinds.transport import Handler, Request, Response, User
from styr.kit import http

_TRUE = ("1", "t", "T", "true", "True", "TRUE")


class TransportError(Unavailable):
    """The server could not be reached or hung up. A write may have been done all the same."""


class Transport(Protocol):
    async def request(self, request: Request, /) -> Response:
        """Raises TransportError. A response's async body may raise it too, in the middle."""

    async def close(self) -> None: ...


class InProcessTransport:
    """Straight to the server's handler in the same event loop, as `user`."""

    def __init__(self, handler: Handler, user: User) -> None:
        self._handler = handler
        self._user = user

    async def request(self, request: Request, /) -> Response:
        return await self._handler(replace(request, user=self._user))

    async def close(self) -> None:
        return None


class HttpsTransport:
    """Keep-alive connections for calls, one connection of its own for each watch or followed log.

    `timeout` is seconds for a whole call; `idle` is how long a stream may be silent (a server sends bookmarks at least
    every minute)."""

    def __init__(self, access: Access, *, timeout: float = 60.0, idle: float = 120.0, limit: int = 16) -> None:
        self._access = access
        self._timeout = timeout
        self._idle = idle
        self._pool = http.Pool(access.host, access.port, ssl=access.ssl, server_name=access.server_name, limit=limit)

    @classmethod
    def from_kubeconfig(cls, path: Path | str, *, context: str = "") -> HttpsTransport:
        """Raises KubeconfigError (an OSError or ValueError told with the file's name)."""
        return cls(read_kubeconfig(Path(path), context=context))

    async def request(self, request: Request, /) -> Response:
        headers = dict(request.headers)
        if self._access.token:
            headers["authorization"] = f"Bearer {self._access.token}"
        target = self._access.prefix + quote(request.path, safe="/-._~:@!$&'()*+,;=")
        if request.query:
            target += "?" + urlencode(request.query)
        body = request.body if isinstance(request.body, bytes) else b"".join([part async for part in request.body])
        try:
            if _streams(request):
                status, answered, chunks = await self._pool.stream(
                    request.method,
                    target,
                    headers=headers,
                    body=body,
                    timeout=self._timeout,
                    idle=self._idle_of(request),
                )
                return Response(status, _Chunks(chunks), answered)
            whole = await self._pool.request(request.method, target, headers=headers, body=body, timeout=self._timeout)
            return Response(whole.status, whole.body, whole.headers)
        except http.HttpError as error:
            raise TransportError(f"{request.method} {request.path}: {error}") from error

    async def close(self) -> None:
        await self._pool.close()

    def _idle_of(self, request: Request) -> float | None:
        return None if request.path.endswith("/log") else self._idle


class _Chunks:
    """A streamed body whose failures are told as TransportError."""

    def __init__(self, body: http.Body) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._body)
        except http.HttpError as error:
            raise TransportError(str(error)) from error

    async def aclose(self) -> None:
        await self._body.aclose()


def _streams(request: Request) -> bool:
    return request.param("watch") in _TRUE or request.path.endswith("/log")
