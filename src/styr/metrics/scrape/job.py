"""One job: the targets that its discoveries know, relabelled and deduplicated, a loop for each. Called by `pool`.

A target that stays keeps its loop, whatever else changes: its series have no gap. One that goes gets its staleness markers from
its loop, and takes that up again when it is back before them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from styr.kit.log import Log
from styr.kit.tasks import Tasks
from styr.metrics.model.labels import Labels
from styr.metrics.scrape.config import ScrapeConfig
from styr.metrics.scrape.discovery import Discovery, Group
from styr.metrics.scrape.fields import duration_text
from styr.metrics.scrape.ingest import Ingest
from styr.metrics.scrape.loop import Loop
from styr.metrics.scrape.shared import Shared
from styr.metrics.scrape.status import ActiveTarget, DroppedTarget
from styr.metrics.scrape.target import Target, TargetError, discovered, make_target

log = Log("styr.metrics.scrape")

Identity = tuple[Labels, str]
Labelled = dict[str, str]

_AT_ONCE = 200
"""Targets that are made before others may run."""


class Job:
    def __init__(self, config: ScrapeConfig, discoveries: Sequence[Discovery], shared: Shared, settle: float) -> None:
        self.config = config
        self._shared, self._settle = shared, settle
        self._discoveries: list[tuple[Discovery, asyncio.Task[None]]] = []
        self._wanted = list(discoveries)
        self._groups: dict[tuple[int, str], Group] = {}
        self._loops: dict[Identity, Loop] = {}
        self._ending: dict[Identity, Loop] = {}
        self._before: dict[Identity, Labelled] = {}
        self._dropped: list[Labelled] = []
        self.dropped_count = 0
        self._dirty = asyncio.Event()
        self._tasks = Tasks(f"scrape {config.job}")

    async def run(self) -> None:
        """Until cancelled; the loops end with it, without staleness markers."""
        async with self._tasks:
            self._discover()
            while True:
                await self._dirty.wait()
                self._dirty.clear()
                await self._sync()
                # Discoveries speak in bursts; one sync takes all of a burst.
                await self._shared.clock.sleep(self._settle)

    def apply(self, config: ScrapeConfig, discoveries: Sequence[Discovery]) -> None:
        """Another configuration for the same job; its loops take it up at the next sync."""
        self.config, self._wanted = config, list(discoveries)
        self._discover()
        self._dirty.set()

    async def retire(self) -> None:
        """The job has gone from the configuration: returns when the series of all its targets are ended."""
        for _, task in self._discoveries:
            task.cancel()
        self._groups = {}
        await self._sync()
        while self._ending:
            await self._shared.clock.sleep(1.0)

    # Discovery.

    def _discover(self) -> None:
        """Runs those discoveries that are wanted and not running, stops the others."""
        running = {}
        for discovery, task in self._discoveries:
            place = next((i for i, wanted in enumerate(self._wanted) if wanted == discovery and i not in running), -1)
            if place >= 0:
                running[place] = (discovery, task)
                continue
            task.cancel()
            gone = id(discovery)
            self._groups = {key: group for key, group in self._groups.items() if key[0] != gone}
        fresh = []
        for place, wanted in enumerate(self._wanted):
            fresh.append(running.get(place) or (wanted, self._tasks.spawn(self._watch(wanted), name="discovery")))
        self._discoveries = fresh

    async def _watch(self, discovery: Discovery) -> None:
        def publish(groups: Sequence[Group]) -> None:
            for group in groups:
                if group.targets:
                    self._groups[id(discovery), group.source] = group
                else:
                    self._groups.pop((id(discovery), group.source), None)
            self._dirty.set()

        while True:
            try:
                await discovery.run(publish)
            except Exception as error:
                log.error("a discovery failed and is run again", error, job=self.config.job)
                await self._shared.clock.sleep(5.0)
            else:
                return

    # Targets.

    async def _sync(self) -> None:
        """Makes the loops those of the targets that the groups hold."""
        self._shared.counters.syncs += 1
        config = self.config
        wanted, before, dropped = await self._targets(config)
        for identity, loop in list(self._loops.items()):
            if identity not in wanted:
                loop.stop()
                self._ending[identity] = self._loops.pop(identity)
        started = 0
        for identity, target in wanted.items():
            if identity in self._loops:
                self._update(self._loops[identity], target)
                continue
            self._start(identity, target)
            started += 1
            if started % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._before, self._dropped = before, dropped
        self._limit(config)

    async def _targets(
        self, config: ScrapeConfig
    ) -> tuple[dict[Identity, Target], dict[Identity, Labelled], list[Labelled]]:
        wanted: dict[Identity, Target] = {}
        before: dict[Identity, Labelled] = {}
        dropped: list[Labelled] = []
        self.dropped_count = 0
        for number, (source, own, labels) in enumerate(self._found(config)):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            try:
                target = make_target(config, labels)
            except TargetError as error:
                self._shared.counters.targets_failed += 1
                log.error("a target cannot be scraped", job=config.job, source=source, found=own, reason=str(error))
                continue
            if target is None:
                self.dropped_count += 1
                if not config.keep_dropped_targets or len(dropped) < config.keep_dropped_targets:
                    dropped.append(labels)
            elif target.identity not in wanted:
                wanted[target.identity], before[target.identity] = target, labels
        return wanted, before, dropped

    def _found(self, config: ScrapeConfig) -> Iterator[tuple[str, str, Labelled]]:
        for group in list(self._groups.values()):
            for own in group.targets:
                yield group.source, own.get("__address__", ""), discovered(config, own, group.labels)

    def _update(self, loop: Loop, target: Target) -> None:
        if (target, self.config) != (loop.target, loop.config):
            loop.reconfigure(target, self.config, self._shared.fetcher(target, self.config))

    def _start(self, identity: Identity, target: Target) -> None:
        shared, config = self._shared, self.config
        ending = self._ending.pop(identity, None)
        if ending is not None:
            self._loops[identity] = ending
            ending.reconfigure(target, config, shared.fetcher(target, config))
            ending.resume()
            return
        ingest = Ingest(target, config, shared.appender, shared.buffers, shared.scratch)
        loop = self._loops[identity] = Loop(target, config, ingest, shared)
        self._tasks.spawn(self._run(identity, loop), name=target.url)

    async def _run(self, identity: Identity, loop: Loop) -> None:
        try:
            await loop.run()
        finally:
            if self._ending.get(identity) is loop:
                del self._ending[identity]

    def _limit(self, config: ScrapeConfig) -> None:
        count, limit = len(self._loops), config.target_limit
        error = ""
        if limit and count > limit:
            self._shared.counters.target_limit_exceeded += 1
            error = f"target_limit exceeded (number of targets: {count}, limit: {limit})"
        for loop in self._loops.values():
            loop.forced_error = error

    # For the API.

    def loops(self) -> list[Loop]:
        return list(self._loops.values())

    def active(self) -> Iterator[ActiveTarget]:
        for identity, loop in self._loops.items():
            target, last = loop.target, loop.last
            yield ActiveTarget(
                self._before.get(identity, {}),
                target.labels,
                self.config.job,
                target.url,
                last.health,
                last.last_error,
                last.last_scrape,
                last.duration,
                duration_text(target.interval),
                duration_text(target.timeout),
            )

    def dropped(self) -> Iterator[DroppedTarget]:
        for labels in self._dropped:
            yield DroppedTarget(labels, self.config.job)
