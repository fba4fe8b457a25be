"""Histograms that come late: taken within the window, read in order, kept by a crash, made into blocks. Prometheus answers the
same, and each opens what the other left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from styr.metrics.kernels.crc import crc32c
from styr.metrics.model.histogram import CUSTOM_BUCKETS, GAUGE, NOT_RESET, RESET, UNKNOWN, Histogram
from styr.metrics.model.labels import Labels, make
from styr.metrics.storage.db import Database
from tests.metrics.storage.histograms.support import STALE, Sequence_, histogram, write_request
from tests.metrics.storage.samples import EVERYTHING, START, bits, opened
from tests.metrics.storage.test_prometheus import remote_write
from tests.peers.prometheus import Peer, Series, prometheus

MINUTE = 60_000
WINDOW = 4 * 60 * MINUTE
CONFIG = "storage: {tsdb: {out_of_order_time_window: 4h}}\n"
BOUNDS = (0.5, 1.0, 2.5)
RECEIVER = "--web.enable-remote-write-receiver"


def kinds() -> dict[Labels, Sequence_]:
    """Series by kind, a histogram each minute for three hours."""

    def counts(k: int) -> dict[int, float]:
        return {0: 1.0 + k, 1 + k % 3: 2.0 * k + 1}

    made = {
        "integer": lambda k: histogram(counts(k), {2: 1.0 + k}, zero=float(k), total=k * 1.5),
        "float": lambda k: histogram({i: n * 1.25 for i, n in counts(k).items()}, integer=False),
        "gauge": lambda k: histogram(counts(k % 7), hint=GAUGE),
        "custom": lambda k: histogram(
            {0: 1.0 + k, 2: 3.0 + k}, schema=CUSTOM_BUCKETS, threshold=0.0, custom=BOUNDS, total=float(k)
        ),
        "resets": lambda k: histogram({0: 1.0 + k % 11}),
    }
    return {
        make({"__name__": "h", "kind": name}): [(START + k * MINUTE, each(k)) for k in range(180)]
        for name, each in made.items()
    }


def rounds(series: dict[Labels, Sequence_]) -> list[dict[Labels, Sequence_]]:
    """In which order they come: in time with a gap of 100, then what is in the gap, shuffled and some twice."""
    order = [k for k in range(180) if not 50 <= k < 150]
    order += np.random.default_rng(5).permutation(np.append(np.arange(50, 150), np.arange(50, 80))).tolist()
    return [{labels: [samples[k]] for labels, samples in series.items()} for k in order]


def append(database: Database, row: dict[Labels, Sequence_]) -> None:
    items = [(labels, *sample) for labels, samples in row.items() for sample in samples]
    refs = database.head.refs([item[0] for item in items]).tolist()
    done = database.head.append_histograms(refs, [item[1] for item in items], [item[2] for item in items])
    assert (done.added, list(done.refused)) == (len(items), [])


def read(database: Database) -> dict[Labels, list[tuple[int, Any]]]:
    """All samples: floats as bits, histograms by what they count."""
    selection = database.querier().select(EVERYTHING, -(1 << 60), 1 << 60)
    labels, found = selection.frame.all_labels(), {}
    for batch in selection.batches(1000):
        for i in range(len(batch.offsets) - 1):
            low, high = int(batch.offsets[i]), int(batch.offsets[i + 1])
            t = batch.t[low:high]
            assert (np.diff(t) > 0).all()
            found[labels[batch.first + i]] = [
                (int(time), content(batch.histograms[place]) if place in batch.histograms else bits(batch.v[place]))
                for place, time in zip(range(low, high), t.tolist(), strict=True)
            ]
    return found


def content(h: Histogram) -> tuple[Any, ...]:
    sides = []
    for spans, buckets in ((h.positive_spans, h.positive_buckets), (h.negative_spans, h.negative_buckets)):
        at, indexes = 0, []
        for offset, length in spans:
            at += offset
            indexes += range(at, at + length)
            at += length
        sides.append(tuple((i, n) for i, n in zip(indexes, buckets, strict=True) if n))
    gauge = h.counter_reset_hint == GAUGE
    return h.integer, gauge, h.schema, h.count, bits(h.sum), h.zero_count, tuple(h.custom_values), *sides


def wanted(series: dict[Labels, Sequence_]) -> dict[Labels, list[tuple[int, Any]]]:
    return {labels: [(t, content(h)) for t, h in samples] for labels, samples in series.items()}


def filled(path: Path) -> Database:
    database = opened(path, out_of_order_window=WINDOW)
    for row in rounds(kinds()):
        append(database, row)
    return database


def abandon(database: Database) -> None:
    """As a crash leaves it."""
    database.head.sync()
    database.head.stop()
    os.close(database._lock_file)


def test_they_are_read_in_their_place(tmp_path: Path) -> None:
    database = filled(tmp_path)
    assert read(database) == wanted(kinds())
    database.close()
    again = opened(tmp_path)
    assert read(again) == wanted(kinds())
    again.close()


def test_without_a_window_they_are_refused(tmp_path: Path) -> None:
    database = opened(tmp_path)
    refs = database.head.refs([make({"__name__": "h"})]).tolist()
    append(database, {make({"__name__": "h"}): [(START + 90 * MINUTE, histogram({0: 1}))]})
    times = [START + 80 * MINUTE, START]
    done = database.head.append_histograms(refs * 2, times, [histogram({0: 1})] * 2)
    assert (done.added, done.out_of_order, done.too_old, list(done.refused)) == (0, 1, 1, [0, 1])
    database.close()


def test_too_old_for_the_window_is_refused(tmp_path: Path) -> None:
    database = opened(tmp_path, out_of_order_window=WINDOW)
    refs = database.head.refs([make({"__name__": "h"})]).tolist()
    append(database, {make({"__name__": "h"}): [(START + WINDOW + 2, histogram({0: 1}))]})
    done = database.head.append_histograms(refs * 2, [START + 1, START + 2], [histogram({0: 1})] * 2)
    assert (done.added, done.too_old, list(done.refused)) == (1, 1, [0])
    database.close()


def test_of_the_same_time_the_first_stays(tmp_path: Path) -> None:
    database = opened(tmp_path, out_of_order_window=WINDOW)
    labels = make({"__name__": "h"})
    append(database, {labels: [(START + MINUTE, histogram({0: 9}))]})
    append(database, {labels: [(START, histogram({0: 1}))]})
    append(database, {labels: [(START, histogram({0: 2}))]})
    assert read(database)[labels][0] == (START, content(histogram({0: 1})))
    database.close()


def test_floats_and_histograms_of_one_series_are_late_together(tmp_path: Path) -> None:
    database = opened(tmp_path, out_of_order_window=WINDOW)
    labels = make({"__name__": "h"})
    refs = database.head.refs([labels])
    append(database, {labels: [(START + 100 * MINUTE, histogram({0: 100}))]})
    for k in range(0, 90, 2):
        append(database, {labels: [(START + k * MINUTE, histogram({0: float(k)}, integer=k % 4 == 0))]})
        done = database.head.append(refs, np.array([START + (k + 1) * MINUTE]), np.array([float(k)]))
        assert done.added == 1
    want: list[tuple[int, Any]] = []
    for k in range(0, 90, 2):
        want.append((START + k * MINUTE, content(histogram({0: float(k)}, integer=k % 4 == 0))))
        want.append((START + (k + 1) * MINUTE, bits(float(k))))
    want.append((START + 100 * MINUTE, content(histogram({0: 100}))))
    assert read(database) == {labels: want}
    abandon(database)
    again = opened(tmp_path, out_of_order_window=WINDOW)
    assert again.problems == []
    assert read(again) == {labels: want}
    again.close()


def test_a_late_staleness_marker_becomes_a_histogram(tmp_path: Path) -> None:
    database = opened(tmp_path, out_of_order_window=WINDOW)
    labels = make({"__name__": "h"})
    append(database, {labels: [(START + MINUTE, histogram({0: 9}))]})
    database.head.append(database.head.refs([labels]), np.array([START]), np.array([STALE]))
    (batch,) = database.querier().select(EVERYTHING, START, START + MINUTE).batches()
    assert sorted(batch.histograms) == [0, 1]
    assert np.isnan(batch.histograms[0].sum)
    database.close()


def test_what_comes_between_takes_the_knowledge_of_resets(tmp_path: Path) -> None:
    """A histogram says that it is no reset of its neighbour in the chunk; it does not know of one that came between."""
    database = opened(tmp_path, out_of_order_window=WINDOW)
    labels = make({"__name__": "h"})
    append(database, {labels: [(START + k * MINUTE, histogram({0: 10.0 + k})) for k in (0, 1, 3, 4)]})
    append(database, {labels: [(START + 2 * MINUTE, histogram({0: 99.0}, hint=RESET))]})
    (batch,) = database.querier().select(EVERYTHING, START, START + 4 * MINUTE).batches()
    hints = [batch.histograms[i].counter_reset_hint for i in range(5)]
    assert hints == [UNKNOWN, NOT_RESET, UNKNOWN, UNKNOWN, NOT_RESET]
    database.close()


def test_a_crash_keeps_them(tmp_path: Path) -> None:
    abandon(filled(tmp_path / "a"))
    for place in ("b", "c"):
        shutil.copytree(tmp_path / chr(ord(place) - 1), tmp_path / place)
        again = opened(tmp_path / place, out_of_order_window=WINDOW)
        assert again.problems == []
        assert read(again) == wanted(kinds())
        abandon(again)


def test_a_record_that_does_not_parse_is_passed_over(tmp_path: Path) -> None:
    abandon(filled(tmp_path))
    (segment,) = (tmp_path / "wbl").iterdir()
    data = bytearray(segment.read_bytes())
    record = bytes([7, 0, 0, 1])  # Histograms, but not one whole reference; the checksum is right.
    checksum = int(crc32c(np.frombuffer(record, np.uint8), 0, len(record)))
    room = 32_768 - len(data) % 32_768
    assert room > 7 + len(record)
    data += bytes([1]) + len(record).to_bytes(2, "big") + checksum.to_bytes(4, "big") + record
    segment.write_bytes(data)
    again = opened(tmp_path, out_of_order_window=WINDOW)
    (problem,) = again.problems
    assert problem.startswith("a record of type 7 for late samples was passed over")
    assert read(again) == wanted(kinds())
    again.close()


def test_maintenance_makes_blocks_of_them(tmp_path: Path) -> None:
    database = filled(tmp_path)
    want = wanted(kinds())
    labels = make({"__name__": "h", "kind": "integer"})
    for hours in (4, 5, 6, 7, 8):
        late = (START + hours * 60 * MINUTE, histogram({0: 1000.0 * hours}))
        append(database, {labels: [late]})
        want[labels].append((late[0], content(late[1])))
    done = database.maintain_now()
    assert (done.problems, bool(done.written)) == ([], True)
    assert not database.head.out_of_order.series
    assert read(database) == want
    assert database.maintain_now().problems == []
    assert read(database) == want
    database.close()


def told(peer: Peer) -> Series:
    return peer.raw(START + 181 * MINUTE, 2 * WINDOW)


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("crash", [False, True])
def test_prometheus_answers_the_same(tmp_path: Path, crash: bool) -> None:
    """The same sent to both in the same order; then each opens what the other left."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    floats = make({"__name__": "h", "kind": "integer"}), [(START + 100 * MINUTE + 1, 1.5), (START + 20 * MINUTE, 2.5)]
    with prometheus(theirs, RECEIVER, config=CONFIG, kill=crash) as peer:
        for row in rounds(kinds()):
            peer.remote_write(write_request(row))
        peer.remote_write(remote_write([floats]))
        by_them = told(peer)
    database = filled(ours)
    refs = database.head.refs([floats[0]])
    for t, value in floats[1]:
        assert database.head.append(refs, np.array([t]), np.array([value])).added == 1
    want = read(database)
    assert {labels: len(samples) for labels, samples in by_them.items()} == {k: len(v) for k, v in want.items()}
    if crash:
        abandon(database)
        opened(ours, out_of_order_window=WINDOW).close()
    else:
        database.close()
    with prometheus(ours, config=CONFIG) as peer:
        assert told(peer) == by_them
        assert "orrupt" not in peer.log.read_text()
    other = opened(theirs, out_of_order_window=WINDOW)
    assert other.problems == []
    assert read(other) == want
    other.close()
    with prometheus(theirs, config=CONFIG) as peer:
        assert told(peer) == by_them


