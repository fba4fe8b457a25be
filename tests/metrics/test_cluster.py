"""What the engine has from an API: whole lists only, at the start too, and a kind that is not served holds up nothing."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence

from styr.kinds.resources import CRD, PROBE, PROMETHEUS_RULE, SERVICE_MONITOR
from styr.metrics import cluster as module
from styr.metrics.cluster import Cluster
from styr.metrics.rules.groups import Group
from styr.metrics.scrape.config import ScrapeConfig
from tests.metrics.api import Quick, served, until

MONITOR = {"spec": {"selector": {}, "endpoints": [{"port": "http"}]}}
RULE = {"spec": {"groups": [{"name": "g", "rules": [{"record": "a", "expr": "up"}]}]}}


class Engine:
    def __init__(self) -> None:
        self.jobs: list[list[str]] = []
        self.rules: list[list[str]] = []

    def take_jobs(self, jobs: Sequence[ScrapeConfig]) -> None:
        self.jobs.append([job.job for job in jobs])

    async def take_rules(self, groups: Sequence[Group]) -> None:
        self.rules.append([group.source for group in groups])

    def over(self, client) -> Cluster:
        return Cluster(
            client,
            Quick(),
            random.Random(1),
            apply_jobs=self.take_jobs,
            apply_rules=self.take_rules,
            parse=lambda text: text,
            defaults=ScrapeConfig("any", interval=15_000),
        )


@contextlib.asynccontextmanager
async def run(cluster: Cluster):
    task = asyncio.create_task(cluster.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def make(client, count: int) -> None:
    for number in range(count):
        named = {"metadata": {"name": f"x{number}", "namespace": "default"}}
        await client.create(SERVICE_MONITOR, {**MONITOR, **named})
        await client.create(PROMETHEUS_RULE, {**RULE, **named})


async def test_the_first_lists_are_whole():
    engine = Engine()
    async with served() as client:
        await make(client, 20)
        async with run(engine.over(client)):
            await until(lambda: engine.jobs and engine.rules)
            assert len(engine.jobs[0]) == 22
            assert len(engine.rules[0]) == 20


async def test_without_any_object_an_empty_list_of_rules_is_handed_over():
    engine = Engine()
    async with served() as client, run(engine.over(client)):
        await until(lambda: engine.rules == [[]])


async def test_a_kind_that_is_not_served_holds_up_nothing(monkeypatch):
    monkeypatch.setattr(module, "COMPLETE", 0.3)
    engine = Engine()
    async with served() as client:
        await client.delete(CRD, PROBE.group_resource)
        await make(client, 1)
        async with run(engine.over(client)):
            await until(lambda: engine.jobs and len(engine.jobs[-1]) == 3)
            await until(lambda: engine.rules and engine.rules[-1] == ["default/x0"])
