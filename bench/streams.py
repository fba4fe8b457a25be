"""`kubectl exec` that carries a gigabyte, and GETs beside it: a real `styr up`, real kubectls, TLS.

For each kubectl on the PATH (`kubectl-1.35` streams over WebSocket, Debian's over SPDY): MB a second out of a pod, the
control plane's memory before and at its most, and how long a GET of that pod takes meanwhile. Idle GETs are measured first,
in the same run.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._platform import Plane, rss_mb
from styr.client.client import Client
from styr.client.transport import HttpsTransport
from styr.kinds.resources import POD

KUBECTLS = ("kubectl-1.35", "kubectl")
PAUSE = 0.005
"""Seconds between two GETs."""


async def run(short: bool) -> dict[str, Any]:
    size = 100_000_000 if short else 1_000_000_000
    with tempfile.TemporaryDirectory(prefix="styr-bench-") as root:
        plane = Plane(Path(root) / "data")
        plane.up()
        client = Client(HttpsTransport.from_kubeconfig(plane.data / "kubeconfig"))
        try:
            await _pod(client)
            figures = _told(
                "idle", await _reads(client, asyncio.get_running_loop().create_task(asyncio.sleep(1 if short else 5)))
            )
            for kubectl in filter(shutil.which, KUBECTLS):
                figures |= await _exec(plane, client, kubectl, size)
            return {"figures": figures}
        finally:
            await client.close()
            plane.down()


async def _pod(client: Client) -> None:
    container = {"name": "main", "image": "styr.dev/host", "command": ["sleep", "1000"]}
    await client.create(
        POD, {"metadata": {"name": "bench", "namespace": "default"}, "spec": {"containers": [container]}}
    )
    async with asyncio.timeout(30):
        while (await client.get(POD, "bench", "default")).get("status", {}).get("phase") != "Running":
            await asyncio.sleep(0.05)


async def _exec(plane: Plane, client: Client, kubectl: str, size: int) -> dict[str, float]:
    assert plane.process is not None
    pid, name = plane.process.pid, kubectl.replace("-", "_").replace(".", "_")
    before = peak = rss_mb(pid)
    began = time.monotonic()
    command = await asyncio.create_subprocess_exec(
        kubectl, "exec", "bench", "--", "head", "-c", str(size), "/dev/zero", stdout=asyncio.subprocess.DEVNULL,
        env={**os.environ, "KUBECONFIG": str(plane.data / "kubeconfig"), "HOME": str(plane.data)},
    )  # fmt: skip

    async def watch() -> None:
        nonlocal peak
        while command.returncode is None:
            peak = max(peak, rss_mb(pid))
            await asyncio.wait({asyncio.ensure_future(command.wait())}, timeout=0.1)

    reads = await _reads(client, asyncio.ensure_future(watch()))
    seconds = time.monotonic() - began
    if command.returncode:
        raise RuntimeError(f"{kubectl} exec ended with {command.returncode}")
    memory = {f"{name}_memory_before_mb": round(before, 1), f"{name}_memory_most_mb": round(peak, 1)}
    return {f"{name}_mb_per_s": round(size / seconds / 1e6)} | memory | _told(name, reads)


async def _reads(client: Client, until: asyncio.Future[Any]) -> list[float]:
    """Seconds of each GET, until that is done."""
    taken = []
    while not until.done():
        began = time.perf_counter()
        await client.get(POD, "bench", "default")
        taken.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE)
    await until
    return sorted(taken)


def _told(name: str, taken: list[float]) -> dict[str, float]:
    p99 = taken[min(len(taken) - 1, int(len(taken) * 0.99))]
    return {f"{name}_get_p50_ms": round(taken[len(taken) // 2] * 1e3, 2), f"{name}_get_p99_ms": round(p99 * 1e3, 2)}
