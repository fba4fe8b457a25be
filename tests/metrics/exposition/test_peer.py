"""The same bytes, scraped by a real Prometheus and by us: the same series with the same values, or both refuse."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from styr.metrics.exposition.negotiate import HEADERS
from styr.metrics.model.labels import Labels, make
from styr.metrics.scrape.buffers import Buffers
from styr.metrics.scrape.config import parse_job
from styr.metrics.scrape.ingest import Ingest
from styr.metrics.scrape.lines import Scratch
from styr.metrics.scrape.target import discovered, make_target
from tests.metrics.exposition.cases import OPENMETRICS, TEXT
from tests.metrics.scrape.appender import Memory, readable
from tests.peers.prometheus import Peer, beside, prometheus

TYPES = {"text": HEADERS["PrometheusText0.0.4"], "openmetrics": HEADERS["OpenMetricsText1.0.0"]}
CASES = [("text", body) for body in TEXT] + [("openmetrics", body) for body in OPENMETRICS]
COUNTS = ("scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added")
UNLIKE = ("scrape_duration_seconds",)
FORGED = b'up 5\nscrape_duration_seconds{job="x"} 3\n'
"""Prometheus lets a target overwrite its own `up`; here the report wins."""
COUNTED_BY_SPELLING = (
    FORGED,
    b'a{x=""} 1\na 2\n',
    b'a{x="1",y="2"} 1\na{y="2",x="1"} 2\n',
    b"a 1 99999999999999999999\nb 1\n# EOF\n",
)
"""scrape_series_added is the number of new series here, of new ways to write one there."""


def ours(number: int, media: Any, body: bytes, address: str) -> dict[Labels, str]:
    config = parse_job({"job_name": f"case-{number}"})
    target = make_target(config, discovered(config, {"__address__": address}, {}))
    assert target is not None
    memory, buffers = Memory(), Buffers()
    ingest = Ingest(target, config, memory, buffers, Scratch())
    ingest.scrape(buffers.body(body), media, 1_700_000_000_000, lambda: 0.1)
    return {
        labels: plain(readable(samples[-1][1]))
        for labels, samples in memory.samples.items()
        if samples[-1][0] == 1_700_000_000_000
    }


def plain(value: object) -> str:
    assert isinstance(value, float)
    return repr(value)


async def serve(port_file: list[int]) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            number = int(head.split()[1].rsplit(b"/", 1)[1])
            media, body = CASES[number]
            writer.write(
                f"HTTP/1.1 200 OK\r\nContent-Type: {TYPES[media]}\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port_file.append(server.sockets[0].getsockname()[1])
    return server


def query(peer: Peer, expression: str) -> list[dict[str, Any]]:
    return list(peer.ask("query", {"query": expression})[1]["data"]["result"])


async def stored(folder: Path, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a Prometheus has of all jobs, when it has scraped each once."""
    config = {"global": {"scrape_interval": "3s", "scrape_timeout": "3s"}, "scrape_configs": jobs}
    async with asyncio.timeout(60), beside(prometheus(folder / "data", config=json.dumps(config))) as peer:
        while len(await asyncio.to_thread(query, peer, "up")) < len(jobs):
            await asyncio.sleep(0.2)
        return await asyncio.to_thread(query, peer, '{job!="",instance!=""}')


async def scraped_by_prometheus(folder: Path) -> tuple[dict[int, dict[Labels, str]], str]:
    ports: list[int] = []
    server = await serve(ports)
    address = f"127.0.0.1:{ports[0]}"
    jobs = [
        {"job_name": f"case-{number}", "metrics_path": f"/{number}", "static_configs": [{"targets": [address]}]}
        for number in range(len(CASES))
    ]
    async with server:
        found = await stored(folder, jobs)
    results: dict[int, dict[Labels, str]] = {}
    for each in found:
        labels = make(each["metric"])
        job = each["metric"]["job"]
        number = int(job.removeprefix("case-")) if job.startswith("case-") else -1
        results.setdefault(number, {})[labels] = repr(float(each["value"][1]))
    return results, address


@pytest.mark.needs("prometheus")
async def test_both_read_the_same(tmp_path: Path) -> None:
    theirs, address = await scraped_by_prometheus(tmp_path)
    differences = []
    for number, (media, body) in enumerate(CASES):
        mine = ours(number, media, body, address)
        wanted = theirs.get(number, {})
        for labels in {*mine, *wanted}:
            name = dict(labels).get("__name__", "")
            if name in UNLIKE or (name == "scrape_series_added" and wanted.get(labels) == "0.0"):
                continue
            if (name == "scrape_series_added" and body in COUNTED_BY_SPELLING) or (name == "up" and body == FORGED):
                continue
            if name in COUNTS and mine.get(up(labels)) == "0.0" == wanted.get(up(labels)):
                continue  # how far each came before it refused
            if mine.get(labels) != wanted.get(labels):
                differences.append((media, body, labels, mine.get(labels), wanted.get(labels)))
    assert not differences, "\n".join(map(repr, differences))


def up(labels: Labels) -> Labels:
    return make({**dict(labels), "__name__": "up"})
