"""One real server; the suite runs over every transport that leads to it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from styr.api import pki
from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.client.client import Client
from styr.client.transport import HttpsTransport, InProcessTransport
from styr.kinds.errors import NotFound
from styr.kinds.seams import LogOptions
from styr.kit.clock import SystemClock
from styr.serving.authn import ADMIN, Authenticator
from styr.serving.http import serve

TOKEN = "a-token-of-the-contract-suite"


async def logs(_namespace: str, name: str, _uid: str, options: LogOptions, /) -> AsyncIterator[bytes]:
    if options.previous:
        raise NotFound("no previous container")
    for number in range(3):
        yield f"{name} {number}\n".encode()


@dataclass
class Server:
    """`client()` makes one more client of the transport under test; `kubeconfig` is there for HTTPS only."""

    api: ApiServer
    client: Callable[[], Client]
    kubeconfig: Path | None = None


@pytest.fixture(params=["in-process", "https"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    clock = SystemClock()
    store = Store.open(tmp_path / "store.db", clock)
    api = ApiServer(store, clock=clock, random=random.Random(1), logs=logs)
    await api.start()
    clients: list[Client] = []

    def remember(client: Client) -> Client:
        clients.append(client)
        return client

    try:
        if request.param == "in-process":
            yield Server(api, lambda: remember(Client(InProcessTransport(api, ADMIN))))
        else:
            made = pki.ensure(tmp_path / "pki", clock)
            listener = await serve(api, tls=made.context(), authenticate=Authenticator({TOKEN: ADMIN}))
            path = tmp_path / "kubeconfig"
            pki.kubeconfig(path, server=f"https://127.0.0.1:{listener.port}", ca=made.ca, token=TOKEN)
            try:
                yield Server(api, lambda: remember(Client(HttpsTransport.from_kubeconfig(path))), path)
            finally:
                for client in clients:
                    await client.close()
                await listener.close()
    finally:
        for client in clients:
            await client.close()
        await store.close()


@pytest.fixture
def client(server: Server) -> Client:
    return server.client()
