"""One request being received, and what is known of how to answer it. Made and changed by `connection`; decides nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from styr.kinds.errors import ApiError
from styr.kinds.transport import Request, User
from styr.serving.body import Body


class Exchange:
    __slots__ = (
        *("body", "challenge", "chunked", "complete", "expects", "identify", "keep_alive"),
        *("method", "refusal", "request", "size", "stream", "upgrade"),
    )

    def __init__(self, method: str = "GET") -> None:
        self.method = method
        self.request = Request(method, "/")
        self.refusal: ApiError | None = None
        self.identify: Callable[[], Awaitable[User]] | None = None
        """Who asks, where that takes more than a look."""
        self.challenge = False
        self.body: list[bytes] = []
        self.size = 0
        self.stream: Body | None = None
        self.complete = False
        self.keep_alive = False
        self.chunked = True
        """HTTP/1.1: the answer may be chunked. An older peer is answered until the end of the connection."""
        self.expects = False
        self.upgrade = False
        """The peer asked for another protocol on this connection: nothing after this request is HTTP."""

    def refuse(self, error: ApiError) -> None:
        self.refusal = error
        self.keep_alive = False
        self.body.clear()
