"""From any older format of the store's file to ours: one step per format, each in one transaction. Called by
`sqlite.Database` when it opens a file; a new file takes all steps. Raises sqlite3.Error; the file is then of the last
format whose step was finished, and whole.

Formats: docs/formats/store.md. A step is never changed once released; a new format is a new step.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable

APPLICATION_ID = 0x53545952  # "STYR"


def checksum(key: str, revision: int, data: bytes | None) -> int:
    """What stands in a row's `crc`: CRC-32 (zlib's) of `KEY NUL REVISION NUL` and the bytes, if there are any."""
    return zlib.crc32(data or b"", zlib.crc32(f"{key}\0{revision}\0".encode()))


def _make(connection: sqlite3.Connection) -> None:
    """Format 1."""
    for statement in (
        f"PRAGMA application_id={APPLICATION_ID}",
        "CREATE TABLE objects(key TEXT PRIMARY KEY, revision INTEGER NOT NULL, data BLOB NOT NULL)",
        "CREATE TABLE log(revision INTEGER PRIMARY KEY, key TEXT NOT NULL, old BLOB, at REAL NOT NULL)",
        "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
        "INSERT INTO meta VALUES ('revision', 0), ('compacted', 0)",
    ):
        connection.execute(statement)


def _add_checksums(connection: sqlite3.Connection) -> None:
    """Format 2: a checksum in every row. SQLite has none of its own, so a bit that flips inside an object goes unseen."""
    connection.create_function("styr_crc", 3, checksum, deterministic=True)
    for table, column in (("objects", "data"), ("log", "old")):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN crc INTEGER NOT NULL DEFAULT 0")
        connection.execute(f"UPDATE {table} SET crc=styr_crc(key, revision, {column})")  # noqa: S608 - names of ours


def _allow_sealing(connection: sqlite3.Connection) -> None:
    """Format 3: a row may be sealed (`sealing`). Nothing changes here; but an older Styr would take such a row for an
    object."""


STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (_make, _add_checksums, _allow_sealing)
"""STEPS[n] makes format n+1 of format n."""
FORMAT = len(STEPS)


def migrate(connection: sqlite3.Connection, found: int) -> None:
    """`found` is the file's user_version, at most FORMAT."""
    for number in range(found, FORMAT):
        connection.execute("BEGIN IMMEDIATE")
        try:
            STEPS[number](connection)
            connection.execute(f"PRAGMA user_version={number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
