"""A server on a TLS port with a real node behind it: pods are processes, and clients stream to them."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from styr.api import pki
from styr.api.routes import is_proxied
from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.client.client import Client
from styr.client.controller import Manager
from styr.client.transport import InProcessTransport
from styr.controllers import controllers
from styr.kinds import meta
from styr.kinds.errors import NotFound
from styr.kinds.resources import POD, Object
from styr.kinds.transport import User
from styr.kit.clock import SystemClock
from styr.node.agent import Node
from styr.serving.authn import ADMIN, Authenticator
from styr.serving.http import Server, serve
from tests.api.wire_helpers import until
from tests.node.world import pod

ANN = User("ann", ("dev",))
KUBECTLS = ("kubectl", "kubectl-1.35")


@dataclass
class Streaming:
    server: Server
    api: ApiServer
    client: Client
    node: Node
    folder: Path
    clients: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    async def run(self, name: str, *command: str, until: str = "Running", **extra: Any) -> Object:
        """A pod of that command, once it is in that phase."""
        made = pod(name, *command, **extra)
        made.pop("status")
        await self.client.create(POD, made)
        return await self.until(name, lambda found: (found.get("status") or {}).get("phase") == until)

    async def until(self, name: str, test: Callable[[Object], Any], within: float = 20.0) -> Object:
        async with asyncio.timeout(within):
            while True:
                found = await self.client.get(POD, name, "default")
                if test(found):
                    return found
                await asyncio.sleep(0.02)

    async def start(self, kubectl: str, *words: str, **options: Any) -> asyncio.subprocess.Process:
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder)}
        pipe = asyncio.subprocess.PIPE
        options = {"stdin": pipe, "stdout": pipe, "stderr": pipe, **options}
        cache = f"--cache-dir={self.folder / 'cache'}"
        process = await asyncio.create_subprocess_exec(kubectl, cache, *words, env=env, **options)
        self.clients.append(process)
        return process

    async def close(self) -> None:
        """Ends the clients that a test left running."""
        for process in self.clients:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def kubectl(self, kubectl: str, *words: str, stdin: bytes = b"", code: int = 0) -> tuple[bytes, str]:
        """Its output and errors; it must exit with that code."""
        process = await self.start(kubectl, *words)
        out, err = await asyncio.wait_for(process.communicate(stdin), 60)
        assert process.returncode == code, (process.returncode, out[-2000:], err[-2000:])
        return out, err.decode()


@asynccontextmanager
async def streaming(folder: Path) -> AsyncIterator[Streaming]:
    clock, rng = SystemClock(), random.Random()
    store = Store.open(folder / "store.db", clock)
    node: list[Node] = []
    api = ApiServer(
        store, clock=clock, random=rng, logs=lambda *args: node[0].logs(*args), streams=Late(lambda: node[0].streams)
    )
    await api.start()
    client = Client(InProcessTransport(api, ADMIN))
    node.append(Node(client, name="n1", data_dir=folder, clock=clock, random=rng, drain=0.05))
    manager = Manager(client, clock, rng)
    for controller in (*controllers(), *node[0].controllers()):
        manager.add(controller)
    await node[0].start()
    running = asyncio.create_task(manager.run())
    await manager.synced()
    made = pki.ensure(folder / "pki", clock)
    authenticate = Authenticator({"root-token": ADMIN, "ann-token": ANN})
    server = await serve(api, tls=made.context(), authenticate=authenticate, passes=is_proxied)
    pki.kubeconfig(folder / "kubeconfig", server=f"https://127.0.0.1:{server.port}", ca=made.ca, token="root-token")
    made_streaming = Streaming(server, api, client, node[0], folder)
    try:
        yield made_streaming
    finally:
        await made_streaming.close()
        await server.close()
        await _remove_pods(client)
        await until(lambda: not node[0]._workers, seconds=20)  # their processes have ended, too
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await node[0].stop()
        await store.close()


async def _remove_pods(client: Client) -> None:
    async with asyncio.timeout(20):
        while pods := (await client.list(POD)).items:
            for found in pods:
                if not meta.deleting(found):
                    try:
                        await client.delete(POD, meta.name(found), meta.namespace(found), grace=0)
                    except NotFound:
                        continue
            await asyncio.sleep(0.02)


class Late:
    """Streams of a node that is made after the server."""

    def __init__(self, streams: Callable[[], Any]) -> None:
        self._streams = streams

    def __getattr__(self, name: str) -> Any:
        return getattr(self._streams(), name)
