"""Reading the configuration again, in a whole engine: what Prometheus' reload changes, changes; a mistake changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import yaml

from styr.kit.clock import SystemClock
from styr.metrics import assemble
from styr.metrics.assemble import Engine
from styr.metrics.cluster import watch
from styr.metrics.config import read
from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import make
from styr.metrics.options import Options
from styr.metrics.web.api import Api
from tests.metrics.rules.notify.kit import Peer
from tests.metrics.rules.notify.test_alertmanager import outgoing

DAY = 86_400_000


def configured(site: str, **sections: Any) -> dict[str, Any]:
    return {"global": {"external_labels": {"site": site}}, **sections}


class World:
    """`write` the files, `reload`, and look."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.config, self.notify = folder / "prometheus.yml", folder / "alertmanager.yml"
        self.options = Options(folder / "data", config=self.config, **options)
        self.engine: Engine
        self.api: Api

    def write(self, document: dict[str, Any]) -> None:
        self.config.write_text(yaml.safe_dump(document))

    @property
    def status(self) -> Any:
        return self.api.parts.status

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        clock = SystemClock()
        self.api = assemble.api_of(assemble.parts_of(self.options, clock), self.options)
        self.engine = assemble.open_engine(self.options, clock, Random(1))
        self.engine.install(self.api)
        await self.engine.notifying.start()
        try:
            yield self
        finally:
            self.api.close()
            await self.engine.close()


