"""Groups under way, on virtual time: grids, missed times, staleness, changes of the rules, restarts."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from styr.metrics.model.errors import ExecutionError
from styr.metrics.model.labels import make
from styr.metrics.rules.groups import Group
from styr.metrics.rules.manager import Manager
from styr.metrics.rules.scheduler import following, offset, slot
from tests.metrics.rules.fakes import EPOCH, World, group, groups
from tests.simulation.virtual import run


def one(**labels: str) -> Any:
    return lambda t: [(make(labels), float(int(t)))]


def test_the_grid_is_shifted_by_a_hash_and_the_same_everywhere() -> None:
    a, b = Group("f", "a", 60_000), Group("f", "b", 60_000)
    assert offset(a) != offset(b)
    assert 0 <= offset(a) < 60_000
    assert slot(a, offset(a)) == offset(a)
    assert slot(a, offset(a) - 1) == offset(a) - 60_000


def test_missed_times_and_clocks_that_jump() -> None:
    g = Group("f", "a", 60_000)
    start = slot(g, 10**12)
    assert following(g, start, start + 100) == (start + 60_000, 0)
    assert following(g, start, start + 60_000) == (start + 60_000, 0)
    assert following(g, start, start + 119_999) == (start + 60_000, 0)
    assert following(g, start, start + 150_000) == (start + 120_000, 1)
    assert following(g, start, start + 600_000) == (start + 600_000, 9)
    assert following(g, start, start - 3_600_000) == (start - 3_600_000 + 60_000, 0)


def test_recording_rules_write_on_the_grid_and_mark_stale() -> None:
    async def main() -> None:
        world = World()
        world.promql.answers["up"] = lambda t: [(make({"__name__": "up", "job": "a"}), 5.0)] if t < 150 else []
        (g,) = groups(group("g", {"record": "x:up", "expr": "up", "labels": {"team": "t"}}))
        manager = Manager(world.engine())
        await manager.apply([g])
        await asyncio.sleep(299)
        await manager.close()
        first = (slot(g, int(EPOCH * 1000)) + 60_000) / 1000 - EPOCH
        times = [first + 60 * i for i in range(4) if first + 60 * i < 150]
        expected: list[tuple[float, Any]] = [(t, 5.0) for t in times]
        gone = times[-1] + 60
        assert world.storage.shown() == {'x:up{job="a", team="t"}': [*expected, (gone, "stale")]}
        (running,) = manager.groups
        assert running.rules[0].health == "ok"
        assert running.counters.iterations == running.counters.evaluations

    run(main)


def test_query_offset_moves_query_and_samples() -> None:
    async def main() -> None:
        world = World()
        world.promql.answers["up"] = one(a="1")
        (g,) = groups(group("g", {"record": "x", "expr": "up"}, query_offset="30s"))
        manager = Manager(world.engine())
        await manager.apply([g])
        await asyncio.sleep(61)
        await manager.close()
        first = (slot(g, int(EPOCH * 1000)) + 60_000) / 1000 - EPOCH
        assert world.promql.asked == [("up", first - 30)]
        assert [t for t, _ in world.storage.shown()['x{a="1"}']] == [first - 30]

    run(main)


def test_a_failing_rule_keeps_its_series_and_tells_why() -> None:
    async def main() -> None:
        world = World()

        def answer(t: float) -> Any:
            if t > 100:
                raise ExecutionError("too many samples")
            return [(make({"a": "1"}), 1.0)]

        world.promql.answers.update({"up": answer, "fine": one(b="1")})
        (g,) = groups(group("g", {"record": "x", "expr": "up"}, {"record": "y", "expr": "fine"}))
        manager = Manager(world.engine())
        await manager.apply([g])
        await asyncio.sleep(170)
        (running,) = manager.groups
        bad, good = running.rules
        assert (bad.health, bad.last_error) == ("err", "too many samples")
        assert (good.health, good.last_error) == ("ok", "")
        assert "stale" not in [v for _, v in world.storage.shown()['x{a="1"}']]
        assert running.counters.failures >= 1
        await manager.close()

    run(main)


def test_our_own_bug_in_one_rule_does_not_stop_the_group() -> None:
    async def main() -> None:
        world = World()
        world.promql.answers.update({"up": lambda t: 1 // 0, "fine": one(b="1")})  # type: ignore[dict-item]
        (g,) = groups(group("g", {"record": "x", "expr": "up"}, {"record": "y", "expr": "fine"}))
        manager = Manager(world.engine())
        await manager.apply([g])
        await asyncio.sleep(61)
        bad, good = manager.groups[0].rules
        assert bad.last_error == "internal error: ZeroDivisionError: integer division or modulo by zero"
        assert good.health == "ok"
        await manager.close()

    run(main)


def test_duplicates_limits_and_a_full_disk_are_told() -> None:
    async def main() -> None:
        world = World()
        two = [(make({"a": "1"}), 1.0), (make({"a": "2"}), 1.0)]
        world.promql.answers.update({"two": lambda t: two})
        rules = [{"record": "x", "expr": "two", "labels": {"a": "same"}}, {"record": "y", "expr": "two"}]
        (g,) = groups(group("g", *rules, limit=1))
        manager = Manager(world.engine())
        world.storage.full = True
        await manager.apply([g])
        await asyncio.sleep(61)
        errors = [rule.last_error for rule in manager.groups[0].rules]
        assert errors == [
            "vector contains metrics with the same labelset after applying rule labels",
            "exceeded limit of 1 with 2 series",
        ]
        await manager.apply(groups(group("g", {"record": "y", "expr": "two"})))
        await asyncio.sleep(61)
        assert [rule.last_error for rule in manager.groups[0].rules] == ["the disk is full"]
        await manager.close()

    run(main)


def test_a_changed_group_keeps_the_state_of_its_rules() -> None:
    async def main() -> None:
        world = World()
        world.promql.answers.update({"up": one(a="1"), "other": one(b="1")})
        alert = {"alert": "Down", "expr": "up", "for": "3m"}
        gone = {"record": "gone", "expr": "other"}
        manager = Manager(world.engine())
        await manager.apply(groups(group("g", alert, gone)))
        await asyncio.sleep(179)
        states = manager.groups[0].rules[0].states
        assert states is not None
        since = states.alerts()[0].active_at
        await manager.apply(groups(group("g", {"record": "new", "expr": "other"}, {**alert, "for": "2m"})))
        await asyncio.sleep(61)
        kept = manager.groups[0].rules[1].states
        assert kept is not None
        assert [(a.active_at, a.state) for a in kept.alerts()] == [(since, "firing")]
        assert world.storage.shown()['gone{b="1"}'][-1][1] == "stale"
        await manager.close()

    run(main)


def test_an_unchanged_group_is_left_alone() -> None:
    async def main() -> None:
        world = World()
        world.promql.answers.update({"up": one(a="1")})
        manager = Manager(world.engine())
        await manager.apply(groups(group("g", {"record": "x", "expr": "up"})))
        running = manager.groups[0]
        await manager.apply(
            groups(group("g", {"record": "x", "expr": "up"}), group("h", {"record": "x", "expr": "up"}))
        )
        assert manager.groups[0] is running
        assert [each.group.name for each in manager.groups] == ["g", "h"]
        await manager.close()

    run(main)


def test_series_of_a_removed_group_go_stale_two_intervals_later_unless_written_again() -> None:
    async def main() -> None:
        world = World()
        world.promql.answers.update({"up": one(a="1"), "moved": one(m="1")})
        manager = Manager(world.engine())
        await manager.apply(groups(group("g", {"record": "x", "expr": "up"}, {"record": "y", "expr": "moved"})))
        await asyncio.sleep(90)
        stopped = world.clock.time() - EPOCH
        await manager.apply(groups(group("h", {"record": "y", "expr": "moved"})))
        await asyncio.sleep(119)
        assert world.storage.shown()['x{a="1"}'][-1][1] != "stale"
        await asyncio.sleep(2)
        assert world.storage.shown()['x{a="1"}'][-1] == (stopped, "stale")
        assert "stale" not in [v for _, v in world.storage.shown()['y{m="1"}']]
        await manager.close()

    run(main)


def test_closing_leaves_series_for_the_next_start() -> None:
    async def main() -> None:
        world = World()
        world.promql.answers.update({"up": one(a="1")})
        manager = Manager(world.engine())
        await manager.apply(groups(group("g", {"record": "x", "expr": "up"})))
        await asyncio.sleep(61)
        await manager.close()
        assert "stale" not in [v for _, v in world.storage.shown()['x{a="1"}']]

    run(main)


def test_after_a_restart_the_for_state_goes_on() -> None:
    async def main() -> None:
        world = World()
        world.promql.answers.update({"up": one(a="1")})
        alert = {"alert": "Down", "expr": "up", "for": "1h", "labels": {"sev": "{{ $labels.a }}", "team": "t"}}
        manager = Manager(world.engine())
        await manager.apply(groups(group("g", alert)))
        await asyncio.sleep(1800)
        await manager.close()
        states = manager.groups[0].rules[0].states
        assert states is not None
        since = states.alerts()[0].active_at
        await asyncio.sleep(600)
        again = Manager(world.engine())
        await again.apply(groups(group("g", alert)))
        await asyncio.sleep(90)
        restored = again.groups[0].rules[0].states
        assert restored is not None
        assert restored.restored is (again.groups[0].restoring is False)
        await asyncio.sleep(122)
        assert restored.restored
        down = [
            t
            for t, v in world.storage.shown()[
                'ALERTS{a="1", alertname="Down", alertstate="pending", sev="1", team="t"}'
            ]
        ]
        shift = restored.alerts()[0].active_at - since // 1000 * 1000
        assert 600_000 - 60_000 <= shift <= 600_000 + 240_000
        assert max(b - a for a, b in pairwise(down)) > 600
        await again.close()

    run(main)


def test_slow_evaluations_miss_times_and_count_them() -> None:
    async def main() -> None:
        world = World()
        world.promql.answers.update({"up": one(a="1")})

        async def slow(work: Any) -> Any:
            await asyncio.sleep(150)
            return work()

        (g,) = groups(group("g", {"record": "x", "expr": "up"}))
        manager = Manager(world.engine(run=slow))
        await manager.apply([g])
        await asyncio.sleep(60 * 11)
        counters = manager.groups[0].counters
        assert counters.missed >= 3
        assert counters.iterations == counters.missed + counters.evaluations
        times = [t for _, t in world.promql.asked]
        assert all((b - a) % 60 == 0 for a, b in pairwise(times))
        await manager.close()

    run(main)


def test_alerts_are_told_with_links_and_validity() -> None:
    async def main() -> None:
        world = World()
        world.promql.answers.update({"up == 0": lambda t: [(make({"a": "1"}), 0.0)] if t < 130 else []})
        alert = {
            "alert": "Down",
            "expr": "up == 0",
            "annotations": {"s": "{{ $labels.a }}={{ $value }} {{ externalURL }}"},
        }
        (g,) = groups(group("g", alert))
        manager = Manager(world.engine(external_url="http://styr", external_labels=make({"cluster": "eu"})))
        await manager.apply([g])
        await asyncio.sleep(239)
        await manager.close()
        first, *_, last = [each for _, each in world.sent]
        assert first.generator_url == "http://styr/graph?g0.expr=up+%3D%3D+0&g0.tab=1"
        assert dict(first.annotations) == {"s": "1=0 http://styr"}
        assert first.ends_at - first.starts_at == 4 * 60_000
        assert last.starts_at == first.starts_at
        assert last.ends_at <= int((EPOCH + 200) * 1000)

    run(main)
