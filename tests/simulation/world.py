"""One simulated machine: a store that survives, a control plane that may be crashed and started again, a user with a
clean connection, and the checks of what must hold once everything has settled."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.client.client import Client
from styr.client.controller import Controller, Manager
from styr.client.transport import InProcessTransport
from styr.controllers import controllers
from styr.kinds.errors import AlreadyExists, ApiError, NotFound
from styr.kinds.resources import NODE
from styr.kinds.transport import User
from styr.kit.clock import LoopClock
from tests.simulation import node
from tests.simulation.faults import CALM, FaultyTransport, Rates, Trace
from tests.simulation.monitor import Monitor

ADMIN = User("system:admin", ("system:masters", "system:authenticated"))
Check = Callable[["World"], Awaitable[list[str]]]


class World:
    """`extra` makes controllers of other rooms for each new manager (delivery's rollout with a fake TrafficSource);
    `prepare` runs against a fresh server before the controllers start, such as installing their CRDs."""

    def __init__(
        self,
        seed: int,
        *,
        extra: Callable[[World], list[Controller]] | None = None,
        prepare: Callable[[Client], Awaitable[None]] | None = None,
    ) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.clock = LoopClock()
        self.trace = Trace()
        self.monitor = Monitor()
        self.machine = node.Machine(Random(self.random.random()))
        self.crashes = 0
        self.rates = Rates()
        self._extra = extra
        self._prepare = prepare
        self._folder = tempfile.TemporaryDirectory(prefix="styr-sim-", dir=_memory_folder())
        self._crashed = asyncio.Event()
        self._plane: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._store: Store | None = None
        self._transport: FaultyTransport | None = None
        self.manager: Manager | None = None
        self.client: Client | None = None

    # the control plane

    async def start(self) -> None:
        await self._boot()
        self._keeper = asyncio.create_task(self._keep(), name="keeper")

    async def stop(self) -> None:
        if self._keeper is not None:
            await _end(self._keeper)
        await self._drop()
        self._folder.cleanup()

    def crash_at_write(self, number: int) -> None:
        """The whole control plane dies at the number-th write from now, before or after it is done."""
        assert self._transport is not None
        self._transport.crash_at = self.trace.writes + number

    def calm(self) -> None:
        """No more faults."""
        self.rates = CALM
        self.machine.troubled = False
        if self._transport is not None:
            self._transport.rates = CALM
            self._transport.crash_at = None

    async def user(self) -> Client:
        """A clean connection to whichever server runs now; waits while none does."""
        while self.client is None:
            await asyncio.sleep(0.1)
        return self.client

    async def _boot(self) -> None:
        """Everything anew from the file, as a new process would."""
        self._store = Store.open(Path(self._folder.name) / "store.db", self.clock, inline=True)
        self._store.on_commit(self.monitor.see)
        server = ApiServer(self._store, clock=self.clock, random=Random(self.random.random()))
        await server.start()
        clean = InProcessTransport(server, ADMIN)
        client = Client(clean)
        await _until_done(lambda: self._settle_in(client))
        self._transport = FaultyTransport(clean, Random(self.random.random()), self.trace, self._crashed.set)
        self._transport.rates = self.rates
        self.manager = Manager(Client(self._transport), self.clock, Random(self.random.random()))
        for controller in [*controllers(), node.controller(self.machine), *(self._extra(self) if self._extra else [])]:
            self.manager.add(controller)
        self._plane = asyncio.create_task(self.manager.run(), name="manager")
        self.client = client

    async def _settle_in(self, client: Client) -> None:
        with suppress(AlreadyExists):
            await client.create(NODE, node.node_object())
        found = await client.get(NODE, node.NAME)
        if not (found.get("status") or {}).get("conditions"):
            status = node.node_status("2027-01-15T08:00:00Z")
            await client.update_status(NODE, {**found, "status": status})
        if self._prepare is not None:
            await self._prepare(client)

    async def _keep(self) -> None:
        """Starts the control plane again whenever it has crashed."""
        while True:
            await self._crashed.wait()
            self._crashed.clear()
            self.crashes += 1
            self.trace.note(asyncio.get_running_loop().time(), "CRASH")
            await self._drop()
            await asyncio.sleep(self.random.uniform(0.1, 20.0))
            await self._boot()

    async def _drop(self) -> None:
        """As SIGKILL does: what was durable stays, all else is gone. Nobody is given the chance to tidy up in the API."""
        self.client = None
        if self._plane is not None:
            await _end(self._plane)
        if self._store is not None:
            await self._store.close()

    # settling

    async def settle(self, check: Check, *, seconds: float = 600.0) -> list[str]:
        """Waits until `check` finds nothing wrong any more; what it still finds at the end."""
        ends = asyncio.get_running_loop().time() + seconds
        while True:
            wrong = await check(self)
            if not wrong or asyncio.get_running_loop().time() >= ends:
                return wrong
            await asyncio.sleep(2.0)

    async def quiet(self, seconds: float = 60.0) -> int:
        """How many writes are still made when nothing changes any more."""
        before = self.trace.writes
        await asyncio.sleep(seconds)
        return self.trace.writes - before


async def _until_done(action: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            return await action()
        except NotFound:
            raise
        except ApiError:
            await asyncio.sleep(0.1)


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _memory_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
