"""A steady stream of requests, sent whether or not earlier ones are back (open loop), so that a slow app cannot slow the
traffic that would show it.

Called by `cli.demo` and by `bench`; calls `kit.http`. Sends to loopback only.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from styr.kit.http import HttpError, Pool

TIMEOUT = 10.0
"""Seconds after which a request counts as failed."""


@dataclass(slots=True)
class Tally:
    """Counts since the stream began. `failed` maps the version that answered ("" when none did: the platform's fault or
    nobody there) to the number of its failures: status 500 and above, or no answer."""

    requests: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def failures(self) -> int:
        return sum(self.failed.values())

    def copy(self) -> Tally:
        return Tally(self.requests, dict(self.failed), dict(self.versions), list(self.errors))


class Load:
    """`async with Load(port, "hello.localhost") as load:` then read `load.tally` at any time."""

    def __init__(
        self, port: int, host: str, *, path: str = "/visitors/{n}", rate: float = 100.0, connections: int = 64
    ) -> None:
        self.tally = Tally()
        self._headers = {"host": host}
        self._path = path
        self._interval = 1.0 / rate
        self._pool = Pool("127.0.0.1", port, limit=connections)
        self._sender: asyncio.Task[None] | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Load:
        self._sender = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops sending and waits for the answers of what was sent."""
        if self._sender:
            self._sender.cancel()
        if self._open:
            await asyncio.wait(self._open)
        await self._pool.close()

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        due, number = loop.time(), 0
        while True:
            number += 1
            task = asyncio.create_task(self._one(number))
            self._open.add(task)
            task.add_done_callback(self._open.discard)
            due += self._interval
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _one(self, number: int) -> None:
        version, problem = "", ""
        try:
            response = await self._pool.request(
                "GET", self._path.format(n=number), headers=self._headers, timeout=TIMEOUT
            )
            version = response.headers.get("x-app-version", "")
            if response.status >= 500:
                problem = f"status {response.status} {response.body[:80]!r}"
        except HttpError as error:
            problem = repr(error)
        tally = self.tally
        tally.requests += 1
        tally.versions[version] = tally.versions.get(version, 0) + 1
        if problem:
            tally.failed[version] = tally.failed.get(version, 0) + 1
            if len(tally.errors) < 20:
                tally.errors.append(f"{version or 'no version'}: {problem}")
