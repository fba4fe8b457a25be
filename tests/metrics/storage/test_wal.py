"""The write-ahead log: framing, cuts at every byte, damage in the middle, a disk that refuses."""

from __future__ import annotations

import os
import shutil
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from styr.metrics.kernels import wal as kernels
from styr.metrics.model.errors import StorageError, Unavailable
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import make
from styr.metrics.model.samples import Exemplar, Metadata
from styr.metrics.storage import histogramrecords, records, wal
from styr.metrics.storage.wal import Wal, read_segment, segments
from tests.metrics.storage.samples import START, Found, opened, read


def written(directory: Path, payloads: list[bytes], compress: bool = False) -> None:
    log = Wal(directory, threading.RLock())
    for payload in payloads:
        log.log_bytes(payload, compress)
    log.close()


def found(path: Path) -> list[bytes]:
    records_ = read_segment(path)
    bounds = records_.starts.tolist()
    return [records_.data[low:high].tobytes() for low, high in pairwise(bounds)]


@pytest.mark.parametrize("compress", [False, True])
def test_records_of_any_size_come_back(tmp_path: Path, compress: bool) -> None:
    random = np.random.default_rng(1)
    page = kernels.PAGE
    sizes = [0, 1, 7, page - 7, page - 8, page - 14, page, 3 * page, 100, page - 107 - 7 - 3, 5, 200_000]
    payloads = [random.integers(0, 4, size).astype(np.uint8).tobytes() for size in sizes * 3]
    written(tmp_path, payloads, compress)
    [(number, path)] = segments(tmp_path)
    assert number == 0
    assert found(path) == payloads
    assert read_segment(path).clean


def test_segments_are_full_pages_and_never_too_large(tmp_path: Path) -> None:
    log = Wal(tmp_path, threading.RLock(), size=3 * kernels.PAGE)
    payloads = [bytes([i]) * 20_000 for i in range(20)]
    for payload in payloads:
        log.log_bytes(payload, compress=False)
    log.close()
    files = segments(tmp_path)
    assert len(files) > 3
    assert all(path.stat().st_size <= 3 * kernels.PAGE for _, path in files)
    assert [record for _, path in files for record in found(path)] == payloads


def test_every_start_begins_a_new_segment(tmp_path: Path) -> None:
    written(tmp_path, [b"one"])
    written(tmp_path, [b"two"])
    assert [number for number, _ in segments(tmp_path)] == [0, 1]


def test_cut_anywhere_gives_the_whole_records_before(tmp_path: Path) -> None:
    payloads = [b"a" * 5, b"b" * 40_000, b"c", b"d" * 300]
    written(tmp_path, payloads)
    data = (tmp_path / "00000000").read_bytes()
    ends, at = [], 0
    for payload in payloads:
        fragments = 1 if at % kernels.PAGE + 7 + len(payload) <= kernels.PAGE else 2
        at += len(payload) + 7 * fragments
        ends.append(at)
    assert ends[-1] == len(data)
    cut = tmp_path / "cut"
    for length in [*range(30), *range(32_700, 32_800), *range(ends[1] - 20, len(data) + 1)]:
        cut.write_bytes(data[:length])
        whole = sum(end <= length for end in ends)
        assert found(cut) == payloads[:whole]
        assert read_segment(cut).good == ([0, *ends])[whole]


def test_any_flipped_bit_is_noticed(tmp_path: Path) -> None:
    payloads = [b"first", b"second record", b"third"]
    written(tmp_path, payloads)
    data = bytearray((tmp_path / "00000000").read_bytes())
    broken = tmp_path / "broken"
    for bit in range(len(data) * 8):
        data[bit >> 3] ^= 1 << (bit & 7)
        broken.write_bytes(data)
        got = found(broken)
        flagged = bit & 7 in (3, 4)  # May be a compression flag: the checksum does not cover it.
        assert [each for each in got if each] == payloads[: len(got)] or flagged
        data[bit >> 3] ^= 1 << (bit & 7)


