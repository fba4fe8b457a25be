"""Who is told what and when: whole scenarios on virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from styr.metrics.rules.notify.post import NotSent
from styr.metrics.rules.notify.silences import Silence
from tests.metrics.rules.notify.kit import EPOCH, MINUTE, World, config
from tests.simulation.virtual import run

WAITS = {"group_wait": "30s", "group_interval": "5m", "repeat_interval": "4h"}


def scenario(route: dict[str, Any] | None = None, **more: Any) -> Any:
    """Runs an async function on a fresh world, on virtual time."""

    def decorate(main: Any) -> Any:
        def test(tmp_path: Path) -> None:
            async def body() -> None:
                world = World(config({**WAITS, **(route or {})}, **more), tmp_path / "state.json")
                await world.notifier.start()
                await main(world)
                await world.notifier.close()

            run(body)

        test.__name__ = main.__name__
        test.__doc__ = main.__doc__
        return test

    return decorate


@scenario()
async def test_waits_repeats_and_resolves(world: World) -> None:
    world.fire("A")
    await asyncio.sleep(10)
    world.fire("B")
    await asyncio.sleep(100)
    world.fire("C")
    await asyncio.sleep(300)
    assert world.told() == [
        (30, "firing", ["A", "B"], "first notification"),
        (330, "firing", ["A", "B", "C"], "new alerts in group"),
    ]
    world.resolve("B")
    await asyncio.sleep(300)
    assert world.told()[2:] == [(630, "firing", ["A", "B-", "C"], "new resolved alerts")]
    await asyncio.sleep(4 * 3600 + 300)
    assert world.told()[3:] == [(15330, "firing", ["A", "C"], "repeat interval")]
    world.resolve("A", "C")
    await asyncio.sleep(600)
    assert [each[1:] for each in world.told()[4:]] == [("resolved", ["A-", "C-"], "all alerts resolved")]
    assert len(world.notifier.groups) == 0


@scenario()
async def test_an_old_alert_is_told_at_once(world: World) -> None:
    from tests.metrics.rules.notify.kit import alert

    world.notifier.receive([alert("A", -100)])
    await asyncio.sleep(1)
    assert world.told() == [(0, "firing", ["A"], "first notification")]


@scenario()
async def test_resolved_before_it_was_told_is_not_told(world: World) -> None:
    world.fire("A")
    await asyncio.sleep(5)
    world.resolve("A")
    await asyncio.sleep(1000)
    assert world.told() == []


@scenario({"group_by": ["job"]})
async def test_groups(world: World) -> None:
    world.fire("A", job="x")
    world.fire("B", job="x")
    world.fire("C", job="y")
    await asyncio.sleep(31)
    assert [names for _, _, names, _ in world.told()] == [["A", "B"], ["C"]]


@scenario({"group_by": ["..."]})
async def test_grouping_by_everything(world: World) -> None:
    world.fire("A", job="x")
    world.fire("A", job="y")
    await asyncio.sleep(31)
    assert len(world.told()) == 2


@scenario(
    {
        "routes": [
            {"receiver": "b", "matchers": ["team=b"], "continue": True},
            {"receiver": "c", "matchers": ['team=~"b|c"'], "group_wait": "0s"},
        ]
    }
)
async def test_routes_and_continue(world: World) -> None:
    world.fire("A", team="b")
    world.fire("B", team="c")
    world.fire("C")
    await asyncio.sleep(31)
    assert [[n for _, _, n, _ in world.told(r)] for r in "abc"] == [[["C"]], [["A"]], [["A", "B"]]]


@scenario(inhibit_rules=[{"source_matchers": ["sev=page"], "target_matchers": ["sev=warn"], "equal": ["host"]}])
async def test_inhibition(world: World) -> None:
    world.fire("Page", sev="page", host="1")
    world.fire("Warn", sev="warn", host="1")
    world.fire("Other", sev="warn", host="2")
    await asyncio.sleep(31)
    assert world.told()[0][2] == ["Other", "Page"]
    world.resolve("Page", sev="page", host="1")
    await asyncio.sleep(300)
    assert world.told()[1][2] == ["Other", "Page-", "Warn"]


@scenario()
async def test_silences(world: World) -> None:
    from styr.metrics.rules.notify.matchers import parse

    now = world.notifier.now()
    made = Silence("", parse('alertname="A"'), now, now + 10 * MINUTE, 0, "me", "why")
    world.notifier.silences.put(made, now)
    world.fire("A", "B")
    await asyncio.sleep(31)
    assert world.told()[0][2] == ["B"]
    await asyncio.sleep(600)
    assert world.told()[1][2:] == (["A", "B"], "new alerts in group")


NIGHT = {"name": "night", "time_intervals": [{"times": [{"start_time": "00:00", "end_time": "08:10"}]}]}


@scenario({"routes": [{"matchers": ["x=1"], "mute_time_intervals": ["night"]}]}, time_intervals=[NIGHT])
async def test_muted_hours_end(world: World) -> None:
    """The world begins at 08:00:00."""
    world.fire("A", x="1")
    await asyncio.sleep(590)
    assert world.told() == []
    await asyncio.sleep(100)
    assert world.told() == [(630, "firing", ["A"], "first notification")]


@scenario({"routes": [{"matchers": ["x=1"], "active_time_intervals": ["night"]}]}, time_intervals=[NIGHT])
async def test_active_hours_end(world: World) -> None:
    world.fire("A", x="1")
    await asyncio.sleep(31)
    assert len(world.told()) == 1
    await asyncio.sleep(600)
    world.fire("B", x="1")
    await asyncio.sleep(600)
    assert len(world.told()) == 1


@scenario()
async def test_a_receiver_that_fails_is_tried_again_with_growing_pauses(world: World) -> None:
    world.memory["a"].faults = [NotSent("500", again=True) for _ in range(4)]
    world.fire("A")
    await asyncio.sleep(60)
    assert world.told() == [(37.5, "firing", ["A"], "first notification")]
    counters = world.notifier.counters["a", "memory"]
    assert (counters.requests, counters.request_failures, counters.sent, counters.failed) == (5, 4, 1, 0)


@scenario()
async def test_a_refusal_is_not_tried_again_before_the_next_flush(world: World) -> None:
    world.memory["a"].faults = [NotSent("400", again=False)]
    world.fire("A")
    await asyncio.sleep(300)
    assert (world.told(), world.memory["a"].tries) == ([], 1)
    await asyncio.sleep(31)
    assert world.told() == [(330, "firing", ["A"], "first notification")]


@scenario({"routes": [{"receiver": "b", "matchers": ["alertname=B"]}]})
async def test_a_receiver_that_hangs_holds_up_nobody_else(world: World) -> None:
    world.memory["a"].hangs = True
    world.fire("A")
    world.fire("B")
    await asyncio.sleep(31)
    assert world.told("b") == [(30, "firing", ["B"], "first notification")]
    await asyncio.sleep(320)
    world.memory["a"].hangs = False
    await asyncio.sleep(310)
    assert [each[2] for each in world.told("a")] == [["A"]]


@scenario({"routes": [{"matchers": ["x=1"]}]})
async def test_without_send_resolved(world: World) -> None:
    world.memory["a"].send_resolved = False
    world.fire("A")
    await asyncio.sleep(31)
    world.resolve("A")
    await asyncio.sleep(600)
    world.fire("A")
    await asyncio.sleep(400)
    assert [each[1:] for each in world.told()] == [("firing", ["A"], "first notification")] * 2


@scenario()
async def test_an_alert_nobody_reports_any_more_resolves(world: World) -> None:
    from tests.metrics.rules.notify.kit import alert

    world.notifier.receive([alert("A", 0, 120)])
    await asyncio.sleep(400)
    assert [each[2] for each in world.told()] == [["A"], ["A-"]]


def test_after_sigkill_nothing_is_told_twice(tmp_path: Path) -> None:
    """A process that ends without a word: its state is what it wrote after the notification."""

    async def main() -> None:
        first = World(config(WAITS), tmp_path / "state.json")
        await first.notifier.start()
        first.fire("A", "B")
        await asyncio.sleep(31)
        assert len(first.told()) == 1
        await first.notifier._tasks.close()  # no save
        await asyncio.sleep(30)
        second = World(config(WAITS), tmp_path / "state.json")
        await second.notifier.start()
        second.fire("A", "B")
        await asyncio.sleep(400)
        assert second.told() == []
        second.resolve("A")
        await asyncio.sleep(400)
        assert [each[2] for each in second.told()] == [["A-", "B"]]
        await second.notifier.close()

    run(main)


def test_what_cleared_while_it_was_down_is_told_resolved(tmp_path: Path) -> None:
    async def main() -> None:
        first = World(config(WAITS), tmp_path / "state.json")
        await first.notifier.start()
        first.fire("A")
        await asyncio.sleep(31)
        await first.notifier.close()
        await asyncio.sleep(3600)
        second = World(config(WAITS), tmp_path / "state.json")
        await second.notifier.start()
        await asyncio.sleep(200)
        assert second.told() == []
        await asyncio.sleep(1_100_000)
        assert [each[2] for each in second.told() if each[1] == "resolved"] == [["A-"]]
        await second.notifier.close()

    run(main)


def test_a_new_configuration_keeps_alerts_and_what_was_told(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(config(WAITS), tmp_path / "state.json")
        await world.notifier.start()
        world.fire("A")
        await asyncio.sleep(31)
        changed = World(config({**WAITS, "group_interval": "1m"}), None).config
        receivers = {name: [memory] for name, memory in world.memory.items()}
        world.notifier.reload(type(changed)(changed.route, receivers))
        await asyncio.sleep(120)
        assert len(world.told()) == 1
        world.fire("B")
        await asyncio.sleep(61)
        assert [each[2] for each in world.told()] == [["A"], ["A", "B"]]
        await world.notifier.close()

    run(main)


def test_a_damaged_state_is_put_aside(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "state.json").write_text('{"version": 1, "silences": [{}]')
        world = World(config(WAITS), tmp_path / "state.json")
        await world.notifier.start()
        world.fire("A")
        await asyncio.sleep(31)
        assert len(world.told()) == 1
        assert (tmp_path / "state.damaged").exists()
        await world.notifier.close()

    run(main)


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_state_cut_anywhere_never_stops_the_start(tmp_path: Path, cut: int) -> None:
    async def main() -> None:
        world = World(config(WAITS), tmp_path / "state.json")
        await world.notifier.start()
        world.fire("A")
        await asyncio.sleep(31)
        await world.notifier.close()
        whole = (tmp_path / "state.json").read_bytes()
        (tmp_path / "state.json").write_bytes(whole[:cut])
        again = World(config(WAITS), tmp_path / "state.json")
        await again.notifier.start()
        await again.notifier.close()

    run(main)


def test_the_epoch_of_these_tests_is_eight_in_the_morning() -> None:
    assert EPOCH % 86_400 == 8 * 3600
