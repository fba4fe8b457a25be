"""A tenth of all series replaced each minute: memory, and how long the engine keeps anybody waiting; beside Prometheus.

20 targets x 5,000 series every five seconds for an hour (the short run: 20 x 500 every second for 20 s), with blocks of ten
minutes so that heads are cut while it lasts. A trivial query is asked ten times a second; the longest answer is the longest
pause that a user sees. Memory is told at a quarter of the time and at the end: flat when the ratio is near one.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench._metrics import Prometheus, Server, Styr, Targets, warm_kernels


class Watcher:
    """Asks a server, keeps the delays."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.delays: list[float] = []
        self.memory: list[float] = []

    def ask(self) -> None:
        began = time.monotonic()
        self.server.get("/api/v1/query", query="vector(1)")
        self.delays.append(time.monotonic() - began)

    def report(self) -> dict[str, float]:
        ordered = sorted(self.delays)
        quarter, end = self.memory[len(self.memory) // 4], self.memory[-1]
        return {
            "answer_p99_ms": round(ordered[len(ordered) * 99 // 100] * 1000, 1),
            "answer_longest_ms": round(ordered[-1] * 1000, 1),
            "rss_mb_at_a_quarter": round(quarter, 1),
            "rss_mb_at_the_end": round(end, 1),
            "rss_growth": round(end / quarter, 3),
            "cpu_s": round(self.server.usage().cpu, 1),
        }


def watch(server: Server, seconds: float) -> dict[str, float]:
    watcher, end = Watcher(server), time.monotonic() + seconds
    while time.monotonic() < end:
        watcher.ask()
        if len(watcher.delays) % 10 == 0:
            watcher.memory.append(server.usage().rss)
        time.sleep(0.1)
    return watcher.report()


async def run(short: bool) -> dict[str, Any]:
    warm_kernels()
    series, interval, seconds = (500, "1s", 20.0) if short else (5000, "5s", 3600.0)
    blocks = "--storage.tsdb.min-block-duration=10m", "--storage.tsdb.max-block-duration=10m"
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="styr-bench-") as name, Targets(20, series, "--churn", "0.1") as site:
        config = site.config(interval)
        with Styr(Path(name) / "styr", config, "--block-duration", "10m") as ours:
            ours.start()
            report["figures"] = watch(ours, seconds)
        if Prometheus.program() is not None:
            with Prometheus(Path(name) / "prometheus", config, *blocks) as theirs:
                theirs.start()
                report["peer"] = watch(theirs, min(seconds, 900.0))
    return report
