"""The YAML of rule unit tests, typed: what `promtool test rules` reads. Called by `unittest`. Reads the rule files that it
names."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from styr.kit.clock import parse_rfc3339
from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import Labels, make
from styr.metrics.rules.fields import Fields

Pairs = tuple[Labels, Labels]
"""(labels, annotations) of one expected alert."""


@dataclass(frozen=True, slots=True)
class AlertCase:
    """The alerts of that name that fire at `at` (ms after the start), no more and no fewer."""

    at: int
    alert: str
    expected: Sequence[Pairs]


@dataclass(frozen=True, slots=True)
class ExpressionCase:
    """`expected`: (labels as PromQL, value, histogram as in series notation or "")."""

    at: int
    expr: str
    expected: Sequence[tuple[str, float, str]]


@dataclass(frozen=True, slots=True)
class Case:
    """One test. Times in milliseconds."""

    name: str
    interval: int
    start: int
    series: Sequence[tuple[str, str]]
    alerts: Sequence[AlertCase]
    expressions: Sequence[ExpressionCase]
    external_labels: Labels = ()
    external_url: str = ""

    @property
    def length(self) -> int:
        return max([0, *(each.at for each in self.alerts), *(each.at for each in self.expressions)])


@dataclass(frozen=True, slots=True)
class CaseFile:
    path: str
    rule_files: Sequence[Path]
    interval: int
    order: Mapping[str, int]
    fuzzy: bool
    cases: Sequence[Case]


def read(path: Path) -> CaseFile:
    """Raises BadData with the field's path, and OSError."""
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise BadData(f"{path} is no YAML: {error}") from None
    fields = Fields.of(data, "")
    interval = fields.duration("evaluation_interval", 0) or 60_000
    files = [name for item, where in fields.several("rule_files") for name in _glob(item, where, path.parent)]
    order: dict[str, int] = {}
    for item, where in fields.several("group_eval_order"):
        if item in order:
            raise BadData(f"{where}: group name repeated in evaluation order: {item}")
        order[str(item)] = len(order)
    fuzzy = fields.flag("fuzzy_compare", False)
    cases = [_case(item, where, interval, index) for index, (item, where) in enumerate(fields.several("tests"))]
    fields.end()
    return CaseFile(str(path), files, interval, order, fuzzy, cases)


def _glob(item: Any, where: str, folder: Path) -> list[Path]:
    if not isinstance(item, str):
        raise BadData(f"{where}: must be the name of a file")
    return [Path(name) for name in sorted(glob.glob(str(folder / item)))]


def _case(data: Any, path: str, interval: int, index: int) -> Case:
    fields = Fields.of(data, path)
    case = Case(
        fields.text("name") or f"unnamed#{index}",
        fields.duration("interval", 0) or interval,
        _start(fields.data.pop("start_timestamp", None), f"{path}.start_timestamp"),
        tuple(_series(item, where) for item, where in fields.several("input_series")),
        tuple(_alert_case(item, where) for item, where in fields.several("alert_rule_test")),
        tuple(_expression_case(item, where) for item, where in fields.several("promql_expr_test")),
        make(fields.texts("external_labels")),
        fields.text("external_url"),
    )
    fields.end()
    return case


def _start(value: Any, path: str) -> int:
    if value is None or value == "":
        return 0
    if isinstance(value, datetime):  # YAML reads an unquoted time by itself
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1000)
    try:
        return int(float(value) * 1000)
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        return int(parse_rfc3339(str(value)) * 1000)
    except (ValueError, OverflowError):
        raise BadData(f"{path}: {value!r} is neither an RFC 3339 time nor seconds") from None


def _series(data: Any, path: str) -> tuple[str, str]:
    fields = Fields.of(data, path)
    found = fields.text("series"), fields.text("values")
    fields.end()
    return found


def _alert_case(data: Any, path: str) -> AlertCase:
    fields = Fields.of(data, path)
    at, name = fields.duration("eval_time", 0), fields.text("alertname")
    if not name:
        raise BadData(f"{path}.alertname: must be given")
    expected = []
    for item, where in fields.several("exp_alerts"):
        inner = Fields.of(item, where)
        labels, annotations = inner.texts("exp_labels"), inner.texts("exp_annotations")
        inner.end()
        expected.append((make({**labels, "alertname": name}), tuple(sorted(annotations.items()))))
    fields.end()
    return AlertCase(at, name, tuple(sorted(expected)))


def _expression_case(data: Any, path: str) -> ExpressionCase:
    fields = Fields.of(data, path)
    at, expr = fields.duration("eval_time", 0), fields.text("expr")
    expected = []
    for item, where in fields.several("exp_samples"):
        inner = Fields.of(item, where)
        labels, value, histogram = inner.text("labels"), inner.data.pop("value", 0), inner.text("histogram")
        inner.end()
        try:
            expected.append((labels, float(value), histogram))
        except (TypeError, ValueError):
            raise BadData(f"{where}.value: {value!r} is no number") from None
    fields.end()
    return ExpressionCase(at, expr, tuple(expected))
