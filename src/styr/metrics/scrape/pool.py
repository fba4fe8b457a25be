"""All jobs: started, changed and ended as the configuration says. The way into this room; called by the process and `web`.

pool = Pool(appender, clock)
pool.apply([(config, discoveries), ...])     # again on each reload; what stays the same goes on undisturbed
await pool.run()                             # until cancelled
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.kit.tasks import Tasks
from styr.metrics.model.samples import Appender
from styr.metrics.scrape.buffers import Buffers
from styr.metrics.scrape.client import Client
from styr.metrics.scrape.commits import Commits, Durability
from styr.metrics.scrape.config import ScrapeConfig
from styr.metrics.scrape.discovery import Discovery
from styr.metrics.scrape.fetch import Fetcher, HttpFetcher
from styr.metrics.scrape.httpconfig import Http
from styr.metrics.scrape.job import Job
from styr.metrics.scrape.shared import MakeFetcher, Shared
from styr.metrics.scrape.status import ActiveTarget, Counters, DroppedTarget, TargetMetadata
from styr.metrics.scrape.target import Target

log = Log("styr.metrics.scrape")

SETTLE = 5.0
"""Seconds between two looks at what discoveries have published."""


class Pool:
    """`seed` moves the offsets of all targets, so that two servers with the same jobs do not scrape at the same moments;
    `fetcher` stands in for HTTP in tests. `clock` has to go as fast as the event loop's own."""

    def __init__(
        self,
        appender: Appender,
        clock: Clock,
        durability: Durability = "group",
        seed: int = 0,
        fetcher: MakeFetcher | None = None,
        settle: float = SETTLE,
    ) -> None:
        self.counters = Counters()
        self._buffers = Buffers()
        self._clients: dict[Http, Client] = {}
        self._settle = settle
        self._commits = Commits(appender, clock, durability, self.counters)
        self._shared = Shared(
            appender,
            clock,
            fetcher or self._http,
            self._commits.committed,
            self._buffers,
            self.counters,
            seed,
        )
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._wanted: dict[str, tuple[ScrapeConfig, Sequence[Discovery]]] = {}
        self._changed = asyncio.Event()
        self._tasks = Tasks("scrape")

    def apply(self, jobs: Sequence[tuple[ScrapeConfig, Sequence[Discovery]]]) -> None:
        """The jobs from now on, by name. Before and during `run`."""
        self._wanted = {config.job: (config, discoveries) for config, discoveries in jobs}
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled: then no series is marked stale, because they go on after a restart."""
        async with self._tasks:
            self._tasks.spawn(self._commits.run(), name="commits")
            while True:
                await self._changed.wait()
                self._changed.clear()
                self._arrange()

    def _arrange(self) -> None:
        for name in [name for name in self._jobs if name not in self._wanted]:
            self._tasks.spawn(self._retire(self._jobs.pop(name), self._running.pop(name)), name=f"end of {name}")
        for name, (config, discoveries) in self._wanted.items():
            job = self._jobs.get(name)
            if job is not None:
                job.apply(config, discoveries)
                continue
            job = self._jobs[name] = Job(config, discoveries, self._shared, self._settle)
            self._running[name] = self._tasks.spawn(job.run(), name=name)
        used = {config.http for config, _ in self._wanted.values()}
        self._clients = {http: client for http, client in self._clients.items() if http in used}

    async def _retire(self, job: Job, task: asyncio.Task[None]) -> None:
        await job.retire()
        task.cancel()

    def _http(self, target: Target, config: ScrapeConfig) -> Fetcher:
        client = self._clients.get(config.http)
        if client is None:
            client = self._clients[config.http] = Client(config.http, self._buffers, self._shared.clock)
        return HttpFetcher(target, config, client)

    # For the API.

    def pools(self) -> list[str]:
        """Names of the jobs, sorted."""
        return sorted(self._jobs)

    def active(self, pool: str = "") -> list[ActiveTarget]:
        """Targets that are scraped, sorted by job and URL; of one job when it is named."""
        found = [target for name, job in self._jobs.items() if pool in ("", name) for target in job.active()]
        return sorted(found, key=lambda each: (each.pool, each.url))

    def dropped(self, pool: str = "") -> list[DroppedTarget]:
        """Targets that relabelling dropped, as far as they are kept (keep_dropped_targets)."""
        return [target for name in sorted(self._jobs) if pool in ("", name) for target in self._jobs[name].dropped()]

    def dropped_counts(self) -> dict[str, int]:
        """By job, also those that are not kept."""
        return {name: job.dropped_count for name, job in self._jobs.items()}

    def metadata(self, family: str = "") -> list[TargetMetadata]:
        """What targets say of their metric families; of one family when it is named."""
        return [
            TargetMetadata(loop.target.labels, name, metadata)
            for job in self._jobs.values()
            for loop in job.loops()
            for name, metadata in loop.ingest.metadata.items()
            if family in ("", name)
        ]
