"""A server in memory or on a file, and a way to speak to it without a socket."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.kinds.transport import Request, Response, User
from styr.kit.clock import SystemClock

ADMIN = User("admin", ("system:masters", "system:authenticated"))
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class Api:
    """Speaks to the handler as `user`."""

    def __init__(self, server: ApiServer, user: User = ADMIN) -> None:
        self.server = server
        self.user = user

    async def raw(
        self, method: str, url: str, body: Any = b"", type: str = "application/json", **headers: str
    ) -> Response:
        parts = urlsplit(url)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.server(
            Request(
                method,
                parts.path,
                parse_qsl(parts.query, keep_blank_values=True),
                {"content-type": type, **headers},
                data,
                self.user,
            )
        )

    async def __call__(self, method: str, url: str, body: Any = b"", *, want: int = 0, **more: Any) -> Any:
        response = await self.raw(method, url, body, **more)
        assert isinstance(response.body, bytes)
        answer = json.loads(response.body)
        wanted = want or (201 if method == "POST" else 200)
        assert response.status == wanted, (response.status, answer)
        return answer

    async def events(self, url: str, count: int) -> list[dict[str, Any]]:
        """The first `count` events of a watch (fewer when it ends)."""
        async with self.watching(url) as stream:
            return [event async for event in take(stream, count)]

    @asynccontextmanager
    async def watching(self, url: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        response = await self.raw("GET", url)
        assert response.status == 200, response.body
        assert not isinstance(response.body, bytes)
        body = response.body
        try:
            yield lines(body)
        finally:
            await body.aclose()  # type: ignore[attr-defined]


async def lines(body: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    async for chunk in body:
        for line in chunk.splitlines():
            yield json.loads(line)


async def take(stream: AsyncIterator[Any], count: int) -> AsyncIterator[Any]:
    for _ in range(count):
        try:
            yield await anext(stream)
        except StopAsyncIteration:
            return


@asynccontextmanager
async def running(path: Path | str = ":memory:", *, inline: bool = True, **limits: int) -> AsyncIterator[Api]:
    store = Store.open(path, SystemClock(), inline=inline, **limits)
    try:
        server = ApiServer(store, clock=SystemClock(), random=random.Random(7))
        await server.start()
        yield Api(server)
    finally:
        await store.close()


def config(name: str, data: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **metadata},
        "data": data or {},
    }


def pod(name: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "styr.dev/host", "command": ["true"]}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}}
