"""A storage in memory, a PromQL of functions, and a clock on a virtual loop: what rules need around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from styr.kit.clock import LoopClock
from styr.metrics.model.errors import ParseError, Unavailable
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels, text
from styr.metrics.model.matchers import Matcher
from styr.metrics.model.samples import Appended, Batch, Refs, Times, Values
from styr.metrics.rules.evaluate import Vector
from styr.metrics.rules.evaluation import Engine, is_stale
from styr.metrics.rules.groups import Group, parse_groups
from styr.metrics.rules.outgoing import Outgoing
from styr.metrics.rules.workers import inline

EPOCH = 1_800_000_000.0


@dataclass
class MemoryStorage:
    """Appender and Querier; refuses what is older than a series' newest sample, or differs at the same time."""

    series: list[Labels] = field(default_factory=list)
    samples: list[list[tuple[int, Any]]] = field(default_factory=list)
    generation: int = 0
    commits: int = 0
    full: bool = False

    def refs(self, series: Sequence[Labels]) -> Refs:
        for labels in series:
            if labels not in self.series:
                self.series.append(labels)
                self.samples.append([])
        return np.array([self.series.index(labels) for labels in series], np.int64)

    def layout(self, refs: Refs) -> Any:
        raise NotImplementedError

    def append_row(self, layout: Any, t: int, values: Values) -> Appended:
        raise NotImplementedError

    def append(self, refs: Refs, t: Times, values: Values) -> Appended:
        return self._append(refs.tolist(), t.tolist(), values.tolist(), values.view(np.int64).tolist())

    def append_histograms(self, refs: Sequence[int], t: Sequence[int], values: Sequence[Histogram]) -> Appended:
        return self._append(refs, t, values, list(values))

    def _append(self, refs: Sequence[int], t: Sequence[int], values: Sequence[Any], same: Sequence[Any]) -> Appended:
        refused = []
        for place, (ref, at, value) in enumerate(zip(refs, t, values, strict=True)):
            rows = self.samples[ref]
            if rows and at <= rows[-1][0]:
                refused.append(place)
            else:
                rows.append((at, value))
        return Appended(added=len(refs) - len(refused), out_of_order=len(refused), refused=refused)

    def append_exemplars(self, refs: Sequence[int], exemplars: Sequence[Any]) -> None: ...

    def set_metadata(self, family: str, metadata: Any) -> None: ...

    async def commit(self) -> None:
        self.commits += 1
        if self.full:
            raise Unavailable("the disk is full")

    def select(self, matchers: Sequence[Matcher], start: int, end: int) -> Memory:
        rows = [
            (labels, [(t, v) for t, v in samples if start <= t <= end])
            for labels, samples in zip(self.series, self.samples, strict=True)
            if all(m.matches(dict(labels).get(m.name, "")) for m in matchers)
        ]
        return Memory(sorted(rows))

    def label_names(self, *_: Any) -> list[str]:
        return []

    def label_values(self, *_: Any) -> list[str]:
        return []

    def series_of(self, *_: Any) -> list[Labels]:
        return []

    def shown(self) -> dict[str, list[tuple[float, Any]]]:
        """Series by text, times in seconds after the epoch, "stale" for markers."""
        return {
            text(labels): [(t / 1000 - EPOCH, "stale" if isinstance(v, float) and is_stale(v) else v) for t, v in rows]
            for labels, rows in zip(self.series, self.samples, strict=True)
        }


@dataclass
class Memory:
    rows: list[tuple[Labels, list[tuple[int, Any]]]]

    @property
    def frame(self) -> LabelFrame:
        return LabelFrame.of([labels for labels, _ in self.rows])

    def batches(self, most: int = 0) -> Iterator[Batch]:
        flat = [sample for _, rows in self.rows for sample in rows]
        offsets = np.cumsum([0, *(len(rows) for _, rows in self.rows)])
        yield Batch(0, offsets, np.array([t for t, _ in flat], np.int64), np.array([v for _, v in flat], np.float64))


@dataclass
class Promql:
    """`answers[expr](t in seconds after the epoch)`; an exception is raised as it stands."""

    answers: dict[str, Callable[[float], Vector]] = field(default_factory=dict)
    asked: list[tuple[str, float]] = field(default_factory=list)

    def __call__(self, expr: Any, t: int) -> Vector:
        self.asked.append((expr, t / 1000 - EPOCH))
        return self.answers[expr](t / 1000 - EPOCH)


def parse(expr: str) -> str:
    if "(" in expr and ")" not in expr:
        raise ParseError("unclosed left parenthesis", expr, expr.index("("), len(expr))
    return expr


def groups(*each: dict[str, Any], source: str = "rules.yml") -> list[Group]:
    return parse_groups({"groups": list(each)}, source, parse)


def group(name: str, *rules: dict[str, Any], interval: str = "1m", **more: Any) -> dict[str, Any]:
    return {"name": name, "interval": interval, "rules": list(rules), **more}


@dataclass
class World:
    """An engine with everything it needs, on the running loop's time."""

    storage: MemoryStorage = field(default_factory=MemoryStorage)
    promql: Promql = field(default_factory=Promql)
    sent: list[tuple[float, Outgoing]] = field(default_factory=list)
    clock: LoopClock = field(default_factory=lambda: LoopClock(EPOCH))

    def engine(self, **more: Any) -> Engine:
        storage: Any = self.storage
        return Engine(
            **{
                "evaluate": self.promql,
                "appender": storage,
                "clock": self.clock,
                "run": inline,
                "querier": lambda: storage,
                "send": lambda alerts: self.sent.extend((self.clock.time() - EPOCH, alert) for alert in alerts),
                **more,
            }
        )
