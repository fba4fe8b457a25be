"""What all connections of a server share: who answers, who is whom, how long, how many. Made by `http.serve`, read by
`connection`."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from styr.kinds.transport import Handler, Request, User

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


MAX_CONNECTIONS = 16_384
SPARE_FILES = 512
"""Descriptors that are kept for everything but connections: pods, logs, Envoy."""


def connection_limit() -> int:
    """As many as the process may have descriptors for."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else max(64, min(MAX_CONNECTIONS, files - SPARE_FILES))


class Held(Protocol):
    """An open connection, as its server sees it."""

    def shut_down(self) -> asyncio.Task[None] | None: ...

    def abort(self) -> None: ...


@dataclass(slots=True)
class Settings:
    """What all connections of a server share."""

    handler: Handler
    authenticate: Authenticate
    streaming_prefixes: tuple[str, ...] = ()
    passes: Callable[[str], bool] = lambda path: False
    """Is the body of a request for this path handed on as it comes, whatever it is?"""
    timeouts: Timeouts = field(default_factory=Timeouts)
    refused: Callable[[Request], None] | None = None
    """Told of each request whose credential was no good, once it has been answered 401."""
    connections: set[Held] = field(default_factory=set)
    max_connections: int = field(default_factory=connection_limit)
    closing: bool = False
