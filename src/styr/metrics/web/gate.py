"""How many queries run at once, how long, and who waits for them. Called by `api`; calls threads.

A query runs in a worker thread, since kernels leave the GIL and everything else must not hold up the event loop. When its
client goes, or the deadline passes, `Limits.canceled` is set: the engine looks at it between batches, and the thread comes
back.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

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
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = 0
        """As many as there were queries at once. They last, and all take from `_jobs`."""
        self._writers = ThreadPoolExecutor(2, thread_name_prefix="answer")
        self.running = 0

    async def run(self, work: Callable[[Limits], T], limits: Limits | None = None) -> T:
        """`limits` are made from the default timeout if there are none. Raises QueryTimeout, and whatever `work` raises."""
        limits = limits or self.limits()
        await self._place(limits)
        self.running += 1
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        if self._threads < self.running:
            self._threads += 1
            threading.Thread(target=self._serve, name=f"query_{self._threads}", daemon=True).start()
        self._jobs.put(partial(self._work, loop, answer, work, limits))
        left = max(0.0, limits.deadline - self._clock.monotonic())
        timer = loop.call_later(left, _fail, answer, QueryTimeout("query timed out in expression evaluation"))
        try:
            return await answer
        finally:
            timer.cancel()
            # Whether the client went or the time is up: the thread looks at this and comes back by itself.
            limits.canceled.set()

    async def _place(self, limits: Limits) -> None:
        """Returns when one more query may run. Raises QueryTimeout."""
        if not self._free.locked():
            await self._free.acquire()  # At once.
            return
        try:
            async with asyncio.timeout(max(0.0, limits.deadline - self._clock.monotonic())):
                await self._free.acquire()
        except TimeoutError:
            raise QueryTimeout(f"query timed out in query queue: {self.concurrency} others are running") from None

    def _serve(self) -> None:
        """A worker thread's life. An executor would take three locks for each query."""
        while job := self._jobs.get():
            job()

    def _work(
        self,
        loop: asyncio.AbstractEventLoop,
        answer: asyncio.Future[T],
        work: Callable[[Limits], T],
        limits: Limits,
    ) -> None:
        """In a worker thread. The event loop is woken once: each time costs as much as a small query."""
        found: T | BaseException
        try:
            found = work(limits)
            settle: Callable[[asyncio.Future[T], Any], None] = _give
        except BaseException as error:
            found, settle = error, _fail
        with contextlib.suppress(RuntimeError):  # The loop is closed, and nobody waits.
            loop.call_soon_threadsafe(self._done, settle, answer, found)

    def _done(self, settle: Callable[[asyncio.Future[T], Any], None], answer: asyncio.Future[T], found: Any) -> None:
        """The thread has come back: only now is its place free, however long ago its client left."""
        self.running -= 1
        self._free.release()
        settle(answer, found)

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
        return await loop.run_in_executor(self._writers, _next, pieces)

    def close(self) -> None:
        for _ in range(self._threads):
            self._jobs.put(None)
        self._writers.shutdown(wait=False, cancel_futures=True)


def _give(answer: asyncio.Future[T], found: T) -> None:
    if not answer.done():
        answer.set_result(found)


def _fail(answer: asyncio.Future[T], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)


def _next(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    for piece in pieces:
        return piece, True
    return b"", False
