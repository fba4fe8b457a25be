"""The cases of Prometheus' alert generator compliance suite, on virtual time: data comes in as time goes by, a group runs on
its grid, and what it writes, shows and sends is held against what the specification asks for.

    pending and firing and resolved      the whole life, told again every resend delay and at once when it ends
    pending and resolved, always inactive   what never becomes true for long enough is never told
    zero `for` and small `for`           firing at the first evaluation, or at the first after it
    new alerts, and their order          instances come one by one; later rules see what earlier ones wrote
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from styr.kit.clock import LoopClock
from styr.metrics.model.labels import Labels, get, make, text
from styr.metrics.promql import engine as promql
from styr.metrics.rules import status
from styr.metrics.rules.bind import evaluate
from styr.metrics.rules.evaluation import Engine
from styr.metrics.rules.groups import parse_groups
from styr.metrics.rules.manager import Manager
from styr.metrics.rules.outgoing import Outgoing
from styr.metrics.rules.scratch import Scratch
from tests.metrics.rules.fakes import EPOCH
from tests.simulation.virtual import run

INTERVAL, RESEND = 10, 60
"""Seconds."""


@dataclass
class Run:
    """`sent` and `shown` are (seconds after the first evaluation, what)."""

    storage: Scratch = field(default_factory=Scratch)
    sent: list[tuple[float, Outgoing]] = field(default_factory=list)
    shown: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    first: float = 0.0
    engine: promql.Engine | None = None

    def at(self, expr: str, seconds: float) -> dict[str, float]:
        assert self.engine is not None
        ms = round((self.first + seconds) * 1000)
        return {text(labels): float(value) for labels, value in evaluate(self.engine)(expr, ms)}  # type: ignore[arg-type]

    def states(self, alert: str) -> list[tuple[float, tuple[str, ...]]]:
        """What /api/v1/rules says of a rule's instances, whenever it changes."""
        out: list[tuple[float, tuple[str, ...]]] = []
        for seconds, shown in self.shown:
            (rule,) = [r for group in shown["groups"] for r in group["rules"] if r["name"] == alert]
            now = (rule["state"], *(f"{each['labels'].get('i', '')}={each['state']}" for each in rule["alerts"]))
            if not out or out[-1][1] != now:
                out.append((seconds, now))
        return out

    def told(self, alert: str) -> list[tuple[float, str, bool]]:
        """(when, instance, resolved)."""
        return [
            (seconds, get(each.labels, "i"), each.ends_at <= (self.first + seconds) * 1000)
            for seconds, each in self.sent
            if get(each.labels, "alertname") == alert
        ]


def follow(rules: list[dict[str, Any]], data: dict[Labels, Callable[[int], float | None]], seconds: int) -> Run:
    """Runs a group over data that is written just before each evaluation; data is by seconds after the first one."""
    found = Run()

    async def main() -> None:
        clock = LoopClock(EPOCH)
        found.engine = promql.Engine(lambda: found.storage)
        storage = found.storage
        engine = Engine(
            evaluate(found.engine),
            storage,
            clock,
            send=lambda alerts: found.sent.extend((round(clock.time() - found.first, 3), each) for each in alerts),
            resend_delay=RESEND * 1000,
            external_url="http://styr",
        )
        group = {"name": "g", "interval": f"{INTERVAL}s", "rules": rules}
        groups = parse_groups({"groups": [group]}, "compliance.yml", found.engine.parse)
        manager = Manager(engine)
        await manager.apply(groups)
        from styr.metrics.rules.scheduler import slot

        start = int(EPOCH * 1000)
        found.first = (slot(groups[0], start) + INTERVAL * 1000) / 1000
        await clock.sleep(found.first - clock.time() - 0.5)
        for second in range(0, seconds, INTERVAL):
            for labels, value in data.items():
                number = value(second)
                if number is not None:
                    (ref,) = storage.refs([labels])
                    t = np.array([round((found.first + second) * 1000) - 100], np.int64)
                    storage.append(np.array([ref]), t, np.array([number]))
            await clock.sleep(1)
            found.shown.append((second, status.rules(manager.groups)))
            await clock.sleep(INTERVAL - 1)
        await manager.close()

    run(main)
    return found


def metric(**labels: str) -> Labels:
    return make({"__name__": "m", **labels})


def between(start: int, end: int) -> Callable[[int], float | None]:
    """10 from `start` to before `end`, else 5."""
    return lambda second: 10.0 if start <= second < end else 5.0


RULE = {"alert": "A", "expr": "m > 9", "labels": {"sev": "{{ $labels.i }}"}, "annotations": {"d": "{{ $value }}"}}


def test_pending_and_firing_and_resolved() -> None:
    found = follow([{**RULE, "for": "30s"}], {metric(i="1"): between(30, 200)}, 1400)
    assert found.states("A") == [
        (0, ("inactive",)),
        (30, ("pending", "1=pending")),
        (60, ("firing", "1=firing")),
        (200, ("inactive",)),
    ]
    told = found.told("A")
    firing = [seconds for seconds, _, resolved in told if not resolved]
    assert firing == [60, 130]  # at once, and again when more than the resend delay has passed
    over = [seconds for seconds, _, resolved in told if resolved]
    assert over[0] == 200
    assert over[-1] <= 200 + 15 * 60 + RESEND + 2 * INTERVAL
    assert all(b - a > RESEND for a, b in pairwise(over))
    first = found.sent[0][1]
    assert first.starts_at == round((found.first + 60) * 1000)
    assert first.ends_at == first.starts_at + 4 * RESEND * 1000
    assert dict(first.labels) == {"alertname": "A", "i": "1", "sev": "1"}
    assert dict(first.annotations) == {"d": "10"}
    assert first.generator_url == "http://styr/graph?g0.expr=m+%3E+9&g0.tab=1"
    ends = {each.ends_at for seconds, each in found.sent if seconds >= 200}
    assert ends == {round((found.first + 200) * 1000)}


