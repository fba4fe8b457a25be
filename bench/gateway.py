"""A route change, from the API write to every Envoy worker; and requests that fail while everything changes.

The real path: durable store, API server, watch, informer, translation, ADS, Envoy. A second process (this module with
`client`) is the upstream applications and the observer, so that it does not share the control plane's event loop: the clock
starts before the write, and stops when eight keep-alive connections, spread over Envoy's workers by the kernel, have each
had an answer by the new route. The monotonic clock is the machine's, the same in both processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

CONNECTIONS = 8
HOST = "bench.localhost"


# --- the other process ---


async def _app(name: str) -> int:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\n\r\n{name}".encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    _SERVERS.append(server)
    return port


_SERVERS: list[asyncio.Server] = []


class _Connection:
    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self) -> tuple[int, str]:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0] or 0)
        return int(head.split()[1]), (await reader.readexactly(length)).decode()


async def _client(port: int) -> None:
    """Commands on stdin, one answer a line: `apps N`, `expect NAME`, `load`, `stop`."""
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    connections = [_Connection(port) for _ in range(CONNECTIONS)]
    seen: Counter[int] = Counter()
    loads: list[asyncio.Task[None]] = []

    async def until(connection: _Connection, name: str) -> float:
        while (await connection.get())[1] != name:
            await asyncio.sleep(0.0005)
        return time.monotonic()

    async def load(connection: _Connection) -> None:
        while True:
            try:
                seen[(await connection.get())[0]] += 1
            except (OSError, asyncio.IncompleteReadError):
                seen[0] += 1
                connection.streams = None

    while line := (await commands.readline()).decode().split():
        match line:
            case ["apps", count]:
                answer: Any = [await _app(f"app{n}") for n in range(int(count))]
            case ["expect", name]:
                times = await asyncio.gather(*(until(connection, name) for connection in connections))
                answer = [min(times), max(times)]
            case ["load"]:
                loads = [asyncio.create_task(load(connection)) for connection in connections]
                answer = "on"
            case _:
                for task in loads:
                    task.cancel()
                answer = dict(seen)
        print(json.dumps(answer), flush=True)


class _Other:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def send(self, command: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(command.encode() + b"\n")

    async def answer(self) -> Any:
        assert self.process.stdout
        return json.loads(await asyncio.wait_for(self.process.stdout.readline(), 30))


# --- the platform ---


@contextlib.asynccontextmanager
async def _platform() -> AsyncIterator[tuple[Any, int, Any]]:
    """(client, port, gateway): everything of the gateway's path, nothing else."""
    from styr.api.server import ApiServer
    from styr.api.store.commit import Store
    from styr.client.client import Client
    from styr.client.controller import Manager
    from styr.client.transport import InProcessTransport
    from styr.gateway import kinds
    from styr.gateway.gateway import Gateway, free_port
    from styr.kinds.resources import CRD, GATEWAY, GATEWAY_CLASS
    from styr.kinds.transport import User
    from styr.kit.clock import SystemClock

    clock, rng = SystemClock(), random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "store.db", clock)
        server = ApiServer(store, clock=clock, random=rng)
        await server.start()
        client = Client(InProcessTransport(server, User("bench", ("system:masters",))))
        for definition in kinds.crds():
            await client.create(CRD, definition)
        port = free_port()
        gateway_class, gateway_object = kinds.default_objects(port)
        await client.create(GATEWAY_CLASS, gateway_class)
        await client.create(GATEWAY, gateway_object)
        gateway = Gateway(client, data_dir=Path(folder), clock=clock, random=rng, port=port, concurrency=2, drain=1.0)
        manager = Manager(client, clock, rng)
        for controller in gateway.controllers():
            manager.add(controller)
        await gateway.start()
        running = asyncio.create_task(manager.run())
        try:
            yield client, port, gateway
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await gateway.stop(keep_envoy=False)
            await client.close()
            await store.close()


def _service(name: str) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": 80}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports}}


def _slice(name: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-{port}", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
    }


