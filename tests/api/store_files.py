"""Store files as older formats left them, made by code."""

import sqlite3
from pathlib import Path

SECOND = b'{"metadata":{"resourceVersion":"3"},"value":2}'


def format_1(path: Path, *, objects: int = 1, auto_vacuum: bool = False) -> None:
    """`things/ns/one` created at 1, changed at 3; `things/ns/two` came at 2 and went at 4; `objects` - 1 more at 5 and up."""
    connection = sqlite3.connect(path, isolation_level=None)
    if auto_vacuum:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.executescript(
        f"""
        PRAGMA journal_mode=WAL;
        PRAGMA application_id={0x53545952};
        CREATE TABLE objects(key TEXT PRIMARY KEY, revision INTEGER NOT NULL, data BLOB NOT NULL);
        CREATE TABLE log(revision INTEGER PRIMARY KEY, key TEXT NOT NULL, old BLOB, at REAL NOT NULL);
        CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL);
        PRAGMA user_version=1;
        """
    )
    first = b'{"metadata":{"resourceVersion":"1"},"value":1}'
    connection.execute("INSERT INTO objects VALUES ('things/ns/one', 3, ?)", (SECOND,))
    connection.executemany(
        "INSERT INTO log VALUES (?, ?, ?, 0.0)",
        [
            (1, "things/ns/one", None),
            (2, "things/ns/two", None),
            (3, "things/ns/one", first),
            (4, "things/ns/two", b'{"metadata":{"resourceVersion":"2"}}'),
        ],
    )
    for revision in range(5, 4 + objects):
        data = b'{"metadata":{"resourceVersion":"%d"},"value":"%s"}' % (revision, b"x" * 900)
        connection.execute("INSERT INTO objects VALUES (?, ?, ?)", (f"things/ns/n{revision}", revision, data))
        connection.execute("INSERT INTO log VALUES (?, ?, NULL, 0.0)", (revision, f"things/ns/n{revision}"))
    connection.execute("INSERT INTO meta VALUES ('revision', ?), ('compacted', 0)", (3 + objects,))
    connection.close()
