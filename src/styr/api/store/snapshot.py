"""A copy of the store, taken while the server writes, and what a copy is worth. Called by `plane.backup` and
`plane.restore`; reads beside the server (WAL), needs nothing of it and never holds up its writes.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from styr.api.store.checks import (
    Damaged,
    NewerFormat,
    StoreError,
    WriteFailed,
    checked_log,
    checked_objects,
    examine,
    explain,
    newer,
)
from styr.api.store.migrations import FORMAT

_STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the progress."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a store holds. `format` is its user_version."""

    format: int
    revision: int
    objects: int


def copy(source: Path, target: Path, progress: Callable[[], None] | None = None) -> Facts:
    """Copies the store at one revision into a new file of mode 0600, without free pages, and checks the copy. It is not
    synced: who keeps it does that. `progress` is called now and then. Raises StoreError (WriteFailed with `full` for a full
    disk), OSError; the target is then gone."""
    if not source.exists():
        raise StoreError(f"copy store {source}: there is none; has `styr up` run on this folder?")
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _vacuum_into(source, target, progress)
        facts = check(target, source)
    except BaseException:
        target.unlink(missing_ok=True)
        target.with_name(f"{target.name}-journal").unlink(missing_ok=True)
        raise
    return facts


def _vacuum_into(source: Path, target: Path, progress: Callable[[], None] | None) -> None:
    # mode=ro: the last reader to leave would otherwise write the WAL back, which is the server's business.
    connection = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10.0)
    try:
        if progress is not None:
            connection.set_progress_handler(progress, _STEPS)
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > FORMAT:
            raise NewerFormat(newer(source, found))
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        if "full" in str(error) or getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_WRITE":
            raise WriteFailed(f"copy store {source} to {target}: {error}", full=True) from error
        explain("copy", source, error)
    finally:
        connection.close()


def check(path: Path, name: Path | None = None) -> Facts:
    """Reads all of a store that nobody writes; `name` is what errors call it. Raises StoreError: NewerFormat, Damaged."""
    name = name or path
    if not path.is_file():
        raise StoreError(f"check store {name}: there is no such file")
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    try:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > FORMAT:
            raise NewerFormat(newer(name, found))
        examine(connection, name)
        meta = dict(connection.execute("SELECT name, value FROM meta"))
        if found < 2:
            objects = connection.execute("SELECT count(*) FROM objects").fetchone()[0]
        else:
            objects = sum(1 for _ in checked_objects(connection, name))
            checked_log(connection, name)
        return Facts(found, meta["revision"], objects)
    except sqlite3.Error as error:
        explain("check", name, error)
    except KeyError as error:
        raise Damaged(f"check store {name}: it has no {error}") from error
    finally:
        connection.close()
