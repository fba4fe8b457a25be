"""A gateway with a real Envoy over a fake API, on a free port, stopped at the end."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from styr.gateway.gateway import Gateway, free_port
from styr.kit.clock import SystemClock
from tests.gateway.support import App, Connection, FakeApi, endpoints, eventually, gateway, service


@dataclass
class House:
    api: FakeApi
    gateway: Gateway
    port: int
    data_dir: Path
    apps: list[App] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)

    async def app(self, name: str, behave: Callable[[str], tuple[int, float] | None] | None = None) -> App:
        """An application behind a Service of its name."""
        app = await (App(name, behave) if behave else App(name)).start()
        self.apps.append(app)
        self.api.put(service(name), *endpoints(name, app.port))
        return app

    async def programmed(self, name: str) -> None:
        await eventually(lambda: self.api.condition("Programmed", name).get("status") == "True")

    def connect(self, address: str = "127.0.0.1") -> Connection:
        self.connections.append(Connection(self.port, address))
        return self.connections[-1]

    async def get(self, host: str, path: str = "/", **more: Any) -> tuple[int, str]:
        connection = Connection(self.port)
        try:
            return await connection.get(host, path, **more)
        finally:
            connection.close()

    async def restart(self, **options: Any) -> None:
        """The control plane goes and comes; Envoy stays."""
        await self.gateway.stop(keep_envoy=True)
        self.gateway = make(self.api, self.data_dir, **options)
        await self.gateway.start()
        self.api.wake()


def make(api: FakeApi, data_dir: Path, **options: Any) -> Gateway:
    made = Gateway(
        None,  # type: ignore[arg-type]
        data_dir=data_dir,
        clock=SystemClock(),
        random=random.Random(1),
        **{"drain": 0.5, **options},
    )
    api.gateway = made
    return made


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    api = FakeApi()
    port = free_port()
    api.put(*gateway(port))
    found = House(api, make(api, tmp_path, port=port), port, tmp_path)
    await found.gateway.start()
    api.wake()
    try:
        yield found
    finally:
        for connection in found.connections:
            connection.close()
        await found.gateway.stop(keep_envoy=False)
        for app in found.apps:
            await app.stop()


Starter = Callable[..., Awaitable[App]]
