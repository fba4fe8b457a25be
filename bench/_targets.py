"""Targets to scrape, for benchmarks: `python -m bench._targets --targets 20 --series 5000 [--gzip] [--churn 0.1]`.

A process of its own, so that its CPU is nobody's. Prints one JSON line with its port when it listens, then answers
`/target/N/metrics` over keep-alive connections; every request gets the next body of a cycle made at the start, in which 14 % of
the values change from one to the next (as on a machine with node_exporter and kube-state-metrics). `/served` answers with the
number of scrapes and samples so far. With `--churn` that share of the series is replaced every minute. Ends with its standard
input.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import sys
import time
from collections.abc import Callable, Iterator

CYCLE = 60
"""Bodies made for a target; then it starts again, as a process that was restarted does."""
CHANGING = 0.143
CHURN_SLICES = 6
"""Steps in which a minute's churn happens."""


class Body:
    """The lines of one target: `keys` never change but for churn, `values` move at every `step`."""

    def __init__(self, series: int, seed: int) -> None:
        self._random = random.Random(seed)
        self.keys, self.kinds = zip(*_lines(series), strict=True)
        self.values = [self._first(kind) for kind in self.kinds]
        self._moving = [i for i in range(series) if self._random.random() < CHANGING * 1.05]

    def _first(self, kind: str) -> float:
        if kind == "gauge":
            return round(self._random.random() * 1000, 2)
        return float(self._random.randrange(1_000_000)) if kind == "counter" else float(self._random.randrange(2))

    def step(self) -> None:
        for i in self._moving:
            kind = self.kinds[i]
            if kind == "gauge":
                self.values[i] = round(self._random.random() * 1000, 2)
            elif kind == "state":
                self.values[i] = 1.0 - self.values[i]
            else:
                self.values[i] += self._random.randrange(1, 50)

    def text(self, generation: Callable[[int], int] = lambda _: 0) -> bytes:
        out = []
        for i, (key, value) in enumerate(zip(self.keys, self.values, strict=True)):
            age = generation(i)
            name = key if not age else key.replace("{", f'{{generation="{age}",', 1)
            out.append(f"{name} {value:.17g}" if value != int(value) else f"{name} {int(value)}")
        return ("\n".join(out) + "\n").encode()


def _lines(series: int) -> Iterator[tuple[str, str]]:
    """(name and labels, kind): a quarter as node_exporter, half as kube-state-metrics, the rest histogram buckets."""
    node, kube = series // 4, series * 48 // 100
    modes = ("idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user")
    for i in range(node):
        yield f'node_cpu_seconds_total{{cpu="{i // 8}",mode="{modes[i % 8]}"}}', "gauge" if i % 2 else "counter"
    for i in range(kube):
        pod = f"checkout-service-{i % 400:05d}-{(i * 7919) % 65536:04x}"
        phase = ("Running", "Pending", "Failed", "Succeeded")[i % 4]
        uid = f"{i:08x}-3b1c-4f6e-9a51-{i * 31:012x}"
        labels = f'namespace="team-{i % 25}",pod="{pod}",uid="{uid}",phase="{phase}"'
        yield f"kube_pod_status_phase_{i // 400}{{{labels}}}", "state"
    for i in range(series - node - kube):
        le = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf")[i % 12]
        yield (
            (
                f'http_request_duration_seconds_bucket{{handler="/api/v1/resource/{i // 12 % 40}",method="GET",code="200",'
                f'replica="{i // 480}",le="{le}"}}'
            ),
            "counter",
        )


class Site:
    """All targets: one cycle of bodies, where each target starts at another place."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.series: int = options.series
        self.churn: float = options.churn
        self.gzip: bool = options.gzip
        self.scrapes = 0
        self._at = list(range(options.targets))
        self._body = Body(self.series, 1)
        self._cycle = [] if self.churn else [self._response(self._next()) for _ in range(CYCLE)]
        self._churned: dict[int, bytes] = {}

    def _next(self) -> bytes:
        self._body.step()
        return self._body.text(self._generation if self.churn else lambda _: 0)

    def _generation(self, i: int) -> int:
        """How often series i has been replaced: a tenth of the churned ones at a time."""
        slices = int(time.monotonic() / 60 * CHURN_SLICES)
        every = max(1, round(CHURN_SLICES / self.churn))
        return (slices + i * 7919) // every

    def _response(self, body: bytes) -> bytes:
        encoding = b""
        if self.gzip:
            body, encoding = gzip.compress(body, 6), b"content-encoding: gzip\r\n"
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n" + encoding
        return head + b"content-length: %d\r\n\r\n" % len(body) + body

    def answer(self, target: int) -> bytes:
        self.scrapes += 1
        if self.churn:
            second = int(time.monotonic())
            if second not in self._churned:
                self._churned = {second: self._response(self._next())}
            return self._churned[second]
        self._at[target] += 1
        return self._cycle[self._at[target] % CYCLE]

    def served(self) -> bytes:
        body = json.dumps({"scrapes": self.scrapes, "samples": self.scrapes * self.series}).encode()
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


class Connection(asyncio.Protocol):
    """Keep-alive, one request at a time: scrapers do not pipeline."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            served = path == b"/served"
            self._transport.write(self._site.served() if served else self._site.answer(int(path.split(b"/")[2])))


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--targets", type=int, default=20)
    parser.add_argument("--series", type=int, default=5000)
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--churn", type=float, default=0.0)
    site = Site(parser.parse_args())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(site), "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
