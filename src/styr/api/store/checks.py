"""Is this file a store, whole, and of a format we know? And the store's errors. Called by `sqlite` when it opens a file and by
`snapshot` for copies; never writes.

    StoreError
    ├── NewerFormat    written by a newer Styr
    ├── Damaged        SQLite says that the file is not whole
    ├── InUse          another process has it open
    └── WriteFailed    a batch was not written (disk full, I/O error): the file holds what it held before
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from styr.api.store.migrations import APPLICATION_ID, FORMAT, checksum

WAY_OUT = (
    "restore it from a copy (styr restore), or move it and its -wal file away to start with an empty store "
    "(`sqlite3 FILE .recover` may save what is readable)"
)


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


def newer(path: Path | str, found: int) -> str:
    """The sentence of NewerFormat."""
    return (
        f"open store {path}: its format is {found}, this Styr knows {FORMAT}; "
        "install the newer Styr, or start with another data folder (--data-dir)"
    )


def examine(connection: sqlite3.Connection, path: Path | str) -> None:
    """Raises Damaged, sqlite3.Error for what is no store of ours or not whole as a database."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise Damaged(f"open store {path}: it is a database, but not one of Styr; {WAY_OUT}")
    problems = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    if problems != ["ok"]:
        raise Damaged(f"open store {path}: the file is damaged ({'; '.join(map(str, problems))}); {WAY_OUT}")


def checked_objects(connection: sqlite3.Connection, path: Path | str) -> Iterator[tuple[str, int, bytes]]:
    """(key, revision, bytes) of every object, in no order. Raises Damaged for one that is not what was written."""
    for key, revision, data, crc in connection.execute("SELECT key, revision, data, crc FROM objects"):
        if checksum(key, revision, data) != crc:
            raise Damaged(f"read store {path}: {key} is not what was written (checksum); {WAY_OUT}")
        yield key, revision, data


def checked_log(connection: sqlite3.Connection, path: Path | str) -> list[tuple[int, str, bytes | None, float]]:
    """(revision, key, old bytes, time) of every entry, newest first. Raises Damaged."""
    rows = []
    for revision, key, old, at, crc in connection.execute(
        "SELECT revision, key, old, at, crc FROM log ORDER BY revision DESC"
    ):
        if checksum(key, revision, old) != crc:
            raise Damaged(f"read store {path}: entry {revision} of its log is not what was written; {WAY_OUT}")
        rows.append((revision, key, old, at))
    return rows


def explain(operation: str, path: Path | str, error: sqlite3.Error) -> NoReturn:
    """SQLite's error as ours."""
    text = str(error)
    if "locked" in text or "busy" in text:
        raise InUse(f"{operation} store {path}: another process has it open; stop it (styr down) first") from error
    if isinstance(error, sqlite3.OperationalError) and "malformed" not in text:
        raise StoreError(f"{operation} store {path}: {error}; check its permissions and free space") from error
    raise Damaged(f"{operation} store {path}: the file is damaged ({error}); {WAY_OUT}") from error
