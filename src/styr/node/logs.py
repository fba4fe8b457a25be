"""Reads what containers wrote: `PodLogs` for the API server. The files are written by the apps themselves, without a hop.

Called by `api` through `plane`. An app appends to CONTAINER/N.log (N: its restarts); the launcher moves a full file to
N.log.1. A plain file has no times in it: `timestamps` and, mostly, `sinceSeconds` are refused rather than made up.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

from styr.kinds.errors import ApiError, BadRequest, NotFound
from styr.kinds.seams import LogOptions
from styr.kit.clock import Clock
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

    async def _read(self, namespace: str, name: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        record = self._record(name, uid)
        container = _choose(record, name, options.container)
        number = container.restarts - 1 if options.previous else container.restarts
        path = log_path(self._folder / uid, container.name, number)
        if options.previous and not path.exists():
            raise BadRequest(f'previous terminated container "{container.name}" in pod "{name}" not found')
        self._check_times(container, path, options)
        position = start_of_tail(path, options.tail_lines)
        tail = Tail(path, position)
        while True:
            # Asked before reading: what was written before the end is then surely read.
            ended = not options.follow or options.previous or self._ended(uid, container.name, number)
            while data := tail.read():
                yield data
            if ended:
                return
            await self._clock.sleep(POLL)

    def _record(self, name: str, uid: str) -> PodRecord:
        if not uid or "/" in uid or uid in (".", ".."):
            raise BadRequest(f"pod {name!r} has no valid uid")
        record = load(self._folder / uid / "state.json")
        if record is None:
            raise NotFound(f'pod "{name}" has not started on this node, or has been removed')
        return record

    def _check_times(self, container: ContainerRecord, path: Path, options: LogOptions) -> None:
        if options.timestamps:
            raise BadRequest(
                "timestamps: the log is the plain file that the app writes, it holds no times; leave it out"
            )
        if options.since_seconds is not None and path.exists():
            since = self._clock.time() - options.since_seconds
            if container.started_at < since:
                raise BadRequest(
                    "sinceSeconds: the log is the plain file that the app writes, it holds no times; use tailLines"
                )

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


async def _limited(chunks: AsyncIterator[bytes], limit: int | None) -> AsyncIterator[bytes]:
    left = limit
    async for chunk in chunks:
        if left is None:
            yield chunk
            continue
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


class Tail:
    """Reads on from a position in `path.1` + `path`, across rotations. Positions count from the start of `path.1`."""

    def __init__(self, path: Path, position: int) -> None:
        self._path, self._old = path, path.with_name(path.name + ".1")
        self._generation, size = _stat(self._old)
        self._in_old = position < size
        self._offset = position if self._in_old else position - size

    def read(self) -> bytes:
        """The next bytes, empty at the end for now."""
        generation, size = _stat(self._old)
        if generation != self._generation:
            # What stood in the file is in `.1` now; had it been cut to the cap, start where it starts.
            self._generation = generation
            self._in_old, self._offset = (True, self._offset if not self._in_old and self._offset <= size else 0)
        if self._in_old:
            if data := _chunk(self._old, self._offset):
                self._offset += len(data)
                return data
            self._in_old, self._offset = False, 0
        data = _chunk(self._path, self._offset)
        self._offset += len(data)
        return data


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
        return found.st_ino, found.st_size
    except OSError:
        return 0, 0


def _chunk(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), CHUNK, offset)
    except FileNotFoundError:
        return b""


def start_of_tail(path: Path, lines: int | None) -> int:
    """Where the last `lines` lines begin, counted from the start of `path.1`. 0 for all."""
    old = path.with_name(path.name + ".1")
    old_size, size = _stat(old)[1], _stat(path)[1]
    if lines is None:
        return 0
    end = old_size + size
    if lines <= 0:
        return end
    wanted, position = lines, end
    while position > 0:
        in_old = position <= old_size
        base, source = (0, old) if in_old else (old_size, path)
        start = max(base, position - CHUNK)
        block = _chunk(source, start - base)[: position - start]
        scan = len(block) - 1 if position == end and block.endswith(b"\n") else len(block)
        while (found := block.rfind(b"\n", 0, scan)) >= 0:
            wanted -= 1
            if wanted == 0:
                return start + found + 1
            scan = found
        if not block:
            break
        position = start
    return 0


def last_lines(path: Path, *, lines: int = 80, limit: int = 2048) -> str:
    """For terminationMessagePolicy FallbackToLogsOnError."""
    old_size = _stat(path.with_name(path.name + ".1"))[1]
    offset = max(0, start_of_tail(path, lines) - old_size, _stat(path)[1] - limit)
    return _chunk(path, offset)[:limit].decode("utf-8", "replace")


__all__ = ["ApiError", "FileLogs", "Tail", "last_lines", "log_path", "start_of_tail"]
