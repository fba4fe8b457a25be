"""How many queries run at once, how long, and who waits for them. Called by `api`; calls threads.

A query runs in a worker thread, since kernels leave the GIL and everything else must not hold up the event loop. When its
client goes, or the deadline passes, `Limits.canceled` is set: the engine looks at it between batches, and the thread comes
back.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from styr.kit.clock import Clock
from styr.metrics.model.errors import QueryTimeout
from styr.metrics.web.parts import Limits

T = TypeVar("T")

TIMEOUT = 120.0
"""Seconds that a query may take, waiting included; a request may ask for less."""
CONCURRENCY = 20


class Gate:
    """`await gate.run(work)`."""

    def __init__(self, clock: Clock, *, concurrency: int = CONCURRENCY, timeout: float = TIMEOUT) -> None:
        self._clock = clock
        self.concurrency = concurrency
        self.timeout = timeout
        self._free = asyncio.Semaphore(concurrency)
        self._threads = ThreadPoolExecutor(concurrency + 2, thread_name_prefix="query")
        self.running = 0

    async def run(self, work: Callable[[Limits], T], limits: Limits | None = None) -> T:
        """`limits` are made from the default timeout if there are none. Raises QueryTimeout, and whatever `work` raises."""
        limits = limits or self.limits()
        try:
            async with asyncio.timeout(max(0.0, limits.deadline - self._clock.monotonic())):
                await self._free.acquire()
        except TimeoutError:
            raise QueryTimeout(f"query timed out in query queue: {self.concurrency} others are running") from None
        self.running += 1
        loop = asyncio.get_running_loop()
        future = self._threads.submit(work, limits)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        try:
            async with asyncio.timeout(max(0.0, limits.deadline - self._clock.monotonic())):
                return await asyncio.shield(asyncio.wrap_future(future))
        except TimeoutError:
            raise QueryTimeout("query timed out in expression evaluation") from None
        finally:
            # Whether the client went or the time is up: the thread looks at this and comes back by itself.
            limits.canceled.set()

    def _done(self) -> None:
        """The thread has come back: only now is its place free, however long ago its client left."""
        self.running -= 1
        self._free.release()

    def limits(self, timeout: float | None = None, lookback: int = 0, stats: str = "") -> Limits:
        seconds = self.timeout if timeout is None else min(timeout, self.timeout)
        return Limits(
            self._clock.monotonic() + seconds,
            threading.Event(),
            lookback,
            "all" if stats == "all" else "true" if stats else "",
        )

    async def pieces(self, pieces: Iterator[bytes]) -> tuple[bytes, bool]:
        """The next piece of an answer, made in a thread; (b"", False) at the end."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _next, pieces)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _next(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    for piece in pieces:
        return piece, True
    return b"", False
