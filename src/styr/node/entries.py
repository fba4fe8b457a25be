"""Entries of a container's log, as the launcher writes them (docs/formats/log.md). Pure; called by `logs.py`.

2026-01-02T03:04:05.678901234Z stdout F a whole line, or the rest of one
2026-01-02T03:04:05.678901234Z stderr P part of a line that goes on in the next entry
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_HEAD = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (?:stdout|stderr) [FP] ")
_TIME, _STREAM, _TAG, _TEXT = slice(0, 30), slice(31, 37), slice(38, 39), 40


class Wanted(NamedTuple):
    """What of a log is asked for. `since` is as `stamp` makes it; `stream` is stdout, stderr or b"" for both."""

    since: bytes = b""
    stream: bytes = b""
    timestamps: bool = False


class Reader:
    """Turns entries into what the container wrote. It remembers whether it stands within a line: a time goes before a line,
    not before each part of one."""

    def __init__(self, wanted: Wanted) -> None:
        self._since, self._stream, self._timestamps = wanted
        self._plain = wanted == Wanted()
        self._within = False

    def text(self, lines: Iterable[bytes]) -> bytes:
        """`lines` are entries without their newline. One that is no entry is of an older Styr, which kept no times: it
        passes as it is."""
        return b"".join(self._pieces(lines))

    def _pieces(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            if not is_entry(line):
                yield line + b"\n"
            elif self._plain or self._passes(line):
                if self._timestamps and not self._within:
                    yield line[_TIME] + b" "
                self._within = line[_TAG] == b"P"
                yield line[_TEXT:] if self._within else line[_TEXT:] + b"\n"

    def _passes(self, line: bytes) -> bool:
        return line[_TIME] >= self._since and (not self._stream or line[_STREAM] == self._stream)


def is_entry(line: bytes) -> bool:
    """Cheap enough for every line: the places of the marks first."""
    return line[29:31] == b"Z " and line[37:38] == b" " and _HEAD.match(line) is not None


def ends_line(line: bytes) -> bool:
    return line[_TAG] != b"P" or not is_entry(line)


def stamp(seconds: float) -> bytes:
    """A time since 1970 as in an entry, so that bytes compare as times do."""
    nanoseconds = int(seconds * 1e6) * 1000
    whole, fraction = divmod(max(0, nanoseconds), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{fraction:09d}Z".encode()


def plain(data: bytes) -> bytes:
    """All of a log's text."""
    lines = data.split(b"\n")
    return Reader(Wanted()).text(lines[:-1] if not lines[-1] else lines)
