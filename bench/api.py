"""The API server over TLS as clients reach it, beside the real one: creates, lists, watches, a crowd of watchers, idling.

Styr is `styr api`, the server with its controllers; the real one is etcd, kube-apiserver and kube-controller-manager of the
PATH. CPU is what their processes spent, by /proc, so the client's own share is not in it. Both sync every write that they
acknowledge.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from bench._apiservers import ApiServer, Kubernetes, Styr, cpu, rss, unlimited_files
from styr.client.kubeconfig import Access
from styr.kinds.resources import CONFIG_MAP, NAMESPACE
from styr.kit.http import HttpResponse, Pool

WRITERS = 32
ITEM = 1800
"""Bytes of data in an object of the list: 1,500 of them are about 2.9 MB."""


class Caller:
    """Requests with a token, on as many keep-alive connections as are asked for at once."""

    def __init__(self, access: Access, limit: int = WRITERS) -> None:
        self._pool = Pool(access.host, access.port, ssl=access.ssl, server_name=access.server_name, limit=limit)
        self._headers = {"authorization": f"Bearer {access.token}", "content-type": "application/json"}

    async def __call__(self, method: str, path: str, body: Any = None, *, want: int = 200) -> HttpResponse:
        data = b"" if body is None else json.dumps(body).encode()
        answer = await self._pool.request(method, path, headers=self._headers, body=data, timeout=120, max_body=1 << 30)
        if answer.status != want:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        return answer

    async def namespace(self, name: str) -> str:
        await self("POST", NAMESPACE.path(), {"metadata": {"name": name}}, want=201)
        return CONFIG_MAP.path(name)

    async def watch(self, path: str) -> AsyncIterator[bytes]:
        """Lines."""
        status, _, body = await self._pool.stream("GET", path, headers=self._headers, timeout=60, idle=None)
        assert status == 200
        rest = b""
        async with aclosing(body):
            async for part in body:
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    yield line

    async def close(self) -> None:
        await self._pool.close()


def config_map(name: str, size: int) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {"k": "x" * size}}


async def creates(server: ApiServer, call: Caller, count: int) -> dict[str, float]:
    path = await call.namespace("creates")

    async def worker(number: int) -> None:
        for index in range(count // WRITERS):
            await call("POST", path, config_map(f"c{number}-{index}", 300), want=201)

    spent, began = cpu(server), time.perf_counter()
    await asyncio.gather(*map(worker, range(WRITERS)))
    wall, spent = time.perf_counter() - began, cpu(server) - spent
    done = count // WRITERS * WRITERS
    return {
        "create_cpu_ms": spent / done * 1000,
        "creates_per_cpu_second": done / max(spent, 0.01),
        "creates_per_wall_second": done / wall,
    }


async def lists(server: ApiServer, call: Caller, rounds: int) -> dict[str, float]:
    path = await call.namespace("lists")
    await asyncio.gather(*(call("POST", path, config_map(f"l{n}", ITEM), want=201) for n in range(1500)))
    spent = cpu(server)
    for _ in range(rounds):
        assert len((await call("GET", path)).body) > 2_700_000
    return {"list_1500_cpu_ms": (cpu(server) - spent) / rounds * 1000}


async def latency(call: Caller, rounds: int) -> dict[str, float]:
    """From the request of a create to its event at one watcher."""
    path = await call.namespace("latency")
    newest = json.loads((await call("GET", path)).body)["metadata"]["resourceVersion"]
    times = []
    async with aclosing(call.watch(f"{path}?watch=true&resourceVersion={newest}")) as lines:  # type: ignore[type-var]
        for index in range(rounds):
            name = f"w{index}"
            before = time.perf_counter()
            made = asyncio.ensure_future(call("POST", path, config_map(name, 300), want=201))
            await _until(lines, _names(name))
            times.append((time.perf_counter() - before) * 1000)
            await made
    times.sort()
    return {
        "create_to_event_p50_ms": statistics.median(times),
        "create_to_event_p99_ms": times[int(len(times) * 0.99)],
    }


async def crowd(server: ApiServer, call: Caller, watchers: int, rounds: int) -> dict[str, float]:
    """One change, many watchers: until the last of them has it."""
    path = await call.namespace("crowd")
    newest = json.loads((await call("GET", path)).body)["metadata"]["resourceVersion"]
    streams = [call.watch(f"{path}?watch=true&resourceVersion={newest}") for _ in range(watchers)]
    first = asyncio.create_task(call("POST", path, config_map("hello", 300), want=201))
    for start in range(0, watchers, 50):
        await asyncio.gather(*(_until(stream, _names("hello")) for stream in streams[start : start + 50]))
    await first
    walls, spent = [], cpu(server)
    for index in range(rounds):
        waiting = [asyncio.ensure_future(_until(stream, _names(f"e{index}"))) for stream in streams]
        await asyncio.sleep(0.05)
        before = time.perf_counter()
        await call("POST", path, config_map(f"e{index}", 300), want=201)
        await asyncio.gather(*waiting)
        walls.append((time.perf_counter() - before) * 1000)
    spent = cpu(server) - spent
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]
    return {
        f"change_to_{watchers}_watchers_cpu_ms": spent / rounds * 1000,
        f"change_to_{watchers}_watchers_wall_ms": statistics.median(walls),
    }


async def idle(server: ApiServer, seconds: float) -> dict[str, float]:
    await asyncio.sleep(5)
    spent = cpu(server)
    await asyncio.sleep(seconds)
    return {"idle_rss_mb": rss(server), "idle_cpu_percent": (cpu(server) - spent) / seconds * 100}


def _names(name: str) -> Callable[[bytes], bool]:
    mark = f'"name":"{name}"'.encode()
    return lambda line: mark in line


async def _until(lines: AsyncIterator[bytes], holds: Callable[[bytes], bool]) -> None:
    async for line in lines:
        if holds(line):
            return
    raise RuntimeError("a watch ended")


async def measure(server: ApiServer, short: bool) -> dict[str, float]:
    ready = server.start()
    try:
        figures = {"ready_wall_s": ready, **await idle(server, 5 if short else 60)}
        call = Caller(server.access(), 2000)
        figures |= await creates(server, call, 800 if short else 16_000)
        figures |= await lists(server, call, 5 if short else 40)
        figures |= await latency(call, 50 if short else 1000)
        figures |= await crowd(server, call, 100 if short else 1000, 5 if short else 40)
        await call.close()
    finally:
        server.stop()
    return {name: round(value, 3) for name, value in figures.items()}


async def run(short: bool) -> dict[str, Any]:
    unlimited_files()
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="styr-bench-") as folder:
        report["figures"] = ours = await measure(Styr(Path(folder)), short)
        if Kubernetes.installed():
            report["peer"] = theirs = await measure(Kubernetes(Path(folder)), short)
            report["ratio"] = {name: round(ours[name] / theirs[name], 3) for name in ours if theirs[name]}
    return report
