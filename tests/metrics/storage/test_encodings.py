"""What Prometheus writes with its newer encodings switched on: XOR2 chunks, chunks of histograms with start timestamps, and
records of both. We open its directory, whichever file the samples are in, and it opens ours again."""

from __future__ import annotations

import struct
from pathlib import Path

import cramjam
import numpy as np
import pytest

from styr.metrics.model.labels import Labels, make
from styr.metrics.model.samples import STALE_BITS
from styr.metrics.storage.block import catalog
from styr.metrics.storage.block.verify import verify
from styr.metrics.storage.chunkset import FLOAT_HISTOGRAM_ST, HISTOGRAM_ST, XOR2
from styr.metrics.storage.db import Database
from tests.metrics.storage.block.support import Value, make_block
from tests.metrics.storage.histograms.support import (
    STALE,
    Sequence_,
    _bytes,
    _message,
    _number,
    _varint,
    histogram,
    series_of,
)
from tests.metrics.storage.samples import START, bits, opened
from tests.metrics.storage.test_late_histograms import content, read
from tests.peers.prometheus import Peer, Series, prometheus

CONFIG = "storage: {tsdb: {out_of_order_time_window: 30d}}\n"
WINDOW = 30 * 86_400_000
FLAGS = "xor2-encoding,st-storage,histograms-st-encoding"
ARGUMENTS = ("--web.enable-remote-write-receiver", "--web.enable-admin-api", "--storage.tsdb.min-block-duration=2h")

Floats = dict[Labels, list[tuple[int, float, int]]]
"""(time, value, start timestamp)."""


def write_request_2(floats: Floats, native: dict[Labels, Sequence_], begun: int) -> bytes:
    """A body of remote write 2.0; histograms with the start timestamp `begun`."""
    symbols: dict[str, int] = {"": 0}
    body = b""

    def series(labels: Labels, samples: bytes) -> bytes:
        refs = [symbols.setdefault(text, len(symbols)) for pair in labels for text in pair]
        return _bytes(5, _bytes(1, b"".join(map(_varint, refs))) + samples)

    for labels, values in floats.items():
        body += series(labels, b"".join(
            _bytes(2, b"\x09" + struct.pack("<d", v) + _number(2, _varint(t)) + _number(3, _varint(st)))
            for t, v, st in values
        ))  # fmt: skip
    for labels, histograms in native.items():
        each = b"".join(_bytes(3, _message(t, h) + _number(17, _varint(begun))) for t, h in histograms)
        body += series(labels, each)
    body = b"".join(_bytes(4, text.encode()) for text in symbols) + body
    return bytes(cramjam.snappy.compress_raw(body))


def send(peer: Peer, body: bytes) -> None:
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "X-Prometheus-Remote-Write-Version": "2.0.0",
    }
    status, said = peer.send("POST", "/api/v1/write", body, headers)
    assert status < 300, said


