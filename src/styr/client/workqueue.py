"""A queue of keys for the workers of one controller. `client.controller.Manager` calls it; it knows nothing of objects.

What it promises: a key is in the hands of one worker at most; a key added while in those hands comes back once they let
it go; adding a waiting key changes nothing; keys come in the order of their adding. Time is the event loop's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from random import Random
from typing import Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)
_K = TypeVar("_K", contravariant=True)


class Observer(Protocol[_K]):
    """Times are the loop's."""

    def added(self, key: _K, now: float, /) -> None:
        """It waits from now on; it did not before."""

    def taken(self, key: _K, now: float, /) -> None: ...

    def done(self, key: _K, now: float, /) -> None: ...


class WorkQueue(Generic[K]):
    """`metrics` is told what happens; `client.metrics.QueueMetrics` is one."""

    def __init__(self, metrics: Observer[K] | None = None) -> None:
        self._metrics = metrics
        # Dicts as ordered sets.
        self._ready: dict[K, None] = {}
        self._held: dict[K, bool] = {}
        """Keys in a worker's hands; True: added again meanwhile."""
        self._later: dict[K, asyncio.TimerHandle] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """Keys waiting now, without those delayed or held."""
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is held; delayed keys may be."""
        return not self._ready and not self._held

    def add(self, key: K) -> None:
        if (handle := self._later.pop(key, None)) is not None:
            handle.cancel()
        if key in self._held:
            self._held[key] = True
        elif key not in self._ready:
            self._ready[key] = None
            if self._metrics is not None:
                self._metrics.added(key, asyncio.get_running_loop().time())
            self._wake()

    def add_after(self, key: K, seconds: float) -> None:
        """Adds it then; the earlier of two delays counts, and an `add` before that replaces it."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        known = self._later.get(key)
        if known is not None:
            if known.when() <= loop.time() + seconds:
                return
            known.cancel()
        self._later[key] = loop.call_later(seconds, self._due, key)

    async def get(self) -> K:
        """The next key, now in the caller's hands until `done`."""
        while not self._ready:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except BaseException:
                # Cancelled after it was woken: the wake-up belongs to another worker.
                if waiter.done() and not waiter.cancelled() and self._ready:
                    self._wake()
                raise
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        key = next(iter(self._ready))
        del self._ready[key]
        self._held[key] = False
        if self._metrics is not None:
            self._metrics.taken(key, asyncio.get_running_loop().time())
        return key

    def done(self, key: K) -> None:
        if self._metrics is not None:
            self._metrics.done(key, asyncio.get_running_loop().time())
        if self._held.pop(key):
            self.add(key)

    def close(self) -> None:
        """Drops the delayed keys, so that no timer outlives its controller."""
        for handle in self._later.values():
            handle.cancel()
        self._later.clear()

    def _due(self, key: K) -> None:
        self._later.pop(key, None)
        self.add(key)

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class Backoff(Generic[K]):
    """Delays that double per key from `base` to `cap` seconds, each drawn from the upper half so that keys spread."""

    def __init__(self, random: Random, *, base: float = 0.05, cap: float = 30.0) -> None:
        self._random = random
        self._base = base
        self._cap = cap
        self._failures: dict[K, int] = {}

    def next(self, key: K) -> float:
        """Counts a failure; returns the seconds to wait."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        full = min(self._cap, self._base * 2.0 ** min(count, 40))
        return full * (0.5 + self._random.random() / 2)

    def forget(self, key: K) -> None:
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        return self._failures.get(key, 0)
