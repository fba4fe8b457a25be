"""Small parts in the place of the real ones: an engine that answers from a table, a storage of label sets, targets and
rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from styr.kinds.transport import Request, Response
from styr.metrics.model.errors import BadData
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels, get, make
from styr.metrics.model.matchers import Matcher
from styr.metrics.model.samples import Exemplar, Metadata
from styr.metrics.promql.ast import VectorSelector
from styr.metrics.promql.parser import parse
from styr.metrics.rules.groups import Group, Rule
from styr.metrics.rules.running import RunningGroup
from styr.metrics.scrape.status import ActiveTarget, DroppedTarget, TargetMetadata
from styr.metrics.web.api import Api
from styr.metrics.web.gate import Gate
from styr.metrics.web.log import ActiveQueries, QueryLog
from styr.metrics.web.parts import HeadStats, Limits, Parts, Points, Result, Status

NOW = 1_700_000_000.5
UP = make({"__name__": "up", "job": "api", "instance": "a:1"})
DOWN = make({"__name__": "up", "job": "api", "instance": "b:1"})


class FixedClock:
    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return NOW + self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def points(series: Mapping[Labels, Sequence[tuple[int, float | Histogram]]]) -> Points:
    offsets, t, v, histograms = [0], [], [], {}
    for samples in series.values():
        for time, value in samples:
            if isinstance(value, Histogram):
                histograms[len(t)] = value
            t.append(time)
            v.append(0.0 if isinstance(value, Histogram) else value)
        offsets.append(len(t))
    frame = LabelFrame.of(list(series))
    return Points(frame, np.array(offsets), np.array(t, np.int64), np.array(v, np.float64), histograms)


class FakeEngine:
    """Answers what was put into `answers`, or calls it; keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Result | Exception | Callable[[Limits], Result]] = {}
        self.asked: list[tuple[Any, ...]] = []

    def _answer(self, text: str, limits: Limits) -> Result:
        parse(text)
        found = self.answers[text]
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, Result) else found(limits)

    def instant(self, text: str, t: int, limits: Limits, /) -> Result:
        self.asked.append(("instant", text, t, limits))
        return self._answer(text, limits)

    def range(self, text: str, start: int, end: int, step: int, limits: Limits, /) -> Result:
        self.asked.append(("range", text, start, end, step, limits))
        return self._answer(text, limits)

    def parse(self, text: str, /) -> Any:
        return parse(text)

    def pretty(self, text: str, /) -> str:
        parse(text)
        return f"pretty {text}"

    def text(self, tree: Any, /) -> str:
        return str(tree)

    def matchers(self, selector: str, /) -> Sequence[Matcher]:
        tree = parse(selector)
        if not isinstance(tree, VectorSelector):
            raise BadData("no selector")
        return tree.matchers


