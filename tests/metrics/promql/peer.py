"""A real Prometheus with generated data, and the same data in memory. Needs `prometheus` and `promtool` on the PATH."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from styr.metrics.model.labels import Labels, get, make, quote
from tests.metrics.promql.memory import Memory
from tests.peers.prometheus import Peer, prometheus

START = 1_600_000_000
"""Seconds of the first sample."""
SECONDS = 3600
STEP = 15
FLAGS = "promql-experimental-functions,promql-extended-range-selectors,promql-binop-fill-modifiers"


def _counter(random: Random) -> Iterator[float]:
    value, rate = 0.0, random.choice([0.1, 1.0, 7.0, 1000.0])
    while True:
        value = 0.0 if random.random() < 0.02 else value + random.choice([0, 1, random.random()]) * rate
        yield value


def _gauge(random: Random) -> Iterator[float]:
    while True:
        special = random.random()
        if special < 0.02:
            yield random.choice([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e308, 1e-300])
        else:
            yield round(random.uniform(-50, 50), random.randrange(4))


def dataset(seed: int) -> dict[Labels, list[tuple[int, float]]]:
    """Counters with resets, gauges with NaN and infinities, classic histograms; scraped with gaps and at uneven times. Times
    are milliseconds."""
    random = Random(seed)
    found: dict[Labels, list[tuple[int, float]]] = {}

    def series(values: Iterator[float], **labels: str) -> None:
        shift = random.choice([0, 0, 1, 7000])
        points = []
        gone = 0
        for i in range(SECONDS // STEP):
            value = next(values)
            gone = random.randrange(5, 40) if random.random() < 0.01 else max(0, gone - 1)
            if not gone:
                jitter = random.choice([0, 0, 0, random.randrange(-900, 900)])
                points.append(((START + i * STEP) * 1000 + shift + jitter, value))
        if points:
            found[make({name.replace("NAME", "__name__"): value for name, value in labels.items()})] = points

    for job in ("api", "web"):
        for instance in "012":
            series(_gauge(random), NAME="temperature", job=job, instance=instance, zone=random.choice(["a", "b"]))
            series(iter(_constant(1.0)), NAME="up", job=job, instance=instance)
            for code in ("200", "500"):
                series(_counter(random), NAME="requests_total", job=job, instance=instance, code=code)
            for values, le in _buckets(random):
                series(values, NAME="latency_bucket", job=job, instance=instance, le=le)
    return found


def _constant(value: float) -> Iterator[float]:
    while True:
        yield value


def _buckets(random: Random) -> list[tuple[Iterator[float], str]]:
    bounds = ["0.1", "0.5", "1", "+Inf"]
    counts = [[0.0] * (SECONDS // STEP) for _ in bounds]
    total = [0.0] * len(bounds)
    for i in range(SECONDS // STEP):
        for b in range(random.randrange(len(bounds) + 1), len(bounds)):
            total[b] += random.randrange(5)
        running = 0.0
        for b in range(len(bounds)):
            running = max(running, total[b]) if random.random() < 0.99 else total[b]
            counts[b][i] = running
    return [(iter(each), bound) for each, bound in zip(counts, bounds, strict=True)]


def memory(data: dict[Labels, list[tuple[int, float]]]) -> Memory:
    made = Memory()
    for labels, points in data.items():
        made.add(labels, points)
    return made


def openmetrics(data: dict[Labels, list[tuple[int, float]]]) -> str:
    """Untyped families, so that names and order are free."""
    lines = []
    for name in sorted({get(labels, "__name__") for labels in data}):
        lines.append(f"# TYPE {name} unknown")
        for labels, points in data.items():
            if get(labels, "__name__") != name:
                continue
            pairs = ",".join(f"{key}={quote(value)}" for key, value in labels if key != "__name__")
            for t, value in points:
                shown = (
                    "NaN"
                    if math.isnan(value)
                    else ("+Inf" if value > 0 else "-Inf")
                    if math.isinf(value)
                    else repr(value)
                )
                lines.append(f"{name}{{{pairs}}} {shown} {t / 1000:.3f}")
    return "\n".join([*lines, "# EOF", ""])


@contextmanager
def running(
    folder: Path,
    data: dict[Labels, list[tuple[int, float]]] | None = None,
    prepare: Callable[[], None] = lambda: None,
    flags: str = FLAGS,
) -> Iterator[Peer]:
    """A Prometheus over `data`, until the block ends. `prepare` is called before it starts, when `folder`/data is there."""
    storage = folder / "data"
    storage.mkdir(parents=True)
    if data:
        text = folder / "data.om"
        text.write_text(openmetrics(data))
        made = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(storage)]
        subprocess.run(made, check=True, capture_output=True)
    prepare()
    with prometheus(storage, f"--enable-feature={flags}", "--log.level=error") as peer:
        yield peer
