"""Pools, jobs and loops on a virtual clock: when targets are scraped, and how their series end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

from styr.kit.clock import LoopClock
from styr.metrics.model.errors import Unavailable
from styr.metrics.scrape.buffers import Buffers
from styr.metrics.scrape.config import ScrapeConfig, parse_job
from styr.metrics.scrape.connection import FetchError
from styr.metrics.scrape.discovery import ADDRESS, Discovery, Group, Publish, Static
from styr.metrics.scrape.fetch import Fetched
from styr.metrics.scrape.pool import Pool
from styr.metrics.scrape.target import Target
from tests.metrics.scrape.appender import Memory
from tests.simulation.virtual import run


class Page:
    """What targets answer; `pages[address]` is a body, an error, or a number of seconds to hang."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Exception | float] = {}
        self.times: dict[str, list[float]] = {}
        self.closed = 0
        self._buffers = Buffers()

    def fetcher(self, target: Target, config: ScrapeConfig) -> _Fetcher:
        return _Fetcher(self, dict(target.steering)[ADDRESS])

    async def get(self, address: str) -> Fetched:
        self.times.setdefault(address, []).append(asyncio.get_running_loop().time())
        page = self.pages.get(address, b"a 1\n")
        if isinstance(page, Exception):
            raise page
        if isinstance(page, float):
            await asyncio.sleep(page)
            page = b"a 1\n"
        return Fetched("text/plain", self._buffers.body(page))


class _Fetcher:
    def __init__(self, page: Page, address: str) -> None:
        self._page, self._address = page, address

    async def fetch(self) -> Fetched:
        return await self._page.get(self._address)

    def close(self) -> None:
        self._page.closed += 1


class Changing:
    """A discovery that a test speaks for."""

    def __init__(self) -> None:
        self.publish: Publish = lambda groups: None
        self.runs = 0

    async def run(self, publish: Publish) -> None:
        self.publish = publish
        self.runs += 1
        await asyncio.Event().wait()

    def tell(self, *addresses: str, source: str = "s", **labels: str) -> None:
        self.publish([Group(source, [{ADDRESS: each} for each in addresses], labels)])


def job(name: str = "j", **settings: Any) -> ScrapeConfig:
    return parse_job({"job_name": name, "scrape_interval": "10s", "scrape_timeout": "2s", **settings})


def static(*addresses: str) -> list[Discovery]:
    return [Static((Group("0", [{ADDRESS: each} for each in addresses]),))]


class World:
    def __init__(self) -> None:
        self.memory, self.page, self.clock = Memory(), Page(), LoopClock()
        self.pool = Pool(self.memory, self.clock, fetcher=self.page.fetcher, settle=0.1)


def simulate(story: Callable[[World], Coroutine[Any, Any, None]]) -> World:
    world = World()

    async def main() -> None:
        task = asyncio.create_task(world.pool.run())
        await story(world)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main)
    return world


def test_targets_are_scraped_on_their_own_grid() -> None:
    async def story(world: World) -> None:
        world.pool.apply([(job(), static("a:1", "b:1"))])
        await asyncio.sleep(60)

    world = simulate(story)
    for address in ("a:1", "b:1"):
        times = world.page.times[address]
        assert len(times) == 6
        assert times[0] < 10
        assert all(abs(later - sooner - 10) < 1e-6 for sooner, later in pairwise(times))
    stamps = [t for t, _ in world.memory.series("a", instance="a:1")]
    assert {later - sooner for sooner, later in pairwise(stamps)} == {10_000}
    assert world.pool.counters.hits == 10
    assert world.memory.commits >= 6
    assert {(each.url, each.health) for each in world.pool.active()} == {
        ("http://a:1/metrics", "up"),
        ("http://b:1/metrics", "up"),
    }


