"""/api/v1/rules and /api/v1/alerts: shapes, filters, pages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import make
from styr.metrics.model.matchers import Matcher
from styr.metrics.rules import status
from styr.metrics.rules.manager import Manager
from styr.metrics.rules.running import RunningGroup
from tests.metrics.rules.fakes import World, group, groups
from tests.simulation.virtual import run

ALERT = {
    "alert": "Down",
    "expr": "up == 0",
    "for": "90s",
    "keep_firing_for": "1500ms",
    "labels": {"sev": "page"},
    "annotations": {"a": "{{ $value }}"},
}


def evaluated() -> list[RunningGroup]:
    async def main() -> list[RunningGroup]:
        world = World()
        world.promql.answers.update({"up": lambda t: [(make({"a": "1"}), 1.0)]})
        world.promql.answers["up == 0"] = lambda t: [(make({"a": "1"}), 1.5)]
        manager = Manager(world.engine())
        await manager.apply(
            groups(group("a", ALERT, {"record": "x", "expr": "up"}), group("b", {"record": "y", "expr": "up"}))
        )
        await asyncio.sleep(61)
        shown = manager.groups
        await manager.close()
        return shown

    return run(main)


def test_shapes() -> None:
    shown = status.rules(evaluated())
    first, second = shown["groups"][0]["rules"]
    assert {**first, "lastEvaluation": "", "alerts": []} == {
        "state": "pending",
        "name": "Down",
        "query": "up == 0",
        "duration": 90,
        "keepFiringFor": 1.5,
        "labels": {"sev": "page"},
        "annotations": {"a": "{{ $value }}"},
        "alerts": [],
        "health": "ok",
        "evaluationTime": 0.0,
        "lastEvaluation": "",
        "type": "alerting",
    }
    (alert,) = first["alerts"]
    assert {**alert, "activeAt": ""} == {
        "labels": {"a": "1", "alertname": "Down", "sev": "page"},
        "annotations": {"a": "1.5"},
        "state": "pending",
        "activeAt": "",
        "value": "1.5e+00",
    }
    assert set(second) == {"name", "query", "labels", "health", "evaluationTime", "lastEvaluation", "type"}
    assert status.alerts(evaluated())["alerts"][0]["labels"]["alertname"] == "Down"


def test_never_evaluated() -> None:
    running = [RunningGroup.of(each) for each in groups(group("a", ALERT))]
    (shown,) = status.rules(running)["groups"]
    assert shown["lastEvaluation"] == "0001-01-01T00:00:00Z"
    assert shown["rules"][0]["state"] == "unknown"
    assert shown["rules"][0]["health"] == "unknown"


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (status.Filter(), ["Down", "x", "y"]),
        (status.Filter(kind="alert"), ["Down"]),
        (status.Filter(kind="record"), ["x", "y"]),
        (status.Filter(names=frozenset({"x"})), ["x"]),
        (status.Filter(groups=frozenset({"b"})), ["y"]),
        (status.Filter(files=frozenset({"none"})), []),
        (status.Filter(matchers=[[Matcher("=", "sev", "page")]]), ["Down"]),
    ],
)
def test_filters(wanted: status.Filter, names: list[str]) -> None:
    shown: list[dict[str, Any]] = status.rules(evaluated(), wanted)["groups"]
    assert [rule["name"] for each in shown for rule in each["rules"]] == names


def test_pages() -> None:
    running = evaluated()
    first = status.rules(running, status.Filter(limit=1))
    assert [each["name"] for each in first["groups"]] == ["a"]
    second = status.rules(running, status.Filter(limit=1, token=first["groupNextToken"]))
    assert [each["name"] for each in second["groups"]] == ["b"]
    assert "groupNextToken" not in second


def test_what_there_is_not() -> None:
    with pytest.raises(BadData, match='not supported value "x"'):
        status.rules([], status.Filter(kind="x"))
    with pytest.raises(BadData, match="were rule groups changed"):
        status.rules(evaluated(), status.Filter(limit=1, token="zz"))


def test_times() -> None:
    assert status.moment(1_500) == "1970-01-01T00:00:01.5Z"
    assert status.moment(1_800_000_000_000) == "2027-01-15T08:00:00Z"
    assert status.seconds(1500) == 1.5
