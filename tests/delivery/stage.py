"""A stage for the rollout: the API in memory, a platform that starts pods and answers requests, all on a clock that jumps.

Users' requests go where the HTTPRoute says, a quarter of a second at a time; a request to an arm that does not serve is
`lost`. The controllers are the real ones, over a real `Context`.
"""

from __future__ import annotations

import copy
import random
from collections.abc import AsyncIterator
from typing import Any

from styr.client.context import Context
from styr.delivery import objects, rollout
from styr.delivery.kinds import APP_LABEL, RELEASE_LABEL
from styr.kinds import meta, selectors
from styr.kinds.errors import AlreadyExists, Conflict, NotFound
from styr.kinds.meta import Key
from styr.kinds.resources import (
    APP,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EVENT,
    GATEWAY,
    HTTP_ROUTE,
    POD,
    RELEASE,
    Object,
    Resource,
)
from styr.kinds.seams import ArmCounters, MetricQuery, RouteCounters
from styr.kit import http
from tests.delivery.streams import BOUNDS, Version, arm, poisson

STEP = 0.25


class Clock:
    def __init__(self) -> None:
        self.passed = 0.0

    def time(self) -> float:
        return 1_800_000_000.0 + self.passed

    def monotonic(self) -> float:
        return 50.0 + self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds


class Killed(BaseException):
    """The control plane died at this write."""