def test_a_target_that_goes_gets_markers_at_its_first_missed_scrape() -> None:
    discovery = Changing()

    async def story(world: World) -> None:
        world.pool.apply([(job(), [discovery])])
        await asyncio.sleep(0)
        await asyncio.sleep(1)
        discovery.tell("a:1")
        await asyncio.sleep(30.5)  # the third scrape or the fourth, by the target's offset
        discovery.tell()
        await asyncio.sleep(60)

    world = simulate(story)
    samples = world.memory.series("a")
    scrapes = len(world.page.times["a:1"])
    assert scrapes in (3, 4)
    assert [value for _, value in samples] == [*[1.0] * scrapes, "stale"]
    assert samples[-1][0] == samples[-2][0] + 10_000
    assert world.memory.series("up")[-1] == (samples[-1][0], "stale")


def test_a_target_that_is_back_in_time_gets_none() -> None:
    discovery = Changing()

    async def story(world: World) -> None:
        world.pool.apply([(job(), [discovery])])
        await asyncio.sleep(1)
        discovery.tell("a:1")
        await asyncio.sleep(31)
        discovery.tell()
        await asyncio.sleep(10)
        discovery.tell("a:1")
        await asyncio.sleep(60)

    world = simulate(story)
    assert {value for _, value in world.memory.series("a")} == {1.0}


def test_a_timeout_and_an_error_are_failed_scrapes() -> None:
    async def story(world: World) -> None:
        world.page.pages = {"a:1": 5.0, "b:1": FetchError("connection refused")}
        world.pool.apply([(job(), static("a:1", "b:1"))])
        await asyncio.sleep(25)

    world = simulate(story)
    assert {value for _, value in world.memory.series("up", instance="a:1")} == {0.0}
    errors = {each.url: each.last_error for each in world.pool.active()}
    assert errors == {"http://a:1/metrics": "no answer within 2 s", "http://b:1/metrics": "connection refused"}
    assert abs(world.memory.series("scrape_duration_seconds", instance="a:1")[0][1] - 2.0) < 1e-3


def test_no_markers_when_the_process_stops() -> None:
    async def story(world: World) -> None:
        world.pool.apply([(job(), static("a:1"))])
        await asyncio.sleep(25)

    assert {value for _, value in simulate(story).memory.series("a")} == {1.0}


def test_a_job_that_is_removed_ends_its_series() -> None:
    async def story(world: World) -> None:
        world.pool.apply([(job(), static("a:1")), (job("k"), static("b:1"))])
        await asyncio.sleep(25)
        world.pool.apply([(job("k"), static("b:1"))])
        await asyncio.sleep(40)

    world = simulate(story)
    assert world.memory.series("a", job="j")[-1][1] == "stale"
    assert world.memory.series("a", job="k")[-1][1] == 1.0
    assert world.pool.pools() == ["k"]


def test_other_relabelling_ends_what_is_not_written_any_more_without_a_gap() -> None:
    drop = [{"source_labels": ["__name__"], "regex": "b", "action": "drop"}]

    async def story(world: World) -> None:
        world.page.pages["a:1"] = b"a 1\nb 2\n"
        world.pool.apply([(job(), static("a:1"))])
        await asyncio.sleep(25)
        world.pool.apply([(job(metric_relabel_configs=drop), static("a:1"))])
        await asyncio.sleep(20)

    world = simulate(story)
    stamps = [t for t, _ in world.memory.series("a")]
    assert {value for _, value in world.memory.series("a")} == {1.0}
    assert {later - sooner for sooner, later in pairwise(stamps)} == {10_000}
    ends = world.memory.series("b")
    assert [value for _, value in ends[-2:]] == [2.0, "stale"]
    assert ends[-1][0] in stamps


