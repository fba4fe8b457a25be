"""The file that audit events go to: lines of JSON, written beside the event loop, rotated, bounded. Made by `plane`, called
by `audit`.

An event is taken at once and on the disk within DELAY seconds; `close` writes what is left. A process that is killed loses the
last DELAY seconds of it. Events that come faster than the disk takes them, or that it refuses, are counted and told in the
log: a request never waits for its event.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from styr.kit.clock import Clock
from styr.kit.files import make_private
from styr.kit.log import Log

log = Log("styr.api.audit")

DELAY = 0.2
MAX_FILE = 10 << 20
KEPT = 9
"""Older files: 100 MiB in all."""
MAX_PENDING = 16 << 20
_TELL_EVERY = 60.0


class AuditLog:
    """`path` is the newest file; older ones stand beside it, NAME-TIME.log. Raises OSError when it cannot be opened."""

    def __init__(
        self, path: Path, clock: Clock, *, max_file: int = MAX_FILE, kept: int = KEPT, max_pending: int = MAX_PENDING
    ) -> None:
        self.path = path
        self.lost = 0
        self._clock = clock
        self._max_file, self._kept, self._max_pending = max_file, kept, max_pending
        make_private(path.parent)
        self._file = self._open()
        self._size = os.fstat(self._file).st_size
        self._pending: list[bytes] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._told = float("-inf")

    def append(self, line: bytes) -> None:
        """One event, with its newline. Never waits, never raises."""
        if self._bytes + len(line) > self._max_pending:
            self._lose(1, "the disk is slower than the requests")
            return
        self._pending.append(line)
        self._bytes += len(line)
        if self._timer is None and self._writing is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY, self._flush)

    def _flush(self) -> None:
        self._timer = None
        lines = self._take()
        if not lines:
            return
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="styr-audit")
        loop = asyncio.get_running_loop()
        self._writing = loop.run_in_executor(self._executor, self._write, lines)
        self._writing.add_done_callback(lambda _: self._written(loop))

    def _written(self, loop: asyncio.AbstractEventLoop) -> None:
        self._writing = None
        if self._pending and self._timer is None:
            self._timer = loop.call_later(DELAY, self._flush)

    def _take(self) -> list[bytes]:
        lines, self._pending, self._bytes = self._pending, [], 0
        return lines

    def _write(self, lines: list[bytes]) -> None:
        """On its own thread; one at a time."""
        done = 0
        try:
            while done < len(lines):
                if self._size and self._size + len(lines[done]) > self._max_file:
                    self._rotate()
                batch = [lines[done]]
                size = self._size + len(lines[done])
                for line in lines[done + 1 :]:
                    size += len(line)
                    if size > self._max_file:
                        break
                    batch.append(line)
                data = b"".join(batch)
                _write_all(self._file, data)
                self._size += len(data)
                done += len(batch)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)  # nothing of a line that is not whole
            self._lose(len(lines) - done, error)

    def _rotate(self) -> None:
        moment = datetime.fromtimestamp(self._clock.time(), UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        os.close(self._file)
        try:
            os.replace(self.path, self.path.with_name(f"{self.path.stem}-{moment}{self.path.suffix}"))
            old = sorted(self.path.parent.glob(f"{self.path.stem}-*{self.path.suffix}"))
            for path in old[: max(0, len(old) - self._kept)]:
                path.unlink(missing_ok=True)
        finally:
            self._file = self._open()
            self._size = os.fstat(self._file).st_size

    def _open(self) -> int:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            os.write(file, b"\n")  # whoever wrote the last line was killed over it
        return file

    def _lose(self, count: int, why: object) -> None:
        self.lost += count
        now = self._clock.monotonic()
        if now - self._told > _TELL_EVERY:
            self._told = now
            log.error("audit events were lost", so_far=self.lost, cause=why)

    async def close(self) -> None:
        """All that was appended is on the disk when it returns."""
        while self._writing is not None:
            await asyncio.wait([self._writing])
            await asyncio.sleep(0)
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._write(self._take())
        if self._executor is not None:
            self._executor.shutdown()
        os.fsync(self._file)
        os.close(self._file)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
