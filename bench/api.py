"""The API server on a file with FULL sync: what a create, a list and a watch cost, without sockets and TLS.

No peer runs here, so there is no ratio: a real server's figures include HTTP and TLS, which these leave out.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from styr.api.server import ApiServer
from styr.api.store.commit import Store, Txn
from styr.api.store.records import ObjectKey
from styr.kinds.resources import CONFIG_MAP
from styr.kinds.transport import Request, User
from styr.kit.clock import SystemClock

ADMIN = User("bench", ("system:masters",))
PATH = CONFIG_MAP.path("default")


def _body(name: str, size: int) -> bytes:
    return json.dumps({"metadata": {"name": name}, "data": {"k": "x" * size}}).encode()


async def _create(api: ApiServer, name: str, size: int = 300) -> None:
    request = Request("POST", PATH, [], {"content-type": "application/json"}, _body(name, size), ADMIN)
    response = await api(request)
    assert response.status == 201, response.body


async def _creates(api: ApiServer, count: int, workers: int) -> dict[str, float]:
    async def worker(number: int) -> None:
        for index in range(count // workers):
            await _create(api, f"c{number}-{index}")

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker(number) for number in range(workers)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    done = count // workers * workers
    return {"create_cpu_ms": cpu / done * 1000, "creates_per_s": done / wall}


async def _list(api: ApiServer, rounds: int) -> float:
    """CPU ms of a list of 1,500 objects, about 2.9 MB."""
    for index in range(1500):
        await api.store.write(_large(f"l{index}"))
    costs = []
    for _ in range(rounds):
        before = time.process_time()
        response = await api(Request("GET", CONFIG_MAP.path("many"), user=ADMIN))
        costs.append((time.process_time() - before) * 1000)
        assert isinstance(response.body, bytes)
        assert len(response.body) > 2_700_000
    return statistics.median(costs)


def _large(name: str) -> Callable[[Txn], Any]:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "x" * 1800}}
    return lambda txn: txn.put(ObjectKey(CONFIG_MAP.group_resource, "many", name), obj)


async def _watch(api: ApiServer, rounds: int) -> list[float]:
    """Milliseconds from the request of a create to its event."""
    query = [("watch", "true"), ("resourceVersion", str(api.store.revision))]
    response = await api(Request("GET", PATH, query, user=ADMIN))
    assert not isinstance(response.body, bytes)
    stream = response.body
    times = []
    for index in range(rounds):
        waiting = asyncio.ensure_future(_first(stream))
        await asyncio.sleep(0)
        before = time.perf_counter()
        made = asyncio.ensure_future(_create(api, f"w{index}"))
        await waiting
        times.append((time.perf_counter() - before) * 1000)
        await made
    return sorted(times)


async def _first(stream: AsyncIterator[bytes]) -> bytes:
    return await anext(stream)


async def run(short: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        clock = SystemClock()
        store = Store.open(Path(folder) / "store.db", clock)
        try:
            api = ApiServer(store, clock=clock, random=random.Random(1))
            await api.start()
            figures = await _creates(api, 400 if short else 4000, 32)
            figures["list_1500_cpu_ms"] = await _list(api, 5 if short else 21)
            times = await _watch(api, 50 if short else 400)
            figures["create_to_watch_p50_ms"] = statistics.median(times)
            figures["create_to_watch_p99_ms"] = times[int(len(times) * 0.99)]
        finally:
            await store.close()
    return {"figures": {name: round(value, 3) for name, value in figures.items()}}
