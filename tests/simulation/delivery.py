"""Releases of one App under faults: the real rollout, judge and controllers over a proxy and users that are made up.

Users and proxy outlive every crash of the control plane, as Envoy does: they go on with the routes they were last told.
What must hold: a bad release ends rolled back, with weight 0 and its commit remembered; a good one ends promoted; the
weights of a route always add up to 100; and no request is sent where nobody answers, crash or not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random

from styr.client.client import Client
from styr.client.controller import Context, Controller, Done, Key, Outcome, Watch
from styr.delivery import objects, rollout
from styr.delivery.kinds import APP_LABEL, RELEASE_LABEL, phase
from styr.delivery.smoke import Address
from styr.gateway import kinds as gateway_kinds
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists, ApiError
from styr.kinds.resources import APP, CRD, ENDPOINT_SLICE, GATEWAY, GATEWAY_CLASS, HTTP_ROUTE, RELEASE, Object
from styr.kinds.seams import ArmCounters, RouteCounters
from styr.plane.up import ensure
from tests.delivery.streams import BOUNDS, Version, arm, poisson
from tests.simulation import node
from tests.simulation.world import World

NAME = "hello"
KEY = Key("default", NAME)
ENDED = ("Promoted", "RolledBack", "Failed", "Superseded")
STEP = 0.5
"""Seconds between two portions of requests."""

GOOD = Version()
BAD = (Version(errors=0.05), Version(errors=0.5), Version(slower=2.5), Version(errors=1.0))


@dataclass
class Proxy:
    """Users at `rate` requests per second, and what stands between them and the pods."""

    machine: node.Machine
    random: Random
    rate: float = 80.0
    versions: dict[str, Version] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    arms: dict[str, tuple[dict[str, int], list[int]]] = field(default_factory=dict)
    requests: int = 0
    lost: list[str] = field(default_factory=list)
    blind: float = 0.0
    """The probability that the statistics cannot be read."""

    async def read(self, _namespace: str, _route: str) -> RouteCounters | None:
        """A TrafficSource."""
        if not self.arms or self.random.random() < self.blind:
            return None
        found = {name: ArmCounters(dict(words), tuple(counts)) for name, (words, counts) in self.arms.items()}
        return RouteCounters(found, BOUNDS, "epoch")

    async def fetch(self, address: Address, _path: str, _timeout: float) -> int:
        """The smoke check's GET."""
        await asyncio.sleep(0.01)
        return 200 if any(process.port == address.port for process in self.machine.processes.values()) else 503

    async def users(self) -> None:
        while True:
            await asyncio.sleep(STEP)
            if self.weights:
                self._portion()

    def _portion(self) -> None:
        names = list(self.weights)
        count = poisson(self.random, self.rate * STEP)
        chosen = self.random.choices(names, list(self.weights.values()), k=count)
        for name in names:
            got = arm(self.random, chosen.count(name), self.versions[name])
            if got.requests and not self.serves(name):
                self.lost.append(f"{got.requests} requests to {name}, where nobody answers")
            self.requests += got.requests
            words, counts = self.arms.setdefault(name, ({"2xx": 0, "5xx": 0}, [0] * (len(BOUNDS) + 1)))
            words["2xx"] += got.requests - got.failures
            words["5xx"] += got.failures
            for index, number in enumerate(got.latency):
                counts[index] += number

    def serves(self, name: str) -> bool:
        now = asyncio.get_running_loop().time()
        return any(
            process.key.name.startswith(f"{name}-") and process.ready_at <= now and process.ends_at is None
            for process in self.machine.processes.values()
        )

    def controller(self) -> Controller:
        """The gateway: a route is in force a moment after it was written, and then says so."""

        async def reconcile(ctx: Context, key: Key) -> Outcome:
            route = ctx.get(HTTP_ROUTE, key)
            if route is None:
                return Done()
            await ctx.clock.sleep(0.02)
            self.weights = objects.weights(route)
            generation = meta.metadata(route)["generation"]
            told = {
                "type": "Accepted",
                "status": "True",
                "reason": "Accepted",
                "message": "",
                "observedGeneration": generation,
                "lastTransitionTime": ctx.now(),
            }
            before = ((route.get("status") or {}).get("parents") or [{}])[0].get("conditions") or [{}]
            if before[0].get("observedGeneration") != generation:
                parent = {
                    "parentRef": route["spec"]["parentRefs"][0],
                    "controllerName": "styr.dev/sim",
                    "conditions": [told],
                }
                await ctx.set_status(HTTP_ROUTE, route, {"parents": [parent]})
            return Done()

        return Controller("sim-gateway", HTTP_ROUTE, reconcile, watches=(Watch(ENDPOINT_SLICE, lambda _obj, _ctx: ()),))