class Api:
    """As much of `Client` as the rollout uses. `kill_at` counts down writes; at 0 the process dies, the write done."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, str], Object] = {}
        self.version = 0
        self.writes: list[tuple[str, str, str]] = []
        self.kill_at = -1
        self.events: list[Object] = []

    def _id(self, resource: Resource, name: str, namespace: str) -> tuple[str, str, str]:
        return resource.plural, namespace, name

    def _store(self, resource: Resource, obj: Object, verb: str) -> Object:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        self.kept[self._id(resource, meta.name(obj), meta.namespace(obj))] = obj
        self._wrote(verb, resource, meta.name(obj))
        return copy.deepcopy(obj)

    def _wrote(self, verb: str, resource: Resource, name: str) -> None:
        self.writes.append((verb, resource.kind, name))
        if self.kill_at > 0:
            self.kill_at -= 1
            if self.kill_at == 0:
                raise Killed

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        try:
            return copy.deepcopy(self.kept[self._id(resource, name, namespace)])
        except KeyError:
            raise NotFound(f"{resource.plural} {name!r} not found") from None

    async def create(self, resource: Resource, obj: Object) -> Object:
        obj = copy.deepcopy(obj)
        if resource == EVENT:
            self.events.append(obj)
            return obj
        if self._id(resource, meta.name(obj), meta.namespace(obj)) in self.kept:
            raise AlreadyExists(f"{resource.plural} {meta.name(obj)!r} already exists")
        obj["metadata"].update(uid=f"uid-{self.version + 1}", generation=1)
        return self._store(resource, obj, "create")

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        old = await self.get(resource, meta.name(obj), meta.namespace(obj))
        if meta.resource_version(old) != meta.resource_version(obj):
            raise Conflict("the object has been modified")
        assert subresource == "status"
        return self._store(resource, {**old, "status": copy.deepcopy(obj["status"])}, "status")

    async def update_status(self, resource: Resource, obj: Object) -> Object:
        return await self.update(resource, obj, subresource="status")

    async def patch(
        self, resource: Resource, name: str, namespace: str, patch: dict[str, Any], *, subresource=""
    ) -> Object:
        if resource == EVENT:
            return {}
        old = await self.get(resource, name, namespace)
        new = _merge(old, patch)
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        return self._store(resource, new, "patch")

    async def delete(self, resource: Resource, name: str, namespace: str = "", **_: Any) -> Object:
        if self.kept.pop(self._id(resource, name, namespace), None) is None:
            raise NotFound(f"{resource.plural} {name!r} not found")
        self._wrote("delete", resource, name)
        return {"kind": "Status", "status": "Success"}

    async def logs(self, name: str, namespace: str, **_: Any) -> AsyncIterator[bytes]:
        yield b"Traceback\nKeyError: 'DATABASE_URL'\n"

    def all(self, resource: Resource) -> list[Object]:
        return [copy.deepcopy(obj) for (plural, _, _), obj in sorted(self.kept.items()) if plural == resource.plural]

    def put_status(self, resource: Resource, name: str, namespace: str, status: Object) -> None:
        """By another writer: no write of ours."""
        obj = self.kept[self._id(resource, name, namespace)]
        if obj.get("status") != status:
            self.version += 1
            self.kept[self._id(resource, name, namespace)] = copy.deepcopy(
                {**obj, "status": status, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
            )


def _merge(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = _merge(new.get(key), value)
    return new


class Cache:
    """An informer that is always up to date."""

    def __init__(self, api: Api, resource: Resource) -> None:
        self.api, self.resource = api, resource

    def get(self, key: Key) -> Object | None:
        return self.api.kept.get((self.resource.plural, key.namespace, key.name))

    def list(self, namespace: str = "", selector: selectors.Selector = ()) -> list[Object]:
        return [obj for obj in self.api.all(self.resource) if selectors.matches(selector, meta.labels(obj))]

    def owned_by(self, uid: str) -> list[Object]:
        return [obj for obj in self.api.all(self.resource) if any(o["uid"] == uid for o in meta.owners(obj))]

    def observe(self, obj: Object) -> None: ...

    def forget(self, key: Key, uid: str) -> None: ...


class Stage:
    """`rate` requests per second. Behaviour of a release by its image: "crash", "silent", "sick" (its smoke check), else
    as `versions` says. `blind` is a proxy without statistics."""

    def __init__(self, rate: float = 100.0, **rollout_spec: Any) -> None:
        self.api, self.clock = Api(), Clock()
        self.random = random.Random(7)
        self.rate, self.versions, self.blind, self.epoch = rate, {}, False, "1"
        self.arms: dict[str, tuple[dict[str, int], list[int]]] = {}
        self.started: dict[str, float] = {}
        self.smoked: list[str] = []
        self.requests = self.lost = 0
        self.failed: dict[str, int] = {}
        self.weights: list[tuple[float, dict[str, int]]] = []
        self.route_seen: dict[int, float] = {}
        self.live: dict[str, int] = {}
        self.number = 0
        self.spec = rollout_spec
        self.metrics: MetricQuery | None = None
        """Who answers guards; `restart` after a change."""
        self.restart()

    def restart(self) -> None:
        """Another control plane over the same API."""
        self.api.kill_at = -1
        self.app_controller, self.release_controller = rollout.controllers(self, self.fetch, query=self.metrics)
        declared = {*self.app_controller.reads, *self.release_controller.reads}
        caches = {resource: Cache(self.api, resource) for resource in declared}
        self.context = Context(self.api, self.clock, random.Random(1), caches, "rollout")  # type: ignore[arg-type]

    # what the platform is asked

    async def read(self, namespace: str, route: str) -> RouteCounters | None:
        if self.blind:
            return None
        arms = {name: ArmCounters(dict(words), tuple(counts)) for name, (words, counts) in self.arms.items()}
        return RouteCounters(arms, BOUNDS, self.epoch)

    async def fetch(self, address: Any, path: str, timeout: float) -> int:
        name = address.ip
        self.smoked.append(name)
        if self.image(name) == "sick":
            return 500
        if self.image(name) == "mute":
            raise http.TimedOut("GET /: no whole response within 10 s")
        return 200

    # setting the scene

    async def app(self, **spec: Any) -> None:
        namespace, name = objects.GATEWAY
        gateway = {"metadata": {"name": name, "namespace": namespace}}
        gateway["spec"] = {"listeners": [{"name": "http", "protocol": "HTTP", "port": 8088}]}  # type: ignore[assignment]
        await self.api.create(GATEWAY, gateway)
        app = {"metadata": {"name": "hello", "namespace": "default"}, "spec": {**spec, "rollout": self.spec}}
        await self.api.create(APP, app)

    async def push(self, version: Version | None = None, image: str = "good", **spec: Any) -> str:
        self.number += 1
        name = f"hello-r{self.number}"
        self.versions[name] = version or Version()
        owner = meta.owner_reference(self.get(APP, "hello"), APP)
        labels = {APP_LABEL: "hello", RELEASE_LABEL: name}
        given = {"app": "hello", "number": self.number, "image": image, "commit": f"c{self.number}", "command": "serve"}
        metadata = {"name": name, "namespace": "default", "labels": labels, "ownerReferences": [owner]}
        await self.api.create(RELEASE, {"metadata": metadata, "spec": {**given, **spec}})
        return name

    async def annotate(self, name: str, key: str, value: str = "true") -> None:
        await self.api.patch(RELEASE, name, "default", {"metadata": {"annotations": {key: value}}})

    # looking

    def get(self, resource: Resource, name: str) -> Object:
        return self.api.kept[(resource.plural, "default", name)]

    def image(self, name: str) -> str:
        return str(self.get(RELEASE, name)["spec"]["image"])

    def told(self, name: str) -> Object:
        return self.get(RELEASE, name).get("status") or {}

    def phase(self, name: str) -> str:
        return str(self.told(name).get("phase", ""))

    @property
    def status(self) -> Object:
        return self.get(APP, "hello").get("status") or {}

    @property
    def route(self) -> dict[str, int]:
        return objects.weights(self.api.kept.get((HTTP_ROUTE.plural, "default", "hello")))

    def replicas(self, name: str) -> int | None:
        found = self.api.kept.get((DEPLOYMENT.plural, "default", name))
        return None if found is None else int(found["spec"]["replicas"])

    # time

    async def until(self, condition: Any, most: float = 300.0) -> float:
        """Seconds it took."""
        begin = self.clock.passed
        while not condition():
            assert self.clock.passed - begin < most, f"not within {most} s: {self.status}"
            await self.step()
        return self.clock.passed - begin

    async def run(self, seconds: float) -> None:
        end = self.clock.passed + seconds
        while self.clock.passed < end:
            await self.step()

    async def step(self) -> None:
        self.clock.passed += STEP
        self._platform()
        self._users()
        await self.app_controller.reconcile(self.context, Key("default", "hello"))
        for each in self.api.all(RELEASE):
            await self.release_controller.reconcile(self.context, meta.key(each))

    def _platform(self) -> None:
        for deployment in self.api.all(DEPLOYMENT):
            self._deploy(deployment)
        names = {meta.name(deployment) for deployment in self.api.all(DEPLOYMENT)}
        for gone in [name for name in self.started if name not in names]:
            del self.started[gone]
            self.api.kept.pop((POD.plural, "default", f"{gone}-0"), None)
        for route in self.api.all(HTTP_ROUTE):
            generation = route["metadata"]["generation"]
            if self.clock.passed > self.route_seen.setdefault(generation, self.clock.passed):
                told = {"type": "Accepted", "status": "True", "observedGeneration": generation}
                self.api.put_status(HTTP_ROUTE, "hello", "default", {"parents": [{"conditions": [told]}]})
                self.live = objects.weights(route)

    def _deploy(self, deployment: Object) -> None:
        name, pod = meta.name(deployment), (POD.plural, "default", f"{meta.name(deployment)}-0")
        status: Object = {"observedGeneration": deployment["metadata"]["generation"]}
        if not deployment["spec"]["replicas"]:
            self.started.pop(name, None)
            self.api.kept.pop(pod, None)
        else:
            age = self.clock.passed - self.started.setdefault(name, self.clock.passed)
            image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
            ready = age >= 1 and image not in ("crash", "silent")
            status["availableReplicas"] = deployment["spec"]["replicas"] if ready else 0
            waiting = {"waiting": {"reason": "CrashLoopBackOff"}} if image == "crash" and age >= 2 else {}
            ended = {"terminated": {"exitCode": 3}} if waiting else {}
            self.api.kept[pod] = {
                "metadata": {**deployment["spec"]["template"]["metadata"], "name": pod[2], "namespace": "default"},
                "spec": deployment["spec"]["template"]["spec"],
                "status": {
                    "podIP": name,
                    "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                    "containerStatuses": [{"name": "app", "state": waiting, "lastState": ended}],
                },
            }
        ready = bool(status.get("availableReplicas"))
        self.api.kept[(ENDPOINT_SLICE.plural, "default", f"{name}-x")] = {
            "metadata": {"name": f"{name}-x", "namespace": "default", "labels": {objects.SERVICE_LABEL: name}},
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}] if ready else [],
        }
        self.api.put_status(DEPLOYMENT, name, "default", status)

    def _users(self) -> None:
        if not self.weights or self.weights[-1][1] != self.live:
            self.weights.append((self.clock.passed, dict(self.live)))
        if not self.live:
            return
        assert sum(self.live.values()) == 100
        names = list(self.live)
        chosen = self.random.choices(names, list(self.live.values()), k=poisson(self.random, self.rate * STEP))
        for name in names:
            got = arm(self.random, chosen.count(name), self.versions[name])
            serves = name in self.started and self.clock.passed - self.started[name] >= 1
            failures = got.failures if serves else got.requests
            self.lost += 0 if serves else got.requests
            self.requests += got.requests
            self.failed[name] = self.failed.get(name, 0) + failures
            words, counts = self.arms.setdefault(name, ({"2xx": 0, "5xx": 0}, [0] * (len(BOUNDS) + 1)))
            words["2xx"] += got.requests - failures
            words["5xx"] += failures
            for index, count in enumerate(got.latency):
                counts[index] += count
