"""Killed under load and started again: seconds until ready, CPU of that, what is still there; beside Prometheus.

Both scrape the same 20 targets every second until they hold 240 samples of 100,000 series (the short run: 20 samples of
10,000), are killed with SIGKILL, and start on what they left. `missing` is how many of the samples that the last query before
the kill counted are not there after it. The cold start is that of an engine whose kernels have to be compiled first.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._metrics import Prometheus, Server, Styr, Targets, warm_kernels

COUNT = "sum(count_over_time(http_request_duration_seconds_bucket[1h]))"
"""A good quarter of all samples."""


def held(server: Server, at: float) -> int:
    """Samples at or before `at`."""
    found = server.get("/api/v1/query", query=COUNT, time=f"{at:.3f}")["data"]["result"]
    return int(float(found[0]["value"][1])) if found else 0


def restart(server: Server, label: str) -> dict[str, float]:
    """Kills and starts it again."""
    at = time.time() - 2
    before = held(server, at)
    server.stop(signal.SIGKILL)
    seconds = server.start()
    return {
        f"{label}_ready_s": round(seconds, 2),
        f"{label}_cpu_s": round(server.usage().cpu, 2),
        f"{label}_samples": before,
        f"{label}_missing": max(0, before - held(server, at)),
        f"{label}_rss_mb": round(server.usage().rss, 1),
    }


def first_scrape(root: Path, cold: bool) -> float:
    """Seconds from the start of the process to the first scrape that a target saw."""
    if cold:
        os.environ["STYR_KERNEL_CACHE"] = str(root / "kernels")
    try:
        with Targets(1, 500) as site, Styr(root / f"first-{cold}", site.config("200ms")) as server:
            began = time.monotonic()
            server.start()
            while not site.samples():
                time.sleep(0.01)
            return time.monotonic() - began
    finally:
        if cold:
            del os.environ["STYR_KERNEL_CACHE"]


async def run(short: bool) -> dict[str, Any]:
    warm_kernels()
    targets, series, seconds = (20, 500, 20.0) if short else (20, 5000, 240.0)
    with tempfile.TemporaryDirectory(prefix="styr-bench-") as name:
        root = Path(name)
        figures = {"first_scrape_s": round(first_scrape(root, cold=False), 2)}
        if not short:
            figures["first_scrape_without_kernels_s"] = round(first_scrape(root, cold=True), 1)
        peer: dict[str, float] = {}
        ratio: dict[str, float] = {}
        with Targets(targets, series) as site, Styr(root / "styr", site.config()) as ours:
            ours.start()
            if Prometheus.program() is None:
                time.sleep(seconds)
                return {"figures": figures | restart(ours, "restart")}
            with Prometheus(root / "prometheus", site.config()) as theirs:
                theirs.start()
                time.sleep(seconds)
                figures |= restart(ours, "restart")
                peer |= restart(theirs, "restart")
        for key in ("restart_ready_s", "restart_cpu_s"):
            ratio[key] = round(figures[key] / max(peer[key], 0.01), 2)
        return {"figures": figures, "peer": peer, "ratio": ratio}