@pytest.mark.needs("prometheus")
def test_prometheus_replays_our_log_of_them(tmp_path: Path) -> None:
    """Without a clean close: `rows=False`, and late histograms of which some are in chunks and some only in wbl/."""
    data = tmp_path / "data"
    database = opened(data, out_of_order_window=WINDOW, rows=False)
    for row in rounds(kinds()):
        append(database, row)
    abandon(database)
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    again = opened(copy, out_of_order_window=WINDOW)
    want = read(again)
    again.close()
    assert want == wanted(kinds())
    with prometheus(copy, config=CONFIG) as peer:
        clean = told(peer)
    with prometheus(data, config=CONFIG) as peer:
        assert told(peer) == clean
        assert {len(samples) for samples in clean.values()} == {180}


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_order_of_any_kinds(tmp_path: Path, seed: int) -> None:
    """Floats and histograms of one series at random times within the window, to both; then blocks of ours."""
    random = np.random.default_rng(seed)
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    database = opened(ours, out_of_order_window=WINDOW)
    series = [make({"__name__": "mixed", "i": str(i)}) for i in range(3)]
    with prometheus(theirs, RECEIVER, config=CONFIG) as peer:
        for t in (START + random.permutation(230)[:200] * MINUTE).tolist():
            for labels in series:
                k, kind = int(random.integers(0, 50)), int(random.integers(0, 4))
                if kind == 0:
                    peer.remote_write(remote_write([(labels, [(t, float(k))])]))
                    refs = database.head.refs([labels])
                    assert database.head.append(refs, np.array([t]), np.array([float(k)])).added == 1
                    continue
                counts = {int(i): float(k + 1) for i in random.integers(-5, 5, 3)}
                h = histogram(counts, integer=kind != 1, hint=GAUGE if kind == 3 else UNKNOWN)
                peer.remote_write(write_request({labels: [(t, h)]}))
                append(database, {labels: [(t, h)]})
        by_them = peer.raw(START + 240 * MINUTE, 2 * WINDOW)
    want = read(database)
    assert {labels: len(samples) for labels, samples in want.items()} == dict.fromkeys(series, 200)
    append(database, {series[0]: [(START + 12 * 60 * MINUTE, histogram({0: 1}))]})
    assert database.maintain_now().problems == []
    database.close()
    with prometheus(ours, config=CONFIG) as peer:
        assert peer.raw(START + 240 * MINUTE, 2 * WINDOW) == by_them
    other = opened(theirs, out_of_order_window=WINDOW)
    assert read(other) == want
    other.close()
