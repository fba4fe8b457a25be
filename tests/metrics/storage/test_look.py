"""A directory that is another's is read whole, head included, and left as it is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels, make
from styr.metrics.storage.db import Database
from styr.metrics.storage.look import look
from tests.metrics.storage.block.support import dump
from tests.metrics.storage.histograms.support import histogram, write_request
from tests.metrics.storage.samples import START, Found, bits, of_prometheus, opened, read, without_stale
from tests.metrics.storage.test_prometheus import fill, remote_write
from tests.peers.prometheus import prometheus

HOUR = 3_600_000


def state(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """Of every file: size, time of the last change, content."""
    return {
        str(path.relative_to(directory)): (path.stat().st_size, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def running(path: Path) -> Database:
    """One that is in use: a block, closed chunks, rows and samples in the log, late samples of both kinds."""
    database = opened(path, out_of_order_window=4 * HOUR)
    t = fill(database, rows=900)
    assert database.maintain_now().written
    head = database.head
    late, native = head.refs([make({"__name__": "late"})]), head.refs([make({"__name__": "late native"})]).tolist()
    for k in range(50):
        head.append(late, np.array([t - (k * 7919 % 50) * 1000]), np.array([float(k)]))
        head.append_histograms(native, [t - (k * 7919 % 50) * 1000], [histogram({0: 1.0 + k})])
    head.sync()
    return database


def looked(directory: Path) -> tuple[Found, list[str], list[Labels]]:
    """Floats, problems, and which series have histograms."""
    with look(directory) as found:
        selection = found.querier.select([], -(1 << 60), 1 << 60)
        native = {b.first + i for b in selection.batches() for i in range(len(b.offsets) - 1) for k in b.histograms
                  if b.offsets[i] <= k < b.offsets[i + 1]}  # fmt: skip
        return read(found.querier), found.problems, [selection.frame.labels(i) for i in sorted(native)]


def test_one_that_is_in_use(tmp_path: Path) -> None:
    database = running(tmp_path)
    before = state(tmp_path)
    found, problems, native = looked(tmp_path)
    assert state(tmp_path) == before
    assert problems == []
    assert found == read(database.querier())
    assert native == [make({"__name__": "late native"}), make({"__name__": "native"})]
    database.close()
    assert looked(tmp_path)[0] == found


def test_what_is_damaged_is_told_of_and_stays(tmp_path: Path) -> None:
    database = running(tmp_path)
    want = read(database.querier())
    database.head.stop()
    os.close(database._lock_file)
    log = max((tmp_path / "wal").glob("0*"))
    with log.open("ab") as file:
        file.write(b"\x01\x00\x09torn")
    chunks = max((tmp_path / "chunks_head").iterdir())
    data = bytearray(chunks.read_bytes())
    used = len(bytes(data).rstrip(b"\0"))
    data[used : used + 20] = b"x" * 20
    chunks.write_bytes(data)
    before = state(tmp_path)
    found, problems, _ = looked(tmp_path)
    assert state(tmp_path) == before
    assert [problem.rpartition("; ")[2] for problem in problems] == ["passed over"]
    assert found == want


def test_an_empty_one_and_one_with_blocks_only(tmp_path: Path) -> None:
    assert looked(tmp_path) == ({}, [], [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("prometheus")
@pytest.mark.needs("promtool")
@pytest.mark.parametrize("kill", [False, True])
def test_promtool_dumps_the_same_of_prometheus_head(tmp_path: Path, kill: bool) -> None:
    data = tmp_path / "data"
    series = [make({"__name__": "w", "i": str(i)}) for i in range(5)]
    config = "storage: {tsdb: {out_of_order_time_window: 4h}}\n"
    with prometheus(data, "--web.enable-remote-write-receiver", config=config, kill=kill) as peer:
        for k in range(200):
            peer.remote_write(remote_write([(s, [(START + 15_000 * k, k * 0.1)]) for s in series]))
        peer.remote_write(remote_write([(series[0], [(START + 15_000 * k + 7, 1.0) for k in range(60)])]))
        natives: list[tuple[int, Histogram]] = [(START + 15_000 * k, histogram({0: 1.0 + k})) for k in range(20)]
        peer.remote_write(write_request({make({"__name__": "n"}): natives}))
        told = of_prometheus(peer.raw(START + 2 * HOUR, 4 * HOUR))
    found, problems, native = looked(data)
    assert (problems, native) == ([], [make({"__name__": "n"})])
    assert found == told
    dumped = dump(data)
    floats = {
        labels: [(t, bits(float(v))) for t, v in samples if not v.startswith("{")] for labels, samples in dumped.items()
    }
    assert without_stale({labels: samples for labels, samples in floats.items() if samples}) == found
