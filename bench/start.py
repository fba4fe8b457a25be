"""`styr up` to ready: wall and CPU seconds; and the resident memory of an idle platform, without and with Envoy.

Every start is a fresh process on a folder that was started before; the very first start, which makes certificates and reads
Envoy's descriptors, is given apart. Envoy starts beside the control plane and is stopped with it.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench._platform import Plane


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
    return {
        "figures": {
            "ready_wall_seconds": round(statistics.median(wall for wall, _ in starts), 3),
            "ready_cpu_seconds": round(statistics.median(cpu for _, cpu in starts), 3),
            "first_start_wall_seconds": round(first[0], 3),
            "first_start_cpu_seconds": round(first[1], 3),
            "idle_rss_without_envoy_mb": round(ours, 1),
            "idle_rss_with_envoy_mb": round(ours + envoy, 1),
            "runs": runs,
        },
        "targets": {
            "ready_wall_seconds": 1.0,
            "ready_cpu_seconds": 1.0,
            "idle_rss_without_envoy_mb": 150,
            "idle_rss_with_envoy_mb": 220,
        },
    }