@pytest.mark.parametrize(
    ("seconds", "state"), [(20, None), (30, "pending"), (50, "pending"), (60, "firing"), (190, "firing"), (200, None)]
)
def test_series_of_its_life(seconds: int, state: str | None) -> None:
    found = follow([{**RULE, "for": "30s"}], {metric(i="1"): between(30, 200)}, 260)
    expected = {f'ALERTS{{alertname="A", alertstate="{state}", i="1", sev="1"}}': 1.0} if state else {}
    assert found.at("ALERTS", seconds) == expected
    since = {'ALERTS_FOR_STATE{alertname="A", i="1", sev="1"}': float(int(found.first + 30))} if state else {}
    assert found.at("ALERTS_FOR_STATE", seconds) == since


def test_pending_and_resolved_and_always_inactive() -> None:
    rules = [{**RULE, "for": "1m"}, {"alert": "Never", "expr": "m > 99"}]
    found = follow(rules, {metric(i="1"): between(20, 60)}, 300)
    assert found.states("A") == [(0, ("inactive",)), (20, ("pending", "1=pending")), (60, ("inactive",))]
    assert found.states("Never") == [(0, ("inactive",))]
    assert found.sent == []
    assert found.at("ALERTS", 50) == {'ALERTS{alertname="A", alertstate="pending", i="1", sev="1"}': 1.0}
    assert found.at("ALERTS", 60) == {}


def test_zero_for_and_small_for() -> None:
    rules = [{**RULE, "alert": "Zero"}, {**RULE, "alert": "Small", "for": "1s"}]
    found = follow(rules, {metric(i="1"): between(20, 50)}, 120)
    assert found.states("Zero") == [(0, ("inactive",)), (20, ("firing", "1=firing")), (50, ("inactive",))]
    assert found.states("Small") == [
        (0, ("inactive",)),
        (20, ("pending", "1=pending")),
        (30, ("firing", "1=firing")),
        (50, ("inactive",)),
    ]
    assert found.told("Zero")[:2] == [(20, "1", False), (50, "1", True)]
    assert found.told("Small")[:2] == [(30, "1", False), (50, "1", True)]


def test_new_alerts_and_order() -> None:
    rules = [
        {"record": "job:m:max", "expr": "max(m)"},
        {**RULE, "for": "20s"},
        {"alert": "Late", "expr": "job:m:max > 9"},
        {"alert": "Of others", "expr": 'ALERTS{alertname="A", alertstate="firing"} == 1'},
    ]
    data = {metric(i="1"): between(20, 200), metric(i="2"): between(50, 200), metric(i="3"): between(80, 100)}
    found = follow(rules, data, 200)
    assert found.states("A")[:7] == [
        (0, ("inactive",)),
        (20, ("pending", "1=pending")),
        (40, ("firing", "1=firing")),
        (50, ("firing", "1=firing", "2=pending")),
        (70, ("firing", "1=firing", "2=firing")),
        (80, ("firing", "1=firing", "2=firing", "3=pending")),
        (100, ("firing", "1=firing", "2=firing")),
    ]
    first = {instance: seconds for seconds, instance, _ in reversed(found.told("A"))}
    assert first == {"1": 40, "2": 70}
    assert found.states("Late")[1] == (20, ("firing", "=firing"))  # in the same evaluation as the record it reads
    assert found.states("Of others")[1][0] == 40
    names = [rule["name"] for rule in found.shown[0][1]["groups"][0]["rules"]]
    assert names == ["job:m:max", "A", "Late", "Of others"]


def test_a_resolved_alert_that_fires_again_starts_anew() -> None:
    found = follow([RULE], {metric(i="1"): lambda s: 10.0 if s < 30 or s >= 60 else 5.0}, 120)
    starts = [each.starts_at for _, each in found.sent]
    assert [(seconds, resolved) for seconds, _, resolved in found.told("A")] == [(0, False), (30, True), (60, False)]
    assert starts[0] == starts[1] != starts[2]


def test_series_that_vanish_and_a_query_that_fails() -> None:
    rules = [{**RULE, "for": "20s"}, {"alert": "Bad", "expr": "m * on() group_left() m"}]
    data: dict[Labels, Callable[[int], float | None]] = {
        metric(i="1"): lambda s: 10.0 if s < 50 else None,
        metric(i="2"): lambda s: 5.0,
    }
    found = follow(rules, data, 420)
    early, last = (found.shown[at][1]["groups"][0]["rules"] for at in (5, -1))
    assert [rule["health"] for rule in early] == ["ok", "err"]
    assert "duplicate series" in early[1]["lastError"]
    assert [rule["health"] for rule in last] == ["ok", "ok"]
    assert found.states("A")[-1] == (340, ("inactive",))  # five minutes of lookback after the last sample
