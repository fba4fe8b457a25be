"""Catalogues of targets over a real API server in memory: what changes is told, once, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from styr.client.client import Client
from styr.client.controller import Manager
from styr.client.transport import InProcessTransport
from styr.kinds.resources import ENDPOINT_SLICE, NODE, POD, SERVICE
from styr.kit.clock import SystemClock
from styr.metrics.scrape.discovery import Group
from styr.metrics.scrape.kubernetes.jobs import Role
from styr.metrics.scrape.kubernetes.roles import Roles
from tests.api.kit import ADMIN, running
from tests.metrics.scrape.kubernetes.objects import node, pod, service, slice


class Told:
    """What a pool would know."""

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        self.calls = 0

    def __call__(self, groups: Sequence[Group]) -> None:
        self.calls += 1
        for group in groups:
            if group.targets:
                self.groups[group.source] = group
            else:
                self.groups.pop(group.source, None)

    def addresses(self) -> list[str]:
        return sorted(target["__address__"] for group in self.groups.values() for target in group.targets)


@asynccontextmanager
async def cluster() -> AsyncIterator[tuple[Client, Roles]]:
    async with running() as api:
        client = Client(InProcessTransport(api.server, ADMIN))
        manager = Manager(client, SystemClock(), random.Random(1))
        roles = Roles(manager.context("discovery").informers)
        task = asyncio.create_task(manager.run())
        try:
            yield client, roles
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def following(roles: Roles, role: Role) -> AsyncIterator[Told]:
    told = Told()
    task = asyncio.create_task(roles.discovery(role).run(told))
    try:
        await until(lambda: told.calls > 0)
        yield told
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def bare(obj):
    """As a client creates it: the server gives the uid and the owner must exist."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ("uid", "ownerReferences")}
    return {**obj, "metadata": metadata}


async def make_pod(client: Client, name: str = "web-1", ip: str = "10.0.0.7") -> None:
    wanted = pod(name, ip)
    made = await client.create(POD, bare(wanted))
    await client.update_status(POD, {**made, "status": wanted["status"]})


async def test_pods_come_change_and_go():
    async with cluster() as (client, roles):
        await make_pod(client)
        async with following(roles, Role("pod")) as told:
            assert told.addresses() == ["10.0.0.7:8080", "10.0.0.7:9100"]
            await make_pod(client, "web-2", "10.0.0.8")
            await until(lambda: len(told.groups) == 2)
            await client.delete(POD, "web-1", "default", grace=0)
            await until(lambda: told.addresses() == ["10.0.0.8:8080", "10.0.0.8:9100"])


async def test_a_change_of_service_or_pod_reaches_the_endpoints():
    async with cluster() as (client, roles):
        await client.create(ENDPOINT_SLICE, slice())
        async with following(roles, Role("endpointslice")) as told:
            assert told.addresses() == ["10.0.0.7:8080"]
            await client.create(SERVICE, bare(service()))
            await until(lambda: "__meta_kubernetes_service_name" in told.groups["endpointslice/default/web-x"].labels)
            await make_pod(client)
            await until(lambda: told.addresses() == ["10.0.0.7:8080", "10.0.0.7:9100"])


async def test_what_comes_out_as_it_was_is_told_to_nobody():
    async with cluster() as (client, roles):
        await client.create(NODE, bare(node()))
        await client.create(ENDPOINT_SLICE, slice())
        await make_pod(client)
        async with following(roles, Role("endpointslice", node=True)) as told:
            before = told.calls
            live = await client.get(NODE, "n1")
            conditions = [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]
            await client.update_status(NODE, {**live, "status": {"conditions": conditions}})
            held = await client.get(ENDPOINT_SLICE, "web-x", "default")
            await client.update(ENDPOINT_SLICE, {**held, "metadata": {**held["metadata"], "finalizers": ["a.b/c"]}})
            await client.patch(NODE, "n1", "", {"metadata": {"labels": {"zone": "b"}}})
            await until(lambda: told.calls > before)
            assert told.calls == before + 1, "the label alone was worth telling"
            target = told.groups["endpointslice/default/web-x"].targets[0]
            assert target["__meta_kubernetes_node_label_zone"] == "b"


async def test_namespaces_are_kept_apart_and_one_catalogue_serves_all():
    async with cluster() as (client, roles):
        await make_pod(client)
        async with (
            following(roles, Role("pod", ("default",))) as mine,
            following(roles, Role("pod", ("other",))) as other,
        ):
            assert len(mine.groups) == 1
            assert other.groups == {}
            assert roles.catalogue(Role("pod", ("default",))) is roles.catalogue(Role("pod"))
            await client.delete(POD, "web-1", "default", grace=0)
            await until(lambda: mine.groups == {})
            assert other.calls <= 2


def test_equal_discoveries_are_equal():
    roles = Roles(None)  # type: ignore[arg-type]  # nothing is read
    assert roles.discovery(Role("pod", ("a",))) == roles.discovery(Role("pod", ("a",)))
    assert roles.discovery(Role("pod", ("a",))) != roles.discovery(Role("pod", ("b",)))


async def test_ten_thousand_endpoints_are_one_change():
    many = [slice(f"web-{index}", (f"web-{index}",)) for index in range(10_000)]
    async with cluster() as (_, roles), following(roles, Role("endpointslice")) as told:
        informer = roles.catalogue(Role("endpointslice")).informers.ensure(ENDPOINT_SLICE)
        before = told.calls
        for version, each in enumerate(many):
            each["metadata"] |= {"resourceVersion": str(10_000 + version), "uid": str(version)}
            informer.observe(each)
        await until(lambda: len(told.groups) == 10_000)
        assert told.calls == before + 1


async def test_an_object_that_makes_no_sense_hides_no_other():
    async with cluster() as (client, roles):
        await client.create(ENDPOINT_SLICE, slice())
        async with following(roles, Role("endpointslice")) as told:
            informer = roles.catalogue(Role("endpointslice")).informers.ensure(ENDPOINT_SLICE)
            for number, broken in enumerate(({"port": "x"}, "no port", None)):
                bad = slice(f"bad-{number}", ("web-9",))
                bad["metadata"] |= {"resourceVersion": str(20_000 + number), "uid": f"b{number}"}
                informer.observe({**bad, "ports": [broken]})
            good = slice("good", ("web-8",), port=1)
            good["metadata"] |= {"resourceVersion": "30000", "uid": "g"}
            informer.observe(good)
            await until(lambda: "endpointslice/default/good" in told.groups)
            assert set(told.groups) == {"endpointslice/default/web-x", "endpointslice/default/good"}
