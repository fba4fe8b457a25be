"""A tenth of all series replaced each minute: memory, and how long the engine keeps anybody waiting; beside Prometheus.

20 targets x 5,000 series every five seconds for an hour (the short run: 20 x 500 every second for 20 s), with blocks of ten
minutes so that heads are cut while it lasts. A trivial query is asked ten times a second; the longest answer is the longest
pause that a user sees; that of the start, when targets are parsed for the first time, is told apart. `machine_longest_ms` is
the longest that this process itself was kept waiting for a core: nobody's fault but the machine's. Memory is the median of each
quarter of the time; in the first the head is still growing to what it stays at. Flat when the fourth is like the second.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bench._metrics import Prometheus, Server, Styr, Targets, warm_kernels

START = 30.0
"""Seconds that count as the start, or a quarter of a short run."""
BLINK = 0.01


class Machine:
    """How long a process that does nothing is kept waiting for a core, in a thread of its own."""

    def __init__(self) -> None:
        self.longest = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            began = time.monotonic()
            time.sleep(BLINK)
            self.longest = max(self.longest, time.monotonic() - began - BLINK)


class Watcher:
    """Asks a server, keeps (when, delay) of each answer."""

    def __init__(self, server: Server, start: float) -> None:
        self.server, self.start = server, start
        self.began = time.monotonic()
        self.answers: list[tuple[float, float]] = []
        self.memory: list[float] = []

    def ask(self) -> None:
        began = time.monotonic()
        self.server.get("/api/v1/query", query="vector(1)")
        self.answers.append((began - self.began, time.monotonic() - began))

    def report(self) -> dict[str, float]:
        start = [delay for at, delay in self.answers if at < self.start]
        later = sorted(delay for at, delay in self.answers if at >= self.start)
        quarters = [self.memory[len(self.memory) * n // 4 : len(self.memory) * (n + 1) // 4] for n in range(4)]
        return {
            "start_longest_ms": round(max(start) * 1000, 1),
            "answer_p99_ms": round(later[len(later) * 99 // 100] * 1000, 1),
            "answer_longest_ms": round(later[-1] * 1000, 1),
            "answers_over_100_ms": sum(delay > 0.1 for delay in later),
            **{
                f"rss_mb_median_of_quarter_{n}": round(statistics.median(each), 1) for n, each in enumerate(quarters, 1)
            },
            "rss_mb_at_most": round(max(self.memory), 1),
            "rss_growth": round(statistics.median(quarters[3]) / statistics.median(quarters[1]), 3),
            "cpu_s": round(self.server.usage().cpu, 1),
        }


def watch(server: Server, seconds: float) -> dict[str, float]:
    watcher, machine = Watcher(server, min(START, seconds / 4)), Machine()
    while time.monotonic() < watcher.began + seconds:
        watcher.ask()
        if len(watcher.answers) % 10 == 0:
            watcher.memory.append(server.usage().rss)
        time.sleep(0.1)
    return watcher.report() | {"machine_longest_ms": round(machine.longest * 1000, 1)}


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
