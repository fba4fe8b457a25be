"""Samples that come late: taken within the window, read in order, kept by a crash, made into blocks, read by Prometheus."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from styr.metrics.model.labels import make
from styr.metrics.storage.db import Database
from tests.metrics.storage.samples import START, Found, bits, of_prometheus, opened, read
from tests.peers.prometheus import prometheus

MINUTE = 60_000
WINDOW = 4 * 60 * MINUTE
SERIES = [make({"__name__": "m", "i": str(i)}) for i in range(3)]


def fill(database: Database) -> Found:
    """180 minutes in order, with a gap of 100, and then what belongs into the gap, shuffled and some of it twice."""
    head = database.head
    refs = head.refs(SERIES)
    want: Found = {labels: [] for labels in SERIES}
    for minute in range(180):
        if 50 <= minute < 150:
            continue
        t = START + minute * MINUTE
        values = np.array([minute + i / 10 for i in range(3)])
        assert head.append(refs, np.full(3, t), values).added == 3
    order = np.random.default_rng(5).permutation(np.repeat(np.arange(50, 150), 2))
    for minute in order.tolist():
        for i in range(3):
            done = head.append(refs[i : i + 1], np.array([START + minute * MINUTE]), np.array([minute + i / 10]))
            assert done.added == 1
    for i, labels in enumerate(SERIES):
        want[labels] = [(START + minute * MINUTE, bits(minute + i / 10)) for minute in range(180)]
    return want


def test_late_samples_are_read_in_their_place(tmp_path: Path) -> None:
    database = opened(tmp_path, out_of_order_window=WINDOW)
    want = fill(database)
    assert read(database.querier()) == want
    part = {
        labels: [s for s in samples if START + 60 * MINUTE <= s[0] <= START + 70 * MINUTE]
        for labels, samples in want.items()
    }
    assert read(database.querier(), START + 60 * MINUTE, START + 70 * MINUTE) == part
    database.close()


def test_without_a_window_they_are_refused(tmp_path: Path) -> None:
    database = opened(tmp_path)
    refs = database.head.refs(SERIES[:1])
    database.head.append(refs, np.array([START + 90 * MINUTE]), np.array([1.0]))
    late = database.head.append(np.repeat(refs, 2), np.array([START + 80 * MINUTE, START]), np.array([1.0, 1.0]))
    assert (late.added, late.out_of_order, late.too_old, list(late.refused)) == (0, 1, 1, [0, 1])
    database.close()


def test_too_old_for_the_window_is_refused(tmp_path: Path) -> None:
    database = opened(tmp_path, out_of_order_window=WINDOW)
    refs = database.head.refs(SERIES[:1])
    database.head.append(refs, np.array([START + WINDOW + 2]), np.array([1.0]))
    late = database.head.append(np.repeat(refs, 2), np.array([START + 1, START + 2]), np.array([1.0, 1.0]))
    assert (late.added, late.too_old, list(late.refused)) == (1, 1, [0])
    database.close()


def test_a_crash_keeps_them(tmp_path: Path) -> None:
    database = opened(tmp_path / "a", out_of_order_window=WINDOW)
    want = fill(database)
    database.head.sync()
    database.head.stop()
    for place in ("b", "c"):
        shutil.copytree(tmp_path / chr(ord(place) - 1), tmp_path / place)
        again = opened(tmp_path / place, out_of_order_window=WINDOW)
        assert again.problems == []
        assert read(again.querier()) == want
        again.head.stop()
        os.close(again._lock_file)
    again = opened(tmp_path / "c", out_of_order_window=WINDOW)
    again.close()
    again = opened(tmp_path / "c", out_of_order_window=WINDOW)
    assert read(again.querier()) == want
    again.close()


def test_maintenance_makes_blocks_of_them(tmp_path: Path) -> None:
    database = opened(tmp_path, out_of_order_window=10 * WINDOW)
    want = fill(database)
    refs = database.head.refs(SERIES[:1])
    for hours in (4, 6, 8):
        t = START + hours * 60 * MINUTE
        assert database.head.append(refs, np.array([t]), np.array([1.0])).added == 1
        want[SERIES[0]].append((t, bits(1.0)))
    done = database.maintain_now()
    assert done.problems == []
    assert done.written
    assert not database.head.out_of_order.series
    assert read(database.querier()) == want
    database.close()
    again = opened(tmp_path)
    assert read(again.querier()) == want
    again.close()


@pytest.mark.needs("prometheus")
def test_prometheus_reads_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    database = opened(data, out_of_order_window=WINDOW)
    want = fill(database)
    database.close()
    config = "storage: {tsdb: {out_of_order_time_window: 4h}}\n"
    with prometheus(data, config=config) as peer:
        assert of_prometheus(peer.raw(START + 181 * MINUTE, 2 * WINDOW)) == want
        assert "orrupt" not in peer.log.read_text()
    again = opened(data, out_of_order_window=WINDOW)
    assert read(again.querier()) == want
    again.close()


def test_their_chunks_outlive_the_blocks_of_what_was_in_order(tmp_path: Path) -> None:
    """The file of a late chunk is not dropped with the chunks of the head that lie beside it."""
    database = opened(tmp_path, out_of_order_window=10 * WINDOW)
    head = database.head
    head.disk._size = 1 << 20  # Every write begins a new file.
    refs = head.refs(SERIES[:1])
    want = []
    for minute in [*range(60, 180, 2), *range(61, 140, 2), *range(180, 400, 2)]:
        assert head.append(refs, np.array([START + minute * MINUTE]), np.array([float(minute)])).added == 1
        head.state.flush()
        want.append((START + minute * MINUTE, bits(float(minute))))
    assert database.maintain_now().problems == []
    assert read(database.querier()) == {SERIES[0]: sorted(want)}
    database.close()