def fill(directory: Path) -> tuple[Found, bytes]:
    """A small database that was never closed; what it holds, and the bytes of its only segment."""
    database = opened(directory)
    head = database.head
    series = [make({"__name__": "m", "i": str(i)}) for i in range(5)]
    layout = head.layout(head.refs(series))
    for row in range(8):
        head.append_row(layout, START + row * 1000, np.arange(5.0) * (row // 3))
        head.sync()
    head.append(head.refs([make({"__name__": "loose"})]), np.array([START]), np.array([0.5]))
    head.sync()
    want = read(database.querier())
    database.head.stop()
    return want, (directory / "wal" / "00000000").read_bytes()


def test_a_database_recovers_from_a_log_cut_at_every_byte(tmp_path: Path) -> None:
    want, data = fill(tmp_path / "whole")
    before: Found = {}
    for length in range(0, len(data) + 1, 1):
        directory = tmp_path / "cut"
        (directory / "wal").mkdir(parents=True)
        (directory / "wal" / "00000000").write_bytes(data[:length])
        database = opened(directory)
        assert database.problems == []
        now = read(database.querier())
        for labels, samples in before.items():
            assert now[labels][: len(samples)] == samples
        assert all(samples == want[labels][: len(samples)] for labels, samples in now.items())
        database.head.stop()
        os.close(database._lock_file)
        before = now
        shutil.rmtree(directory)
    assert before == want


def test_damage_in_the_middle_ends_the_log_there_and_is_told(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    _, data = fill(directory)
    written(directory / "wal", [records.family("later", Metadata("gauge", "text", ""))])
    broken = bytearray(data)
    broken[len(data) // 2] ^= 1
    (directory / "wal" / "00000000").write_bytes(broken)
    shutil.copytree(directory, tmp_path / "again")
    database = opened(tmp_path / "again")
    assert len(database.problems) == 1
    assert "00000000: corrupt at byte" in database.problems[0]
    assert "later" not in database.head.metadata
    assert len(read(database.querier())[make({"__name__": "m", "i": "1"})]) in range(1, 8)
    database.close()


def test_everything_else_in_the_log_comes_back(tmp_path: Path) -> None:
    database = opened(tmp_path / "a")
    head = database.head
    ref, native = head.refs([make({"__name__": "x"}), make({"__name__": "h"})]).tolist()
    head.append(np.array([ref]), np.array([START]), np.array([1.0]))
    exemplar = Exemplar((("trace", "1"),), 2.0, START)
    head.append_exemplars([ref, ref], [exemplar, exemplar])
    head.set_metadata("x", Metadata("gauge", "Help: ü.", "seconds"))
    histograms = [
        Histogram(schema=2, count=3, sum=1.5, positive_spans=[(1, 1), (3, 1)], positive_buckets=[1, 2], integer=True),
        Histogram(schema=2, count=3.5, sum=1.5, negative_spans=[(-2, 2)], negative_buckets=[1.25, 2.25]),
        Histogram(
            schema=-53, count=4, sum=9.0, positive_spans=[(0, 2)], positive_buckets=[1, 3], custom_values=[1.0], integer=True
        ),
        Histogram(schema=-53, count=4.0, sum=9.0, positive_spans=[(0, 2)], positive_buckets=[1.5, 2.5], custom_values=[1.0]),
    ]  # fmt: skip
    assert head.append_histograms([native] * 4, [START + i for i in range(4)], histograms).added == 4
    head.sync()
    head.stop()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    again = opened(tmp_path / "b")
    assert again.head.metadata == {"x": Metadata("gauge", "Help: ü.", "seconds")}
    assert again.head.exemplars.all() == [(ref, exemplar)]
    for querier in (database.querier(), again.querier()):
        selection = querier.select([], 0, 1 << 60)
        [batch] = selection.batches()
        assert [batch.histograms[i].count for i in sorted(batch.histograms)] == [3, 3.5, 4, 4]
    again.close()


class Refusing:
    """Stands in for `os`: pwrite takes `room` more bytes, then says that the disk is full."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def pwrite(self, descriptor: int, data: memoryview, offset: int) -> int:
        if self.room <= 0:
            raise OSError(28, "No space left on device")
        count = os.pwrite(descriptor, data[: self.room], offset)
        self.room -= count
        return count


async def test_a_full_disk_refuses_the_commit_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = opened(tmp_path / "a")
    head = database.head
    layout = head.layout(head.refs([make({"__name__": "m", "i": str(i)}) for i in range(50)]))
    disk = Refusing(100)
    monkeypatch.setattr(wal, "os", disk)
    for row in range(5):
        head.append_row(layout, START + row, np.full(50, row * 0.1))
        with pytest.raises(Unavailable, match="free some space"):
            await head.commit()
    disk.room = 1 << 30
    await head.commit()
    want = read(database.querier())
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    again = opened(tmp_path / "b")
    assert again.problems == []
    assert read(again.querier()) == want
    again.close()
    database.close()


def test_rows_that_the_log_refused_do_not_spoil_those_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = opened(tmp_path / "a")
    head = database.head
    layout = head.layout(head.refs([make({"__name__": "m", "i": str(i)}) for i in range(50)]))
    logged: dict[int, NDArray[np.int64]] = {}
    for row in range(40):
        values = np.arange(50.0) * (row + 1) + row
        monkeypatch.setattr(wal, "MOST_PENDING", 0 if row % 10 in (3, 4, 7) else 1 << 30)
        try:
            head.append_row(layout, START + row, values)
            logged[START + row] = values.view(np.int64)
        except Unavailable:
            assert row % 10 in (3, 4, 7)
    assert len(logged) == 28
    monkeypatch.setattr(wal, "MOST_PENDING", 1 << 30)
    head.sync()
    head.stop()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    again = opened(tmp_path / "b")
    for labels, samples in read(again.querier()).items():
        assert samples == [(t, int(values[int(dict(labels)["i"])])) for t, values in logged.items()]
    again.close()


def test_too_much_that_waits_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "MOST_PENDING", 100_000)
    log = Wal(tmp_path, threading.RLock())
    log.log_bytes(b"x" * 150_000, compress=False)
    with pytest.raises(Unavailable, match="wait for the disk"):
        log.log_bytes(b"x", compress=False)
    log.close()


@pytest.mark.parametrize(
    "kind", [records.TOMBSTONES, records.EXEMPLARS, records.MARKERS, records.METADATA, *records.ALL_HISTOGRAMS]
)
def test_records_cut_off_are_corrupt(kind: int) -> None:
    random = np.random.default_rng(kind)
    decoders = {
        records.TOMBSTONES: records.read_tombstones, records.EXEMPLARS: records.read_exemplars,
        records.MARKERS: records.read_markers, records.METADATA: records.read_metadata,
    }  # fmt: skip
    decode = decoders.get(kind, histogramrecords.read_histograms)
    for _ in range(300):
        data = bytes([kind]) + random.integers(0, 256, int(random.integers(0, 60))).astype(np.uint8).tobytes()
        try:
            decode(data)
        except StorageError:
            continue
