"""Rule groups: what a rule file or the spec of a PrometheusRule says, typed and validated. Pure.

Called by `manager`'s callers (the process, from files; `rules.kubernetes`, from objects), `unittest` and the check
command. Every error names its field (`groups[0].rules[2].expr`) and, for PromQL, line and column in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from styr.metrics.model.errors import BadData, ParseError
from styr.metrics.model.labels import METRIC_NAME, Labels, make
from styr.metrics.rules.durations import read_duration
from styr.metrics.rules.templates import alert_template, check

ParseExpr = Callable[[str], Any]
"""PromQL to a tree, as `promql.parser` has it. Raises ParseError. The tree is only handed on to `Evaluate`."""

_GROUP_FIELDS = frozenset({"name", "interval", "query_offset", "limit", "labels", "rules", "partial_response_strategy"})
_RULE_FIELDS = frozenset({"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; durations in milliseconds. `labels` holds the group's too. `name` is the metric's or the alert's."""

    name: str
    expr: str
    alerting: bool
    hold: int = 0
    keep_firing: int = 0
    labels: Labels = ()
    annotations: Labels = ()
    ast: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Group:
    """`source` is the file or `namespace/name` of the object; it and the name together are the group's identity.
    `interval` and `query_offset` in milliseconds. Equal groups evaluate alike, so a group equal to the running one is
    left alone."""

    source: str
    name: str
    interval: int
    rules: tuple[Rule, ...] = ()
    limit: int = 0
    query_offset: int = 0

    @property
    def key(self) -> str:
        return f"{self.source};{self.name}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: where (a path of fields), what, and for PromQL the offsets in the expression."""

    path: str
    message: str
    start: int = -1
    end: int = -1

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidRules(BadData):
    """`problems` has them all, in the order of the file."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))


@dataclass(slots=True)
class _Reader:
    source: str
    parse: ParseExpr
    interval: int
    offset: int
    strict: bool
    problems: list[Problem] = field(default_factory=list)

    def fault(self, path: str, message: str, start: int = -1, end: int = -1) -> None:
        self.problems.append(Problem(path, message, start, end))

    def unknown(self, data: Mapping[str, Any], known: frozenset[str], path: str) -> None:
        for name in data:
            if self.strict and name not in known:
                self.fault(f"{path}.{name}", f"unknown field; known are {', '.join(sorted(known))}")

    def duration(self, data: Mapping[str, Any], name: str, path: str, default: int = 0) -> int:
        if data.get(name) is None:
            return default
        try:
            return read_duration(data[name], f"{path}.{name}")
        except BadData as error:
            where, _, what = str(error).partition(": ")
            self.fault(where, what)
            return default

    def texts(self, data: Mapping[str, Any], name: str, path: str) -> dict[str, str]:
        """A map of label or annotation names to texts; YAML's numbers and booleans are taken by their plain text."""
        value = data.get(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self.fault(f"{path}.{name}", "must be a map of names to texts")
            return {}
        out = {}
        for key, text in value.items():
            if not isinstance(key, str) or not key or (name == "labels" and key == METRIC_NAME) or not _encodable(key):
                kind = "label" if name == "labels" else "annotation"
                self.fault(f"{path}.{name}", f"invalid {kind} name: {key}")
            elif isinstance(text, (Mapping, list)):
                self.fault(f"{path}.{name}.{key}", "must be a text")
            else:
                out[key] = _plain(text)
                if not _encodable(out[key]):
                    self.fault(f"{path}.{name}.{key}", "invalid label value: not valid UTF-8")
        return out

    def group(self, data: Any, path: str) -> Group | None:
        if not isinstance(data, Mapping):
            self.fault(path, "must be a map with name and rules")
            return None
        self.unknown(data, _GROUP_FIELDS, path)
        name = data.get("name")
        if not isinstance(name, str) or not name:
            self.fault(f"{path}.name", "Groupname must not be empty")
            name = ""
        limit = data.get("limit") or 0
        if not isinstance(limit, int) or isinstance(limit, bool):
            self.fault(f"{path}.limit", f"{limit!r} is no whole number")
            limit = 0
        interval = self.duration(data, "interval", path) or self.interval
        offset = self.duration(data, "query_offset", path, self.offset)
        labels = self.texts(data, "labels", path)
        rules = data.get("rules") or []
        if not isinstance(rules, list):
            self.fault(f"{path}.rules", "must be a list")
            rules = []
        read = [self.rule(rule, f"{path}.rules[{index}]", labels) for index, rule in enumerate(rules)]
        return Group(self.source, name, interval, tuple(rule for rule in read if rule), limit, offset)

    def rule(self, data: Any, path: str, group_labels: Mapping[str, str]) -> Rule | None:
        if not isinstance(data, Mapping):
            self.fault(path, "must be a map with record or alert, and expr")
            return None
        self.unknown(data, _RULE_FIELDS, path)
        record, alert = _name(data.get("record")), _name(data.get("alert"))
        if record and alert:
            self.fault(path, "only one of 'record' and 'alert' must be set")
        elif not record and not alert:
            self.fault(path, "one of 'record' or 'alert' must be set")
        expr, ast = self.expression(data.get("expr"), f"{path}.expr")
        hold = self.duration(data, "for", path)
        keep = self.duration(data, "keep_firing_for", path)
        labels, annotations = self.texts(data, "labels", path), self.texts(data, "annotations", path)
        if record:
            self.recording(record, data, path)
        else:
            self.templates(alert, "labels", labels, path)
            self.templates(alert, "annotations", annotations, path)
        together = make({**group_labels, **labels})
        return Rule(record or alert, expr, not record, hold, keep, together, make(annotations), ast)

    def expression(self, value: Any, path: str) -> tuple[str, Any]:
        text = _plain(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
        if not text:
            self.fault(path, "field 'expr' must be set in rule")
            return "", None
        try:
            return text, self.parse(text)
        except ParseError as error:
            self.fault(path, f"could not parse expression: {error}", error.start, error.end)
        except BadData as error:
            self.fault(path, f"could not parse expression: {error}")
        return text, None

    def recording(self, name: str, data: Mapping[str, Any], path: str) -> None:
        for field_name in ("annotations", "for", "keep_firing_for"):
            if data.get(field_name) not in (None, "", 0, "0", "0s", {}):
                self.fault(f"{path}.{field_name}", f"invalid field '{field_name}' in recording rule")
        if not _encodable(name):
            self.fault(f"{path}.record", f"invalid recording rule name: {name!r}")
        if "{" in name or "}" in name:
            self.fault(f"{path}.record", f"braces present in the recording rule name; should it be in expr?: {name}")

    def templates(self, alert: str, kind: str, texts: Mapping[str, str], path: str) -> None:
        for name, text in texts.items():
            fault = check(alert_template(text), f"__alert_{alert}")
            if fault:
                self.fault(f"{path}.{kind}.{name}", fault)


def parse_groups(
    data: Any, source: str, parse: ParseExpr, *, interval: int = 60_000, query_offset: int = 0, strict: bool = True
) -> list[Group]:
    """The groups of a rule file or of a PrometheusRule's spec, already read from YAML or JSON. `interval` is the
    engine's own, for groups that name none; with `strict`, fields that Prometheus does not know are errors. Raises
    InvalidRules with every problem."""
    reader = _Reader(source, parse, interval, query_offset, strict)
    if data is None:
        return []
    if not isinstance(data, Mapping) or not isinstance(data.get("groups") or [], list):
        raise InvalidRules(source, [Problem("groups", "must be a list of groups")])
    reader.unknown(data, frozenset({"groups"}), "spec")
    groups, names = [], set()
    for index, each in enumerate(data.get("groups") or []):
        group = reader.group(each, f"groups[{index}]")
        if group is None:
            continue
        if group.name in names:
            reader.fault(f"groups[{index}].name", f'groupname: "{group.name}" is repeated in the same file')
        names.add(group.name)
        groups.append(group)
    if reader.problems:
        raise InvalidRules(source, reader.problems)
    return groups


def _name(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
