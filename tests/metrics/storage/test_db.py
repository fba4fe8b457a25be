"""The database as a whole: who has it open, maintenance, deletes, retention, snapshots, damage, clocks that jump."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from styr.metrics.model.errors import BadData, Corrupt, Unavailable
from styr.metrics.model.labels import make
from styr.metrics.model.matchers import Matcher
from styr.metrics.model.samples import STALE_BITS
from styr.metrics.storage import headblocks, headchunks
from styr.metrics.storage.db import Database, Settings
from styr.metrics.storage.head import HeadSettings
from tests.metrics.storage.samples import START, Found, StoppedClock, bits, opened, read

RANGE = 600_000
SERIES = [make({"__name__": "m", "i": str(i)}) for i in range(20)]


def fill(database: Database, rows: int, first: int = 0, step: int = 10_000) -> None:
    head = database.head
    layout = head.layout(head.refs(SERIES))
    for row in range(first, first + rows):
        assert head.append_row(layout, START + row * step, np.arange(20.0) + row // 3).added == 20


def wanted(rows: int, step: int = 10_000) -> Found:
    return {labels: [(START + r * step, bits(i + r // 3)) for r in range(rows)] for i, labels in enumerate(SERIES)}


def test_one_process_at_a_time(tmp_path: Path) -> None:
    database = opened(tmp_path)
    with pytest.raises(Unavailable, match="open in another process"):
        opened(tmp_path)
    database.close()
    database.close()
    opened(tmp_path).close()


@pytest.mark.parametrize("a_slice", [3, 20_000])
def test_the_head_becomes_blocks_and_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, a_slice: int) -> None:
    monkeypatch.setattr(headblocks, "_SLICE", a_slice)
    database = opened(tmp_path, chunk_range=RANGE)
    fill(database, 400)
    done = database.maintain_now()
    assert done.problems == []
    assert len(done.written) >= 5
    assert done.checkpoints == 1
    assert database.head.state.min_t >= START + 3_000_000 - RANGE * 3 // 2 + RANGE // 2
    assert read(database.querier()) == wanted(400)
    assert len(list((tmp_path / "wal").glob("0*"))) == 1
    fill(database, 50, first=400)
    database.close()
    again = opened(tmp_path, chunk_range=RANGE)
    assert read(again.querier()) == wanted(450)
    old = again.head.append(again.head.refs(SERIES[:1]), np.array([START]), np.array([1.0]))
    assert old.too_old == 1
    again.close()


@pytest.mark.parametrize("before", [RANGE * 3, RANGE * 5 // 7])
def test_blocks_may_have_other_ranges_from_a_start_on(tmp_path: Path, before: int) -> None:
    database = opened(tmp_path, chunk_range=before)
    fill(database, 400)
    database.close()
    again = opened(tmp_path, chunk_range=RANGE)
    done = again.maintain_now()
    assert done.problems == []
    assert len(done.written) >= 5
    assert read(again.querier()) == wanted(400)
    assert again.maintain_now().problems == []
    again.close()
    last = opened(tmp_path, chunk_range=RANGE)
    assert read(last.querier()) == wanted(400)
    last.close()


def test_ended_series_go_to_blocks_before_their_time(tmp_path: Path) -> None:
    database = Database.open(tmp_path, StoppedClock(), Settings(head=HeadSettings(chunk_range=RANGE), stale_least=5))
    fill(database, 30)
    head = database.head
    refs = head.refs(SERIES[:10])
    head.append(refs, np.full(10, START + 305_000), np.array([STALE_BITS] * 10).view(np.float64))
    want = read(database.querier())
    generation = head.generation
    done = database.maintain_now()
    assert done.problems == []
    assert done.written
    assert len(head.registry) == 10
    assert head.generation != generation
    assert read(database.querier()) == want
    assert head.append(refs[:1], np.array([START + 310_000]), np.array([1.0])).added == 0
    back = head.refs(SERIES[:1])
    assert back[0] not in refs
    assert head.append(back, np.array([START + 310_000]), np.array([1.0])).added == 1
    want[SERIES[0]].append((START + 310_000, bits(1.0)))
    assert read(database.querier()) == want
    database.close()
    again = opened(tmp_path, chunk_range=RANGE)
    assert read(again.querier()) == want
    again.close()


def test_retention_removes_old_blocks(tmp_path: Path) -> None:
    database = Database.open(
        tmp_path, StoppedClock(), Settings(head=HeadSettings(chunk_range=RANGE), retention=4 * RANGE)
    )
    fill(database, 600)
    done = database.maintain_now()
    assert done.problems == []
    assert done.removed
    oldest = min(t for samples in read(database.querier()).values() for t, _ in samples)
    assert START + RANGE <= oldest <= START + 6_000_000 - 4 * RANGE
    database.close()


def test_deletes_reach_head_and_blocks_and_last(tmp_path: Path) -> None:
    database = opened(tmp_path, chunk_range=RANGE)
    fill(database, 200)
    database.maintain_now()
    database.delete_series([[Matcher("=~", "i", "1|2")], [Matcher("=", "i", "3")]], START + 500_000, START + 1_900_000)
    want = wanted(200)
    for i in (1, 2, 3):
        want[SERIES[i]] = [s for s in want[SERIES[i]] if not START + 500_000 <= s[0] <= START + 1_900_000]
    assert read(database.querier()) == want
    database.clean_tombstones()
    assert read(database.querier()) == want
    database.close()
    again = opened(tmp_path, chunk_range=RANGE)
    assert read(again.querier()) == want
    again.close()


def test_a_snapshot_is_a_database(tmp_path: Path) -> None:
    database = opened(tmp_path / "data", chunk_range=RANGE)
    fill(database, 200)
    database.maintain_now()
    database.snapshot(tmp_path / "with")
    database.snapshot(tmp_path / "without", with_head=False)
    database.close()
    copy = opened(tmp_path / "with", chunk_range=RANGE)
    assert read(copy.querier()) == wanted(200)
    copy.close()
    copy = opened(tmp_path / "without", chunk_range=RANGE)
    found = read(copy.querier())
    assert all(samples == found[labels][: len(samples)] for labels, samples in found.items())
    copy.close()


def test_names_and_values_of_head_and_blocks(tmp_path: Path) -> None:
    database = opened(tmp_path, chunk_range=RANGE)
    fill(database, 300)
    database.maintain_now()
    database.head.append(
        database.head.refs([make({"__name__": "new", "z": "1"})]), np.array([START + 3_000_000]), np.ones(1)
    )
    querier = database.querier()
    assert querier.label_names([], 0, 1 << 60) == ["__name__", "i", "z"]
    assert querier.label_names([[Matcher("=", "__name__", "new")]], 0, 1 << 60) == ["__name__", "z"]
    assert querier.label_values("__name__", [], 0, 1 << 60) == ["m", "new"]
    assert querier.label_values("i", [[Matcher("=~", "i", "1.")]], START, START + 1) == [str(i) for i in range(10, 20)]
    assert querier.label_values("nothing", [], 0, 1 << 60) == []
    assert querier.series([[Matcher("=", "i", "3")], [Matcher("=", "i", "4")]], 0, 1 << 60) == [SERIES[3], SERIES[4]]
    assert querier.series([[Matcher("=", "i", "3")]], START - 10, START - 1) == []
    database.close()


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    database = opened(tmp_path)
    head = database.head
    refs = head.refs(SERIES[:2])
    with pytest.raises(BadData, match="2 references, 1 times"):
        head.append(refs, np.array([1]), np.array([1.0, 2.0]))
    with pytest.raises(BadData, match="3 values for a layout of 2 series"):
        head.append_row(head.layout(refs), 1, np.zeros(3))
    gone = head.append(np.array([12345]), np.array([START]), np.array([1.0]))
    assert (gone.added, list(gone.refused)) == (0, [0])
    database.close()


def test_clocks_that_jump(tmp_path: Path) -> None:
    """Far ahead and back: what is before half a range of the newest is refused, nothing is lost, nothing hangs."""
    database = opened(tmp_path, chunk_range=RANGE)
    fill(database, 100)
    head = database.head
    layout = head.layout(head.refs(SERIES))
    ahead = START + 400 * 24 * 3_600_000
    assert head.append_row(layout, ahead, np.ones(20)).added == 20
    assert head.append_row(layout, START + 1_000_000, np.ones(20)).too_old == 20
    assert head.append_row(layout, ahead - 1000, np.ones(20)).out_of_order == 20
    assert head.append_row(layout, ahead + 1000, np.ones(20)).added == 20
    want = {
        labels: [*samples, (ahead, bits(1.0)), (ahead + 1000, bits(1.0))] for labels, samples in wanted(100).items()
    }
    assert database.maintain_now().problems == []
    found = read(database.querier(), START)
    assert {labels: samples[-2:] for labels, samples in found.items()} == {k: v[-2:] for k, v in want.items()}
    database.close()


async def test_commits_are_shared(tmp_path: Path) -> None:
    database = opened(tmp_path)
    fill(database, 1)
    syncs = 0
    sync, gate = database.head.wal.sync, threading.Event()

    def counted() -> None:
        nonlocal syncs
        syncs += 1
        gate.wait(10)
        sync()

    database.head.wal.sync = counted  # type: ignore[method-assign]
    waiting = [asyncio.ensure_future(database.head.commit()) for _ in range(50)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*waiting)
    assert syncs <= 2
    database.head.wal.sync = sync  # type: ignore[method-assign]
    database.close()
    with pytest.raises(Unavailable, match="closed"):
        await database.head.commit()


def copy_of_a_crash(tmp_path: Path) -> tuple[Path, Found]:
    database = opened(tmp_path / "running")
    fill(database, 300)
    database.head.sync()
    with database.head.lock:
        database.head.state.flush()
    want = read(database.querier())
    shutil.copytree(tmp_path / "running", tmp_path / "data")
    database.close()
    return tmp_path / "data", want


def test_damaged_head_chunks_come_back_from_the_log(tmp_path: Path) -> None:
    data, want = copy_of_a_crash(tmp_path)
    file = data / "chunks_head" / "000001"
    raw = bytearray(file.read_bytes())
    raw[1500] ^= 4
    file.write_bytes(raw)
    database = opened(data)
    assert len(database.problems) == 1
    assert "are no chunks; cut off" in database.problems[0]
    assert read(database.querier()) == want
    database.close()


@pytest.mark.parametrize("size", [0, 3, 8, 9, 40, 200])
def test_head_chunks_cut_short_come_back_from_the_log(tmp_path: Path, size: int) -> None:
    data, want = copy_of_a_crash(tmp_path)
    file = data / "chunks_head" / "000001"
    file.write_bytes(file.read_bytes()[:size])
    database = opened(data)
    assert read(database.querier()) == want
    database.close()
    again = opened(data)
    assert again.problems == []
    assert read(again.querier()) == want
    again.close()


def test_a_chunk_that_is_damaged_while_it_is_open_is_told(tmp_path: Path) -> None:
    data, _ = copy_of_a_crash(tmp_path)
    database = opened(data)
    with (data / "chunks_head" / "000001").open("r+b") as file:
        file.seek(8 + 24 + 1 + 1)
        file.write(b"\xff" * 40)
    with pytest.raises(Corrupt, match="does not decode"):
        read(database.querier())
    os.close(database._lock_file)
    database.head.stop()


class Refusing:
    """Stands in for `os`: nothing more is written while `full`."""

    def __init__(self) -> None:
        self.full = True

    def __getattr__(self, name: str) -> object:
        if self.full and name in ("pwrite", "ftruncate"):
            raise OSError(28, "No space left on device")
        return getattr(os, name)


def test_full_chunks_wait_in_memory_while_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = opened(tmp_path / "a")
    disk = Refusing()
    monkeypatch.setattr(headchunks, "os", disk)
    fill(database, 400)
    with database.head.lock:
        database.head.state.flush()
    assert database.head.state.staged > 0
    assert read(database.querier()) == wanted(400)
    assert "takes no chunks" in " ".join(_checkpoint_problems(database))
    disk.full = False
    with database.head.lock:
        database.head.state.flush()
    assert database.head.state.staged == 0
    assert read(database.querier()) == wanted(400)
    database.close()
    again = opened(tmp_path / "a")
    assert read(again.querier()) == wanted(400)
    again.close()


def _checkpoint_problems(database: Database) -> list[str]:
    database._checkpointed = -(1 << 40)
    return database.maintain_now().problems


def test_queries_go_on_while_the_head_is_cut(tmp_path: Path) -> None:
    database = opened(tmp_path, chunk_range=RANGE)
    fill(database, 500)
    want, failures, stop = wanted(500), list[str](), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            if read(database.querier()) != want:
                failures.append("a query saw less")

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        assert database.maintain_now().problems == []
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    database.close()
