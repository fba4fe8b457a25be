"""The node against the real API server, scheduler and controllers, in one process."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.client.client import Client
from styr.client.controller import Manager
from styr.client.transport import InProcessTransport
from styr.controllers import controllers
from styr.kinds import meta
from styr.kinds.errors import NotFound
from styr.kinds.pods import PORTS_ANNOTATION
from styr.kinds.resources import DEPLOYMENT, EVENT, LEASE, NODE, POD, Object
from styr.kinds.transport import User
from styr.kit.clock import SystemClock
from styr.kit.http import fetch
from styr.node.agent import Node
from tests.node.world import SERVER, is_ready, pod, python, shell

ADMIN = User("system:styr", ("system:masters", "system:authenticated"))


@asynccontextmanager
async def plane(folder: Path) -> AsyncIterator[Client]:
    clock, rng = SystemClock(), random.Random()
    store = Store.open(folder / "store.db", clock)
    server = ApiServer(store, clock=clock, random=rng, logs=lambda *args: node.logs(*args))
    await server.start()
    client = Client(InProcessTransport(server, ADMIN))
    node = Node(client, name="n1", data_dir=folder, clock=clock, random=rng, drain=0.05)
    manager = Manager(client, clock, rng)
    for controller in (*controllers(), *node.controllers()):
        manager.add(controller)
    await node.start()
    running = asyncio.create_task(manager.run())
    try:
        await manager.synced()
        yield client
        for found in (await client.list(DEPLOYMENT)).items:
            await client.delete(DEPLOYMENT, meta.name(found), meta.namespace(found))
        await until(client, lambda pods: not pods, delete=True)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await node.stop()
        await store.close()


async def until(client: Client, test: Callable[[list[Object]], bool], *, delete: bool = False) -> list[Object]:
    async with asyncio.timeout(20):
        while True:
            pods = (await client.list(POD)).items
            if test(pods):
                return pods
            for found in pods if delete else ():
                if not meta.deleting(found):
                    await client.delete(POD, meta.name(found), meta.namespace(found), grace=1)
            await asyncio.sleep(0.05)


async def test_a_deployment_serves_and_goes(tmp_path: Path) -> None:
    template = pod("x", *python(SERVER), container={"ports": [{"containerPort": 80}]})["spec"]
    template = {key: value for key, value in template.items() if key not in ("nodeName", "restartPolicy")}
    labels = {"app": "web"}
    deployment = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template},
        },
    }
    async with plane(tmp_path) as client:
        await client.create(DEPLOYMENT, deployment)
        pods = await until(client, lambda pods: len(pods) == 2 and all(map(is_ready, pods)))
        ports = {json.loads(p["metadata"]["annotations"][PORTS_ANNOTATION])["80"] for p in pods}
        assert len(ports) == 2
        for port in ports:
            assert (await fetch("GET", "127.0.0.1", port, "/", timeout=5)).status == 200
        node = await client.get(NODE, "n1")
        assert node["status"]["nodeInfo"]["operatingSystem"] == "linux"
        assert (await client.get(LEASE, "n1", "kube-node-lease"))["spec"]["holderIdentity"] == "n1"
        reasons = {event["reason"] for event in (await client.list(EVENT)).items}
        assert "Started" in reasons


async def test_logs_through_the_api_and_a_pod_that_is_gone(tmp_path: Path) -> None:
    async with plane(tmp_path) as client:
        await client.create(POD, pod("once", *shell("echo hello; exit 3")))
        await until(client, lambda pods: any(p.get("status", {}).get("phase") == "Failed" for p in pods))
        text = b"".join([chunk async for chunk in client.logs("once", "default")])
        assert text == b"hello\n"
        found = await client.get(POD, "once", "default")
        await client.delete(POD, "once", "default", grace=0)
        folder = tmp_path / "node" / "pods" / meta.uid(found)
        async with asyncio.timeout(10):
            while folder.exists():
                await asyncio.sleep(0.02)
        try:
            await client.get(POD, "once", "default")
        except NotFound:
            return
        raise AssertionError("the pod is still there")