def floats(first: int, count: int) -> Floats:
    """Samples first .. first + count - 1 of series that are steady, jittery, odd, stale now and then, with start timestamps
    that stay, change, and begin late."""
    random = np.random.default_rng(first)
    names = ("steady", "counter", "jitter", "odd", "stale", "starts", "late start")
    found: Floats = {make({"__name__": "f", "kind": name}): [] for name in names}
    for k in range(first, first + count):
        t = START + 15_000 * k
        jitter = int(random.integers(-900, 900))
        for labels, sample in zip(found, (
            (t, 1.0, 0), (t, 3.0 * k, START - 5), (t + jitter, float(k // 5), START - 5), (t, float(random.normal()), 0),
            (t, STALE if k % 7 == 3 else k * 0.5, START - 5), (t, k * 2.0, START - 5 + 1000 * (k // 9)),
            (t, 1.5 * k, START if k > 30 else 0),
        ), strict=True):  # fmt: skip
            found[labels].append(sample)
    return found


def native(first: int, count: int) -> dict[Labels, Sequence_]:
    return {
        make({"__name__": "h", "kind": "integer" if integer else "float"}): [
            (START + 15_000 * k, histogram({0: 1.0 + k, k // 20: 2.0 * k + 1}, zero=float(k), integer=integer))
            for k in range(first, first + count)
        ]
        for integer in (True, False)
    }


def odd(row: int) -> dict[Labels, Sequence_]:
    """The sequences that make every decision of the encoder come up, one of each at a time; after START."""
    return {
        make({"__name__": "odd", "name": name, "integer": str(integer)}): samples[row : row + 1]
        for integer in (True, False)
        for name, samples in series_of(integer, 1).items()
        if row < len(samples)
    }


def fill(peer: Peer) -> None:
    """400 rows in order, so that chunks are full; then late ones."""
    for first in range(0, 400, 20):
        send(peer, write_request_2(floats(first, 20), native(first, 20), START - 7 + first // 100))
    for row in range(9):
        send(peer, write_request_2({}, odd(row), START - 7))
    late = {labels: [(t + 7, v, st) for t, v, st in each] for labels, each in floats(10, 70).items()}
    send(peer, write_request_2(late, {}, 0))
    behind = {labels: [(t + 7, h) for t, h in each] for labels, each in native(10, 70).items()}
    for k in range(70):
        send(peer, write_request_2({}, {labels: each[k : k + 1] for labels, each in behind.items()}, START - 3))


def told(peer: Peer) -> Series:
    return peer.raw(START + 86_400_000, 2 * 86_400_000)


def shown(database: Database) -> Series:
    """What we have as `comparable` says it, without staleness markers, which queries for raw samples leave out."""
    return {
        labels: [
            (t, "histogram" if isinstance(value, tuple) else text(value))
            for t, value in samples
            if (value[4] if isinstance(value, tuple) else value) != STALE_BITS
        ]
        for labels, samples in read(database).items()
    }


def text(value: int) -> str:
    """Of a float's bits."""
    return repr(float(np.int64(value).view(np.float64)))


def comparable(series: Series) -> Series:
    """Histograms by their times only: that each is read right is in tests/metrics/storage/histograms."""
    return {
        labels: [(t, "histogram" if v.startswith("{") else repr(float(v))) for t, v in samples]
        for labels, samples in series.items()
    }


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("kill", [False, True])
def test_we_open_what_prometheus_wrote_with_every_flag(tmp_path: Path, kill: bool) -> None:
    data = tmp_path / "data"
    flags = f"--enable-feature={FLAGS},memory-snapshot-on-shutdown"
    with prometheus(data, *ARGUMENTS, flags, config=CONFIG, kill=kill) as peer:
        fill(peer)
        by_them = told(peer)
    assert sum(map(len, by_them.values())) > 4000
    database = opened(data, out_of_order_window=WINDOW)
    assert database.problems == []
    encodings = set(database.querier().select([], -(1 << 60), 1 << 60)._chunks.encoding.tolist())
    if not kill:  # Then all of it is in the log.
        assert encodings >= {XOR2, HISTOGRAM_ST, FLOAT_HISTOGRAM_ST}
    assert shown(database) == comparable(by_them)
    want = read(database)
    for labels, sent in [*native(0, 400).items(), *(item for row in range(9) for item in odd(row).items())]:
        assert {(t, content(h)) for t, h in sent if bits(h.sum) != STALE_BITS} <= set(want[labels])
    database.close()
    with prometheus(data, flags, config=CONFIG) as peer:
        assert told(peer) == by_them
    again = opened(data, out_of_order_window=WINDOW)
    assert read(again) == want
    again.close()


@pytest.mark.needs("prometheus")
def test_blocks_with_them_are_read_merged_and_cut(tmp_path: Path) -> None:
    with prometheus(tmp_path / "data", *ARGUMENTS, f"--enable-feature={FLAGS}", config=CONFIG) as peer:
        fill(peer)
        by_them = comparable(told(peer))
        name = peer.ask("admin/tsdb/snapshot", method="POST")[1]["data"]["name"]
    root = tmp_path / "data" / "snapshots" / name
    (block,) = catalog.load(root).blocks
    assert {XOR2, HISTOGRAM_ST, FLOAT_HISTOGRAM_ST} <= set(block.chunks([]).encoding.tolist())
    verify(block)
    between: dict[Labels, list[tuple[int, Value]]] = {
        make({"__name__": "f", "kind": "stale"}): [(START + 3 + 15_000 * k, float(k)) for k in range(5)],
        make({"__name__": "h", "kind": "float"}): [(START + 3 + 15_000 * k, histogram({0: 1.0})) for k in range(5)],
    }
    make_block(root, between, mint=block.meta.mint, maxt=block.meta.maxt)
    database = opened(root)
    want = read(database)
    added = sum(len(set(samples) - set(by_them[labels])) for labels, samples in shown(database).items())
    assert added == 10
    assert len(database.maintain_now().compacted) == 2
    assert database.problems == []
    for block in database.blocks:
        verify(block)
    assert read(database) == want
    database.delete_series([[]], START + 600_000, START + 1_200_000)
    database.clean_tombstones()
    left = {
        labels: kept
        for labels, samples in want.items()
        if (kept := [s for s in samples if not START + 600_000 <= s[0] <= START + 1_200_000])
    }
    assert read(database) == left
    mine = shown(database)
    database.close()
    with prometheus(root, config=CONFIG) as peer:
        assert comparable(told(peer)) == mine
