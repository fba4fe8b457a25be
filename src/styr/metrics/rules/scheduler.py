"""When a group is evaluated: on its own grid of times, `interval` apart, shifted by a hash of its name so that groups
do not all run at once. Called by `manager`; calls `evaluation`. Time comes from the engine's clock.

Times that pass while an evaluation runs are missed, counted, and not made up for.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field

from styr.metrics.rules.evaluation import Engine, iterate
from styr.metrics.rules.groups import Group
from styr.metrics.rules.restore import restore
from styr.metrics.rules.running import RunningGroup


def offset(group: Group) -> int:
    """Milliseconds by which the group's grid is shifted: the same after a restart and on every machine."""
    digest = hashlib.blake2b(group.key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % group.interval


def slot(group: Group, now: int) -> int:
    """The last time of the grid that is not after `now`; milliseconds."""
    shift = offset(group)
    return (now - shift) // group.interval * group.interval + shift


def following(group: Group, last: int, now: int) -> tuple[int, int]:
    """(next time to evaluate, times missed), after an evaluation for `last` that was over at `now`. A clock that was
    set back starts a new grid, since waiting for the old one could take any time."""
    interval = group.interval
    if last - now > interval:
        return slot(group, now) + interval, 0
    missed = max(0, (now - last) // interval - 1)
    return last + (missed + 1) * interval, missed


@dataclass(slots=True)
class Schedule:
    """A group under way: `run` is its task's body, `stop` ends it after the rule under evaluation."""

    running: RunningGroup
    engine: Engine
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        try:
            await self._run()
        finally:
            self._ended.set()

    async def stop(self) -> None:
        self._stopped.set()
        await self._ended.wait()

    async def _run(self) -> None:
        group, engine = self.running.group, self.engine
        ts = slot(group, engine.now()) + group.interval
        evaluated = 0
        while await self._until(ts):
            self.running.counters.iterations += 1
            await iterate(self.running, ts, engine, self._stopped.is_set)
            evaluated += 1
            if self.running.restoring and evaluated >= 2 and not self._stopped.is_set():
                await restore(self.running, engine.now(), engine)
            ts, missed = following(group, ts, engine.now())
            self.running.counters.missed += missed
            self.running.counters.iterations += missed

    async def _until(self, ts: int) -> bool:
        """False when the group is stopped before."""
        if self._stopped.is_set():
            return False
        sleep = asyncio.ensure_future(self.engine.clock.sleep(ts / 1000 - self.engine.clock.time()))
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({sleep, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleep, stopped):
                task.cancel()
            await asyncio.gather(sleep, stopped, return_exceptions=True)
        return not self._stopped.is_set()
