"""Compaction and the giving back of space: in slices, between writes, never in a writer's way. Counted, not timed."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from styr.api.store import commit
from styr.api.store.commit import Store
from styr.api.store.records import ObjectKey
from styr.api.store.sqlite import KEPT_PAGES, SLICE_PAGES, Batch, Database
from styr.api.store.window import WindowPassed
from styr.kit.clock import LoopClock, SystemClock


def put(name: str, value: object = 0):
    return lambda txn: txn.put(ObjectKey("things", "ns", name), {"metadata": {}, "value": value})


def remove(name: str):
    return lambda txn: txn.delete(ObjectKey("things", "ns", name))


class Counted:
    """The real file; notes what each transaction did: (what, rows of the log that went, pages that went)."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self.done: list[tuple[str, int, int]] = []
        self.full = False

    def ask(self, question: str) -> int:
        return self.database._connection.execute(question).fetchone()[0]

    def commit(self, batch: Batch) -> None:
        before = self.ask("SELECT count(*) FROM log")
        self.database.commit(batch)
        gone = before + len(batch.changes) - self.ask("SELECT count(*) FROM log")
        self.done.append(("commit", gone, 0))

    def tidy(self, drop: int) -> None:
        if self.full:
            self.database._connection.execute("PRAGMA query_only=1")
        rows, pages = self.ask("SELECT count(*) FROM log"), self.ask("PRAGMA page_count")
        try:
            self.database.tidy(drop)
        finally:
            self.database._connection.execute("PRAGMA query_only=0")
        gone = rows - self.ask("SELECT count(*) FROM log")
        self.done.append(("tidy", gone, pages - self.ask("PRAGMA page_count")))

    @property
    def spare(self) -> int:
        return self.database.spare

    def close(self) -> None:
        self.database.close()


async def idle(store: Store) -> None:
    assert store._drain is not None
    await store._drain


async def test_the_log_goes_in_slices_while_nobody_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "LOG_ROWS", 1000)
    monkeypatch.setattr(commit, "SHRUNK", 0.5)
    backend = Counted(tmp_path / "store.db")
    store = Store(backend, SystemClock(), None)
    for start in range(0, 1001, 91):
        await asyncio.gather(*(store.write(put("one", value)) for value in range(start, start + 91)))
    await idle(store)
    slices = [gone for what, gone, _ in backend.done if what == "tidy"]
    assert len(slices) >= 8
    assert max(slices) <= commit.SLICE_ROWS
    assert all(gone == 0 for what, gone, _ in backend.done if what == "commit")  # no writer paid for it
    assert backend.ask("SELECT count(*) FROM log") == 500
    with pytest.raises(WindowPassed):
        Store.open(copy_of(backend, tmp_path), SystemClock(), inline=True).window("things").cursor(store._compacted - 1)
    await store.close()


def copy_of(backend: Counted, folder: Path) -> Path:
    backend.database._connection.execute("VACUUM INTO ?", (str(folder / "copy.db"),))
    return folder / "copy.db"


