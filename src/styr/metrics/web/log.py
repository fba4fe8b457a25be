"""The query log, and the list of queries that run right now. Called by `query`; writes two files.

    the query log       JSON lines, Prometheus' field names: params, stats, ts, httpRequest, error
    queries.active      what runs now, fixed slots in a mapped file: after a crash it says what it died of

Writing costs a few microseconds and is never waited for; a log that cannot be written is told once and then left alone.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from styr.kinds.transport import Request
from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.metrics.web.json import go_time, seconds

log = Log("styr.metrics.web.log")

SLOT = 1000
"""Bytes of one running query in `queries.active`."""


class ActiveQueries:
    """`queries.active` in the data directory, or nothing without one."""

    def __init__(self, path: Path | None, slots: int) -> None:
        self._free = list(range(slots))
        self._map: mmap.mmap | None = None
        if path is None:
            return
        _tell_leftovers(path)
        try:
            with path.open("w+b") as file:
                file.truncate(SLOT * slots + 2)
                self._map = mmap.mmap(file.fileno(), SLOT * slots + 2)
        except OSError as error:
            log.warning("running queries will not be on record", path=path, cause=error)
            return
        self._map[:1] = b"["
        self._map[1:-1] = b" " * (SLOT * slots)
        self._map[-1:] = b"]"

    def add(self, text: str, now: float) -> int:
        """The slot; -1 when all are taken."""
        if not self._free:
            return -1
        slot = self._free.pop()
        if self._map is not None:
            room = SLOT - 60
            entry = msgspec.json.encode({"query": text, "timestamp_sec": int(now)})
            if len(entry) > room:
                entry = msgspec.json.encode({"query": text[: room // 12], "timestamp_sec": int(now)})
            self._put(slot, entry + b",")
        return slot

    def remove(self, slot: int) -> None:
        if slot < 0:
            return
        self._free.append(slot)
        if self._map is not None:
            self._put(slot, b"")

    def _put(self, slot: int, entry: bytes) -> None:
        assert self._map is not None
        self._map[1 + slot * SLOT : 1 + (slot + 1) * SLOT] = entry.ljust(SLOT)[:SLOT]

    def close(self) -> None:
        if self._map is not None:
            self._map.close()


def _tell_leftovers(path: Path) -> None:
    """What ran when the process before this one died."""
    try:
        raw = path.read_bytes()[: 1 << 20]
    except OSError:
        return
    body = raw.strip(b"[] \0").rstrip(b",")
    if not body:
        return
    log.warning("these queries were running when the process ended", queries=body.decode("utf-8", "replace")[:4000])


class QueryLog:
    """What `query` tells of each query. `path` None: only the active ones are kept."""

    def __init__(self, clock: Clock, active: ActiveQueries, path: Path | None = None) -> None:
        self._clock = clock
        self._active = active
        self._file: BinaryIO | None = None
        if path is not None:
            self.open(path)

    def open(self, path: Path) -> None:
        """Writes to this file from now on."""
        self.close_file()
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            log.warning("the query log cannot be written", path=path, cause=error)

    def began(self, text: str, span: tuple[int, int, int]) -> dict[str, Any]:
        """`span`: start, end, step in ms."""
        slot = self._active.add(text, self._clock.time())
        return {"slot": slot, "began": self._clock.monotonic(), "query": text, "span": span}

    def ended(
        self, entry: dict[str, Any], request: Request, *, stats: Mapping[str, Any] | None = None, error: str = ""
    ) -> None:
        self._active.remove(entry["slot"])
        if self._file is None:
            return
        took = self._clock.monotonic() - entry["began"]
        start, end, step = entry["span"]
        line = {
            "params": {
                "query": entry["query"],
                "start": go_time(seconds(start)),
                "end": go_time(seconds(end)),
                "step": step / 1000,
            },
            "stats": stats or {"timings": {"execTotalTime": took}},
            "ts": go_time(self._clock.time()),
            "httpRequest": {"method": request.method, "path": request.path},
            **({"error": error} if error else {}),
        }
        try:
            self._file.write(msgspec.json.encode(line) + b"\n")
        except OSError as failure:
            log.warning("the query log cannot be written any more", cause=failure)
            self._file = None

    def close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        self.close_file()
        self._active.close()