def _rules(**weights: int) -> dict[str, Any]:
    return {"spec": {"rules": [{"backendRefs": [{"name": n, "port": 80, "weight": w} for n, w in weights.items()]}]}}


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def run(short: bool) -> dict[str, Any]:
    """Figures: flip (ms, first and all connections), failed requests by kind of change. No peer: see docs/gateway.md."""
    from styr.kinds.resources import ENDPOINT_SLICE, HTTP_ROUTE, SERVICE

    async with _platform() as (client, port, gateway):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.gateway", str(port)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        other = _Other(process)
        try:
            other.send("apps 3")
            ports = await other.answer()
            for n, app_port in enumerate(ports):
                await client.create(
                    SERVICE, {**_service(f"app{n}"), "metadata": {"name": f"app{n}", "namespace": "default"}}
                )
                await _endpoint(client, ENDPOINT_SLICE, f"app{n}", app_port)
            parent = {"name": "styr", "namespace": "styr-system"}
            spec = {"parentRefs": [parent], "hostnames": [HOST], **_rules(app0=1, app1=0)["spec"]}
            route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "spec": spec}
            await client.create(HTTP_ROUTE, {**route, "metadata": {"name": "r", "namespace": "default"}})
            await _until(lambda: "default/app1/80" in gateway._latest.of(_cds()) and gateway._settled())
            first, everywhere = await _flips(client, other, 20 if short else 200)
            other.send("load")
            await other.answer()
            begun = time.monotonic()
            changes = await _churn(client, gateway, ports, 2.0 if short else 10.0)
            seconds = time.monotonic() - begun
            other.send("stop")
            seen = {int(status): count for status, count in (await other.answer()).items()}
        finally:
            if process.stdin:
                process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 5)
            if process.returncode is None:
                process.kill()
                await process.wait()
    requests = sum(seen.values())
    return {
        "figures": {
            "flips": len(everywhere),
            "flip_first_connection_p50_ms": round(statistics.median(first), 2),
            "flip_every_worker_p50_ms": round(statistics.median(everywhere), 2),
            "flip_every_worker_p99_ms": round(_percentile(everywhere, 0.99), 2),
            "churn_changes": changes,
            "churn_requests": requests,
            "churn_requests_per_s": round(requests / seconds),
            "churn_failed_requests": requests - seen.get(200, 0),
        },
        "peer": None,
        "ratio": None,
    }


def _cds() -> str:
    from styr.gateway.ir import CDS

    return CDS


async def _endpoint(client: Any, resource: Any, name: str, port: int) -> None:
    made = _slice(name, port)
    made["metadata"]["namespace"] = "default"
    await client.create(resource, made)


async def _flips(client: Any, other: _Other, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds until the first and until every connection follows a weight change, each."""
    from styr.kinds.resources import HTTP_ROUTE

    first, everywhere = [], []
    for n in range(count + 3):
        target = 1 - n % 2
        other.send(f"expect app{target}")
        await asyncio.sleep(0.01)
        begun = time.monotonic()
        await client.patch(HTTP_ROUTE, "r", "default", _rules(**{f"app{target}": 1, f"app{1 - target}": 0}))
        early, late = await other.answer()
        if n >= 3:
            first.append((early - begun) * 1000)
            everywhere.append((late - begun) * 1000)
        await asyncio.sleep(0.02)
    return first, everywhere


async def _churn(client: Any, gateway: Any, ports: list[int], seconds: float) -> dict[str, int]:
    """Weights, whole clusters and endpoints change, one after another, until the time is up."""
    from styr.kinds.resources import ENDPOINT_SLICE, HTTP_ROUTE, SERVICE

    done: Counter[str] = Counter()
    deadline, n, current = time.monotonic() + seconds, 0, "app0"
    while time.monotonic() < deadline:
        n += 1
        fresh = f"swap{n}"
        await client.create(SERVICE, {**_service(fresh), "metadata": {"name": fresh, "namespace": "default"}})
        await _endpoint(client, ENDPOINT_SLICE, fresh, ports[n % 3])
        for weight in (5, 50, 95):
            await client.patch(HTTP_ROUTE, "r", "default", _rules(**{current: 100 - weight, fresh: weight}))
            await asyncio.sleep(0.02)
            done["weights"] += 1
        await client.patch(HTTP_ROUTE, "r", "default", _rules(**{fresh: 1}))
        await _until(gateway._settled)
        if current.startswith("swap"):
            await client.delete(SERVICE, current, "default")
        done["clusters"] += 1
        await _endpoint(client, ENDPOINT_SLICE, fresh, ports[(n + 1) % 3])
        await client.delete(ENDPOINT_SLICE, f"{fresh}-{ports[n % 3]}", "default")
        done["endpoints"] += 1
        current = fresh
    return dict(done)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_client(int(sys.argv[1])))
