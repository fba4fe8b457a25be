"""Protobuf bodies and converted classic histograms: by themselves, and as a real Prometheus stores them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any

import pytest

from styr.metrics.exposition.classic import compact
from styr.metrics.exposition.entry import NO_TIME, ExpositionError
from styr.metrics.exposition.negotiate import HEADERS
from styr.metrics.exposition.parse import Options, parse
from styr.metrics.model.histogram import CUSTOM_BUCKETS, GAUGE, Histogram
from styr.metrics.model.labels import Labels, make
from styr.metrics.scrape.buffers import Buffers
from styr.metrics.scrape.config import parse_job
from styr.metrics.scrape.ingest import Ingest
from styr.metrics.scrape.lines import Scratch
from styr.metrics.scrape.target import discovered, make_target
from tests.metrics.exposition.messages import BODIES, CLASSIC, HISTOGRAM, NATIVE, TEXTS, family
from tests.metrics.exposition.test_peer import COUNTS, stored, up
from tests.metrics.scrape.appender import Memory, key, readable

SETTINGS: list[dict[str, Any]] = [
    {},
    {"scrape_native_histograms": True},
    {"scrape_native_histograms": True, "always_scrape_classic_histograms": True},
    {"scrape_native_histograms": True, "convert_classic_histograms_to_nhcb": True},
    {"convert_classic_histograms_to_nhcb": True, "always_scrape_classic_histograms": True},
    {"scrape_native_histograms": True, "native_histogram_bucket_limit": 4},
    {"scrape_native_histograms": True, "native_histogram_min_bucket_factor": 3.9},
]
CASES = [
    *(("protobuf", body, settings) for body in BODIES for settings in SETTINGS),
    *(("text", body, settings) for body in TEXTS for settings in SETTINGS[3:5]),
]
TYPES = {"protobuf": HEADERS["PrometheusProto"], "text": HEADERS["PrometheusText0.0.4"]}


def test_a_native_histogram() -> None:
    body = family("n", HISTOGRAM, {"labels": {"x": "1"}, "timestamp_ms": 77, "histogram": NATIVE}, help="h", unit="s")
    found = parse(body, "protobuf", Options(native=True))
    [sample] = found.samples
    assert (sample.labels, sample.t) == ((("__name__", "n"), ("x", "1")), 77)
    assert sample.histogram == Histogram(
        schema=1,
        zero_threshold=0.001,
        zero_count=2.0,
        count=12.0,
        sum=18.5,
        positive_spans=[(0, 2), (1, 2)],
        positive_buckets=[1.0, 2.0, 1.0, 1.0],
        negative_spans=[(-1, 3)],
        negative_buckets=[1.0, 1.0, 3.0],
        integer=True,
    )
    assert [(each.value, each.t) for each in sample.exemplars] == [(0.5, 5006)]
    assert (found.families["n"].type, found.families["n"].help, found.families["n"].unit) == ("histogram", "h", "s")


def test_classic_parts() -> None:
    samples = parse(family("h", HISTOGRAM, {"histogram": CLASSIC}), "protobuf").samples
    assert {key(each.labels): each.value for each in samples} == {
        "h_count": 6.0,
        "h_sum": 7.5,
        "h_bucket le=0.5": 1.0,
        "h_bucket le=1.0": 4.0,
        "h_bucket le=2.5": 4.0,
        "h_bucket le=+Inf": 6.0,
    }
    assert {each.created for each in samples} == {5006}
    assert [each.t for sample in samples for each in sample.exemplars] == [5006, NO_TIME]


def test_a_converted_histogram() -> None:
    found = parse(TEXTS[0], "text", Options(convert=True)).samples
    assert [key(each.labels) for each in found] == ["h", "a"]
    assert found[0].histogram == Histogram(
        schema=CUSTOM_BUCKETS,
        count=6.0,
        sum=4.0,
        positive_spans=[(0, 3)],
        positive_buckets=[1.0, 3.0, 2.0],
        custom_values=[1.0, 2.0],
        integer=True,
    )
    gauge = parse(family("gh", 5, {"histogram": CLASSIC}), "protobuf", Options(convert=True)).samples[0].histogram
    assert gauge is not None
    assert gauge.counter_reset_hint == GAUGE


def test_empty_buckets_are_cut_out() -> None:
    assert compact([(2, 5)], [0.0, 1.0, 0.0, 0.0, 2.0], 0) == ([(3, 1), (2, 1)], [1.0, 2.0])
    assert compact([(2, 5)], [0.0, 1.0, 0.0, 0.0, 2.0], 2) == ([(3, 4)], [1.0, 0.0, 0.0, 2.0])
    assert compact([(0, 1), (1, 1), (0, 0), (3, 1)], [1.0, 2.0, 3.0], 1) == ([(0, 3), (3, 1)], [1.0, 0.0, 2.0, 3.0])
    assert compact([(0, 2)], [0.0, 0.0], 0) == ([], [])


def test_any_bytes_are_read_or_refused() -> None:
    chance = random.Random(7)
    for round_ in range(1500):
        body = bytearray(chance.choice(BODIES[1:]))
        for _ in range(chance.choice([0, 1, 3])):
            body[chance.randrange(len(body))] = chance.randrange(256)
        data = bytes(body)[: chance.randint(0, len(body)) if round_ % 2 else len(body)]
        with contextlib.suppress(ExpositionError):
            parse(data, "protobuf", Options(native=True, classic=True, convert=bool(round_ % 3)))


def shape(value: object) -> object:
    """A histogram as the API tells it: count, sum and the buckets that are not empty, from the lowest on."""
    if not isinstance(value, Histogram):
        return repr(value)
    counts = [*reversed(value.negative_buckets), value.zero_count, *value.positive_buckets]
    return repr(value.count), repr(value.sum), [each for each in counts if each]


def told(found: dict[str, Any]) -> object:
    if "value" in found:
        return repr(float(found["value"][1]))
    histogram = found["histogram"][1]
    buckets = [float(each[3]) for each in histogram.get("buckets", ())]
    return repr(float(histogram["count"])), repr(float(histogram["sum"])), [each for each in buckets if each]


def ours(number: int, address: str) -> dict[Labels, object]:
    media, body, settings = CASES[number]
    config = parse_job({"job_name": f"case-{number}", **settings})
    target = make_target(config, discovered(config, {"__address__": address}, {}))
    assert target is not None
    memory, buffers = Memory(), Buffers()
    Ingest(target, config, memory, buffers, Scratch()).scrape(buffers.body(body), media, 10**12, lambda: 0.1)  # type: ignore[arg-type]
    return {
        labels: shape(readable(samples[-1][1]))
        for labels, samples in memory.samples.items()
        if samples[-1][0] == 10**12
    }


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        media, body, _ = CASES[int(head.split()[1].rsplit(b"/", 1)[1])]
        kind = f"HTTP/1.1 200 OK\r\nContent-Type: {TYPES[media]}\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{kind}Connection: close\r\n\r\n".encode() + body)
        await writer.drain()
    except asyncio.IncompleteReadError:
        pass
    finally:
        writer.close()


async def scraped_by_prometheus(folder: Path) -> tuple[dict[int, dict[Labels, object]], str]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    jobs = [
        {"job_name": f"case-{n}", "metrics_path": f"/{n}", "static_configs": [{"targets": [address]}], **settings}
        for n, (_, _, settings) in enumerate(CASES)
    ]
    async with server:
        found = await stored(folder, jobs)
    results: dict[int, dict[Labels, object]] = {}
    for each in found:
        number = int(each["metric"]["job"].removeprefix("case-"))
        results.setdefault(number, {})[make(each["metric"])] = told(each)
    return results, address


@pytest.mark.needs("prometheus")
async def test_the_same_as_prometheus(tmp_path: Path) -> None:
    theirs, address = await scraped_by_prometheus(tmp_path)
    differences = []
    for number, (media, body, settings) in enumerate(CASES):
        mine, wanted = ours(number, address), theirs.get(number, {})
        for labels in {*mine, *wanted}:
            name = dict(labels)["__name__"]
            failed = mine.get(up(labels)) == "0.0" == wanted.get(up(labels))
            if name == "scrape_duration_seconds" or name == "scrape_series_added" or (name in COUNTS and failed):
                continue
            if mine.get(labels) != wanted.get(labels):
                differences.append((media, body[:60], settings, key(labels), mine.get(labels), wanted.get(labels)))
    assert not differences, "\n".join(map(repr, differences))