class Deliveries:
    """A world with delivery in it."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed, extra=self._controllers, prepare=self._prepare)
        self.random = Random(self.world.random.random())
        self.proxy = Proxy(self.world.machine, Random(self.world.random.random()))
        self.world.machine.troubled = False
        self._users: asyncio.Task[None] | None = None
        self.pushed = 0
        self.told: list[str] = []
        """What became of each release, in words."""

    def _controllers(self, _world: World) -> list[Controller]:
        return [*rollout.controllers(self.proxy, self.proxy.fetch), self.proxy.controller()]

    async def _prepare(self, client: Client) -> None:
        for definition in gateway_kinds.crds():
            await ensure(client, CRD, definition)
        await rollout.install(client)
        for obj in gateway_kinds.default_objects(8080):
            await ensure(client, GATEWAY_CLASS if obj["kind"] == GATEWAY_CLASS.kind else GATEWAY, obj)

    async def start(self) -> None:
        await self.world.start()
        self._users = asyncio.create_task(self.proxy.users(), name="users")
        client = await self.world.user()
        spec: Object = {"rollout": {"minStepSeconds": 2, "keepWarmSeconds": 60, "alpha": 0.001}}
        app = {"apiVersion": APP.api_version, "kind": APP.kind, "metadata": {"name": NAME, "namespace": "default"}}
        await client.create(APP, {**app, "spec": spec})

    async def stop(self) -> None:
        if self._users is not None:
            self._users.cancel()
        await self.world.stop()

    async def push(self, version: Version) -> str:
        """A release whose pods answer as `version` does. Tried until the control plane takes it."""
        self.pushed += 1
        name = f"{NAME}-r{self.pushed}"
        self.proxy.versions[name] = version
        while True:
            client = await self.world.user()
            try:
                owner = meta.owner_reference(await client.get(APP, NAME, "default"), APP)
                await client.create(RELEASE, _release(name, self.pushed, owner))
            except AlreadyExists:
                return name
            except ApiError:
                await asyncio.sleep(0.5)
                continue
            return name

    async def ends(self, name: str, *, most: float = 3000.0) -> str:
        """The phase in which the release has ended, or the one it is stuck in."""
        ends = asyncio.get_running_loop().time() + most
        while True:
            release = await (await self.world.user()).get(RELEASE, name, "default")
            if phase(release) in ENDED or asyncio.get_running_loop().time() >= ends:
                self.told.append(f"{name}: {phase(release)}: {(release.get('status') or {}).get('verdict')}")
                return phase(release)
            await asyncio.sleep(1.0)


def _release(name: str, number: int, owner: Object) -> Object:
    labels = {APP_LABEL: NAME, RELEASE_LABEL: name}
    metadata = {"name": name, "namespace": "default", "labels": labels, "ownerReferences": [owner]}
    spec = {"app": NAME, "number": number, "commit": f"{number:040x}", "image": "styr.dev/host", "command": "serve"}
    return {"apiVersion": RELEASE.api_version, "kind": RELEASE.kind, "metadata": metadata, "spec": spec}


async def play(deliveries: Deliveries, *, pushes: int = 4) -> list[str]:
    """A first release, then good and bad ones, with crashes at random writes; what went otherwise than it should."""
    world, random, problems = deliveries.world, deliveries.random, []
    first = await deliveries.push(GOOD)
    if (found := await deliveries.ends(first)) != "Promoted":
        return [f"the first release ended {found}"]
    stable, bad = first, []
    for _ in range(pushes):
        version = GOOD if random.random() < 0.5 else random.choice(BAD)
        deliveries.proxy.blind = random.choice([0.0, 0.0, 0.1])
        name = await deliveries.push(version)
        for _ in range(random.choice([0, 1, 1, 2])):
            world.crash_at_write(random.randint(1, 60))
            await asyncio.sleep(random.uniform(1, 30))
        found = await deliveries.ends(name)
        if found != ("Promoted" if version is GOOD else "RolledBack"):
            problems.append(f"{name}, which answers like {version}, ended {found}")
        stable = name if found == "Promoted" else stable
        bad += [name] if found == "RolledBack" else []
    world.calm()
    return problems + await world.settle(lambda _world: wrong(deliveries, stable, bad))


async def wrong(deliveries: Deliveries, stable: str, bad: list[str]) -> list[str]:
    client = await deliveries.world.user()
    problems = deliveries.proxy.lost[:5]
    weights = objects.weights(await client.get(HTTP_ROUTE, NAME, "default"))
    if {name: weight for name, weight in weights.items() if weight} != {stable: 100}:
        problems.append(f"{stable} should have all traffic, the weights are {weights}")
    if deliveries.proxy.weights != weights:
        problems.append(f"the proxy has {deliveries.proxy.weights}, the route says {weights}")
    status = (await client.get(APP, NAME, "default")).get("status") or {}
    remembered = {entry["release"] for entry in status.get("remembered") or ()}
    if not set(bad) <= remembered:
        problems.append(f"rolled back: {bad}, remembered: {sorted(remembered)}")
    for release in (await client.list(RELEASE, "default")).items:
        if phase(release) not in ENDED:
            problems.append(f"{meta.name(release)} is still {phase(release)}")
    slices = await client.list(ENDPOINT_SLICE, "default", labels=f"{objects.SERVICE_LABEL}={stable}")
    if not objects.reachable(slices.items):
        problems.append(f"nothing answers for {stable}")
    if not deliveries.proxy.requests:
        problems.append("no request was made")
    return problems
