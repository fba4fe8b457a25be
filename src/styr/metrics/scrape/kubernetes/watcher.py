"""Watches monitors and keeps the list of jobs that they amount to; tells each monitor what became of it.

Made by the process, which adds `controllers()` to its manager, awaits `run` beside it, and is handed the whole list of
`ScrapeConfig`s when it changes. Calls `monitors`, `probes`, `scrapeconfigs`, `annotations` and `scrape.config`; writes nothing
but the status and events of monitors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from styr.client.controller import Context, Controller, Done, Key, Outcome, Watch
from styr.kinds import meta
from styr.kinds.resources import (
    CONFIG_MAP,
    POD_MONITOR,
    PROBE,
    SCRAPE_CONFIG,
    SECRET,
    SERVICE_MONITOR,
    Object,
    Resource,
)
from styr.kit.clock import Clock
from styr.metrics.model.errors import BadData
from styr.metrics.scrape.config import ScrapeConfig, parse_job
from styr.metrics.scrape.kubernetes.annotations import jobs as annotated
from styr.metrics.scrape.kubernetes.credentials import Keys
from styr.metrics.scrape.kubernetes.jobs import Job
from styr.metrics.scrape.kubernetes.monitors import pod_monitor, service_monitor
from styr.metrics.scrape.kubernetes.probes import probe
from styr.metrics.scrape.kubernetes.scrapeconfigs import scrape_config
from styr.metrics.tell import tell

MAKERS: Mapping[Resource, Callable[[Object, Keys], list[Job]]] = {
    SERVICE_MONITOR: service_monitor,
    POD_MONITOR: pod_monitor,
    PROBE: probe,
    SCRAPE_CONFIG: scrape_config,
}
SETTLE = 0.2
"""Seconds in which further changes become part of the same list."""

Apply = Callable[[Sequence[ScrapeConfig]], None]


class Monitors:
    """`apply` gets all jobs from Kubernetes, by name, those for annotations included. `defaults` are the `global` settings."""

    def __init__(self, apply: Apply, clock: Clock, defaults: ScrapeConfig | None = None) -> None:
        self._apply = apply
        self._clock = clock
        self._defaults = defaults
        self._jobs: dict[tuple[str, Key], list[ScrapeConfig]] = {
            ("", Key("", "")): [parse_job(job.document(), defaults) for job in annotated()]
        }
        self._asked: dict[tuple[str, Key], set[tuple[Resource, str]]] = {}
        self._changed = asyncio.Event()
        self._changed.set()

    def controllers(self) -> list[Controller]:
        """One for each kind: on a cluster that lacks one of them the others work."""
        return [
            Controller(
                resource.plural,
                resource,
                self._reconciler(resource),
                watches=tuple(Watch(kept, self._users(resource, kept)) for kept in (SECRET, CONFIG_MAP)),
                workers=1,
            )
            for resource in MAKERS
        ]

    async def run(self) -> None:
        """Until cancelled: hands over the list, at once and after each change."""
        while True:
            await self._changed.wait()
            await self._clock.sleep(SETTLE)
            self._changed.clear()
            self._apply(self.jobs())

    def jobs(self) -> list[ScrapeConfig]:
        return sorted((job for jobs in self._jobs.values() for job in jobs), key=lambda job: job.job)

    def _users(self, resource: Resource, kept: Resource) -> Callable[[Object, Context], Iterable[Key]]:
        def keys(obj: Object, _context: Context) -> Iterable[Key]:
            wanted = (kept, meta.name(obj))
            return [
                key
                for (plural, key), asked in self._asked.items()
                if plural == resource.plural and key.namespace == meta.namespace(obj) and wanted in asked
            ]

        return keys

    def _reconciler(self, resource: Resource) -> Callable[[Context, Key], Awaitable[Outcome]]:
        async def reconcile(context: Context, key: Key) -> Outcome:
            obj = context.get(resource, key)
            if obj is None or meta.deleting(obj):
                self._keep(resource, key, [], set())
                return Done()
            keys = Keys(lambda kind, namespace, name: context.get(kind, Key(namespace, name)), key.namespace)
            problem, jobs = "", []
            try:
                jobs = [parse_job(job.document(), self._defaults) for job in MAKERS[resource](obj, keys)]
            except BadData as error:
                problem = str(error)
            self._keep(resource, key, jobs, keys.asked)
            await tell(context, resource, obj, problem)
            return Done()

        return reconcile

    def _keep(self, resource: Resource, key: Key, jobs: list[ScrapeConfig], asked: set[tuple[Resource, str]]) -> None:
        place = (resource.plural, key)
        before = self._jobs.pop(place, [])
        self._asked.pop(place, None)
        if jobs:
            self._jobs[place] = jobs
        if asked:
            self._asked[place] = asked
        if before != jobs:
            self._changed.set()
