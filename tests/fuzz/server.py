"""The API server in memory, for the targets that throw whole requests at it: whatever comes, it never answers 500."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.kinds.transport import Request
from styr.kit.clock import SystemClock
from tests.api.kit import ADMIN

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "default", "labels": {"a": "b"}, "finalizers": ["a/b"]},
    "spec": {"containers": [{"name": "a", "image": "b", "ports": [{"containerPort": 1}], "env": [{"name": "A"}]}]},
}


class Server:
    """Made anew now and then, so that it does not fill up."""

    LIFE = 500

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._left = 0

    def ask(self, method: str, path: str, form: str, body: bytes) -> int:
        """`form` is what the body is, and for a read what the answer is to be. The status. Raises AssertionError."""
        if self._left == 0:
            self._loop.run_until_complete(self._begin())
            self._left = self.LIFE
        self._left -= 1
        status, answer = self._loop.run_until_complete(self._ask(method, path, form, body))
        assert status != 500, (method, path, form, answer[:500], body)
        return status

    async def _begin(self) -> None:
        clock = SystemClock()
        self._api = ApiServer(Store.open(":memory:", clock, inline=True), clock=clock, random=random.Random(1))
        await self._api.start()
        await self._ask("POST", "/api/v1/namespaces/default/pods", "application/json", json.dumps(POD).encode())

    async def _ask(self, method: str, path: str, form: str, body: bytes) -> tuple[int, bytes]:
        query = [("fieldManager", "f")] if "apply" in form else []
        headers = {"accept" if method == "GET" else "content-type": form}
        answer = await self._api(Request(method, path, query, headers, body, ADMIN))
        assert isinstance(answer.body, bytes)
        return answer.status, answer.body
