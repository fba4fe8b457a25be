"""The write-ahead log on disk: segments of 128 MiB in pages of 32 KiB, as Prometheus has them. Called by `head` and `oo`, and
by `recovery`, which reads it; calls `kernels.wal` and the operating system.
 Writing has two steps. `log` frames a record into a buffer (its caller holds the head's lock); `sync` takes the buffer,
writes it and waits for fdatasync, without that lock. A record is durable when a `sync` that began after its `log` has
returned. What could not be written stays in the buffer, and the next `sync` writes it to the same place: a full disk loses
nothing that fits in memory.

Every start begins a new segment, so nothing is ever appended to a torn one.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cramjam
import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import wal as kernels
from styr.metrics.model.errors import StorageError, Unavailable
from styr.metrics.storage.block.files import sync_directory

Bytes = NDArray[np.uint8]

SEGMENT = 128 << 20
MOST_PENDING = 256 << 20
"""Bytes that wait for the disk, at most; beyond that appends are refused."""
_BUFFER = 1 << 20
_PAD = 16
"""Readable bytes behind the records that `read_segment` returns."""
_SMALL = 1 << 10
"""Records below this many bytes are not worth compressing."""


def segments(directory: Path) -> list[tuple[int, Path]]:
    """(number, file), in order."""
    if not directory.is_dir():
        return []
    return sorted((int(path.name), path) for path in directory.iterdir() if path.name.isdigit())


def checkpoints(directory: Path) -> list[tuple[int, Path]]:
    """(number of the last segment that it stands for, folder), in order."""
    if not directory.is_dir():
        return []
    found = []
    for path in directory.iterdir():
        name, _, number = path.name.partition(".")
        if name == "checkpoint" and number.isdigit() and path.is_dir():
            found.append((int(number), path))
    return sorted(found)


@dataclass(slots=True)
class Records:
    """The records of one segment: record i is `data[starts[i]:starts[i + 1]]`. `good` is how many bytes of the file hold whole
    records; `clean` is false when something follows them that is no padding."""

    data: Bytes
    starts: NDArray[np.int64]
    good: int
    clean: bool
    bad: int = 0
    """Records whose checksum is right and that do not decompress; they are empty here."""

    def __len__(self) -> int:
        return len(self.starts) - 1


def read_segment(path: Path) -> Records:
    """All whole records of a segment, decompressed. Raises OSError."""
    raw = np.fromfile(path, np.uint8)
    out = np.zeros(len(raw) + _PAD, np.uint8)
    most = len(raw) // kernels.HEADER + 2
    starts, flags, good = np.zeros(most, np.int64), np.zeros(most, np.uint8), np.zeros(2, np.int64)
    count = int(kernels.deframe(raw, len(raw), out, starts, flags, good))
    starts, flags = starts[: count + 1].copy(), flags[:count]
    if not flags.any():
        return Records(out, starts, int(good[0]), bool(good[1]))
    return _decompressed(out, starts, flags, int(good[0]), bool(good[1]))


def _decompressed(data: Bytes, starts: NDArray[np.int64], flags: Bytes, good: int, clean: bool) -> Records:
    parts, lengths, bad = [], [], 0
    for begin, end, flag in zip(starts[:-1].tolist(), starts[1:].tolist(), flags.tolist(), strict=True):
        part = data[begin:end]
        if flag:
            raw = part.tobytes()
            try:
                plain = cramjam.snappy.decompress_raw(raw) if flag & kernels.SNAPPY else cramjam.zstd.decompress(raw)
                part = np.frombuffer(memoryview(plain), np.uint8)
            except cramjam.DecompressionError:
                part, bad = data[:0], bad + 1
        parts.append(part)
        lengths.append(len(part))
    joined = np.concatenate([*parts, np.zeros(_PAD, np.uint8)])
    return Records(joined, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), good, clean, bad)


@dataclass(slots=True)
class _Part:
    """Framed bytes that belong at `offset` of a segment."""

    segment: int
    offset: int
    data: Bytes


class Wal:
    """`log` and `cut` are called under the head's lock; `sync` by one thread at a time (it has a lock of its own, taken
    before the head's)."""

    def __init__(self, directory: Path, lock: threading.RLock, size: int = SEGMENT, number: int | None = None) -> None:
        """Begins the segment `number` (one after the last by default). Raises OSError."""
        self.directory, self._lock, self._size = directory, lock, size
        directory.mkdir(parents=True, exist_ok=True)
        existing = segments(directory)
        after = [number for number, _ in checkpoints(directory)] + [number for number, _ in existing]
        self.segment = max(after, default=-1) + 1 if number is None else number
        self._position = 0
        self._buffer: Bytes = np.zeros(_BUFFER, np.uint8)
        self._filled, self._begin = 0, 0
        self._pending: list[_Part] = []
        self._waiting = 0
        self._writing = threading.Lock()
        self._open_segment, self._descriptor = -1, -1
        self.written = 0
        """Bytes written since the start."""

    def log(self, record: Bytes, length: int, compress: bool = False) -> None:
        """Frames `record[:length]`. Raises Unavailable when too much waits for the disk already."""
        if self.waiting > MOST_PENDING:
            raise Unavailable(
                f"{self.waiting >> 20} MiB of the write-ahead log wait for the disk; free some space, or append more slowly"
            )
        flags = 0
        if compress and length > _SMALL:
            record = np.frombuffer(
                bytearray(memoryview(cramjam.snappy.compress_raw(record[:length].tobytes()))), np.uint8
            )
            flags, length = kernels.SNAPPY, len(record)
        page = self._position % kernels.PAGE
        most = length + (length // (kernels.PAGE - kernels.HEADER) + 2) * (2 * kernels.HEADER)
        if self._position and self._position + most > self._size:
            self.cut()
            page = 0
        if self._filled + most > len(self._buffer):
            self._set_aside(most)
        end = int(kernels.frame(record, 0, length, np.uint8(flags), self._buffer, self._filled, page))
        self._position += end - self._filled
        self._filled = end

    def reserve(self, length: int) -> None:
        """Begins a new segment now if this one has no room for `length` more bytes of records, so that they share one."""
        if self._position and self._position + length + (length // kernels.PAGE + 4) * 2 * kernels.HEADER > self._size:
            self.cut()

    def log_bytes(self, record: bytes, compress: bool = True) -> None:
        self.log(np.frombuffer(bytearray(record), np.uint8), len(record), compress)

    def cut(self) -> None:
        """What comes next goes to a new segment. One that is empty gets a file too: numbers have no gaps."""
        self._set_aside(0)
        if not self._position:
            self._pending.append(_Part(self.segment, 0, self._buffer[:0]))
        self.segment += 1
        self._position = self._begin = 0

    @property
    def waiting(self) -> int:
        """Bytes that no `sync` has written yet."""
        return self._waiting + self._filled

    def _set_aside(self, room: int) -> None:
        """An empty buffer with at least `room`."""
        if self._filled:
            self._pending.append(_Part(self.segment, self._begin, self._buffer[: self._filled]))
            self._waiting += self._filled
            self._begin += self._filled
            self._filled = 0
            self._buffer = np.zeros(max(_BUFFER, room), np.uint8)
        elif room > len(self._buffer):
            self._buffer = np.zeros(room, np.uint8)

    def sync(self) -> None:
        """Writes all that was logged before the call and waits until it is on the disk. Raises StorageError when the disk
        refuses; then nothing is lost, and the next call tries again."""
        with self._writing:
            with self._lock:
                self._set_aside(0)
                parts, self._pending, self._waiting = self._pending, [], 0
            try:
                for part in parts:
                    self._write(part)
                if self._descriptor >= 0:
                    os.fdatasync(self._descriptor)
            except OSError as error:
                with self._lock:  # All of it: after a failed sync nobody knows which pages were written.
                    self._pending = parts + self._pending
                    self._waiting += sum(len(part.data) for part in parts)
                raise StorageError(
                    f"cannot write the write-ahead log in {self.directory}: {error.strerror}; free some space on its disk"
                ) from error

    def _write(self, part: _Part) -> None:
        if part.segment != self._open_segment:
            self._close()
            path = self.directory / f"{part.segment:08d}"
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._open_segment = part.segment
            sync_directory(self.directory)
        view, at = part.data.data, part.offset
        while view:
            count = os.pwrite(self._descriptor, view, at)
            at += count
            view = view[count:]
        self.written += len(part.data)

    def touch(self) -> None:
        """Makes the file of the current segment, if there is none yet: Prometheus numbers its next one by the files it
        finds."""
        with self._writing, self._lock:
            (self.directory / f"{self.segment:08d}").touch()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.fdatasync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = self._open_segment = -1

    def close(self) -> None:
        """Syncs and closes. Raises StorageError."""
        try:
            self.sync()
        finally:
            with self._writing, contextlib.suppress(OSError):
                self._close()

    def drop_until(self, number: int) -> None:
        """Removes the segments up to `number`, and the checkpoints before the newest."""
        for each, path in segments(self.directory):
            if each <= number:
                path.unlink()
        for _, path in checkpoints(self.directory)[:-1]:
            remove_checkpoint(path)


def remove_checkpoint(path: Path) -> None:
    for each in path.iterdir():
        each.unlink()
    path.rmdir()


def history(directory: Path) -> Iterator[tuple[int, Path]]:
    """(segment, file) of all that a start reads, in order: the newest checkpoint's files (as segment -1), then the segments
    after it."""
    number = -1
    if last := checkpoints(directory)[-1:]:
        number, folder = last[0]
        for _, path in segments(folder):
            yield -1, path
    for each, path in segments(directory):
        if each > number:
            yield each, path


def truncate_after(directory: Path, number: int, path: Path, good: int) -> list[Path]:
    """Ends the log at byte `good` of a segment, as Prometheus repairs: later segments go. Returns those."""
    os.truncate(path, good)
    gone = [file for each, file in segments(directory) if each > number]
    for file in gone:
        file.unlink()
    return gone
