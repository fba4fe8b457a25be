"""When what was scraped becomes durable: after each scrape, together with others, or when the storage sees fit.

Called by `loop` through `committed`, run by `pool`; calls `Appender.commit`.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.metrics.model.errors import MetricsError
from styr.metrics.model.samples import Appender
from styr.metrics.scrape.status import Counters

Durability = Literal["scrape", "group", "none"]
"""`scrape`: the next scrape of a target begins after the last is on the disk. `group`: the scrapes of a tenth of a
second share a commit, and none waits for it. `none`: whatever else commits takes the samples along."""

GROUP = 0.1
"""Seconds in which scrapes come together to a group: what a crash may cost, and the time of one commit."""

log = Log("styr.metrics.scrape")


class Commits:
    def __init__(self, appender: Appender, clock: Clock, durability: Durability, counters: Counters) -> None:
        self._clock = clock
        self._appender, self._durability, self._counters = appender, durability, counters
        self._wanted = asyncio.Event()
        self._broken = False

    async def committed(self) -> None:
        """After something was appended. Raises Unavailable when the disk refuses and somebody waits for it."""
        if self._durability == "scrape":
            await self._appender.commit()
        elif self._durability == "group":
            self._wanted.set()

    async def run(self) -> None:
        """Commits in groups, until cancelled."""
        while True:
            await self._wanted.wait()
            await self._clock.sleep(GROUP)
            self._wanted.clear()
            try:
                await self._appender.commit()
            except MetricsError as error:
                self._counters.commit_failures += 1
                if not self._broken:
                    log.error("scraped samples are not on the disk", reason=str(error))
                self._broken = True
            else:
                self._broken = False
