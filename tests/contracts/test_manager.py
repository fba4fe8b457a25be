"""The controllers at work over every transport: nothing in them may depend on being in the server's process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from styr.client.client import Client
from styr.client.controller import Manager
from styr.controllers import controllers
from styr.kinds import meta
from styr.kinds.errors import NotFound
from styr.kinds.resources import DEPLOYMENT, NAMESPACE, NODE, POD, REPLICA_SET, Object
from styr.kit.clock import SystemClock
from tests.contracts.conftest import Server
from tests.simulation import node, scenario


async def eventually(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(30):
            while not await condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


def deployment(replicas: int) -> Object:
    made = scenario.deployment("default", "web", random.Random(1))
    made["spec"].update(replicas=replicas, strategy={"type": "RollingUpdate"})
    return made


async def test_a_deployment_comes_up_and_goes_away(server: Server, client: Client) -> None:
    status = node.node_status("2026-01-01T00:00:00Z")
    made = await client.create(NODE, node.node_object())
    await client.update_status(NODE, {**made, "status": status})
    manager = Manager(server.client(), SystemClock(), random.Random(2))
    machine = node.Machine(random.Random(3), troubled=False)
    for controller in [*controllers(), node.controller(machine)]:
        manager.add(controller)
    running = asyncio.create_task(manager.run())
    try:
        await asyncio.wait_for(manager.synced(), 30)
        await client.create(DEPLOYMENT, deployment(3))

        async def available() -> bool:
            found = await client.get(DEPLOYMENT, "web", "default")
            return (found.get("status") or {}).get("availableReplicas") == 3

        await eventually(available, "three available replicas")
        assert len(machine.processes) == machine.started == 3
        await client.delete(DEPLOYMENT, "web", "default", propagation="Foreground")

        async def gone() -> bool:
            left = [await client.list(kind) for kind in (DEPLOYMENT, REPLICA_SET, POD)]
            return not any(found.items for found in left) and not machine.processes

        await eventually(gone, "everything gone")
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_a_namespace_is_emptied(server: Server, client: Client) -> None:
    manager = Manager(server.client(), SystemClock(), random.Random(2))
    for controller in controllers():
        manager.add(controller)
    running = asyncio.create_task(manager.run())
    try:
        await client.create(NAMESPACE, {"metadata": {"name": "team"}})
        made = deployment(2)
        made["metadata"]["namespace"] = "team"
        await client.create(DEPLOYMENT, made)

        async def started() -> bool:
            return len((await client.list(POD, "team")).items) == 2

        await eventually(started, "two pods")
        await client.delete(NAMESPACE, "team")

        async def gone() -> bool:
            for pod in (await client.list(POD, "team")).items:
                if meta.deleting(pod):  # nobody runs here: a node would say that they have ended
                    await client.delete(POD, meta.name(pod), "team", grace=0)
            try:
                await client.get(NAMESPACE, "team")
            except NotFound:
                return True
            return False

        await eventually(gone, "the namespace is gone")
        assert not (await client.list(REPLICA_SET, "team")).items
    finally:
        running.cancel()
        await asyncio.wait([running])
