"""The one file on disk: objects, an undo log of recent changes, the revision. Called by `commit.Store` only, from one
thread at a time; knows nothing of watches or of what the bytes mean. Raises the errors of `checks`.

Format (docs/formats/store.md): `objects(key, revision, data, crc)`; `log(revision, key, old, at, crc)` where `old` is the
object's bytes before that revision, NULL for a create: the bytes after it are the `old` of the key's next entry, or the
object's row. `meta` holds `revision` (never goes back) and `compacted` (the log is whole after that revision).

One writer: this process, held by a flock on FILE.lock. Others may read beside it (WAL), as `snapshot` does for a backup.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from styr.api.store.checks import (
    WAY_OUT,
    Damaged,
    InUse,
    NewerFormat,
    StoreError,
    WriteFailed,
    checked_log,
    checked_objects,
    examine,
    explain,
    newer,
)
from styr.api.store.migrations import FORMAT, checksum, migrate
from styr.api.store.records import Change, ObjectKey, Record, change_of
from styr.api.store.sealing import MARK, Sealing, SealingError
from styr.kit.log import Log

log = Log("styr.api.store")

KEPT_PAGES = 256
"""Free pages that stay in the file, for what is written next: given back at once, they would be asked for again."""
SLICE_ROWS = 32
"""How many rows one slice seals anew."""
SLICE_PAGES = 32
"""How many free pages one slice gives back to the file system."""


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

    def __init__(self, path: Path | str, sealing: Sealing | None = None) -> None:
        self.path = path
        self._sealing = sealing
        self._free = 0
        """Free pages beyond KEPT_PAGES, as of the last transaction that freed some."""
        self._stale: list[tuple[str, str | int]] = []
        """Rows that are not sealed as they would be now: (table, its primary key)."""
        self._lock = _lock(path)
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
        except sqlite3.Error as error:
            self._unlock()
            raise StoreError(f"open store {path}: {error}; check that the folder exists and is yours") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            explain("open", self.path, error)
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        execute = self._connection.execute
        found = execute("PRAGMA user_version").fetchone()[0]
        if found > FORMAT:
            raise NewerFormat(newer(self.path, found))
        execute("PRAGMA auto_vacuum=INCREMENTAL")
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=FULL")
        execute("PRAGMA cache_size=-2000")
        execute("PRAGMA journal_size_limit=16777216")
        execute("BEGIN IMMEDIATE")
        execute("COMMIT")
        if found == 0 and execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise Damaged(f"open store {self.path}: it is a database, but not one of Styr; {WAY_OUT}")
        if found:
            examine(self._connection, self.path)
            self._allow_vacuum()
        migrate(self._connection, found)
        self._gives_back = execute("PRAGMA auto_vacuum").fetchone()[0] == 2
        self._count_spare()

    def _allow_vacuum(self) -> None:
        """A file that was made without `auto_vacuum=INCREMENTAL` is written anew once, by SQLite's VACUUM: killed at any
        moment it is the old or the new one. Where there is no room for that, the store works on and tries next time."""
        if self._connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 2:
            return
        try:
            self._connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            self._connection.execute("VACUUM")
        except sqlite3.OperationalError as error:
            if "malformed" in str(error):
                raise
            log.warning("store cannot be made to give space back; tried again at the next start", cause=error)

    def load(self) -> Contents:
        try:
            meta = dict(self._connection.execute("SELECT name, value FROM meta"))
            objects = {
                ObjectKey.parse(key): Record(revision, self._opened("objects", key, key, data))
                for key, revision, data in checked_objects(self._connection, self.path)
            }
            rows = [
                (revision, key, old if old is None else self._opened("log", revision, key, old), at)
                for revision, key, old, at in checked_log(self._connection, self.path)
            ]
            newest = max((record.revision for record in objects.values()), default=0)
            if max(newest, rows[0][0] if rows else 0) > meta["revision"]:
                raise Damaged(f"read store {self.path}: its revision is behind its objects; {WAY_OUT}")
            return Contents(
                meta["revision"],
                meta["compacted"],
                objects,
                list(reversed(list(_undo(objects, rows)))),
                [LogEntry(revision, at, len(old or b"")) for revision, _, old, at in reversed(rows)],
            )
        except sqlite3.Error as error:
            explain("read", self.path, error)
        except (KeyError, ValueError) as error:
            raise Damaged(f"read store {self.path}: {error!r}; {WAY_OUT}") from error

    def _opened(self, table: str, primary: str | int, key: str, stored: bytes) -> bytes:
        """What a row holds, in the clear. Raises SealingError, Damaged."""
        if self._sealing is None:
            if stored.startswith(MARK):
                raise SealingError(f"read store {self.path}: {key} is sealed, and no keys were handed in")
            return stored
        if not self._sealing.is_current(key, stored):
            self._stale.append((table, primary))
        return self._sealing.open(key, stored)

    def _sealed(self, key: str, plain: bytes) -> bytes:
        return plain if self._sealing is None else self._sealing.seal(key, plain)

    def commit(self, batch: Batch) -> None:
        """Durable when it returns. Raises WriteFailed when nothing of the batch is in the file."""
        try:
            log_rows, object_rows = list(self._log_rows(batch)), list(self._object_rows(batch))
        except OSError as error:
            raise WriteFailed(f"make a key to seal secrets with: {error}", full=error.errno == errno.ENOSPC) from error
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._write(batch, log_rows, object_rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._recover() == batch.revision:
                return  # the commit itself had happened: only its aftermath failed
            full = "full" in str(error) or getattr(error, "sqlite_errorname", "") in (
                "SQLITE_FULL",
                "SQLITE_IOERR_WRITE",
                "SQLITE_IOERR_SHMSIZE",
            )
            raise WriteFailed(f"write store {self.path}: {error}", full=full) from error

    def _object_rows(self, batch: Batch) -> Iterator[tuple[str, int, bytes, int]]:
        for key, record in {change.key: change.new for change in batch.changes}.items():
            if record:
                text = str(key)
                data = self._sealed(text, record.data)
                yield text, record.revision, data, checksum(text, record.revision, data)

    def _log_rows(self, batch: Batch) -> Iterator[tuple[int, str, bytes | None, float, int]]:
        for change in batch.changes:
            key = str(change.key)
            old = self._sealed(key, change.old.data) if change.old else None
            yield change.revision, key, old, batch.at, checksum(key, change.revision, old)

    def _write(
        self,
        batch: Batch,
        log_rows: list[tuple[int, str, bytes | None, float, int]],
        object_rows: list[tuple[str, int, bytes, int]],
    ) -> None:
        execute, many = self._connection.execute, self._connection.executemany
        many("INSERT INTO log(revision, key, old, at, crc) VALUES (?, ?, ?, ?, ?)", log_rows)
        final = {change.key: change.new for change in batch.changes}
        many(
            "INSERT INTO objects(key, revision, data, crc) VALUES (?, ?, ?, ?) "
            "ON CONFLICT(key) DO UPDATE SET revision=excluded.revision, data=excluded.data, crc=excluded.crc",
            object_rows,
        )
        if gone := [(str(key),) for key, record in final.items() if record is None]:
            many("DELETE FROM objects WHERE key=?", gone)
        execute("UPDATE meta SET value=? WHERE name='revision'", (batch.revision,))
        self._forget(batch.drop)
        if gone or batch.drop:
            self._count_spare()

    def _forget(self, drop: int) -> None:
        if drop:
            self._connection.execute("DELETE FROM log WHERE revision<=?", (drop,))
            self._connection.execute("UPDATE meta SET value=? WHERE name='compacted'", (drop,))

    def tidy(self, drop: int) -> None:
        """One slice of housekeeping, a transaction of its own: forgets the log through `drop` (0: nothing of it) and gives
        up to SLICE_PAGES free pages back. It is not synced: lost in a power cut it is only to be done again, and the
        next batch's sync covers it. Raises WriteFailed; the file then holds what it held before."""
        execute = self._connection.execute
        try:
            execute("PRAGMA synchronous=NORMAL")
            execute("BEGIN IMMEDIATE")
            self._forget(drop)
            self._reseal(SLICE_ROWS)
            self._count_spare()
            for _ in range(min(self._free, SLICE_PAGES)):
                # A page a statement: the pragma yields an empty row per page, and Python's module stops at the first.
                execute("PRAGMA incremental_vacuum(1)")
            self._count_spare()
            execute("COMMIT")
        except sqlite3.Error as error:
            self._recover()
            raise WriteFailed(f"compact store {self.path}: {error}", full="full" in str(error)) from error
        finally:
            execute("PRAGMA synchronous=FULL")

    def _count_spare(self) -> None:
        free: int = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
        self._free = max(0, free - KEPT_PAGES) if self._gives_back else 0

    @property
    def spare(self) -> int:
        """How much there is for `tidy` to do, beside the log."""
        return self._free + len(self._stale)

    def look_for_stale(self) -> None:
        """Notes what is not sealed as it would be now, after the keys have changed."""
        if self._sealing is None:
            return
        self._stale.clear()
        for table, primary, column in (("objects", "key", "data"), ("log", "revision", "old")):
            sql = f"SELECT {primary}, key, {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608 - names of ours
            for row, key, stored in self._connection.execute(sql):
                if not self._sealing.is_current(key, stored):
                    self._stale.append((table, row))

    def reseal(self) -> None:
        """Seals everything as it is to be now, and leaves nothing of what was in the clear in the file. Killed at any line,
        it is done again at the next start. Raises StoreError."""
        try:
            while self._stale:
                self._connection.execute("BEGIN IMMEDIATE")
                self._reseal(1000)
                self._connection.execute("COMMIT")
            if self._connection.execute("SELECT count(*) FROM meta WHERE name='scrub'").fetchone()[0]:
                self._scrub()
        except sqlite3.Error as error:
            self._recover()
            explain("seal", self.path, error)

    def _reseal(self, most: int) -> None:
        """Within a transaction. What was in the clear is zeroed in its page, and noted: other copies may be in free ones."""
        if self._sealing is None or not self._stale:
            return
        execute = self._connection.execute
        execute("PRAGMA secure_delete=ON")
        for _ in range(min(most, len(self._stale))):
            table, primary = self._stale.pop()
            name, column = ("key", "data") if table == "objects" else ("revision", "old")
            row = execute(f"SELECT key, revision, {column} FROM {table} WHERE {name}=?", (primary,)).fetchone()  # noqa: S608
            if row is None or row[2] is None or self._sealing.is_current(row[0], row[2]):
                continue
            key, revision, stored = row
            if not stored.startswith(MARK):
                execute("INSERT OR REPLACE INTO meta VALUES ('scrub', 1)")
            sealed = self._sealing.seal(key, self._sealing.open(key, stored))
            execute(
                f"UPDATE {table} SET {column}=?, crc=? WHERE {name}=?",  # noqa: S608
                (sealed, checksum(key, revision, sealed), primary),
            )

    def _scrub(self) -> None:
        """Writes the file anew, so that no free page holds an old text; then the WAL is emptied."""
        try:
            self._connection.execute("VACUUM")
        except sqlite3.OperationalError as error:
            if "malformed" in str(error):
                raise
            log.warning("the store cannot be cleared of old texts; tried again at the next start", cause=error)
            return
        self._connection.execute("DELETE FROM meta WHERE name='scrub'")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.execute("PRAGMA secure_delete=OFF")

    def restart(self, revision: int) -> None:
        """What a restored store begins with: no history, and a revision that nobody has seen. Durable when it returns.
        Raises WriteFailed."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("DELETE FROM log")
            self._connection.execute("UPDATE meta SET value=? WHERE name IN ('revision', 'compacted')", (revision,))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._recover()
            raise WriteFailed(f"restart store {self.path}: {error}", full="full" in str(error)) from error

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
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _lock(path: Path | str) -> int | None:
    """A file of its own: closing any descriptor of the database itself would let go of SQLite's locks on it."""
    if str(path) == ":memory:":
        return None
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"open store {path}: {error}; check that the folder exists and is yours") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InUse(f"open store {path}: another process has it open; stop it (styr down) first") from None
    return descriptor


def _undo(objects: dict[ObjectKey, Record], rows: Sequence[tuple[int, str, bytes | None, float]]) -> Iterator[Change]:
    """The changes that the log tells, newest first, by walking back from what the objects are now."""
    now: dict[ObjectKey, Record | None] = {}
    for revision, text, old, _ in rows:
        key = ObjectKey.parse(text)
        before = Record(0, old) if old is not None else None
        yield change_of(revision, key, before, now.get(key, objects.get(key)))
        now[key] = before
