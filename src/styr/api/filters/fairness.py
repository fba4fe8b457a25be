"""Whose turn it is: seats, queues and fair shares of one process. Called by `priority`; knows levels and flows, not requests.

A server with one thread is overloaded in two ways, and both are met here. Requests that wait (for the disk, for a webhook) take
seats, and a level has only so many. Requests that compute hold the thread: so a turn of the event loop runs them at once
only for TURN seconds; what arrives after that waits in the queues too, and each turn then takes out about as many as
fill it. Between turns the loop reads what has newly arrived: a late request of a quiet flow overtakes the flood.

Within a level, flows are dealt to queues (shuffle sharding: a flow has a hand of queues and takes the shortest, so that two
flows rarely share all of them), and the queue that has been served least so far is next (start-time fair queuing). Between
levels, the one that has had least of its share.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from hashlib import blake2b

from styr.api.filters.flows import LevelSpec

TOTAL_SEATS = 600
"""Of all levels together, as in Kubernetes."""
TURN = 0.005
"""Seconds of a turn of the loop."""
MOST_A_TURN = 64
WAIT = 15.0
"""Seconds in a queue, at most."""
GUESS = 0.003
"""Seconds that a request is taken to last until it has ended."""


class Refused(Exception):
    """`reason` is a word of Kubernetes' metrics: queue-full, concurrency-limit, time-out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Waiting:
    __slots__ = ("future", "queue", "seats", "timer")

    def __init__(self, future: asyncio.Future[None], queue: _Queue, seats: int, timer: asyncio.TimerHandle) -> None:
        self.future = future
        self.queue = queue
        self.seats = seats
        self.timer = timer


class _Queue:
    """`served` is virtual: seconds of seats that it has had, never behind what the level has come to."""

    __slots__ = ("index", "served", "waiting")

    def __init__(self, index: int) -> None:
        self.index = index
        self.served = 0.0
        self.waiting: deque[_Waiting] = deque()


class Level:
    """One priority level. `in_use` are seats taken now; the counters are for the metrics."""

    def __init__(self, spec: LevelSpec) -> None:
        self.seats = 0
        """How many are its own."""
        self.in_use = 0
        self.waiting = 0
        self.dispatched = 0
        self.refused: dict[str, int] = {}
        self.had = 0.0
        """Seats that it was given, by its share."""
        self.reached = 0.0
        """How far its queues have come."""
        self.busy: dict[int, _Queue] = {}
        self._wanted: LevelSpec | None = None
        self._apply(spec)

    def adopt(self, spec: LevelSpec) -> None:
        """Other queues only once nothing waits in those that are there."""
        same = (self.spec.queues, self.spec.hand, self.spec.length) == (spec.queues, spec.hand, spec.length)
        if same or not self.waiting:
            self._apply(spec)
        else:
            self._wanted = spec

    def _apply(self, spec: LevelSpec) -> None:
        if not self.waiting:
            self.queues = [_Queue(index) for index in range(spec.queues)]
        self.spec, self._wanted = spec, None

    @property
    def lendable(self) -> int:
        return self.seats * self.spec.lendable // 100

    def hand(self, flow: str) -> list[_Queue]:
        """The queues that a flow may wait in: `hand` different ones, by a hash."""
        value = int.from_bytes(blake2b(flow.encode(errors="surrogatepass"), digest_size=16).digest(), "big")
        left, dealt = list(range(len(self.queues))), []
        for _ in range(self.spec.hand):
            value, place = divmod(value, len(left))
            dealt.append(self.queues[left.pop(place)])
        return dealt

    def next(self) -> _Waiting:
        """The first of the queue that has been served least. Something must wait."""
        queue = min(self.busy.values(), key=lambda queue: (queue.served, queue.index))
        found = queue.waiting.popleft()
        self.reached = queue.served
        queue.served += found.seats * GUESS
        self._forget(found)
        return found

    def remove(self, waiting: _Waiting) -> None:
        waiting.queue.waiting.remove(waiting)
        self._forget(waiting)

    def _forget(self, waiting: _Waiting) -> None:
        self.waiting -= 1
        waiting.timer.cancel()
        if not waiting.queue.waiting:
            del self.busy[waiting.queue.index]
        if self._wanted is not None and not self.waiting:
            self._apply(self._wanted)


class Seat:
    """What a request holds while it runs. `release` when it has been answered."""

    __slots__ = ("_fairness", "_level", "_queue", "_seats", "_since")

    def __init__(self, fairness: Fairness, level: Level, queue: _Queue | None, seats: int, since: float) -> None:
        self._fairness = fairness
        self._level = level
        self._queue = queue
        self._seats = seats
        self._since = since

    def release(self) -> None:
        self._level.in_use -= self._seats
        if self._queue is not None:
            lasted = self._fairness.now() - self._since
            self._queue.served += max(0.0, lasted - GUESS) * self._seats
        if self._fairness.waiting:
            self._fairness.wake()


