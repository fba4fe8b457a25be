"""Watches monitors and keeps the list of jobs that they amount to; tells each monitor what became of it.

Made by the process, which adds `controllers()` to its manager, awaits `run` beside it, and is handed the whole list of
`ScrapeConfig`s when it changes. Secrets and ConfigMaps are read one by one, when a monitor names them, and again after a while:
nobody's Secrets are kept here. Calls `monitors`, `probes`, `scrapeconfigs`, `annotations` and `scrape.config`; writes nothing
but the status and events of monitors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from styr.client.controller import After, Context, Controller, Done, Key, Outcome
from styr.kinds import meta
from styr.kinds.errors import NotFound
from styr.kinds.resources import POD_MONITOR, PROBE, SCRAPE_CONFIG, SERVICE_MONITOR, Object, Resource
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
RECHECK = 15.0
"""Seconds after which the Secrets that a monitor names are read again."""
_MOST_KEYS = 100
"""Secrets and ConfigMaps that one monitor may name."""

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
        self._changed = asyncio.Event()
        self._changed.set()

    def controllers(self) -> list[Controller]:
        """One for each kind: on a cluster that lacks one of them the others work."""
        return [
            Controller(
                resource.plural,
                resource,
                self._reconciler(resource),
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

    def _reconciler(self, resource: Resource) -> Callable[[Context, Key], Awaitable[Outcome]]:
        async def reconcile(context: Context, key: Key) -> Outcome:
            obj = context.get(resource, key)
            if obj is None or meta.deleting(obj):
                self._keep(resource, key, [])
                return Done()
            known = await _named(context, obj, MAKERS[resource])
            problem, jobs = "", []
            try:
                made = MAKERS[resource](obj, _reader(known, key.namespace))
                jobs = [parse_job(job.document(), self._defaults) for job in made]
            except BadData as error:
                problem = str(error)
            self._keep(resource, key, jobs)
            await tell(context, resource, obj, problem)
            return After(RECHECK) if known else Done()

        return reconcile

    def _keep(self, resource: Resource, key: Key, jobs: list[ScrapeConfig]) -> None:
        place = (resource.plural, key)
        before = self._jobs.pop(place, [])
        if jobs:
            self._jobs[place] = jobs
        if before != jobs:
            self._changed.set()


Known = dict[tuple[Resource, str], Object | None]
"""By kind and name; None for what is not there."""


def _reader(known: Known, namespace: str) -> Keys:
    return Keys(lambda resource, _namespace, name: known.get((resource, name)), namespace)


async def _named(context: Context, obj: Object, make: Callable[[Object, Keys], list[Job]]) -> Known:
    """The Secrets and ConfigMaps that a monitor names. A missing one stops `make`, so each round may name one more. Raises
    ApiError."""
    known: Known = {}
    while len(known) < _MOST_KEYS:
        keys = _reader(known, meta.namespace(obj))
        with suppress(BadData):
            make(obj, keys)
        unread = sorted(keys.asked - known.keys(), key=lambda one: (one[0].plural, one[1]))
        if not unread:
            break
        for resource, name in unread:
            try:
                known[resource, name] = await context.client.get(resource, name, meta.namespace(obj))
            except NotFound:
                known[resource, name] = None
    return known
