"""Prometheus opens our directories and answers the same; we open Prometheus'."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import cramjam
import numpy as np
import pytest

from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels, make
from styr.metrics.model.samples import STALE_BITS
from styr.metrics.storage.db import Database, close_directory
from tests.metrics.storage.samples import START, StoppedClock, of_prometheus, opened, read, without_stale
from tests.peers.prometheus import prometheus

SPAN = 40 * 3_600_000


def fill(database: Database, rows: int, series: int = 60, step: int = 15_000) -> int:
    """Counters, gauges, constants, gaps, staleness markers, single samples and a histogram; returns the newest time."""
    random = np.random.default_rng(3)
    labels: list[Labels] = [
        make({"__name__": f"m{i % 7}", "i": str(i), "job": "a" if i % 2 else "b"}) for i in range(series)
    ]
    appender = database.head
    layout = appender.layout(appender.refs(labels))
    values = random.integers(0, 1000, series).astype(np.float64)
    single = appender.refs([make({"__name__": "rule", "i": "1"})])
    native = appender.refs([make({"__name__": "native"})]).tolist()
    t = START
    for row in range(rows):
        t += step
        moved = random.random(series) < 0.3
        values[moved] += random.integers(1, 50, int(moved.sum()))
        values[0] = random.normal()
        sent = values.copy()
        if row % 50 == 49:
            sent[3] = np.array([STALE_BITS], np.int64).view(np.float64)[0]
        done = appender.append_row(layout, t + (row % 7 == 0), sent)
        assert done.added == series
        appender.append(single, np.array([t]), np.array([row * 0.1]))
        histogram = Histogram(
            schema=1, count=2 + 3 * row, sum=1.5 * row, zero_count=2, zero_threshold=0.001, integer=True,
            positive_spans=[(0, 2)], positive_buckets=[row, 2 * row],
        )  # fmt: skip
        assert appender.append_histograms(native, [t], [histogram]).added == 1
    return t


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("blocks", [False, True])
def test_prometheus_opens_what_we_closed(tmp_path: Path, blocks: bool) -> None:
    data = tmp_path / "data"
    database = opened(data)
    t = fill(database, rows=900)
    if blocks:
        assert database.maintain_now().written
    want = without_stale(read(database.querier()))
    database.close()
    with prometheus(data) as peer:
        told = peer.raw(t + 1, SPAN)
        assert of_prometheus(told) == want
        native = told[(("__name__", "native"),)]
        assert len(native) == 900
        assert '"count": "2699"' in native[-1][1]
    assert "level=ERROR" not in peer.log.read_text()
    assert "orrupt" not in peer.log.read_text()


@pytest.mark.needs("prometheus")
def test_a_directory_left_by_a_crash_is_closed_for_prometheus(tmp_path: Path) -> None:
    database = opened(tmp_path / "running")
    t = fill(database, rows=300)
    database.head.sync()
    want = without_stale(read(database.querier()))
    data = tmp_path / "data"
    shutil.copytree(tmp_path / "running", data)
    database.close()
    assert close_directory(data, StoppedClock()).problems == []
    with prometheus(data) as peer:
        assert of_prometheus(peer.raw(t + 1, SPAN)) == want


@pytest.mark.needs("prometheus")
def test_prometheus_goes_on_where_we_stopped_and_we_where_it_stopped(tmp_path: Path) -> None:
    data = tmp_path / "data"
    database = opened(data)
    t = fill(database, rows=200)
    want = without_stale(read(database.querier()))
    database.close()
    for kill in (False, True):
        with prometheus(data, kill=kill) as peer:
            assert of_prometheus(peer.raw(t + 1, SPAN)) == want
        database = opened(data)
        assert database.problems == []
        refs = database.head.refs([make({"__name__": "later"})])
        t += 15_000
        assert database.head.append(refs, np.array([t]), np.array([1.0])).added == 1
        want = without_stale(read(database.querier()))
        database.close()


@pytest.mark.needs("prometheus")
def test_a_log_of_samples_is_replayed_by_prometheus(tmp_path: Path) -> None:
    """With `rows=False` Prometheus needs no clean close, for floats and histograms of every kind."""
    database = opened(tmp_path / "running", rows=False)
    t = fill(database, rows=150)
    head = database.head
    kinds = head.refs([make({"__name__": "kind", "of": str(i)}) for i in range(4)]).tolist()
    spans = {"positive_spans": [(1, 1), (2, 2)], "negative_spans": [(-1, 1)]}
    for row in range(30):
        whole = [1.0 + row, 2.0 + row, 3.0 + row]
        rising = [Histogram(
            schema=schema, count=sum(whole) + (row + 1 if schema > 0 else 0) + (0 if integer else 0.5), sum=row * 0.5,
            positive_buckets=list(whole), negative_buckets=[row + 1.0] if schema > 0 else [], integer=integer,
            **(spans if schema > 0 else {"positive_spans": [(0, 3)], "custom_values": [0.5, 1.0, 2.5]}),
        ) for schema, integer in ((3, True), (3, False), (-53, True), (-53, False))]  # fmt: skip
        assert head.append_histograms(kinds, [t + row] * 4, rising).added == 4
    head.sync()
    want = without_stale(read(database.querier()))
    data = tmp_path / "data"
    shutil.copytree(tmp_path / "running", data)
    database.close()
    with prometheus(data) as peer:
        told = peer.raw(t + 100, SPAN)
        assert of_prometheus(told) == want
        clean = peer.raw(t + 100, SPAN, "kind")
        assert [len(samples) for samples in clean.values()] == [30] * 4
    shutil.rmtree(data)
    shutil.copytree(tmp_path / "running", data)
    with prometheus(data) as peer:
        assert peer.raw(t + 100, SPAN, "kind") == clean
        assert "orrupt" not in peer.log.read_text()


def remote_write(series: list[tuple[Labels, list[tuple[int, float]]]]) -> bytes:
    """A body of remote write 1.0."""

    def field(number: int, data: bytes) -> bytes:
        return bytes([number << 3 | 2]) + varint(len(data)) + data

    def varint(value: int) -> bytes:
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes([*out, value])

    body = b""
    for labels, samples in series:
        each = b"".join(field(1, field(1, n.encode()) + field(2, v.encode())) for n, v in labels)
        each += b"".join(field(2, b"\x09" + struct.pack("<d", v) + b"\x10" + varint(t)) for t, v in samples)
        body += field(1, each)
    return bytes(memoryview(cramjam.snappy.compress_raw(body)))


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize(
    "arguments", [(), ("--storage.tsdb.wal-compression-type=zstd",), ("--no-storage.tsdb.wal-compression",)]
)
@pytest.mark.parametrize("kill", [False, True])
def test_we_open_what_prometheus_wrote(tmp_path: Path, arguments: tuple[str, ...], kill: bool) -> None:
    data = tmp_path / "data"
    random = np.random.default_rng(9)
    series = [make({"__name__": "w", "i": str(i), "long": "x" * i}) for i in range(40)]
    config = "storage: {tsdb: {out_of_order_time_window: 4h}}\n"
    with prometheus(data, "--web.enable-remote-write-receiver", *arguments, config=config, kill=kill) as peer:
        t = START
        for _ in range(20):
            items = [(s, [(t + 5000 * k, float(random.integers(0, 50)) / 8) for k in range(20)]) for s in series]
            t += 100_000
            peer.remote_write(remote_write(items))
        late = [(s, [(START + 60_000 + k * 5_000 + 7, k * 0.3) for k in range(70)]) for s in series[:5]]
        peer.remote_write(remote_write(late))
        want = of_prometheus(peer.raw(t, SPAN))
    assert sum(len(samples) for samples in want.values()) == 40 * 400 + 5 * 70
    database = opened(data, out_of_order_window=4 * 3_600_000)
    assert database.problems == []
    assert read(database.querier()) == want
    database.close()
    database = opened(data)
    assert read(database.querier()) == want
    database.close()
    with prometheus(data, config=config) as peer:
        assert of_prometheus(peer.raw(t, SPAN)) == want
