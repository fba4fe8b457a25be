"""The one file on disk: objects, an undo log of recent changes, the revision. Called by `commit.Store` only, from one
thread at a time; knows nothing of watches or of what the bytes mean.

    StoreError
    ├── NewerFormat    written by a newer Styr
    ├── Damaged        SQLite says that the file is not whole
    ├── InUse          another process has it open
    └── WriteFailed    a batch was not written (disk full, I/O error): the file holds what it held before

Format (user_version 1, docs/formats): `objects(key, revision, data)`; `log(revision, key, old, at)` where `old` is the
object's bytes before that revision, NULL for a create: the bytes after it are the `old` of the key's next entry, or the
object's row. `meta` holds `revision` (never goes back) and `compacted` (the log is whole after that revision).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from styr.api.store.records import Change, ObjectKey, Record, change_of

FORMAT = 1
APPLICATION_ID = 0x53545952  # "STYR"

_SCHEMA = f"""
PRAGMA application_id={APPLICATION_ID};
CREATE TABLE objects(key TEXT PRIMARY KEY, revision INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE log(revision INTEGER PRIMARY KEY, key TEXT NOT NULL, old BLOB, at REAL NOT NULL);
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO meta VALUES ('revision', 0), ('compacted', 0);
PRAGMA user_version={FORMAT};
"""  # noqa: S608 - two constants of this file


class StoreError(Exception):
    pass


class NewerFormat(StoreError):
    pass


class Damaged(StoreError):
    pass


class InUse(StoreError):
    pass


class WriteFailed(StoreError):
    """`full` when there was no space left."""

    def __init__(self, message: str, *, full: bool) -> None:
        super().__init__(message)
        self.full = full


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction. `drop` is the revision through which the log is to be forgotten, 0 for none."""

    changes: Sequence[Change]
    revision: int
    at: float
    drop: int = 0


@dataclass(frozen=True, slots=True)
class LogEntry:
    revision: int
    at: float
    size: int


@dataclass(frozen=True, slots=True)
class Contents:
    """All that was in the file: objects, the changes that the log still tells (oldest first), and its bookkeeping."""

    revision: int
    compacted: int
    objects: dict[ObjectKey, Record]
    changes: list[Change]
    log: list[LogEntry]


class Database:
    """An open store file. Raises StoreError from every method."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
        except sqlite3.Error as error:
            raise StoreError(f"open store {path}: {error}; check that the folder exists and is yours") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._connection.close()
            self._explain("open", error)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA locking_mode=EXCLUSIVE")
        execute("PRAGMA auto_vacuum=INCREMENTAL")
        if (found := execute("PRAGMA user_version").fetchone()[0]) > FORMAT:
            raise NewerFormat(
                f"open store {self.path}: its format is {found}, this Styr knows {FORMAT}; "
                "install the newer Styr, or start with another data folder (--data-dir)"
            )
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=FULL")
        execute("PRAGMA cache_size=-2000")
        execute("PRAGMA journal_size_limit=16777216")
        execute("BEGIN IMMEDIATE")
        execute("COMMIT")
        if found == 0:
            if execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise Damaged(f"open store {self.path}: it is a database, but not one of Styr; {_WAY_OUT}")
            self._connection.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
            return
        problems = [row[0] for row in execute("PRAGMA quick_check(3)")]
        if problems != ["ok"]:
            raise Damaged(f"open store {self.path}: the file is damaged ({'; '.join(map(str, problems))}); {_WAY_OUT}")

    def load(self) -> Contents:
        try:
            meta = dict(self._connection.execute("SELECT name, value FROM meta"))
            objects = {
                ObjectKey.parse(key): Record(revision, data)
                for key, revision, data in self._connection.execute("SELECT key, revision, data FROM objects")
            }
            rows = self._connection.execute("SELECT revision, key, old, at FROM log ORDER BY revision DESC").fetchall()
            return Contents(
                meta["revision"],
                meta["compacted"],
                objects,
                list(reversed(list(_undo(objects, rows)))),
                [LogEntry(revision, at, len(old or b"")) for revision, _, old, at in reversed(rows)],
            )
        except sqlite3.Error as error:
            self._explain("read", error)
        except (KeyError, ValueError) as error:
            raise Damaged(f"read store {self.path}: {error!r}; {_WAY_OUT}") from error

    def commit(self, batch: Batch) -> None:
        """Durable when it returns. Raises WriteFailed when nothing of the batch is in the file."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._write(batch)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._recover() == batch.revision:
                return  # the commit itself had happened: only its aftermath failed
            full = "full" in str(error) or getattr(error, "sqlite_errorname", "") in (
                "SQLITE_FULL",
                "SQLITE_IOERR_WRITE",
            )
            raise WriteFailed(f"write store {self.path}: {error}", full=full) from error

    def _write(self, batch: Batch) -> None:
        execute, many = self._connection.execute, self._connection.executemany
        many(
            "INSERT INTO log VALUES (?, ?, ?, ?)",
            [(c.revision, str(c.key), c.old.data if c.old else None, batch.at) for c in batch.changes],
        )
        final = {change.key: change.new for change in batch.changes}
        many(
            "INSERT INTO objects VALUES (?, ?, ?) "
            "ON CONFLICT(key) DO UPDATE SET revision=excluded.revision, data=excluded.data",
            [(str(key), record.revision, record.data) for key, record in final.items() if record],
        )
        if gone := [(str(key),) for key, record in final.items() if record is None]:
            many("DELETE FROM objects WHERE key=?", gone)
        execute("UPDATE meta SET value=? WHERE name='revision'", (batch.revision,))
        if batch.drop:
            execute("DELETE FROM log WHERE revision<=?", (batch.drop,))
            execute("UPDATE meta SET value=? WHERE name='compacted'", (batch.drop,))
            execute("PRAGMA incremental_vacuum(64)").fetchall()

    def _recover(self) -> int:
        """Ends a broken transaction; the revision that the file then holds, -1 if it cannot be read."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            row = self._connection.execute("SELECT value FROM meta WHERE name='revision'").fetchone()
            return int(row[0])
        except sqlite3.Error:
            return -1

    def close(self) -> None:
        self._connection.close()

    def _explain(self, operation: str, error: sqlite3.Error) -> NoReturn:
        text = str(error)
        if "locked" in text or "busy" in text:
            raise InUse(
                f"{operation} store {self.path}: another process has it open; stop it (styr down) first"
            ) from error
        if isinstance(error, sqlite3.OperationalError) and "malformed" not in text:
            raise StoreError(f"{operation} store {self.path}: {error}; check its permissions and free space") from error
        raise Damaged(f"{operation} store {self.path}: the file is damaged ({error}); {_WAY_OUT}") from error


_WAY_OUT = (
    "restore it from a copy, or move it and its -wal file away to start with an empty store "
    "(`sqlite3 FILE .recover` may save what is readable)"
)


def _undo(objects: dict[ObjectKey, Record], rows: Sequence[tuple[int, str, bytes | None, float]]) -> Iterator[Change]:
    """The changes that the log tells, newest first, by walking back from what the objects are now."""
    now: dict[ObjectKey, Record | None] = {}
    for revision, text, old, _ in rows:
        key = ObjectKey.parse(text)
        before = Record(0, old) if old is not None else None
        yield change_of(revision, key, before, now.get(key, objects.get(key)))
        now[key] = before
