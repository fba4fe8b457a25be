"""The seam between client and server: one request, one response whose body may stream.

`client.transport` sends `Request`s, over HTTPS or in-process; `api.server` answers them as a `Handler`; `delivery`'s git
endpoint is a `Handler` too, mounted by `plane` under a path prefix. Pure: holds data and Protocols only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, in Kubernetes' terms. Set by authentication (wire) or by the in-process transport (trusted)."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """What else its credential says of it, key and values; a dict would make it unhashable."""
    notes: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    """What the audit is told about the credential."""


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(slots=True)
class Request:
    """`path` is decoded and without the query; `query` keeps repeated keys and order; header names are lower case.
    `body` is whole bytes for API calls (the wire enforces the size limit), an iterator for mounted handlers."""

    method: str
    path: str
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes] = b""
    user: User | None = None
    peer: str = ""
    """The address that it came from; "" in-process."""
    target: str = ""
    """Path and query as the client wrote them, still encoded; "" for a request that came by no wire."""
    annotations: dict[str, str] = field(default_factory=dict)
    """What the audit is to say of it beside what it was."""

    def flag(self, name: str) -> bool:
        """A boolean of the query as Kubernetes reads it: there, and neither `0` nor `false`. (`?watch` is true, and so is
        `f`.)"""
        value = next((value for key, value in self.query if key == name), "0")
        return value != "0" and value.lower() != "false"

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)


class Wire(Protocol):
    """A connection as raw bytes both ways, taken over by a handler. Several tasks may write; each call goes out in one piece.
    Raises ConnectionError once the peer has gone."""

    async def read(self) -> bytes:
        """What has come, b"" at the end."""

    async def write(self, *pieces: bytes) -> None:
        """Returns when the peer has read enough for more."""


@dataclass(slots=True)
class Response:
    """A body of bytes is sent with Content-Length; an async iterator is sent chunked as it comes, and is closed
    (`aclose`) when the peer goes away. With `upgrade` (status 101) the connection is handed over to it after the head, and
    closed when it returns; it is cancelled when the server closes."""

    status: int
    body: bytes | AsyncIterator[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)
    repeated: tuple[tuple[str, str], ...] = ()
    """Headers of which there may be several: Set-Cookie."""
    upgrade: Callable[[Wire], Awaitable[None]] | None = None


class Handler(Protocol):
    """What answers requests. Never raises for a bad request: it returns the error as a response."""

    async def __call__(self, request: Request, /) -> Response: ...
