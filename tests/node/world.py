"""A small API in memory and helpers for the node's tests: real processes, no server.

`Api` keeps objects by kind and tells a running node of every change, as an informer would.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from styr.client.client import ObjectList
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists, Conflict, NotFound
from styr.kinds.meta import Key
from styr.kinds.resources import EVENT, POD, Object, Resource
from styr.kit.clock import SystemClock
from styr.node.agent import Node
from styr.node.entries import plain

PYTHON = sys.executable
HOST = "styr.dev/host"


class JumpClock(SystemClock):
    """The machine's clock, with an offset that a test may raise: sleepers wake when their time has come."""

    def __init__(self) -> None:
        self.offset = 0.0

    def time(self) -> float:
        return super().time() + self.offset

    def monotonic(self) -> float:
        return super().monotonic() + self.offset

    async def sleep(self, seconds: float) -> None:
        end = self.monotonic() + seconds
        while (left := end - self.monotonic()) > 0:
            await asyncio.sleep(min(left, 0.02))

    def jump(self, seconds: float) -> None:
        self.offset += seconds


class Api:
    """Stands for both `Client` and the informer's cache."""

    def __init__(self) -> None:
        self.objects: dict[Resource, dict[Key, Object]] = {}
        self._revision = itertools.count(1)
        self._node: Node | None = None
        self._changes: asyncio.Queue[Key] = asyncio.Queue()

    def _kind(self, resource: Resource) -> dict[Key, Object]:
        return self.objects.setdefault(resource, {})

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        try:
            return copy.deepcopy(self._kind(resource)[Key(namespace, name)])
        except KeyError:
            raise NotFound(f'{resource.plural} "{name}" not found') from None

    async def list(self, resource: Resource, namespace: str = "", **_: Any) -> ObjectList:
        return ObjectList(copy.deepcopy(list(self._kind(resource).values())), "1")

    async def create(self, resource: Resource, obj: Object, **_: Any) -> Object:
        if meta.key(obj) in self._kind(resource):
            raise AlreadyExists(f'{resource.plural} "{meta.name(obj)}" already exists')
        made = copy.deepcopy(obj)
        made["metadata"].setdefault("uid", f"uid-{next(self._revision)}-{random.randrange(10**9)}")
        return self._put(resource, made)

    async def patch(
        self, resource: Resource, name: str, namespace: str, patch: Any, *, subresource: str = ""
    ) -> Object:
        obj = await self.get(resource, name, namespace)
        patch = copy.deepcopy(patch)
        wanted = patch.get("metadata", {}).get("uid")
        if wanted and wanted != meta.uid(obj):
            raise Conflict("uid")
        _merge(obj, patch)
        return self._put(resource, obj)

    async def delete(
        self, resource: Resource, name: str, namespace: str = "", *, uid: str = "", grace: int | None = None, **_: Any
    ) -> Object:
        obj = await self.get(resource, name, namespace)
        if uid and uid != meta.uid(obj):
            raise Conflict("uid")
        if resource is not POD or grace == 0:
            del self._kind(resource)[Key(namespace, name)]
            self._changes.put_nowait(Key(namespace, name))
            return {"kind": "Status"}
        seconds = obj["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace
        obj["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": seconds}
        return self._put(resource, obj)

    def _put(self, resource: Resource, obj: Object) -> Object:
        obj["metadata"]["resourceVersion"] = str(next(self._revision))
        self._kind(resource)[meta.key(obj)] = obj
        if resource is POD:
            self._changes.put_nowait(meta.key(obj))
        return copy.deepcopy(obj)

    async def serve(self, node: Node) -> None:
        api = self

        class Cache:
            def get(self, resource: Resource, key: Key) -> Object | None:
                return copy.deepcopy(api._kind(resource).get(key))

        reconcile = node.controllers()[0].reconcile
        for key in list(self._kind(POD)):
            await reconcile(Cache(), key)  # type: ignore[arg-type]
        while True:
            await reconcile(Cache(), await self._changes.get())  # type: ignore[arg-type]

    # what tests ask

    def pod(self, name: str) -> Object | None:
        return copy.deepcopy(self._kind(POD).get(Key("default", name)))

    def events(self, reason: str) -> list[str]:
        return [event["message"] for event in self._kind(EVENT).values() if event["reason"] == reason]


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


class World:
    def __init__(self, folder: Path, api: Api, clock: JumpClock, node: Node) -> None:
        self.folder, self.api, self.clock, self.node = folder, api, clock, node

    async def run(self, name: str, *command: str, **extra: Any) -> Object:
        return await self.api.create(POD, pod(name, *command, **extra))

    async def until(
        self, name: str, test: Callable[[Object], Any], *, within: float = 15.0, jump: float = 0.0
    ) -> Object:
        """The pod, once the test holds for it. `jump` moves the clock by so much at every look."""
        deadline = time.monotonic() + within
        while True:
            found = self.api.pod(name)
            if found is not None and test(found):
                return found
            assert time.monotonic() < deadline, f"{name} never got there: {found and found.get('status')}"
            self.clock.jump(jump)
            await asyncio.sleep(0.02)

    async def gone(self, name: str, *, within: float = 15.0) -> None:
        deadline = time.monotonic() + within
        while self.api.pod(name) is not None:
            assert time.monotonic() < deadline, f"{name} does not go"
            await asyncio.sleep(0.02)

    async def folder_gone(self, uid: str) -> None:
        await eventually(lambda: not (self.folder / "node" / "pods" / uid).exists(), "the pod's folder is still there")

    def pod_folder(self, found: Object) -> Path:
        return self.folder / "node" / "pods" / meta.uid(found)

    def log(self, found: Object, container: str = "web", number: int = 0) -> str:
        path = self.pod_folder(found) / "containers" / container / f"{number}.log"
        return plain(path.read_bytes()).decode() if path.exists() else ""


async def eventually(test: Callable[[], Any], message: str, within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not test():
        assert time.monotonic() < deadline, message
        await asyncio.sleep(0.02)


def pod(name: str, *command: str, **extra: Any) -> Object:
    """`container=` and `spec=` are merged in."""
    container = {"name": "web", "image": HOST, "command": list(command), **extra.pop("container", {})}
    spec = {"nodeName": "n1", "restartPolicy": "Never", "containers": [container], **extra.pop("spec", {})}
    metadata = {"name": name, "namespace": "default", **extra.pop("metadata", {})}
    assert not extra
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}


def shell(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


def python(script: str) -> tuple[str, ...]:
    return (str(Path(sys.base_prefix) / "bin" / "python3"), "-I", "-u", "-c", script)


SERVER = """
import http.server, os, pathlib, signal, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if self.path == '/bad' or pathlib.Path('sick').exists() else 200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *a): pass
http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()
"""


@asynccontextmanager
async def world(folder: Path, api: Api | None = None, **options: Any) -> AsyncIterator[World]:
    """A running node; at the end every pod is removed."""
    api, clock = api or Api(), JumpClock()
    options = {"drain": 0.05, **options}
    node = Node(api, name="n1", data_dir=folder, clock=clock, random=random.Random(), **options)  # type: ignore[arg-type]
    await node.start()
    serving = asyncio.create_task(api.serve(node))
    made = World(folder, api, clock, node)
    try:
        yield made
    finally:
        for obj in list(api.objects.get(POD, {}).values()):
            await api.delete(POD, meta.name(obj), meta.namespace(obj), grace=0)
        await eventually(lambda: not node._workers, "workers do not end")
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await node.stop()


def condition(found: Object, kind: str) -> dict[str, Any]:
    return next((c for c in found.get("status", {}).get("conditions", ()) if c["type"] == kind), {})


def is_ready(found: Object) -> bool:
    return condition(found, "Ready").get("status") == "True"


def phase(*wanted: str) -> Callable[[Object], bool]:
    return lambda found: found.get("status", {}).get("phase") in wanted


def container(found: Object, index: int = 0) -> dict[str, Any]:
    nothing: dict[str, Any] = {"state": {}, "restartCount": 0}
    statuses = found.get("status", {}).get("containerStatuses")
    return statuses[index] if statuses else nothing