def test_a_reload_does_not_disturb_a_scrape_that_runs() -> None:
    async def story(world: World) -> None:
        world.page.pages["a:1"] = 1.5
        world.pool.apply([(job(), static("a:1"))])
        while "a:1" not in world.page.times:
            await asyncio.sleep(0.1)
        world.pool.apply([(job(scrape_timeout="3s"), static("a:1"))])
        await asyncio.sleep(5)

    world = simulate(story)
    assert [value for _, value in world.memory.series("up")] == [1.0]
    assert world.page.closed == 2


def test_an_error_of_ours_costs_one_scrape() -> None:
    async def story(world: World) -> None:
        world.page.pages["a:1"] = ZeroDivisionError("oops")
        world.pool.apply([(job(), static("a:1"))])
        await asyncio.sleep(15)
        assert "internal error: ZeroDivisionError" in world.pool.active()[0].last_error
        world.page.pages["a:1"] = b"a 1\n"
        await asyncio.sleep(10)

    assert simulate(story).memory.series("up")[-1][1] == 1.0


def test_a_full_disk_fails_scrapes_until_there_is_room() -> None:
    async def story(world: World) -> None:
        world.pool.apply([(job(), static("a:1"))])
        await asyncio.sleep(15)
        world.memory.fail = Unavailable("the disk is full")
        await asyncio.sleep(20)
        assert world.pool.active()[0].last_error == "the disk is full"
        world.memory.fail = None
        await asyncio.sleep(20)

    world = simulate(story)
    assert world.pool.active()[0].health == "up"
    assert world.memory.series("a")[-1][1] == 1.0


def test_another_interval_takes_effect_at_once() -> None:
    async def story(world: World) -> None:
        world.pool.apply([(job(), static("a:1"))])
        await asyncio.sleep(25)
        world.pool.apply([(job(scrape_interval="2s"), static("a:1"))])
        await asyncio.sleep(25)

    world = simulate(story)
    assert "stale" not in {value for _, value in world.memory.series("a")}
    assert len(world.page.times["a:1"]) in range(13, 17)


def test_a_discovery_that_fails_is_run_again() -> None:
    class Failing(Changing):
        async def run(self, publish: Publish) -> None:
            await super().run(publish) if self.runs else self.fail()

        def fail(self) -> None:
            self.runs += 1
            raise RuntimeError("gone")

    discovery = Failing()

    async def story(world: World) -> None:
        world.pool.apply([(job(), [discovery])])
        await asyncio.sleep(6)
        discovery.tell("a:1")
        await asyncio.sleep(12)

    assert simulate(story).memory.series("a")


def test_a_target_limit_fails_all_of_them() -> None:
    async def story(world: World) -> None:
        world.pool.apply([(job(target_limit=1), static("a:1", "b:1"))])
        await asyncio.sleep(15)

    world = simulate(story)
    assert world.page.times == {}
    assert "target_limit exceeded (number of targets: 2, limit: 1)" in world.pool.active()[0].last_error


def test_equal_targets_are_scraped_once_and_dropped_ones_are_shown() -> None:
    rules = [{"source_labels": ["__address__"], "regex": "c:1", "action": "drop"}]

    async def story(world: World) -> None:
        world.pool.apply([(job(relabel_configs=rules), [*static("a:1"), *static("a:1", "c:1")])])
        await asyncio.sleep(12)

    world = simulate(story)
    assert len(world.pool.active()) == 1
    assert [each.discovered_labels[ADDRESS] for each in world.pool.dropped()] == ["c:1"]
    assert world.pool.dropped_counts() == {"j": 1}


def test_ten_thousand_targets() -> None:
    addresses = [f"10.0.{i // 250}.{i % 250}:9100" for i in range(10_000)]

    async def story(world: World) -> None:
        world.pool.apply([(job(), static(*addresses))])
        await asyncio.sleep(11)

    world = simulate(story)
    assert len(world.page.times) == 10_000
    assert world.pool.counters.scrapes in range(10_000, 12_000)
    per_second = [0] * 22
    for times in world.page.times.values():
        per_second[int(times[0])] += 1
    assert max(per_second) < 1400
