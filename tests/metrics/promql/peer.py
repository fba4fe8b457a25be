"""A real Prometheus with generated data, and the same data in memory. Needs `prometheus` and `promtool` on the PATH."""

from __future__ import annotations

import http.client
import json
import math
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

from styr.metrics.model.labels import Labels, get, make, quote
from tests.metrics.promql.memory import Memory

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


class Peer:
    """Its HTTP API."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, path: str, **form: object) -> dict[str, Any]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", f"/api/v1/{path}", urlencode(form), headers)
        answer: dict[str, Any] = json.loads(self._connection.getresponse().read())
        return answer

    def close(self) -> None:
        self._connection.close()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(
    folder: Path,
    data: dict[Labels, list[tuple[int, float]]] | None = None,
    prepare: Callable[[], None] = lambda: None,
    flags: str = FLAGS,
) -> Iterator[Peer]:
    """A Prometheus over `data`, until the block ends. `prepare` is called before it starts, when `folder`/data is there."""
    storage, config = folder / "data", folder / "prometheus.yml"
    storage.mkdir(parents=True)
    config.write_text("{}\n")
    if data:
        text = folder / "data.om"
        text.write_text(openmetrics(data))
        made = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(storage)]
        subprocess.run(made, check=True, capture_output=True)
    prepare()
    port = _free_port()
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={storage}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--enable-feature={flags}",
        "--log.level=error",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peer = Peer(port)
    try:
        _wait(port, process)
        yield peer
    finally:
        peer.close()
        process.terminate()
        process.wait(timeout=30)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it answers: its own readiness, asked for at most 30 s."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise RuntimeError("prometheus did not become ready")
