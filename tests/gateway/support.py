"""What the gateway's tests share: objects, a cache that stands for the API, an upstream application, an HTTP client."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from styr.gateway import kinds
from styr.gateway.backends import SERVICE_LABEL
from styr.gateway.gateway import _WORLD, Gateway
from styr.kinds import conditions, meta
from styr.kinds.meta import Key
from styr.kinds.resources import (
    ENDPOINT_SLICE,
    GATEWAY,
    GATEWAY_CLASS,
    HTTP_ROUTE,
    NAMESPACE,
    SERVICE,
    Object,
    Resource,
)

STAMP = "2026-01-01T00:00:00Z"
PARENT = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": kinds.NAME, "namespace": kinds.NAMESPACE}


def gateway(port: int = 8080, **spec: Any) -> list[Object]:
    found = kinds.default_objects(port)
    found[1]["spec"].update(spec)
    return found


def service(name: str, namespace: str = "d", port: int = 80) -> Object:
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"name": "http", "port": port}]},
    }


def endpoints(name: str, *ports: int, namespace: str = "d", ready: bool = True) -> list[Object]:
    """One EndpointSlice a port, as pods of the process runtime have them."""
    return [
        {
            "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-{port}", "namespace": namespace, "labels": {SERVICE_LABEL: name}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": ready}}],
        }
        for port in ports
    ]


def backend(name: str, weight: int = 1, **more: Any) -> dict[str, Any]:
    return {"name": name, "port": 80, "weight": weight, **more}


def rule(*backends: dict[str, Any], matches: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    return {"backendRefs": list(backends), **({"matches": matches} if matches else {}), **more}


def route(
    name: str, *rules: dict[str, Any], hosts: list[str] | None = None, namespace: str = "d", **more: Any
) -> Object:
    spec: dict[str, Any] = {"parentRefs": [dict(PARENT, **more)], "rules": list(rules)}
    if hosts:
        spec["hostnames"] = hosts
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace, "generation": 1, "creationTimestamp": STAMP},
        "spec": spec,
    }


_RESOURCES = {r.kind: r for r in (ENDPOINT_SLICE, GATEWAY, GATEWAY_CLASS, HTTP_ROUTE, NAMESPACE, SERVICE)}


class FakeApi:
    """Stands for the informers' cache and the API behind it: `put` and `remove` wake the gateway's reconciler as the
    manager does, coalesced, and a spec change raises the generation."""

    def __init__(self) -> None:
        self.objects: dict[Resource, dict[Key, Object]] = {resource: {} for resource in _RESOURCES.values()}
        self.version = 0
        self.status_writes: Counter[str] = Counter()
        self.gateway: Gateway | None = None
        self._wake: asyncio.Handle | None = None
        self.tasks: set[asyncio.Task[Any]] = set()

    def put(self, *objects: Object) -> None:
        for obj in objects:
            obj = copy.deepcopy(obj)
            table, key = self.objects[_RESOURCES[obj["kind"]]], meta.key(obj)
            old = table.get(key)
            changed = old is None or old.get("spec") != obj.get("spec")
            generation = (old["metadata"].get("generation", 0) if old else 0) + changed
            self.version += 1
            obj["metadata"] |= {"generation": generation, "resourceVersion": str(self.version)}
            obj["metadata"].setdefault("uid", f"uid-{key}")
            if old and "status" in old:
                obj["status"] = old["status"]
            table[key] = obj
        self.wake()

    def remove(self, resource: Resource, name: str, namespace: str = "d") -> None:
        del self.objects[resource][Key(namespace, name)]
        self.wake()

    def wake(self) -> None:
        if self.gateway is not None and self._wake is None:
            self._wake = asyncio.get_running_loop().call_soon(self._reconcile)

    def _reconcile(self) -> None:
        self._wake = None
        assert self.gateway is not None
        task = asyncio.get_running_loop().create_task(self._call(self.gateway._reconcile(self, _WORLD)))  # type: ignore[arg-type]
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    @staticmethod
    async def _call(reconcile: Awaitable[Any]) -> None:
        await reconcile

    # what a Context offers
    def now(self) -> str:
        return STAMP

    def get(self, resource: Resource, key: Key) -> Object | None:
        return self.objects[resource].get(key)

    def list(self, resource: Resource, namespace: str = "") -> list[Object]:
        return [obj for key, obj in self.objects[resource].items() if namespace in ("", key.namespace)]

    async def set_status(self, resource: Resource, obj: Object, status: dict[str, Any]) -> Object:
        current = self.objects[resource].get(meta.key(obj))
        if current is None or current.get("status") == status:
            return obj
        self.version += 1
        new = {**current, "status": copy.deepcopy(status)}
        new["metadata"] = {**current["metadata"], "resourceVersion": str(self.version)}
        self.objects[resource][meta.key(obj)] = new
        self.status_writes[resource.kind] += 1
        self.wake()
        return new

    def condition(self, kind: str, name: str, namespace: str = "d") -> dict[str, Any]:
        """A condition of an HTTPRoute's first parent, of its present generation; {} until then."""
        obj = self.objects[HTTP_ROUTE][Key(namespace, name)]
        for parent in (obj.get("status") or {}).get("parents") or ():
            found = conditions.find(parent["conditions"], kind)
            if found and found.get("observedGeneration") == obj["metadata"]["generation"]:
                return dict(found)
        return {}


async def eventually(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    """The first true value; fails after `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (value := condition()):
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.005)
    return value


class App:
    """An upstream: `behave(path)` gives (status, seconds before the answer), or None to cut the connection."""

    def __init__(self, name: str, behave: Callable[[str], tuple[int, float] | None] = lambda _path: (200, 0.0)) -> None:
        self.name = name
        self.behave = behave
        self.requests = 0
        self.last_head = ""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> App:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """At once, cutting open connections, as SIGKILL would."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.last_head = head
                self.requests += 1
                answer = self.behave(head.split()[1])
                if answer is None:
                    writer.transport.abort()
                    return
                status, delay = answer
                if delay:
                    await asyncio.sleep(delay)
                body = self.name.encode()
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


class Connection:
    """One keep-alive connection to the gateway."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.port, self.address = port, address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(
        self, host: str, path: str = "/", method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.address, self.port)
        reader, writer = self._streams
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{k}: {v}" for k, v in (headers or {}).items())]
        if method in ("POST", "PUT"):
            lines.append("Content-Length: 0")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        body = b""
        for line in head.split("\r\n"):
            if line.startswith("content-length:"):
                body = await reader.readexactly(int(line.partition(":")[2]))
        if "connection: close" in head:
            self.close()
        return int(head.split()[1]), body.decode()

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
