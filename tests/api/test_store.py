"""The store alone: revisions, group commit, windows, restart, damage, a full disk, SIGKILL."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from styr.api.store.checks import Damaged, InUse, NewerFormat
from styr.api.store.commit import Store, Txn
from styr.api.store.records import ObjectKey
from styr.api.store.sqlite import Batch, Database
from styr.api.store.window import WindowPassed
from styr.kinds.errors import ApiError, Unavailable
from styr.kit.clock import SystemClock

KEY = ObjectKey("things", "ns", "one")


def thing(value: object = 0, **metadata: object) -> dict[str, object]:
    return {"kind": "Thing", "metadata": dict(metadata), "value": value}


def put(name: str, value: object = 0):
    return lambda txn: txn.put(ObjectKey("things", "ns", name), thing(value))


async def test_revisions_rise_and_survive_delete_and_restart(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store.open(path, SystemClock())
    first = await store.write(put("one"))
    second = await store.write(put("two"))
    gone = await store.write(lambda txn: txn.delete(KEY))
    assert [first.revision, second.revision, gone.revision] == [1, 2, 3]
    await store.close()
    store = Store.open(path, SystemClock())
    assert store.revision == 3
    assert store.get(KEY) is None
    assert (await store.write(put("one"))).revision == 4
    assert store.get(KEY).decode()["metadata"]["resourceVersion"] == "4"
    await store.close()


async def test_window_is_rebuilt_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store.open(path, SystemClock())
    for value in range(3):
        await store.write(put("one", value))
    await store.write(lambda txn: txn.delete(KEY))
    window = store.window("things")
    before = [(c.type, c.revision, c.old and c.old.decode(), c.shown.decode()) for c in window.read(window.cursor(0))]
    await store.close()
    store = Store.open(path, SystemClock())
    window = store.window("things")
    after = [(c.type, c.revision, c.old and c.old.decode(), c.shown.decode()) for c in window.read(window.cursor(0))]
    assert after == before
    assert [kind for kind, *_ in after] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    assert after[-1][3]["metadata"]["resourceVersion"] == "4"
    await store.close()


async def test_a_write_that_raises_leaves_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db", SystemClock(), inline=True)

    def broken(txn: Txn) -> None:
        txn.put(KEY, thing())
        raise ValueError("no")

    results = await asyncio.gather(store.write(broken), store.write(put("two")), return_exceptions=True)
    assert isinstance(results[0], ValueError)
    assert store.get(KEY) is None
    assert store.revision == 1
    await store.close()


async def test_concurrent_writes_share_a_transaction_and_see_each_other(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.db")
    batches: list[int] = []

    class Counting:
        spare = 0

        def commit(self, batch: Batch) -> None:
            batches.append(len(batch.changes))
            database.commit(batch)

        def tidy(self, drop: int) -> None:
            database.tidy(drop)

        def close(self) -> None:
            database.close()

    store = Store(Counting(), SystemClock(), None)

    def add(txn: Txn) -> int:
        old = txn.get(KEY)
        value = old.decode()["value"] + 1 if old else 1
        txn.put(KEY, thing(value))
        return value

    assert sorted(await asyncio.gather(*(store.write(add) for _ in range(100)))) == list(range(1, 101))
    assert sum(batches) == 100
    assert len(batches) < 10
    await store.close()
    with pytest.raises(Unavailable):
        await store.write(add)


async def test_a_full_disk_refuses_the_write_and_recovers(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store.open(path, SystemClock())
    kept = await store.write(put("kept", "x" * 1000))
    connection: sqlite3.Connection = store._backend._connection  # type: ignore[attr-defined]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(ApiError) as refused:
        await store.write(put("big", "x" * 500_000))
    assert refused.value.status_code == 507
    assert "free some disk space" in refused.value.message
    assert store.get(ObjectKey("things", "ns", "big")) is None
    connection.execute("PRAGMA max_page_count=1000000")
    later = await store.write(put("big", "x" * 500_000))
    assert later.revision > kept.revision + 1  # the number of the failed write is not given out again
    await store.close()
    store = Store.open(path, SystemClock())
    assert store.get(ObjectKey("things", "ns", "kept")) is not None
    assert store.get(ObjectKey("things", "ns", "big")).revision == later.revision
    await store.close()


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(NewerFormat, match=r"99.*newer Styr"):
        Database(path)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(Damaged, match=r"store\.db.*move it"):
        Database(path)
    assert path.read_bytes().startswith(b"this is not")


async def test_a_damaged_page_is_found_at_open(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store.open(path, SystemClock())
    for number in range(50):
        await store.write(put(f"n{number}", "y" * 2000))
    await store.close()
    data = bytearray(path.read_bytes())
    for offset in range(4096, len(data), 4096):
        data[offset : offset + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(Damaged, match="restore it from a copy"):
        Database(path).load()


def test_two_servers_cannot_share_a_store(tmp_path: Path) -> None:
    first = Database(tmp_path / "store.db")
    with pytest.raises(InUse, match="another process"):
        Database(tmp_path / "store.db")
    first.close()


async def test_a_window_has_a_floor_and_bounded_memory(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db", SystemClock(), inline=True, window_changes=10)
    for value in range(2000):
        await store.write(put("one", value))
    window = store.window("things")
    assert window.floor == 1990
    assert len(window._changes) < 1100
    with pytest.raises(WindowPassed):
        window.cursor(1989)
    assert [change.revision for change in window.read(window.cursor(1995))] == [1996, 1997, 1998, 1999, 2000]
    with pytest.raises(WindowPassed):
        window.read(5)
    await store.close()


async def test_a_snapshot_of_the_past(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db", SystemClock(), inline=True)
    await store.write(put("one", 1))
    await store.write(put("two", 2))
    await store.write(put("one", 3))
    await store.write(lambda txn: txn.delete(ObjectKey("things", "ns", "two")))
    past = {place[1]: record.decode()["value"] for place, record in store.view("things", 2).items()}
    assert past == {"one": 1, "two": 2}
    assert [place[1] for place, _ in store.view("things", 4).items()] == ["one"]
    await store.close()


async def test_the_log_is_compacted_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("styr.api.store.commit.LOG_ROWS", 600)
    path = tmp_path / "store.db"
    store = Store.open(path, SystemClock(), inline=True)
    for start in range(0, 1500, 100):
        await asyncio.gather(*(store.write(put("one", value)) for value in range(start, start + 100)))
    await store.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM log").fetchone()[0] <= 700
    connection.close()
    store = Store.open(path, SystemClock(), inline=True)
    with pytest.raises(WindowPassed):
        store.window("things").cursor(10)
    changes = store.window("things").read(store.window("things").cursor(1490))
    assert [change.shown.decode()["value"] for change in changes] == list(range(1490, 1500))
    await store.close()


_WRITER = """
import asyncio, sys
from styr.api.store.commit import Store
from styr.api.store.records import ObjectKey
from styr.kit.clock import SystemClock

async def main():
    store = Store.open(sys.argv[1], SystemClock())
    async def one(worker):
        number = 0
        while True:
            name = f"w{worker}-{number}"
            obj = {"metadata": {}, "value": "z" * 500}
            record = await store.write(lambda txn: txn.put(ObjectKey("things", "ns", name), obj))
            sys.stdout.write(f"{name} {record.revision}\\n")
            sys.stdout.flush()
            number += 1
    await asyncio.gather(*(one(worker) for worker in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 40, 150])
async def test_what_was_acknowledged_survives_sigkill(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "store.db"
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    seen = [process.stdout.readline() for _ in range(acknowledged)]
    process.send_signal(signal.SIGKILL)
    seen += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    store = Store.open(path, SystemClock())
    for line in seen:
        if not line.endswith("\n"):
            continue
        name, revision = line.split()
        record = store.get(ObjectKey("things", "ns", name))
        assert record is not None, f"{name} was acknowledged and is not there"
        assert record.revision == int(revision)
        assert store.revision >= int(revision)
    newest = max(record.revision for record in store.state("things").values())
    assert (await store.write(put("after"))).revision > newest
    await store.close()