class FakeStorage:
    """Querier and Admin at once."""

    def __init__(self, series: Sequence[Labels]) -> None:
        self.sets = sorted(series)
        self.deleted: list[Any] = []

    def _found(self, sets: Sequence[Sequence[Matcher]]) -> list[Labels]:
        return [
            labels
            for labels in self.sets
            if not sets or any(all(m.matches(get(labels, m.name)) for m in matchers) for matchers in sets)
        ]

    def select(self, matchers: Sequence[Matcher], start: int, end: int) -> Any:
        raise NotImplementedError

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[str]:
        return sorted({name for labels in self._found(matchers) for name, _ in labels})

    def label_values(self, name: str, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[str]:
        return sorted({value for labels in self._found(matchers) for key, value in labels if key == name})

    def series(self, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[Labels]:
        return self._found(matchers)

    def delete(self, matchers: Sequence[Matcher], start: int, end: int, /) -> None:
        self.deleted.append((tuple(map(str, matchers)), start, end))

    def clean_tombstones(self) -> None:
        self.deleted.append("cleaned")

    def snapshot(self, skip_head: bool, /) -> str:
        return f"snapshot-{skip_head}"

    def stats(self, limit: int, /) -> HeadStats:
        return HeadStats(2, 3, 4, 5, 6, [("up", 2)][:limit], [("job", 1)], [("job", 3)], [("job=api", 2)])

    def blocks(self) -> list[Mapping[str, Any]]:
        return [{"ulid": "01X"}]

    def replay(self) -> tuple[int, int, int]:
        return 1, 3, 2

    def exemplars(
        self, matchers: Sequence[Sequence[Matcher]], start: int, end: int, /
    ) -> list[tuple[Labels, list[Exemplar]]]:
        return [(UP, [Exemplar((("trace_id", "abc"),), 1.5, 1_700_000_000_123)])]

    def metadata(self) -> dict[str, Metadata]:
        return {"pushed_total": Metadata("counter", "Pushed.", "")}


class FakeTargets:
    def pools(self) -> list[str]:
        return ["web", "api"]

    def active(self) -> list[ActiveTarget]:
        labels = make({"job": "api", "instance": "a:1"})
        url = "http://a:1/metrics"
        return [ActiveTarget({"__address__": "a:1"}, labels, "api", url, "up", "", NOW, 0.25, "15s", "10s")]

    def dropped(self) -> list[DroppedTarget]:
        return [DroppedTarget({"__address__": "c:1"}, "web")]

    def dropped_counts(self) -> dict[str, int]:
        return {"web": 1, "api": 0}

    def metadata(self) -> list[TargetMetadata]:
        labels = make({"job": "api", "instance": "a:1"})
        up, gc = Metadata("gauge", "Is it up?", ""), Metadata("gauge", "", "seconds")
        return [TargetMetadata(labels, "up", up), TargetMetadata(labels, "go", gc)]

    def relabel_steps(self, pool: str, labels: Mapping[str, str], /) -> list[tuple[Any, Labels, bool]]:
        if pool != "api":
            raise BadData(f"there is no scrape pool {pool}")
        return [({"action": "keep"}, make(labels), True)]


def rule_groups() -> list[RunningGroup]:
    """One alert that fires, two recording rules, one of them broken."""
    alerting = Rule("Down", "up == 0", True, 60_000, labels=make({"severity": "page"}))
    recording = Rule("job:up:sum", "sum by (job) (up)", False)
    groups = [
        RunningGroup.of(Group("a.yml", "one", 15_000, (alerting, recording))),
        RunningGroup.of(Group("b.yml", "two", 30_000, (recording,))),
    ]
    for group in groups:
        group.last_evaluation = int(NOW * 1000)
        for rule in group.rules:
            rule.health, rule.last_evaluation = "ok", int(NOW * 1000)
    groups[0].rules[1].fail("broken")
    return groups


class FakeRules:
    def __init__(self) -> None:
        self.groups = rule_groups()

    def alertmanagers(self) -> tuple[list[str], list[str]]:
        return ["http://am:9093/api/v2/alerts"], []


class World:
    """An API over fakes. `await world.get("query", query="up")` gives (status, JSON)."""

    def __init__(self, folder: Path | None = None, concurrency: int = 20) -> None:
        self.clock = FixedClock()
        self.engine = FakeEngine()
        self.storage = FakeStorage([UP, DOWN, make({"__name__": "go.gc", "job": "web"})])
        self.parts = Parts(
            self.clock,
            CollectorRegistry(),
            Status(NOW, lambda: "global: {}\n", {"data-dir": "x"}),
            self.engine,
            self.storage,
            None,
            self.storage,
            FakeTargets(),
            FakeRules(),
        )
        self.gate = Gate(self.clock, concurrency=concurrency)
        active = ActiveQueries(folder / "queries.active" if folder else None, concurrency)
        self.log = QueryLog(self.clock, active, folder / "query.log" if folder else None)
        self.api = Api(self.parts, self.gate, self.log)

    async def send(self, request: Request) -> tuple[int, Any]:
        response = await self.api(request)
        return response.status, json.loads(await body_of(response) or b"null")

    async def get(self, name: str, /, *pairs: tuple[str, str], **fields: str) -> tuple[int, Any]:
        return await self.send(Request("GET", f"/api/v1/{name}", [*pairs, *fields.items()]))

    async def data(self, name: str, /, *pairs: tuple[str, str], **fields: str) -> Any:
        status, answer = await self.get(name, *pairs, **fields)
        assert (status, answer["status"]) == (200, "success"), answer
        return answer["data"]


async def body_of(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([piece async for piece in response.body])
