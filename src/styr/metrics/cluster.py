"""All that the engine has from a Kubernetes API: jobs, targets, rules. Called by `assemble`.

One manager with one cache of objects; calls `scrape.kubernetes` and `rules.kubernetes`. An API that goes away is waited for:
targets and rules stay what they were.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from random import Random
from typing import Any

from styr.client.client import Client
from styr.client.controller import Manager
from styr.client.transport import HttpsTransport
from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.metrics.rules.groups import Group, ParseExpr
from styr.metrics.rules.kubernetes import RuleObjects
from styr.metrics.scrape.config import ScrapeConfig
from styr.metrics.scrape.discovery import Discovery
from styr.metrics.scrape.kubernetes.roles import Roles
from styr.metrics.scrape.kubernetes.watcher import Monitors

COMPLETE = 10.0
"""Seconds that the first list may take."""
AGAIN = 5.0
"""Seconds before an API that failed is asked again."""

log = Log("styr.metrics.process")


class Cluster:
    """`apply_jobs` gets every job that Kubernetes objects amount to, `apply_rules` every group, whenever they change. `parse`
    is PromQL's, `defaults` the `global` settings of scraping, `interval` (ms) that of groups that name none."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        random: Random,
        *,
        apply_jobs: Callable[[Sequence[ScrapeConfig]], None],
        apply_rules: Callable[[Sequence[Group]], Awaitable[None]],
        parse: ParseExpr,
        defaults: ScrapeConfig | None = None,
        interval: int = 60_000,
    ) -> None:
        self._clock = clock
        self._manager = Manager(client, clock, random)
        self._roles = Roles(self._manager.context("discovery").informers)
        self._monitors = Monitors(apply_jobs, clock, defaults)
        self._rules = RuleObjects(apply_rules, parse, clock, interval=interval)
        for controller in (*self._monitors.controllers(), *self._rules.controllers()):
            self._manager.add(controller)

    def discovery(self, text: str) -> Discovery:
        """For one entry of `ScrapeConfig.kubernetes_sd`. Raises BadData."""
        return self._roles.discovery(text)

    async def run(self) -> None:
        """Until cancelled. Jobs and rules are handed over once all that there are have been looked at: half a list would take
        away what runs. A kind that the API does not serve is waited for a moment only."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._manager.run())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(COMPLETE):
                    await self._manager.synced()
                    while not self._manager.idle:
                        await self._clock.sleep(0.05)
            group.create_task(self._monitors.run())
            group.create_task(self._rules.run())


async def watch(
    kubeconfig: Path, clock: Clock, cluster: Callable[[Client], Cluster], defaults_changed: asyncio.Event
) -> None:
    """Until cancelled. What goes wrong is logged and tried again: what is known goes on. With other defaults, everything is
    looked at anew."""
    while True:
        defaults_changed.clear()
        try:
            client = Client(HttpsTransport.from_kubeconfig(kubeconfig), user_agent="styr-metrics")
            await _until(defaults_changed, cluster(client).run())
        except Exception as error:
            log.error("watching Kubernetes failed, and will be tried again", error, kubeconfig=kubeconfig)
        if not defaults_changed.is_set():
            await clock.sleep(AGAIN)


async def _until(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Ends the work when the event is set. Raises what the work raises."""
    tasks = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        result, _ = await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(result, Exception):
        raise result