class Fairness:
    """All levels. `now` is monotonic seconds. Used on one event loop."""

    def __init__(self, now: Callable[[], float], total: int = TOTAL_SEATS) -> None:
        self.now = now
        self.total = total
        self.levels: dict[str, Level] = {}
        self.waiting = 0
        self._turn_ends = 0.0
        """0.0 between turns."""
        self._scheduled = False
        self._granted = 0
        self._granted_at = 0.0
        self._mean = TURN

    def configure(self, specs: Iterable[LevelSpec]) -> None:
        """Levels come, go and change. One that is gone serves what waits in it."""
        wanted = {spec.name: spec for spec in specs}
        for name, spec in wanted.items():
            level = self.levels.get(name)
            if level is None:
                self.levels[name] = Level(spec)
            elif level.spec != spec:
                level.adopt(spec)
        for name in [name for name, level in self.levels.items() if name not in wanted and not level.waiting]:
            del self.levels[name]
        shares = sum(level.spec.shares for level in self.levels.values()) or 1
        for level in self.levels.values():
            level.seats = -(-self.total * level.spec.shares // shares)

    def take(self, level: Level, seats: int) -> Seat | None:
        """A seat at once; None when it has to be waited for. Raises Refused where nobody waits."""
        seats = max(1, min(seats, level.seats))
        if not level.waiting and self._has_room(level, seats) and (not level.queues or self._is_open()):
            level.in_use += seats
            level.dispatched += 1
            return Seat(self, level, None, seats, 0.0)
        if not level.queues:
            self._refuse(level, "concurrency-limit")
        return None

    async def wait(self, level: Level, flow: str, seats: int) -> Seat:
        """A seat when it is this flow's turn. Raises Refused."""
        seats = max(1, min(seats, level.seats))
        queue = min(level.hand(flow), key=lambda queue: len(queue.waiting))
        if len(queue.waiting) >= level.spec.length:
            self._refuse(level, "queue-full")
        loop = asyncio.get_running_loop()
        if not queue.waiting:
            queue.served = max(queue.served, level.reached)
            level.busy[queue.index] = queue
        if not level.waiting:
            level.had = max(level.had, min((one.had for one in self.levels.values() if one.waiting), default=0.0))
        future: asyncio.Future[None] = loop.create_future()
        waiting = _Waiting(future, queue, seats, loop.call_later(WAIT, self._expire, level, future))
        queue.waiting.append(waiting)
        level.waiting += 1
        self.waiting += 1
        self.wake()
        try:
            await future
        except BaseException:
            if waiting in queue.waiting:
                level.remove(waiting)
                self.waiting -= 1
            elif future.done() and not future.cancelled() and future.exception() is None:
                level.in_use -= seats  # it was granted, and then not wanted any more
                self.wake()
            raise
        return Seat(self, level, queue, seats, self.now())

    def _refuse(self, level: Level, reason: str) -> None:
        level.refused[reason] = level.refused.get(reason, 0) + 1
        raise Refused(reason)

    def _expire(self, level: Level, future: asyncio.Future[None]) -> None:
        if not future.done():
            level.refused["time-out"] = level.refused.get("time-out", 0) + 1
            future.set_exception(Refused("time-out"))

    def _has_room(self, level: Level, seats: int) -> bool:
        """Of its own, or borrowed from levels that do not use theirs. An idle level always has room for one."""
        missing = level.in_use + seats - level.seats
        if missing <= 0 or not level.in_use:
            return True
        limit = level.spec.borrowing
        if limit is not None and missing > level.seats * limit // 100:
            return False
        others = (one for one in self.levels.values() if one is not level)
        lent = sum(max(0, min(one.lendable, one.seats - one.in_use)) for one in others)
        borrowed = sum(max(0, one.in_use - one.seats) for one in self.levels.values() if one is not level)
        return missing + borrowed <= lent

    # Turns

    def _is_open(self) -> bool:
        """Is there time left in this turn of the loop?"""
        if self._turn_ends == 0.0:
            self._turn_ends = self.now() + TURN
            if not self._scheduled:
                self._scheduled = True
                asyncio.get_running_loop().call_soon(self._next_turn)
            return True
        return self.now() < self._turn_ends

    def wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        """What was let in before has run by now, or waits for something. Lets in about as many as fill the next turn."""
        self._scheduled, self._turn_ends = False, 0.0
        if self._granted:
            each = (self.now() - self._granted_at) / self._granted
            self._mean += (each - self._mean) / 4
            self._granted = 0
        if not self.waiting:
            return
        self._granted_at = self.now()
        for _ in range(max(1, min(MOST_A_TURN, int(TURN / max(self._mean, 1e-6))))):
            level = self._choose()
            if level is None:
                break
            self._grant(level)
        if self._granted:
            self._turn_ends = self._granted_at  # newcomers queue as well
            self.wake()

    def _choose(self) -> Level | None:
        ready = [level for level in self.levels.values() if level.waiting and self._has_room(level, 1)]
        return min(ready, key=lambda level: level.had, default=None)

    def _grant(self, level: Level) -> None:
        waiting = level.next()
        level.had += waiting.seats / max(1, level.seats)
        self.waiting -= 1
        if waiting.future.done():
            return  # its time was over a moment ago
        level.in_use += waiting.seats
        level.dispatched += 1
        self._granted += 1
        waiting.future.set_result(None)
