"""The rollout on the real server, store, manager and controllers, in one seeded loop of virtual time, with lost requests
and replies, conflicts, broken watches and crashes of the whole control plane. Users' requests go on all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from styr.client.client import Client
from styr.client.controller import Context, Controller, Done, Key, Outcome
from styr.delivery import objects, record, rollout, why
from styr.delivery.kinds import APP_LABEL, RELEASE_LABEL
from styr.gateway import kinds as gateway
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists, ApiError
from styr.kinds.resources import APP, CONFIG_MAP, CRD, DEPLOYMENT, HTTP_ROUTE, NAMESPACE, POD, RELEASE, Object
from styr.kinds.seams import ArmCounters, RouteCounters
from tests.delivery.streams import BOUNDS, Version, arm, poisson
from tests.simulation import virtual
from tests.simulation.world import World

STEP = 0.25


class Traffic:
    """Envoy and its users: outlives every crash. An arm serves while a process of one of its pods is ready."""

    def __init__(self, world: World, rate: float) -> None:
        self.world, self.rate, self.random = world, rate, Random(world.seed)
        self.weights: dict[str, int] = {}
        self.versions: dict[str, Version] = {}
        self.arms: dict[str, tuple[dict[str, int], list[int]]] = {}
        self.owners: dict[str, str] = {}
        self.lost: list[str] = []
        self.requests = 0

    async def read(self, namespace: str, route: str) -> RouteCounters | None:
        if not self.weights:
            return None
        arms = {name: ArmCounters(dict(words), tuple(counts)) for name, (words, counts) in self.arms.items()}
        return RouteCounters(arms, BOUNDS, "1")

    def serves(self, name: str) -> bool:
        now = asyncio.get_running_loop().time()
        return any(
            self.owners.get(process.key.name) == name and now >= process.ready_at and process.ends_at is None
            for process in self.world.machine.processes.values()
        )

    async def run(self) -> None:
        while True:
            await asyncio.sleep(STEP)
            if not self.weights:
                continue
            names = list(self.weights)
            chosen = self.random.choices(names, list(self.weights.values()), k=poisson(self.random, self.rate * STEP))
            for name in names:
                self._answer(name, chosen.count(name))

    def _answer(self, name: str, requests: int) -> None:
        got = arm(self.random, requests, self.versions[name])
        failures = got.failures
        if requests and not self.serves(name):
            failures = requests
            self.lost.append(f"{requests} at {asyncio.get_running_loop().time():.2f} by {name}: {self.weights}")
        words, counts = self.arms.setdefault(name, ({"2xx": 0, "5xx": 0}, [0] * (len(BOUNDS) + 1)))
        words["2xx"] += requests - failures
        words["5xx"] += failures
        self.requests += requests
        for index, count in enumerate(got.latency):
            counts[index] += count

    def controllers(self, _world: World) -> list[Controller]:
        """The rollout, and a gateway that puts routes in force and says so."""

        async def program(context: Context, key: Key) -> Outcome:
            route = context.get(HTTP_ROUTE, key)
            if route is None:
                return Done()
            self.weights = objects.weights(route)
            assert sum(self.weights.values()) == 100
            generation = meta.metadata(route)["generation"]
            told = {"type": "Programmed", "status": "True", "reason": "Programmed", "message": ""}
            told |= {"observedGeneration": generation, "lastTransitionTime": "2027-01-15T08:00:00Z"}
            parent = {
                "parentRef": route["spec"]["parentRefs"][0],
                "controllerName": "sim/gateway",
                "conditions": [told],
            }
            await context.set_status(HTTP_ROUTE, route, {"parents": [parent]})
            return Done()

        async def name_pod(context: Context, key: Key) -> Outcome:
            pod = context.get(POD, key)
            if pod is not None:
                self.owners[key.name] = meta.labels(pod).get(RELEASE_LABEL, "")
            return Done()

        async def fetch(_address: Any, _path: str, _timeout: float) -> int:
            await asyncio.sleep(0.02)
            return 200

        mine = [Controller("sim-gateway", HTTP_ROUTE, program), Controller("sim-pods", POD, name_pod)]
        return [*rollout.controllers(self, fetch), *mine]


async def prepare(client: Client) -> None:
    for definition in gateway.crds():
        with suppress(AlreadyExists):
            await client.create(CRD, definition)
    await rollout.install(client)
    with suppress(AlreadyExists):
        await client.create(
            NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": gateway.NAMESPACE}}
        )
    for obj, resource in zip(gateway.default_objects(8088), (gateway.GATEWAY_CLASS, gateway.GATEWAY), strict=True):
        with suppress(AlreadyExists):
            await client.create(resource, obj)


class Play:
    def __init__(self, seed: int, *, rate: float, faults: bool) -> None:
        self.traffic: Traffic
        self.world = World(seed, extra=lambda world: self.traffic.controllers(world), prepare=prepare)
        self.traffic = Traffic(self.world, rate)
        self.world.machine.troubled = False
        self.faults, self.random = faults, Random(seed)
        self.app: Object = {}

    async def begin(self) -> asyncio.Task[None]:
        await self.world.start()
        if not self.faults:
            self.world.calm()
        self.app = await self.do(
            lambda client: client.create(APP, {"metadata": {"name": "hello", "namespace": "default"}})
        )
        return asyncio.create_task(self.traffic.run())

    async def do(self, action: Callable[[Client], Any]) -> Any:
        while True:
            client = await self.world.user()
            try:
                return await action(client)
            except AlreadyExists:
                return None
            except ApiError:
                await asyncio.sleep(1.0)

    async def push(self, number: int, version: Version, wanted: str, most: float = 900) -> Object:
        """Its last state; with faults, the control plane dies at some writes on the way."""
        name = f"hello-r{number}"
        self.traffic.versions[name] = version
        metadata = {
            "name": name,
            "namespace": "default",
            "labels": {APP_LABEL: "hello", RELEASE_LABEL: name},
            "ownerReferences": [meta.owner_reference({**self.app, "kind": "App"}, APP)],
        }
        spec = {"app": "hello", "number": number, "image": "styr.dev/app/hello@1", "commit": f"c{number}"}
        await self.do(
            lambda client: client.create(RELEASE, {"metadata": metadata, "spec": {**spec, "command": "serve"}})
        )
        ends = asyncio.get_running_loop().time() + most
        while True:
            found = await self.do(lambda client: client.get(RELEASE, name, "default"))
            phase = (found.get("status") or {}).get("phase")
            if phase == wanted:
                return found
            assert phase not in ("Promoted", "RolledBack", "Failed", "Superseded"), found["status"]
            assert asyncio.get_running_loop().time() < ends, found.get("status")
            if self.faults and self.random.random() < 0.05:
                self.world.crash_at_write(self.random.randint(1, 12))
            await asyncio.sleep(1.0)


def play(seed: int, *, faults: bool) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        stage = Play(seed, rate=40, faults=faults)
        users = await stage.begin()
        try:
            await stage.push(1, Version(), "Promoted")
            await asyncio.sleep(10)
            bad = await stage.push(2, Version(errors=0.3), "RolledBack")
            good = await stage.push(3, Version(), "Promoted")
            stage.world.calm()
            await asyncio.sleep(30)
            client = await stage.world.user()
            app = await client.get(APP, "hello", "default")
            records = [
                (await client.get(CONFIG_MAP, objects.record_name(f"hello-r{number}"), "default"))["data"][record.NAME]
                for number in (2, 3)
            ]
            deployments = (await client.list(DEPLOYMENT, "default")).items
            route = await client.get(HTTP_ROUTE, "hello", "default")
            writes = await stage.world.quiet(50)
            return {
                "app": app["status"],
                "bad": bad["status"],
                "good": good["status"],
                "why": [why.explain(record.loads(text)) for text in records],
                "replicas": {meta.name(one): one["spec"]["replicas"] for one in deployments},
                "route": objects.weights(route),
                "lost": stage.traffic.lost,
                "requests": stage.traffic.requests,
                "crashes": stage.world.crashes,
                "writes": writes,
            }
        finally:
            users.cancel()
            await stage.world.stop()

    return virtual.run(main)


def check(found: dict[str, Any]) -> None:
    assert found["lost"] == []
    assert found["requests"] > 1000
    assert found["app"]["stable"] == "hello-r3"
    assert found["app"]["url"] == "http://hello.localhost:8088"
    assert [one["commit"] for one in found["app"]["remembered"]] == ["c2"]
    assert found["route"]["hello-r3"] == 100
    assert found["replicas"] == {"hello-r1": 1, "hello-r2": 0, "hello-r3": 1}
    assert found["bad"]["verdict"].startswith("Rolled back: ")
    assert "failures hit the new version" in found["bad"]["verdict"]
    assert found["good"]["verdict"].startswith("Promoted after ")
    assert [one.agrees for one in found["why"]] == [True, True]
    assert found["why"][0].sentence == found["bad"]["verdict"]


def test_a_release_is_taken_back_and_the_next_one_promoted() -> None:
    found = play(1, faults=False)
    check(found)
    assert found["writes"] == 0, "nothing is written when nothing changes"


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_the_same_with_faults_and_crashes(seed: int) -> None:
    found = play(seed, faults=True)
    check(found)
    assert found["crashes"] > 0
