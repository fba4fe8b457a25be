"""What the pusher reads: Heroku's dialect (`-----> Step`, indented detail, `=====> Outcome`) with times, and floods cut.

Called by `push` and `build`. Knows nothing of git: it is given a function that takes lines of text.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Awaitable, Callable

from styr.kit.clock import Clock

Send = Callable[[str], Awaitable[None]]

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WIDTH = 1_000


def clean(text: str) -> str:
    """One line as it may be shown: no escape sequences, no control characters, not endless."""
    text = _ESCAPES.sub("", text.rsplit("\r", 1)[-1] if not text.endswith("\r") else text[:-1])
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}... ({len(text):,} characters)"


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"


class Report:
    """Lines to one pusher. `step` starts the time that `elapsed` tells."""

    def __init__(self, send: Send, clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._started = clock.monotonic()

    async def step(self, title: str) -> None:
        self._started = self._clock.monotonic()
        await self._send(f"-----> {clean(title)}\n")

    async def detail(self, text: str) -> None:
        for line in text.splitlines() or [""]:
            await self._send(f"       {clean(line)}\n")

    async def outcome(self, text: str) -> None:
        first, *rest = text.splitlines()
        await self._send(f"=====> {clean(first)}\n")
        for line in rest:
            await self.detail(line)

    def elapsed(self) -> str:
        return seconds(self._clock.monotonic() - self._started)


class Flood:
    """Passes the first `limit` lines of a stream of bytes at once, keeps only the last `tail` of the rest, and shows
    those at the end with the number left out. `seen` is told every line. Memory is bounded whatever comes."""

    def __init__(self, show: Send, limit: int, tail: int = 40, seen: Callable[[str], None] = lambda line: None) -> None:
        self._show = show
        self._seen = seen
        self._limit = limit
        self._last: deque[str] = deque(maxlen=tail)
        self._partial = b""
        self.lines = 0

    async def feed(self, chunk: bytes) -> None:
        *whole, rest = (self._partial + chunk).split(b"\n")
        self._partial = rest[: 8 * _WIDTH]
        for line in whole:
            await self._line(line)

    async def _line(self, line: bytes) -> None:
        text = line[: 8 * _WIDTH].decode(errors="replace")
        self.lines += 1
        self._seen(text)
        if self.lines <= self._limit:
            await self._show(text)
        else:
            self._last.append(text)

    async def finish(self, where: str) -> None:
        """`where` says how to read all of it."""
        if self._partial:
            await self._line(self._partial)
            self._partial = b""
        left_out = self.lines - self._limit - len(self._last)
        if left_out > 0:
            await self._show(f"... {left_out:,} lines left out; all of them: {where}")
        for text in self._last:
            await self._show(text)
        self._last.clear()