async def test_a_writer_waits_for_one_slice_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write is asked for after each slice; the next transaction is always that write."""
    monkeypatch.setattr(commit, "LOG_ROWS", 2000)
    monkeypatch.setattr(commit, "SHRUNK", 0.1)
    monkeypatch.setattr(commit, "PRESSING", 2)
    backend = Counted(tmp_path / "store.db")
    store = Store(backend, LoopClock(), None)
    await asyncio.gather(*(store.write(put("one", value)) for value in range(2001)))
    writers: list[asyncio.Future[object]] = []
    tidy = backend.tidy
    backend.done.clear()

    def tidy_and_write(drop: int) -> None:
        tidy(drop)
        if len(writers) < 10:
            writers.append(asyncio.ensure_future(store.write(put("two"))))

    backend.tidy = tidy_and_write  # type: ignore[method-assign]
    await idle(store)
    assert len(writers) == 10
    await asyncio.gather(*writers)
    work = "".join(what[0] for what, *_ in backend.done)
    assert work.startswith("tc" * 10), work
    assert set(work[20:]) == {"t"}
    await store.close()


async def test_under_writers_that_never_rest_the_log_stays_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "LOG_ROWS", 500)
    backend = Counted(tmp_path / "store.db")
    store = Store(backend, SystemClock(), None)

    async def writer(name: str) -> None:
        for value in range(150):
            await store.write(put(name, value))

    largest = 0

    def look(_writes: int, _seconds: float, _durable: bool) -> None:
        nonlocal largest
        largest = max(largest, len(store._log))

    store.on_batch(look)
    await asyncio.gather(*(writer(f"w{number}") for number in range(40)))
    assert largest <= 500 * commit.PRESSING + 2 * 40
    assert max(gone for what, gone, _ in backend.done if what == "commit") <= max(commit.SLICE_ROWS, 2 * 40)
    assert max((gone for what, gone, _ in backend.done if what == "tidy"), default=0) <= commit.SLICE_ROWS
    await store.close()


async def test_a_slice_is_bounded_by_bytes_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "LOG_BYTES", 4 << 20)
    monkeypatch.setattr(commit, "SHRUNK", 0.5)
    backend = Counted(tmp_path / "store.db")
    store = Store(backend, SystemClock(), None)
    for value in range(45):
        await store.write(put("one", f"{value}" + "x" * 100_000))
    await idle(store)
    slices = [gone for what, gone, _ in backend.done if what == "tidy" and gone]
    assert slices
    assert max(slices) <= commit.SLICE_BYTES // 100_000 + 1  # the creation, which has no old bytes, is a row as well
    assert store._log_bytes <= 2 << 20
    await store.close()


async def test_what_is_old_goes_and_what_is_young_stays(tmp_path: Path) -> None:
    class Clock(LoopClock):
        now = 0.0

        def time(self) -> float:
            return self.now

    clock = Clock()
    backend = Counted(tmp_path / "store.db")
    store = Store(backend, clock, None)
    for value in range(100):
        clock.now = value * 60.0
        await store.write(put("one", value))
        await idle(store)
    assert 60 <= backend.ask("SELECT count(*) FROM log") <= 65
    assert sum(what == "tidy" for what, *_ in backend.done) < 20  # in one go, not after every write
    await store.close()


async def test_space_is_given_back_in_small_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "LOG_BYTES", 1 << 20)
    path = tmp_path / "store.db"
    backend = Counted(path)
    store = Store(backend, SystemClock(), None)
    names = [f"n{number}" for number in range(1500)]
    await asyncio.gather(*(store.write(put(name, "x" * 4000)) for name in names))
    large = backend.ask("PRAGMA page_count")
    await asyncio.gather(*(store.write(remove(name)) for name in names))
    await store.write(put("last"))
    await idle(store)
    steps = [pages for what, _, pages in backend.done if what == "tidy"]
    assert SLICE_PAGES <= max(steps) <= SLICE_PAGES + 1  # a page of the pointer map goes with the pages that it maps
    assert len(steps) < 2 * large / SLICE_PAGES
    assert backend.ask("PRAGMA freelist_count") <= KEPT_PAGES
    assert backend.ask("PRAGMA page_count") < large / 2
    await store.close()
    assert path.stat().st_size < large * 4096 / 2
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_housekeeping_that_fails_refuses_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "LOG_ROWS", 100)
    backend = Counted(tmp_path / "store.db")
    backend.full = True
    store = Store(backend, SystemClock(), None)
    for value in range(105):
        await store.write(put("one", value))
        await idle(store)
    assert backend.ask("SELECT count(*) FROM log") == 105
    backend.full = False
    await store.write(put("one", "again"))
    await idle(store)
    assert backend.ask("SELECT count(*) FROM log") == 95
    await store.close()


_WRITER = """
import asyncio, sys
from styr.api.store import commit, sqlite
from styr.api.store.records import ObjectKey
from styr.kit.clock import SystemClock
commit.LOG_ROWS, commit.SHRUNK, commit.SLICE_ROWS, sqlite.KEPT_PAGES, sqlite.SLICE_PAGES = 60, 0.2, 4, 0, 1
async def main():
    store = commit.Store.open(sys.argv[1], SystemClock())
    async def writer(worker):
        for number in range(10 ** 9):
            obj = {"metadata": {}, "value": number, "pad": "z" * (number % 7) * 1000}
            record = await store.write(lambda txn: txn.put(ObjectKey("things", "ns", f"w{worker}"), obj))
            print(f"w{worker}", number, record.revision, flush=True)
            if worker == 0 and number % 10 == 0:
                await asyncio.sleep(0.005)  # nobody writes: the store tidies up
    await asyncio.gather(*(writer(worker) for worker in range(1 + int(sys.argv[2]))))
asyncio.run(main())
"""


@pytest.mark.parametrize(("others", "lines"), [(0, 90), (0, 333), (0, 700), (3, 200), (3, 777), (3, 1500)])
async def test_killed_amid_housekeeping_nothing_acknowledged_is_lost(tmp_path: Path, others: int, lines: int) -> None:
    path = tmp_path / "store.db"
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path), str(others)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    seen = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    seen += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    newest = {}
    for line in (line for line in seen if line.endswith("\n")):
        name, number, revision = line.split()
        newest[name] = (int(number), int(revision))
    store = Store.open(path, SystemClock())  # checks every row
    for name, (number, revision) in newest.items():
        record = store.get(ObjectKey("things", "ns", name))
        assert record.revision >= revision
        assert record.decode()["value"] >= number
    assert store._compacted > 0
    window = store.window("things")
    told = [change.revision for change in window.read(window.cursor(store._compacted), 10_000)]
    assert told == list(range(store._compacted + 1, store.revision + 1))  # no gap, nothing twice
    await store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
