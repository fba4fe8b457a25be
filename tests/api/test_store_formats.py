"""Older store files are brought forward, whatever ends the attempt; flipped bits are found."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from styr.api.store import migrations
from styr.api.store.checks import Damaged
from styr.api.store.commit import Store
from styr.api.store.records import ObjectKey
from styr.api.store.sqlite import Database
from styr.kit.clock import SystemClock
from tests.api.store_files import SECOND, format_1

ONE = ObjectKey("things", "ns", "one")


def ask(path: Path, question: str) -> object:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(question).fetchone()[0]
    finally:
        connection.close()


def assert_is_format_1s(store: Store, objects: int) -> None:
    assert store.revision == 3 + objects
    assert len(store.state("things")) == objects
    assert store.get(ONE).data == SECOND
    window = store.window("things")
    told = [(c.type, c.revision) for c in window.read(window.cursor(0))][:4]
    assert told == [("ADDED", 1), ("ADDED", 2), ("MODIFIED", 3), ("DELETED", 4)]


@pytest.mark.parametrize("auto_vacuum", [False, True])
async def test_format_1_is_brought_forward(tmp_path: Path, auto_vacuum: bool) -> None:
    path = tmp_path / "store.db"
    format_1(path, objects=20, auto_vacuum=auto_vacuum)
    for _ in range(2):  # migrated, and then opened as what it has become
        store = Store.open(path, SystemClock())
        assert_is_format_1s(store, 20)
        await store.close()
        assert ask(path, "PRAGMA user_version") == migrations.FORMAT == 3
        assert ask(path, "PRAGMA auto_vacuum") == 2


def test_a_new_file_is_of_the_newest_format_and_gives_space_back(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Database(path).close()
    assert ask(path, "PRAGMA user_version") == migrations.FORMAT
    assert ask(path, "PRAGMA auto_vacuum") == 2
    assert path.with_name("store.db.lock").stat().st_mode & 0o777 == 0o600


def test_a_step_that_fails_leaves_the_older_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    format_1(path)

    def broken(connection: sqlite3.Connection) -> None:
        migrations._add_checksums(connection)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(migrations, "STEPS", (migrations.STEPS[0], broken))
    with pytest.raises(Exception, match="disk is full"):
        Database(path)
    assert ask(path, "PRAGMA user_version") == 1
    assert ask(path, "SELECT count(*) FROM pragma_table_info('objects')") == 3
    monkeypatch.undo()
    database = Database(path)
    assert database.load().objects[ONE].data == SECOND
    database.close()


_KILLED = """
import os, signal, sqlite3, sys
connect, left = sqlite3.connect, int(sys.argv[2])
def count():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
def counted(*arguments, **options):
    connection = connect(*arguments, **options)
    connection.set_progress_handler(count, 100)
    return connection
sqlite3.connect = counted
from styr.api.store.sqlite import Database
Database(sys.argv[1]).close()
print("whole", flush=True)
"""


@pytest.mark.parametrize("hundreds", [1, 10, 25, 40, 60, 80, 95])
async def test_a_migration_that_is_killed_is_finished_by_the_next_start(tmp_path: Path, hundreds: int) -> None:
    """Killed after so many hundred instructions of SQLite's machine: in the check, in the VACUUM, in the checksums."""
    path = tmp_path / "store.db"
    format_1(path, objects=200)
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(path), str(hundreds)], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended
    assert ask(path, "PRAGMA user_version") in (1, 2, 3)
    store = Store.open(path, SystemClock())
    assert_is_format_1s(store, 200)
    await store.close()
    assert ask(path, "PRAGMA user_version") == 3


def test_without_room_for_a_vacuum_the_store_works_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    format_1(path)
    connect = sqlite3.connect

    class Full(sqlite3.Connection):
        def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:  # type: ignore[override]
            if sql == "VACUUM":
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *arguments)

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Full))
    database = Database(path)
    assert database.load().objects[ONE].data == SECOND
    assert database.spare == 0
    database.close()
    monkeypatch.undo()
    assert ask(path, "PRAGMA auto_vacuum") == 0
    Database(path).close()
    assert ask(path, "PRAGMA auto_vacuum") == 2


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("CREATE TABLE theirs(a); PRAGMA user_version=1;")
    connection.close()
    with pytest.raises(Damaged, match="not one of Styr"):
        Database(path)
    assert ask(path, "SELECT count(*) FROM sqlite_master") == 1


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("UPDATE objects SET data=CAST(replace(CAST(data AS TEXT), '2}', '3}') AS BLOB)", "things/ns/one"),
        ("UPDATE objects SET revision=2", "things/ns/one"),
        ("UPDATE objects SET key='things/ns/won'", "things/ns/won"),
        ("UPDATE log SET old=NULL WHERE revision=3", "entry 3"),
        ("UPDATE meta SET value=2 WHERE name='revision'", "behind"),
        ("DELETE FROM meta WHERE name='revision'", "revision"),
    ],
)
def test_what_is_not_what_was_written_is_found(tmp_path: Path, damage: str, named: str) -> None:
    path = tmp_path / "store.db"
    format_1(path)
    Database(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(damage)
    connection.close()
    database = Database(path)
    with pytest.raises(Damaged, match=named):
        database.load()
    database.close()
