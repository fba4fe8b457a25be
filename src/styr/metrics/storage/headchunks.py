"""Full chunks of the head on disk: chunks_head/NNNNNN, as Prometheus has them. Called by `head` under its lock; calls
`kernels.headscan`, `mapping` and the operating system.
 A file begins with a magic number, is filled to 128 MiB and mapped for reading. It is longer than what is in it (zeros
follow) so that it need not be mapped anew for every write; `close` cuts it. Writes are not synced one by one: what is only in
such a file is still in the write-ahead log, until `sync`, which a checkpoint calls before it drops that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import headscan as kernels
from styr.metrics.model.errors import StorageError
from styr.metrics.storage.block.files import sync_directory
from styr.metrics.storage.mapping import map_file

Bytes = NDArray[np.uint8]

MAGIC = bytes.fromhex("0130bc91") + b"\x01\x00\x00\x00"
HEADER = len(MAGIC)
FILE_SIZE = 128 << 20
_STEP = 8 << 20
"""A file grows by this much, and is mapped again then."""


@dataclass(slots=True)
class Scanned:
    """What a start found: rows as `kernels.headscan` says, and the file of each. `problems` are sentences about what was
    cut."""

    chunks: NDArray[np.int64]
    files: NDArray[np.int64]
    problems: list[str]


class HeadChunks:
    """Files `first .. first + len(segments) - 1`; the last one is written to at `position`."""

    def __init__(self, directory: Path, size: int = FILE_SIZE) -> None:
        self.directory, self._size = directory, size
        directory.mkdir(parents=True, exist_ok=True)
        self.first = 1
        self.segments: list[Bytes] = []
        self.newest: list[int] = []
        """The newest sample in each file."""
        self.position = 0
        self._length = 0
        self._descriptor = -1
        self._unsynced: list[int] = []
        self.written = 0
        self.held: Callable[[], int] = lambda: sys.maxsize
        """The first file with chunks that are needed whatever their time is: late ones. `oo` says which."""

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:06d}"

    @property
    def number(self) -> int:
        """Of the file that is written to."""
        return self.first + len(self.segments) - 1

    def load(self, look: bool = False) -> Scanned:
        """Reads what is there; a file that does not end as it should is cut behind its last whole chunk. To `look`: the files
        are another's, and left as they are. Raises OSError."""
        found = sorted((int(path.name), path) for path in self.directory.iterdir() if path.name.isdigit())
        chunks, files, problems = [], [], []
        for place, (number, path) in enumerate(found):
            if number != found[0][0] + place:
                problems.append(
                    f"{path}: file {found[0][0] + place:06d} is missing before it; it and later ones are "
                    f"{'passed over' if look else 'removed'}"
                )
                for _, each in [] if look else found[place:]:
                    each.unlink()
                break
            rows = self._scan(path, problems, look)
            self.segments.append(map_file(path))
            self.newest.append(int(rows[:, kernels.MAXT].max()) if len(rows) else -(1 << 63))
            chunks.append(rows)
            files.append(np.full(len(rows), number, np.int64))
        self.first = found[0][0] if found else 1
        none = np.zeros((0, 6), np.int64)
        return Scanned(np.concatenate([none, *chunks]), np.concatenate([none[:, 0], *files]), problems)

    def _scan(self, path: Path, problems: list[str], look: bool) -> NDArray[np.int64]:
        data = map_file(path)
        good = np.array([0, 0], np.int64)
        if bytes(data[:HEADER]) == MAGIC:
            rows = np.zeros((len(data) // 40 + 1, 6), np.int64)
            rows = rows[: int(kernels.scan_chunks(data, HEADER, rows, good))].copy()
        else:
            rows = np.zeros((0, 6), np.int64)
        if not good[1]:
            problems.append(
                f"{path}: {len(data) - int(good[0])} bytes behind offset {int(good[0])} are no chunks; "
                f"{'passed over' if look else 'cut off'}"
            )
        if look:
            return rows
        if not good[0]:
            path.write_bytes(MAGIC)
        elif int(good[0]) < len(data):
            os.truncate(path, int(good[0]))
        return rows

    def room(self) -> int:
        """Bytes that the current file still takes."""
        return self._size - self.position if self._descriptor >= 0 else 0

    def rotate(self) -> None:
        """Begins a new file; the old one stays until there is one. Raises StorageError."""
        path = self._path(self.first + len(self.segments))
        descriptor = -1
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            os.pwrite(descriptor, MAGIC, 0)
            os.ftruncate(descriptor, _STEP)
            mapped = map_file(path)
            self._close()
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
                path.unlink(missing_ok=True)
            raise _refused(path, error) from error
        self._descriptor, self._length = descriptor, _STEP
        self.segments.append(mapped)
        self.newest.append(-(1 << 63))
        self.position = HEADER

    def write(self, data: Bytes, newest: int) -> None:
        """At `position`, which moves on. Raises StorageError; then nothing has changed and the call can be made again."""
        path = self._path(self.number)
        try:
            end = self.position + len(data)
            if end > self._length:
                length = -(-end // _STEP) * _STEP
                os.ftruncate(self._descriptor, length)
                self.segments[-1] = map_file(path)
                self._length = length
            view, at = data.data, self.position
            while view:
                count = os.pwrite(self._descriptor, view, at)
                view, at = view[count:], at + count
        except OSError as error:
            raise _refused(path, error) from error
        self.position = end
        self.written += len(data)
        self.newest[-1] = max(self.newest[-1], newest)

    def sync(self) -> None:
        """Waits until all that was written is on the disk. Raises StorageError. May be called without the head's lock: works
        on a duplicate of the descriptor."""
        current = os.dup(self._descriptor) if self._descriptor >= 0 else -1
        try:
            while self._unsynced:
                os.fdatasync(self._unsynced[0])
                os.close(self._unsynced.pop(0))
            if current >= 0:
                os.fdatasync(current)
            sync_directory(self.directory)
        except OSError as error:
            raise _refused(self.directory, error) from error
        finally:
            if current >= 0:
                os.close(current)

    def drop_before(self, mint: int) -> None:
        """Removes the files from the front that have no sample from `mint` on; never the one that is written to, nor one that
        is `held`."""
        held = self.held()
        while len(self.segments) > 1 and self.newest[0] < mint and self.first < held:
            self._path(self.first).unlink(missing_ok=True)
            del self.segments[0], self.newest[0]
            self.first += 1

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, self.position)
            self._unsynced.append(self._descriptor)
            self._descriptor = -1

    def close(self) -> None:
        """Cuts the file to what is in it and syncs. Raises StorageError."""
        try:
            self._close()
        except OSError as error:
            raise _refused(self.directory, error) from error
        self.sync()


def _refused(path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot write {path}: {error.strerror}; free some space on its disk")
