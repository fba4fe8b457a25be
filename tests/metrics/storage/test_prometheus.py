"""Prometheus opens our directories and answers the same; we open Prometheus'."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels, make
from styr.metrics.model.samples import STALE_BITS
from styr.metrics.storage.db import Database, close_directory
from tests.metrics.storage.peer import prometheus
from tests.metrics.storage.samples import START, StoppedClock, of_prometheus, opened, read, without_stale

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
