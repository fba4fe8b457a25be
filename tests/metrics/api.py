"""An API server in memory with the kinds of monitoring.coreos.com, and a manager over it, for tests of what watches them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from styr.client.client import Client
from styr.client.controller import Controller, Manager
from styr.client.transport import InProcessTransport
from styr.kinds.resources import CRD, Object, Resource
from styr.kit.clock import SystemClock
from styr.metrics.kinds import crds
from tests.api.kit import ADMIN, running


class Quick(SystemClock):
    """Sleeps a hundredth."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100)


@asynccontextmanager
async def served() -> AsyncIterator[Client]:
    async with running() as api:
        client = Client(InProcessTransport(api.server, ADMIN))
        for crd in crds():
            await client.create(CRD, crd)
        yield client


@asynccontextmanager
async def managed(client: Client, controllers: Iterable[Controller], *beside: Any) -> AsyncIterator[None]:
    """Runs the controllers, and the coroutines beside them."""
    manager = Manager(client, SystemClock(), random.Random(1))
    for controller in controllers:
        manager.add(controller)
    tasks = [asyncio.create_task(each) for each in (manager.run(), *beside)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(10):
        while not (found := condition()):
            await asyncio.sleep(0.005)
        return found


async def accepted(client: Client, resource: Resource, name: str, reason: str, namespace: str = "default") -> Object:
    """The condition `Accepted` of the object, once it has this reason."""
    async with asyncio.timeout(10):
        while True:
            found = await client.get(resource, name, namespace)
            for condition in (found.get("status") or {}).get("conditions") or ():
                if condition["type"] == "Accepted" and condition["reason"] == reason:
                    return dict(condition)
            await asyncio.sleep(0.005)
