"""What blocks do to the disk: files that are whole or absent, folders that are swapped in one step.

Called by every writer of this package; calls the operating system, and nothing else of Styr does for blocks: a test that counts
or breaks these calls sees all of them. Everything that is named after a write has been synced, the name included.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.errors import StorageError

Bytes = NDArray[np.uint8]
Buffer = bytes | Bytes


def _view(data: Buffer) -> memoryview:
    return (data.data if isinstance(data, np.ndarray) else memoryview(data)).cast("B")


class File:
    """A new file, written front to back; `position` is its length so far."""

    def __init__(self, path: Path) -> None:
        self.position = 0
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)

    def write(self, data: Buffer) -> None:
        """All of `data`, however little the system takes at a time."""
        view = _view(data)
        while view:
            written = os.write(self._descriptor, view)
            self.position += written
            view = view[written:]

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


@contextlib.contextmanager
def create(path: Path) -> Iterator[File]:
    """Synced and closed at the end of the block, closed alone when it fails."""
    file = File(path)
    try:
        yield file
        file.sync()
    finally:
        file.close()


def write_file(path: Path, parts: Iterable[Buffer]) -> None:
    """In place of what is there, in one step: a reader finds the old file or the new one. The folder is not synced."""
    temporary = path.with_name(path.name + ".tmp")
    with create(temporary) as file:
        for part in parts:
            file.write(part)
    os.rename(temporary, path)


def sync_directory(path: Path) -> None:
    """Makes the names in it durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """A durable rename inside one folder."""
    os.rename(source, target)
    sync_directory(target.parent)


def remove_tree(path: Path) -> None:
    """Nothing happens when it is not there."""
    if path.exists():
        shutil.rmtree(path)


@contextlib.contextmanager
def reported(operation: str, way_out: str = "check the disk's free space and health") -> Iterator[None]:
    """What the system refuses becomes a StorageError that names the operation."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        where = f" ({error.filename})" if error.filename else ""
        raise StorageError(f"cannot {operation}: {reason}{where}; {way_out}") from error
