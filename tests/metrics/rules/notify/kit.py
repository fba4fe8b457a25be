"""Receivers that remember, an HTTP peer that misbehaves as told, and alerts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from styr.kit.clock import LoopClock
from styr.metrics.model.labels import make
from styr.metrics.rules.notify.alert import Alert
from styr.metrics.rules.notify.config import Config, of_data
from styr.metrics.rules.notify.messages import Message, Texts
from styr.metrics.rules.notify.notifier import Notifier
from styr.metrics.rules.notify.post import NotSent
from styr.metrics.rules.workers import inline

EPOCH = 1_800_000_000
MINUTE = 60_000


def alert(name: str, starts: float = 0, ends: float = 1e6, **labels: str) -> Alert:
    """Times in seconds after the epoch."""
    at = int((EPOCH + starts) * 1000)
    return Alert(make({"alertname": name, **labels}), (), at, int((EPOCH + ends) * 1000), at)


@dataclass
class Memory:
    """Remembers (seconds after the epoch, status, alert names with a "-" when resolved, reason)."""

    clock: LoopClock
    send_resolved: bool = True
    kind: str = "memory"
    told: list[tuple[float, str, list[str], str]] = field(default_factory=list)
    faults: list[NotSent] = field(default_factory=list)
    hangs: bool = False
    tries: int = 0

    async def notify(self, message: Message, texts: Texts, timeout: float) -> None:
        self.tries += 1
        if self.hangs:
            await self.clock.sleep(timeout)
            raise NotSent("no answer", again=True)
        if self.faults:
            raise self.faults.pop(0)
        names = [dict(a.labels)["alertname"] + ("-" if a.resolved(message.now) else "") for a in message.alerts]
        self.told.append((round(self.clock.time() - EPOCH, 1), message.status, names, message.reason))


def config(route: dict[str, Any] | None = None, **more: Any) -> Config:
    """`route` gets the receiver "a", and all receivers are named in `more["receivers"]` or are "a", "b", "c"."""
    names = more.pop("names", ("a", "b", "c"))
    data = {"route": {"receiver": "a", **(route or {})}, "receivers": [{"name": name} for name in names], **more}
    return of_data(data)


@dataclass
class World:
    """A notifier on the running virtual loop whose receivers only remember."""

    config: Config
    state: Any = None
    clock: LoopClock = field(default_factory=lambda: LoopClock(float(EPOCH)))

    def __post_init__(self) -> None:
        self.memory = {name: Memory(self.clock) for name in self.config.receivers}
        receivers = {name: [memory] for name, memory in self.memory.items()}
        self.config = Config(**{**_fields(self.config), "receivers": receivers})
        ids = iter(range(1, 1000))
        self.notifier = Notifier(
            self.config, self.clock, self.state, "http://styr", lambda: f"id-{next(ids)}", lambda: 0.5, inline
        )

    def fire(self, *names: str, **labels: str) -> None:
        now = self.clock.time() - EPOCH
        self.notifier.receive([alert(name, now, now + 1e6, **labels) for name in names])

    def resolve(self, *names: str, **labels: str) -> None:
        now = self.clock.time() - EPOCH
        self.notifier.receive([alert(name, now - 1, now, **labels) for name in names])

    def told(self, receiver: str = "a") -> list[tuple[float, str, list[str], str]]:
        return self.memory[receiver].told


def _fields(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in Config.__dataclass_fields__}


@dataclass
class Peer:
    """An HTTP server on loopback. `script` gives the answer for each request: a status, or "hang", "close", "garbage"; after
    its end the answer is 200."""

    script: list[Any] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    body: bytes = b"ok"
    port: int = 0
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Peer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.requests.append((lines[0], headers, json.loads(body) if body else None))
            answer = self.script.pop(0) if self.script else 200
            if answer == "hang":
                await reader.read()
            elif answer == "garbage":
                writer.write(b"\x00\x01 this is no HTTP\r\n\r\n")
            elif answer != "close":
                kind = "application/json" if self.body.startswith(b"{") else "text/plain"
                text = f"HTTP/1.1 {answer} X\r\ncontent-type: {kind}\r\ncontent-length: {len(self.body)}\r\n\r\n"
                writer.write(text.encode() + self.body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


Scenario = Callable[[World], Any]
