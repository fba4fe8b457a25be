"""A store of 100,000 objects (the short run: 5,000): memory for each, a full list by pages of 500, and a start with all of
them; beside the real server of the PATH, whose objects live in etcd and in the API server's watch cache."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench._apiservers import ApiServer, Kubernetes, Styr, cpu, rss
from bench.api import WRITERS, Caller, config_map

PAGE = 500


async def fill(call: Caller, count: int) -> str:
    path = await call.namespace("large")

    async def worker(number: int) -> None:
        for index in range(number, count, WRITERS):
            await call("POST", path, config_map(f"c{index:06}", 300), want=201)

    await asyncio.gather(*map(worker, range(WRITERS)))
    return path


async def pages(server: ApiServer, call: Caller, path: str, count: int) -> dict[str, float]:
    """Every object once, page by page."""
    times: list[float] = []
    spent, found, token = cpu(server), 0, ""
    while not times or token:
        before = time.perf_counter()
        answer = json.loads((await call("GET", f"{path}?limit={PAGE}&continue={quote(token)}")).body)
        times.append((time.perf_counter() - before) * 1000)
        found += len(answer["items"])
        token = answer["metadata"].get("continue", "")
    assert found >= count
    return {
        "list_cpu_ms_per_1000": (cpu(server) - spent) / found * 1_000_000,
        "page_of_500_longest_ms": max(times),
    }


async def measure(server: ApiServer, count: int) -> dict[str, float]:
    server.start()
    try:
        call = Caller(server.access())
        await asyncio.sleep(3)
        before = rss(server)
        path = await fill(call, count)
        await asyncio.sleep(3)
        figures = {"rss_mb": rss(server), "rss_kb_per_object": (rss(server) - before) / count * 1024}
        figures |= await pages(server, call, path, count)
        await call.close()
        server.stop()
        figures["start_wall_s"] = server.start()
        figures["start_cpu_s"] = cpu(server)
        call = Caller(server.access())
        await pages(server, call, path, count)
        await call.close()
        await asyncio.sleep(12)
        figures["rss_mb_after_start"] = rss(server)
    finally:
        server.stop()
    return {name: round(value, 3) for name, value in figures.items()}


async def run(short: bool) -> dict[str, Any]:
    count = 5_000 if short else 100_000
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="styr-bench-") as folder:
        report["figures"] = ours = await measure(Styr(Path(folder)), count)
        if Kubernetes.installed():
            report["peer"] = theirs = await measure(Kubernetes(Path(folder)), count)
            report["ratio"] = {name: round(ours[name] / theirs[name], 3) for name in ours if theirs[name]}
    return report
