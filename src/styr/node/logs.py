"""Reads what containers wrote: `PodLogs` for the API server. The files are written by the launchers, which outlive Styr.

Called by `api` through `plane`. CONTAINER/N.log (N: the container's restarts) holds entries (`entries.py`); the launcher
renames a full one to N.log.1 and begins anew.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

from styr.kinds.errors import ApiError, BadRequest, NotFound
from styr.kinds.seams import LogOptions
from styr.kit.clock import Clock
from styr.node import entries
from styr.node.entries import Reader, Wanted
from styr.node.record import ContainerRecord, PodRecord, load

POLL = 0.1
"""Seconds between two looks at a followed file."""
CHUNK = 64 << 10


class FileLogs:
    """`folder` is DIR/node/pods. Implements `styr.kinds.seams.PodLogs`."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def __call__(self, namespace: str, name: str, uid: str, options: LogOptions, /) -> AsyncIterator[bytes]:
        return _limited(self._read(namespace, name, uid, options), options.limit_bytes)

    async def _read(self, namespace: str, name: str, uid: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
        record = self._record(name, uid)
        container = _choose(record, name, options.container)
        number = container.restarts - 1 if options.previous else container.restarts
        path = log_path(self._folder / uid, container.name, number)
        if options.previous and not path.exists():
            raise BadRequest(f'previous terminated container "{container.name}" in pod "{name}" not found')
        reader = Reader(self._wanted(options))
        with Tail(path, start_of_tail(path, options.tail_lines)) as tail:
            while True:
                # Asked before reading: what was written before the end is then surely read.
                ended = not options.follow or options.previous or self._ended(uid, container.name, number)
                while (lines := tail.lines()) is not None:
                    if text := reader.text(lines):
                        yield text
                    await asyncio.sleep(0)
                if ended:
                    if text := reader.text(tail.rest()):
                        yield text
                    return
                await self._clock.sleep(POLL)

    def _wanted(self, options: LogOptions) -> Wanted:
        since = options.since_time
        if options.since_seconds is not None:
            since = self._clock.time() - options.since_seconds
        return Wanted(
            entries.stamp(since) if since is not None else b"", options.stream.lower().encode(), options.timestamps
        )

    def _record(self, name: str, uid: str) -> PodRecord:
        if not uid or "/" in uid or uid in (".", ".."):
            raise BadRequest(f"pod {name!r} has no valid uid")
        record = load(self._folder / uid / "state.json")
        if record is None:
            raise NotFound(f'pod "{name}" has not started on this node, or has been removed')
        return record

    def _ended(self, uid: str, container: str, number: int) -> bool:
        record = load(self._folder / uid / "state.json")
        if record is None:
            return True
        now = record.container(container)
        return now.restarts != number or now.phase == "terminated" or (now.phase == "waiting" and now.last is not None)


def _choose(record: PodRecord, pod: str, wanted: str) -> ContainerRecord:
    names = list(record.containers)
    if not wanted and len(names) == 1:
        wanted = names[0]
    if not wanted:
        raise BadRequest(f"a container name must be specified for pod {pod}, choose one of: [{' '.join(names)}]")
    if wanted not in record.containers:
        raise BadRequest(f"container {wanted} is not valid for pod {pod}")
    container = record.containers[wanted]
    if not container.attempted:
        raise BadRequest(f'container "{wanted}" in pod "{pod}" is waiting to start: {container.reason}')
    return container


def log_path(pod_folder: Path, container: str, number: int) -> Path:
    return pod_folder / "containers" / container / f"{number}.log"


async def _limited(chunks: AsyncGenerator[bytes, None], limit: int | None) -> AsyncGenerator[bytes, None]:
    left = limit
    async with aclosing(chunks):
        async for chunk in chunks:
            if left is None:
                yield chunk
                continue
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return


class Tail:
    """Reads on from a position in `path.1` + `path`, whole lines at a time, across rotations. Positions count from the start of
    `path.1`. The file that is being read stays open, so that it is read to its end whatever it is called by then."""

    def __init__(self, path: Path, position: int) -> None:
        self._path, self._old = path, path.with_name(path.name + ".1")
        size = _size(self._old)
        self._file = _open(self._old if position < size else path)
        self._offset = position if position < size else position - size
        self._cut = b""
        """A line that is not whole yet."""

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def lines(self) -> list[bytes] | None:
        """The next lines; None at the end for now."""
        while True:
            if self._file < 0:
                self._file, self._offset = _open(self._path), 0
                if self._file < 0:
                    return None
            data = os.pread(self._file, CHUNK, self._offset)
            if not data and not self._next_file():
                return None
            self._offset += len(data)
            *whole, self._cut = (self._cut + data).split(b"\n")
            if whole:
                return whole

    def rest(self) -> list[bytes]:
        """What was cut off at the very end."""
        cut, self._cut = self._cut, b""
        return [cut] if cut else []

    def _next_file(self) -> bool:
        """The file was read to its end: is there a newer one? Looked at before its end is believed, since the launcher
        writes no more to a file that it has renamed."""
        mine = os.fstat(self._file).st_ino
        if mine == _inode(self._path):
            return False
        if os.pread(self._file, 1, self._offset):
            return True
        # Renamed once, the next is the current one; twice, what stood between has been thrown away but for `.1`.
        following = _open(self._path if mine == _inode(self._old) else self._old)
        if following < 0:
            return False
        os.close(self._file)
        self._file, self._offset = following, 0
        return True


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def start_of_tail(path: Path, lines: int | None) -> int:
    """Where the last `lines` lines begin, counted from the start of `path.1`. 0 for all. Several entries may make one line."""
    old = path.with_name(path.name + ".1")
    size = _size(path)
    position = _size(old) + size
    if lines is None:
        return 0
    if size and _chunk(path, size - 1, 1) not in (b"", b"\n"):
        position += 1  # a line that is being written
    wanted, last = lines, True
    for line in _backwards(path, old):
        if entries.ends_line(line) or last:
            wanted -= 1
        if wanted < 0:
            return position
        position -= len(line) + 1
        last = False
    return 0


def _backwards(path: Path, old: Path) -> Iterator[bytes]:
    """The lines of both files, the last one first, without their newlines."""
    for source in (path, old):
        cut, end = b"", _size(source)
        first = True
        while end > 0:
            start = max(0, end - CHUNK)
            block, end = _chunk(source, start, end - start) + cut, start
            cut, *whole = block.split(b"\n")
            if first and whole and not whole[-1]:
                whole.pop()
            first = False
            yield from reversed(whole)
        if cut:
            yield cut


def _chunk(path: Path, offset: int, size: int) -> bytes:
    file = _open(path)
    if file < 0:
        return b""
    try:
        return os.pread(file, size, offset)
    finally:
        os.close(file)


def last_lines(path: Path, *, lines: int = 80, limit: int = 2048) -> str:
    """For terminationMessagePolicy FallbackToLogsOnError."""
    reader, text = Reader(Wanted()), b""
    with Tail(path, start_of_tail(path, lines)) as tail:
        while (found := tail.lines()) is not None:
            text = (text + reader.text(found))[-limit:]
        text = (text + reader.text(tail.rest()))[-limit:]
    return text.decode("utf-8", "replace")


__all__ = ["ApiError", "FileLogs", "Tail", "last_lines", "log_path", "start_of_tail"]
