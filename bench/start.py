"""`styr up` to ready: wall and CPU seconds; and the resident memory of an idle platform, without and with Envoy.

Every start is a fresh process on a folder that was started before; the very first start, which makes certificates and reads
Envoy's descriptors, is given apart. Envoy starts beside the control plane and is stopped with it. These figures are taken
`--without-metrics`; the metrics process, which nothing waits for, is measured apart: from the platform's ready line to its own
ready answer, its CPU seconds until then, and its memory when it scrapes the idle platform.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._platform import Plane, cpu_seconds, rss_mb
from styr.metrics.ask import Ask
from styr.metrics.launch import recorded
from styr.plane.folder import Folder


async def metrics_process(data: Path, seconds: float) -> dict[str, Any]:
    """A start with the metrics process: when it answers, and what it costs."""
    plane = Plane(data, metrics=True)
    plane.up()
    began = time.monotonic()
    folder = Folder(data)
    try:
        ask = Ask(folder.state().metrics_port, folder.token.read_text().strip())
        while not await ask.ready():
            if time.monotonic() - began > 300:
                raise RuntimeError(f"the metrics process is not ready; see {folder.log.with_name('metrics.log')}")
            await asyncio.sleep(0.05)
        found, waited = recorded(data), time.monotonic() - began
        assert found is not None
        cpu = cpu_seconds(found.pid)
        await asyncio.sleep(seconds)
        await ask.close()
        return {
            "metrics_ready_wall_seconds": round(waited, 3),
            "metrics_ready_cpu_seconds": round(cpu, 3),
            "metrics_idle_rss_mb": round(rss_mb(found.pid), 1),
        }
    finally:
        plane.down()


async def run(short: bool) -> dict[str, Any]:
    runs = 3 if short else 11
    with tempfile.TemporaryDirectory(prefix="styr-bench-") as root:
        plane = Plane(Path(root) / "data")
        first = plane.up()
        plane.down()
        starts = []
        for _ in range(runs):
            starts.append(plane.up())
            plane.down()
        plane.up()
        await asyncio.sleep(5 if short else 20)
        ours, envoy = plane.rss()
        plane.down()
        metrics = await metrics_process(Path(root) / "data", 5 if short else 20)
    return {
        "figures": {
            "ready_wall_seconds": round(statistics.median(wall for wall, _ in starts), 3),
            "ready_cpu_seconds": round(statistics.median(cpu for _, cpu in starts), 3),
            "first_start_wall_seconds": round(first[0], 3),
            "first_start_cpu_seconds": round(first[1], 3),
            "idle_rss_without_envoy_mb": round(ours, 1),
            "idle_rss_with_envoy_mb": round(ours + envoy, 1),
            **metrics,
            "runs": runs,
        },
        "targets": {
            "ready_wall_seconds": 1.0,
            "ready_cpu_seconds": 1.0,
            "idle_rss_without_envoy_mb": 150,
            "idle_rss_with_envoy_mb": 220,
        },
    }
