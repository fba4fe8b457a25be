"""Time as a thing that is handed in. Everything that waits or stamps takes a `Clock`; only `plane`, `cli` and tests make one.

Under the simulation's virtual event loop `SystemClock` would lie about the wall: `LoopClock` derives both from the loop.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def time(self) -> float:
        """Seconds since 1970, for stamps that people read."""

    def monotonic(self) -> float:
        """Seconds that never step back, for durations and deadlines."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class LoopClock:
    """Follows the running event loop's own time, so that a virtual loop moves it. `epoch` is the wall time at loop time 0."""

    def __init__(self, epoch: float = 1_800_000_000.0) -> None:
        self.epoch = epoch

    def time(self) -> float:
        return self.epoch + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def rfc3339(seconds: float, *, micro: bool = False) -> str:
    """`2026-11-23T10:00:00Z`; with `micro` the MicroTime form with six decimals."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def parse_rfc3339(text: str) -> float:
    """Seconds since 1970. Raises ValueError."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
