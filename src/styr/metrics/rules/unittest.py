"""Unit tests of rules on virtual time: `styr metrics test rules FILE...`, which reads what `promtool test rules` reads.
Called by the command line.

Each test loads its series into memory, evaluates all groups at each interval from its start on, and compares alerts and
expressions at the times that it names. Groups run in the order of the files, or as `group_eval_order` has it; their own
intervals do not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from styr.metrics.model.errors import BadData, MetricsError
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels, text
from styr.metrics.model.samples import Querier
from styr.metrics.promql import engine as promql
from styr.metrics.promql.features import DEFAULT, Features
from styr.metrics.promql.histograms.text import expression
from styr.metrics.promql.notation import parse_series, parse_values
from styr.metrics.promql.parser import parse_metric
from styr.metrics.rules import casefile
from styr.metrics.rules.bind import evaluate
from styr.metrics.rules.casefile import AlertCase, Case, CaseFile, ExpressionCase, Pairs
from styr.metrics.rules.durations import format_duration
from styr.metrics.rules.evaluate import Value
from styr.metrics.rules.evaluation import Engine, iterate
from styr.metrics.rules.groups import Group, parse_groups
from styr.metrics.rules.running import RunningGroup
from styr.metrics.rules.scratch import Scratch
from styr.metrics.rules.templates.numbers import format_float

MOST_STEPS = 1_000_000
"""Evaluations in one test."""
_Row = tuple[Labels, float, str]


@dataclass(slots=True)
class Report:
    """Of one file: the names of its tests that ran, and what failed, each as a text of several lines."""

    path: str
    ran: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class _Time:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.ms = 0

    def time(self) -> float:
        return self.ms / 1000

    def monotonic(self) -> float:
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits in a unit test")


async def run_file(
    path: Path, *, wanted: Callable[[str], bool] = lambda name: True, features: Features = DEFAULT, strict: bool = True
) -> Report:
    """`wanted` chooses tests by name; `strict`: unknown fields of rule files are errors. Faults of the file itself are
    failures too."""
    report = Report(str(path))
    try:
        file = casefile.read(path)
        for case in file.cases:
            if wanted(case.name):
                report.ran.append(case.name)
                report.failures += await _Run(file, case, features, strict).failures()
    except (MetricsError, OSError) as error:
        report.failures.append(f"    {error}")
    return report


def read_groups(
    paths: Sequence[Path],
    interval: int,
    engine: promql.Engine,
    *,
    strict: bool = True,
    order: dict[str, int] | None = None,
) -> list[Group]:
    """The groups of rule files. Raises BadData and OSError."""
    groups: list[Group] = []
    for path in paths:
        try:
            data = yaml.safe_load(path.read_text("utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise BadData(f"{path} is no YAML: {error}") from None
        groups += parse_groups(data, str(path), engine.parse, interval=interval, strict=strict)
    return sorted(groups, key=lambda group: (order or {}).get(group.name, 0))


class _Run:
    """One test."""

    def __init__(self, file: CaseFile, case: Case, features: Features, strict: bool) -> None:
        self.file, self.case = file, case
        self.storage, self.time = Scratch(), _Time()
        settings = promql.Settings(features=features, evaluation_interval=file.interval)
        querier: Callable[[], Querier] = lambda: self.storage  # noqa: E731
        self.promql = promql.Engine(querier, settings)
        self.ask = evaluate(self.promql)
        groups = read_groups(file.rule_files, case.interval, self.promql, strict=strict, order=dict(file.order))
        self.groups = [RunningGroup.of(group) for group in groups]
        self.engine = Engine(
            self.ask,
            self.storage,
            self.time,
            external_labels=case.external_labels,
            external_url=case.external_url,
        )

    async def failures(self) -> list[str]:
        case, interval = self.case, self.file.interval
        if case.length // interval > MOST_STEPS:
            raise BadData(f"{case.name}: {case.length // interval} evaluations; at most {MOST_STEPS}")
        self._load()
        out: list[str] = []
        waiting = sorted(case.alerts, key=lambda each: each.at)
        for step in range(0, case.length + 1, interval):
            errors = await self._evaluate(case.start + step)
            if errors:
                return [*out, *errors]
            while waiting and waiting[0].at < step + interval:
                out += self._alerts(waiting.pop(0))
        for each in case.expressions:
            out += self._expression(each)
        return out

    def _load(self) -> None:
        for series, values in self.case.series:
            labels, points = parse_series(f"{series} {values}")
            (ref,) = self.storage.refs([labels])
            for index, point in enumerate(points):
                t = self.case.start + index * self.case.interval
                if point.histogram is not None:
                    self.storage.append_histograms([int(ref)], [t], [point.histogram])
                elif not point.omitted:
                    self.storage.append(np.array([ref]), np.array([t], np.int64), np.array([point.number]))

    async def _evaluate(self, ts: int) -> list[str]:
        self.time.ms = ts
        errors = []
        for running in self.groups:
            await iterate(running, ts, self.engine)
            errors += [
                f"    rule: {rule.rule.name}, time: {format_duration(ts)}, err: {rule.last_error}"
                for rule in running.rules
                if rule.last_error
            ]
        return errors

    def _alerts(self, case: AlertCase) -> Iterator[str]:
        got: list[Pairs] = []
        for running in self.groups:
            for rule in running.rules:
                if rule.states is not None and rule.rule.name == case.alert:
                    firing = (alert for alert in rule.states.alerts() if alert.state == "firing")
                    got += [(alert.labels, tuple(sorted(alert.annotations))) for alert in firing]
        got.sort()
        if got != list(case.expected):
            yield (
                f"    name: {self.case.name},\n    alertname: {case.alert}, time: {format_duration(case.at)}, \n"
                f"        exp:{_shown(case.expected)}, \n        got:{_shown(got)}"
            )

    def _expression(self, case: ExpressionCase) -> Iterator[str]:
        head = f"    name: {self.case.name},\n    expr: {case.expr!r}, time: {format_duration(case.at)},"
        try:
            got = sorted(_row(labels, value) for labels, value in self.ask(case.expr, self.case.start + case.at))
            expected = sorted(map(_expected, case.expected))
        except MetricsError as error:
            yield f"{head} err: {error}"
            return
        if len(got) != len(expected) or not all(map(self._same, expected, got)):
            yield f"{head}\n        exp: {_rows(expected)}\n        got: {_rows(got)}"

    def _same(self, a: _Row, b: _Row) -> bool:
        if a[0] != b[0] or a[2] != b[2]:
            return False
        close = self.file.fuzzy and b[1] in (math.nextafter(a[1], -math.inf), math.nextafter(a[1], math.inf))
        return bool(a[2]) or a[1] == b[1] or close


def _row(labels: Labels, value: Value) -> _Row:
    return (labels, 0.0, expression(value)) if isinstance(value, Histogram) else (labels, value, "")


def _expected(sample: tuple[str, float, str]) -> _Row:
    labels, value, histogram = sample
    found = parse_metric(labels) if labels.strip() else ()
    if not histogram:
        return found, value, ""
    points = parse_values(histogram)
    if len(points) != 1 or points[0].histogram is None:
        raise BadData(f"labels {labels!r}: {histogram!r} is not one histogram")
    return _row(found, points[0].histogram)


def _rows(rows: Sequence[_Row]) -> str:
    return ", ".join(f"{text(row[0])} {row[2] or format_float(row[1], 'E')}" for row in rows) or "nil"


def _shown(alerts: Sequence[Pairs]) -> str:
    if not alerts:
        return "[]"
    each = (
        f"            {index}:\n              Labels:{text(labels)}\n              Annotations:{text(annotations)}"
        for index, (labels, annotations) in enumerate(alerts)
    )
    return "[\n" + ",\n".join(each) + "\n            ]"
