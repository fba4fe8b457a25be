"""The same block opened by this engine and by a real Prometheus, and requests sent to both."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

from styr.kinds.transport import Request
from styr.kit.clock import SystemClock
from styr.metrics import assemble
from styr.metrics.model.labels import Labels, make
from styr.metrics.options import Options
from styr.metrics.storage.block import ulid
from styr.metrics.storage.block.backfill import create_blocks
from styr.metrics.web.api import Api
from tests.metrics.web.fakes import body_of
from tests.peers.prometheus import Peer, beside, prometheus

START = 1_700_000_000
"""Seconds; the data lasts an hour from here, a sample every 15 s."""
Pairs = Sequence[tuple[str, str]]


def samples() -> Iterator[tuple[Labels, int, float]]:
    """Counters with resets, gauges with every kind of float, classic buckets, a series that ends, UTF-8 names."""
    random = Random(7)
    special = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e-7, 1e21, 123456789.125, 5e-324, 1.7976931348623157e308, 0.1]
    for instance in ("a:1", "b:1", "c:1"):
        total, buckets = 0.0, {"0.1": 0.0, "0.5": 0.0, "+Inf": 0.0}
        for step in range(241):
            t = (START + 15 * step) * 1000
            base = {"job": "api", "instance": instance}
            yield make({"__name__": "up", **base}), t, float(random.random() > 0.1)
            total = 0.0 if step == 120 else total + random.random() * 10
            yield make({"__name__": "requests_total", "code": "200", **base}), t, total
            yield make({"__name__": "temp", **base}), t + 123, random.gauss(20, 5)
            yield make({"__name__": "special", "i": instance}), t, special[(step + ord(instance[0])) % len(special)]
            for le in buckets:
                buckets[le] += random.randrange(5) if le != "+Inf" else 5
                yield make({"__name__": "latency_bucket", "le": le, **base}), t, buckets[le]
            if step < 100:
                yield make({"__name__": "ends", **base}), t, float(step)
            yield make({"__name__": "with.dots", "label name": 'ä€\n"\\', **base}), t, float(step)


def make_block(folder: Path) -> None:
    names = ulid.names(SystemClock(), Random(1))
    create_blocks(folder, samples(), names, longest=8 * 3_600_000)


@contextlib.asynccontextmanager
async def ours(folder: Path) -> AsyncIterator[Api]:
    """This engine over the data directory `folder`."""
    options = Options(folder, retention=50 * 365 * 86_400_000)
    parts = assemble.parts_of(options, SystemClock())
    api = assemble.api_of(parts, options)
    engine = await asyncio.to_thread(assemble.open_engine, options, SystemClock(), Random(1))
    engine.install(api)
    try:
        yield api
    finally:
        api.close()
        await engine.close()


async def ask(api: Api, name: str, pairs: Pairs, method: str = "GET") -> tuple[int, Any]:
    headers, body = {}, b""
    if method == "POST":
        headers, body = {"content-type": "application/x-www-form-urlencoded"}, urlencode(list(pairs)).encode()
    request = Request(method, f"/api/v1/{name}", [] if method == "POST" else list(pairs), headers, body)
    response = await api(request)
    return response.status, json.loads(await body_of(response) or b"null")


@contextlib.asynccontextmanager
async def both(folder: Path, *arguments: str) -> AsyncIterator[tuple[Api, Peer]]:
    """Each over a copy of the same block."""
    make_block(folder / "ours")
    shutil.copytree(folder / "ours", folder / "theirs")
    async with ours(folder / "ours") as api, beside(prometheus(folder / "theirs", *arguments)) as peer:
        yield api, peer