async def test_external_labels_everywhere(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write(configured("one"))
    async with Peer() as manager, world.running():
        reads = world.api.receivers._read
        assert world.status.external_labels == {"site": "one"}
        alerting = {"alertmanagers": [{"static_configs": [{"targets": [manager.url.removeprefix("http://")]}]}]}
        world.write(configured("two", alerting=alerting))
        await world.engine.reload()
        assert world.status.external_labels == {"site": "two"}
        assert world.engine.rules.engine.external_labels == (("site", "two"),)
        assert world.api.receivers._read is not reads
        assert world.api.receivers._read._external == {"site": "two"}
        world.engine.notifying.send([outgoing("A")])
        async with asyncio.timeout(20):
            while not manager.requests:
                await asyncio.sleep(0.01)
        assert manager.requests[0][2][0]["labels"] == {"alertname": "A", "site": "two"}
        assert "two" in world.status.config()


async def test_retention_by_the_configuration_and_else_by_the_command_line(tmp_path: Path) -> None:
    world = World(tmp_path, retention=7 * DAY)
    world.write({"storage": {"tsdb": {"retention": {"time": "3d", "size": "2GB"}}}})
    async with world.running():
        settings = world.engine.database.settings
        assert (settings.retention, settings.retention_size, world.status.retention) == (3 * DAY, 2 << 30, "3d or 2GB")
        world.write({"storage": {"tsdb": {"retention": {"size": "1GiB"}}}})
        await world.engine.reload()
        settings = world.engine.database.settings
        assert (settings.retention, settings.retention_size, world.status.retention) == (0, 1 << 30, "1GB")
        world.write({"storage": {"tsdb": {"out_of_order_time_window": "10m"}}})
        await world.engine.reload()
        settings = world.engine.database.settings
        assert (settings.retention, settings.retention_size, world.status.retention) == (7 * DAY, 0, "7d")


async def test_late_samples_are_taken_when_the_window_says_so(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write({})
    async with world.running():
        head, newest, hour = world.engine.database.head, 1_700_000_000_000, 3_600_000
        refs, one = head.refs([make({"__name__": "late"})]), np.ones(1)
        head.append(refs, np.array([newest]), one)
        assert head.append(refs, np.array([newest - hour // 6]), one).added == 0
        world.write({"storage": {"tsdb": {"out_of_order_time_window": "30m"}}})
        await world.engine.reload()
        assert head.append(refs, np.array([newest - hour // 6]), one).added == 1
        assert head.append(refs, np.array([newest - hour]), one).added == 0


@pytest.mark.parametrize(
    ("retention", "said"),
    [
        ({"percentage": 5}, "storage.tsdb.retention.percentage: unknown or not honoured"),
        ({"size": "5 apples"}, "storage.tsdb.retention.size: not a valid size: '5 apples'"),
        ({"time": "soon"}, "storage.tsdb.retention.time: "),
        ("15d", "storage.tsdb.retention: must be a map"),
    ],
)
def test_a_wrong_retention(retention: Any, said: str) -> None:
    with pytest.raises(BadData) as raised:
        read({"storage": {"tsdb": {"retention": retention}}}, Path())
    assert said in str(raised.value)


async def test_query_log_otlp_and_the_step_of_subqueries(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write({})
    async with world.running():
        writes = world.api.receivers._write
        assert world.api.log._file is None
        world.write(
            {
                "global": {"evaluation_interval": "7s", "query_log_file": "q.log"},
                "otlp": {"promote_resource_attributes": ["a"]},
            }
        )
        await world.engine.reload()
        assert (tmp_path / "data" / "q.log").exists()
        assert world.engine.promql.settings.evaluation_interval == 7000
        assert world.api.receivers._otlp._settings.promote == {"a"}
        assert world.api.receivers._write is writes
        world.write({})
        await world.engine.reload()
        assert world.api.log._file is None


def notifier(file: Path, url: str) -> None:
    file.write_text(
        "route: {receiver: r, group_wait: 1ms, group_interval: 1s, group_by: ['...']}\n"
        f"receivers: [{{name: r, webhook_configs: [{{url: '{url}/'}}]}}]\n"
    )


async def test_the_notifier_tells_others(tmp_path: Path) -> None:
    async with Peer() as before, Peer() as after:
        world = World(tmp_path, notify=tmp_path / "alertmanager.yml")
        world.write({})
        notifier(world.notify, before.url)
        async with world.running():
            notifier(world.notify, after.url)
            await world.engine.reload()
            world.engine.notifying.send([outgoing("A", SystemClock().time())])
            async with asyncio.timeout(20):
                while not after.requests:
                    await asyncio.sleep(0.01)
        assert after.requests[0][2]["alerts"][0]["labels"] == {"alertname": "A"}
        assert before.requests == []


@pytest.mark.parametrize("wrong", ["config", "alerting", "notifier", "encoding", "gone"])
async def test_after_a_mistake_everything_is_as_it_was(tmp_path: Path, wrong: str) -> None:
    world = World(tmp_path, notify=tmp_path / "alertmanager.yml")
    world.write(configured("one"))
    notifier(world.notify, "http://127.0.0.1:1")
    async with world.running():
        config, receivers = world.engine.config, world.api.receivers
        world.write(configured("two", alerting={"alertmanagers": [{"scheme": "ftp"}]} if wrong == "alerting" else {}))
        if wrong == "config":
            world.write(configured("two", nonsense={}))
        elif wrong == "notifier":
            world.notify.write_text("route: {receiver: nobody}")
        elif wrong == "encoding":
            world.notify.write_bytes(b"\xff")
        elif wrong == "gone":
            world.notify.unlink()
        with pytest.raises((BadData, OSError)):
            await world.engine.reload()
        assert world.status.config_ok is False
        assert world.status.external_labels == {"site": "one"}
        assert world.engine.rules.engine.external_labels == (("site", "one"),)
        assert (world.engine.config, world.api.receivers) == (config, receivers)
        world.write(configured("three"))
        notifier(world.notify, "http://127.0.0.1:1")
        await world.engine.reload()
        assert (world.status.config_ok, world.status.external_labels) == (True, {"site": "three"})


async def test_other_defaults_look_at_kubernetes_anew(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    begun: list[int] = []
    ended: list[int] = []

    class Cluster:
        async def run(self) -> None:
            number = len(begun)
            begun.append(number)
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append(number)

    file.write_text(
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: t}}]\n"
        "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n"
    )
    changed = asyncio.Event()
    made: Any = lambda client: Cluster()  # noqa: E731
    task = asyncio.create_task(watch(file, SystemClock(), made, changed))

    async def until(runs: int) -> None:
        async with asyncio.timeout(10):
            while len(begun) < runs:
                await asyncio.sleep(0.005)

    await until(1)
    changed.set()
    await until(2)
    assert ended == [0]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (task.cancelled(), ended) == (True, [0, 1])


async def test_defaults_that_change_are_told_to_the_watch(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write({})
    async with world.running():
        world.write(configured("x"))
        await world.engine.reload()
        assert not world.engine._defaults_changed.is_set()
        world.write({"global": {"scrape_interval": "7s"}})
        await world.engine.reload()
        assert world.engine._defaults_changed.is_set()
