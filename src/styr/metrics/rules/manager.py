"""All groups that run. Called by `process`, from configuration files and from PrometheusRule objects; `status` shows
it.

A new set of groups is applied by difference: groups that did not change go on undisturbed, changed ones take over the
state of their rules, series of what is gone are marked stale."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from styr.kit.log import Log
from styr.kit.tasks import Tasks
from styr.metrics.rules.evaluation import Engine, end
from styr.metrics.rules.groups import Group
from styr.metrics.rules.running import RunningGroup
from styr.metrics.rules.scheduler import Schedule

log = Log("styr.metrics.rules")


@dataclass(slots=True)
class Manager:
    """`await apply(groups)` whenever they change; `await close()` at the end, which leaves series unmarked: a restart
    goes on with them."""

    engine: Engine
    _schedules: dict[str, Schedule] = field(default_factory=dict)
    _tasks: Tasks = field(default_factory=lambda: Tasks("rules"))
    _applying: asyncio.Lock = field(default_factory=asyncio.Lock)
    _first: bool = True

    @property
    def groups(self) -> list[RunningGroup]:
        """By source and name."""
        every = (schedule.running for schedule in self._schedules.values())
        return sorted(every, key=lambda running: (running.group.source, running.group.name))

    async def apply(self, groups: Iterable[Group]) -> None:
        """The groups that shall run from now on. Returns when the rules under evaluation of changed ones have ended.
        Groups of the first call restore the `for` state of their alerts."""
        async with self._applying:
            wanted = {group.key: group for group in groups}
            restoring, self._first = self._first, False
            gone = [key for key, schedule in self._schedules.items() if wanted.get(key) != schedule.running.group]
            await asyncio.gather(*(self._schedules[key].stop() for key in gone))
            old = {key: self._schedules.pop(key) for key in gone}
            for key, group in wanted.items():
                if key not in self._schedules:
                    former = old.pop(key, None)
                    self._start(group, former.running if former else None, restoring)
            for schedule in old.values():
                self._tasks.spawn(self._mark(schedule.running), name=f"stale {schedule.running.group.key}")

    def _start(self, group: Group, former: RunningGroup | None, restoring: bool) -> None:
        running = RunningGroup.of(group, restoring=restoring)
        if former is not None:
            running.take_over(former)
        schedule = self._schedules[group.key] = Schedule(running, self.engine)
        self._tasks.spawn(schedule.run(), name=group.key)

    async def _mark(self, running: RunningGroup) -> None:
        """Two intervals later, so that a rule that moved to another group has written again: then the marker, which is
        older, is refused and the series has no gap."""
        series, now = running.series(), self.engine.now()
        if series:
            await self.engine.clock.sleep(2 * running.group.interval / 1000)
            await end(series, now - running.group.query_offset, self.engine)

    async def close(self) -> None:
        async with self._applying:
            await asyncio.gather(*(schedule.stop() for schedule in self._schedules.values()))
            await self._tasks.close()
