"""Rule files: what they mean, and what is said about wrong ones."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from styr.metrics.rules.durations import format_duration
from styr.metrics.rules.groups import Group, InvalidRules, Rule, parse_groups
from tests.metrics.rules.fakes import parse

FULL: dict[str, Any] = {
    "groups": [
        {
            "name": "g",
            "interval": "30s",
            "limit": 5,
            "query_offset": "1m30s",
            "labels": {"team": "a", "both": "group"},
            "rules": [
                {"record": "x:up", "expr": 1, "labels": {"both": "rule", "n": 5, "yes": True}},
                {
                    "alert": "Down",
                    "expr": "up == 0",
                    "for": "1h",
                    "keep_firing_for": "5m",
                    "annotations": {"s": "{{ $value }}"},
                },
            ],
        },
        {"name": "empty"},
    ]
}


def test_everything_it_can_say() -> None:
    first, empty = parse_groups(FULL, "f.yml", parse, interval=15_000)
    assert empty == Group("f.yml", "empty", 15_000)
    assert first == Group(
        "f.yml",
        "g",
        30_000,
        (
            Rule("x:up", "1", False, labels=(("both", "rule"), ("n", "5"), ("team", "a"), ("yes", "true"))),
            Rule(
                "Down",
                "up == 0",
                True,
                3_600_000,
                300_000,
                (("both", "group"), ("team", "a")),
                (("s", "{{ $value }}"),),
            ),
        ),
        5,
        90_000,
    )


def as_rule_file(groups: list[Group]) -> dict[str, Any]:
    """Back to the shape of a rule file."""
    return {"groups": [_group_out(group) for group in groups]}


def _group_out(group: Group) -> dict[str, Any]:
    out: dict[str, Any] = {"name": group.name, "interval": format_duration(group.interval)}
    if group.limit:
        out["limit"] = group.limit
    if group.query_offset:
        out["query_offset"] = format_duration(group.query_offset)
    return {**out, "rules": [dict(_rule_out(rule)) for rule in group.rules]}


def _rule_out(rule: Rule) -> Iterator[tuple[str, Any]]:
    yield ("alert" if rule.alerting else "record"), rule.name
    yield "expr", rule.expr
    if rule.hold:
        yield "for", format_duration(rule.hold)
    if rule.keep_firing:
        yield "keep_firing_for", format_duration(rule.keep_firing)
    if rule.labels:
        yield "labels", dict(rule.labels)
    if rule.annotations:
        yield "annotations", dict(rule.annotations)


def test_there_and_back() -> None:
    groups = parse_groups(FULL, "f.yml", parse)
    assert parse_groups(as_rule_file(groups), "f.yml", parse) == groups


@pytest.mark.needs("promtool")
def test_what_is_written_is_a_rule_file(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(yaml.safe_dump(as_rule_file(parse_groups(FULL, "f.yml", parse))))
    subprocess.run(["promtool", "check", "rules", str(tmp_path / "r.yml")], check=True, capture_output=True, timeout=60)


def rules(*each: Any) -> Any:
    return {"groups": [{"name": "g", "rules": list(each)}]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "groups: must be a list of groups"),
        ({"groups": {}, "x": 1}, "spec.x: unknown field"),
        ({"groups": "x"}, "groups: must be a list of groups"),
        ({"groups": ["x"]}, "groups[0]: must be a map with name and rules"),
        ({"groups": [{"rules": []}]}, "groups[0].name: Groupname must not be empty"),
        ({"groups": [{"name": "a"}, {"name": "a"}]}, 'groups[1].name: groupname: "a" is repeated in the same file'),
        ({"groups": [{"name": "a", "interval": "5x"}]}, 'groups[0].interval: unknown unit "x" in duration "5x"'),
        ({"groups": [{"name": "a", "interval": 5}]}, "groups[0].interval: 5 is no duration; write it as 30s"),
        ({"groups": [{"name": "a", "limit": "5"}]}, "groups[0].limit: '5' is no whole number"),
        ({"groups": [{"name": "a", "rules": {}, "labels": []}]}, "groups[0].labels: must be a map"),
        ({"groups": [{"name": "a", "rules": "x"}]}, "groups[0].rules: must be a list"),
        (rules("x"), "groups[0].rules[0]: must be a map"),
        (rules({"expr": "1"}), "groups[0].rules[0]: one of 'record' or 'alert' must be set"),
        (rules({"expr": "1", "record": "a", "alert": "b"}), "rules[0]: only one of 'record' and 'alert' must be set"),
        (rules({"record": "a"}), "groups[0].rules[0].expr: field 'expr' must be set in rule"),
        (
            rules({"record": "a", "expr": "1"}, {"record": "a", "expr": "sum(x"}),
            "groups[0].rules[1].expr: could not parse expression: 1:4: parse error: unclosed left parenthesis",
        ),
        (rules({"record": "a", "expr": "1", "for": "1m"}), "rules[0].for: invalid field 'for' in recording rule"),
        (rules({"record": "a{b}", "expr": "1"}), "braces present in the recording rule name"),
        (rules({"record": "a", "expr": "1", "annotations": {"x": "y"}}), "annotations: invalid field 'annotations'"),
        (rules({"alert": "a", "expr": "1", "labels": {"__name__": "y"}}), "labels: invalid label name: __name__"),
        (rules({"alert": "a", "expr": "1", "labels": {"": "y"}}), "labels: invalid label name"),
        (rules({"alert": "a", "expr": "1", "labels": {"a": ["y"]}}), "rules[0].labels.a: must be a text"),
        (rules({"alert": "a", "expr": "1", "labels": {"a": "\ud800"}}), "rules[0].labels.a: invalid label value"),
        (
            rules({"alert": "a", "expr": "1", "annotations": {"s": "{{ nope }}"}}),
            'rules[0].annotations.s: template: __alert_a:1: function "nope" not defined',
        ),
        (
            rules({"alert": "a", "expr": "1", "hold": "1m"}),
            "rules[0].hold: unknown field; known are alert, annotations",
        ),
    ],
)
def test_faults_name_their_field(data: Any, message: str) -> None:
    with pytest.raises(InvalidRules) as raised:
        parse_groups(data, "f.yml", parse)
    assert message in str(raised.value)
    assert str(raised.value).startswith("f.yml: ")


def test_every_fault_is_told_with_the_position_in_the_expression() -> None:
    with pytest.raises(InvalidRules) as raised:
        parse_groups(rules({"record": "a", "expr": "sum(x"}, {"alert": "b", "expr": "y("}), "f.yml", parse)
    assert [(p.path, p.start, p.end) for p in raised.value.problems] == [
        ("groups[0].rules[0].expr", 3, 5),
        ("groups[0].rules[1].expr", 1, 2),
    ]


def test_nothing_is_no_rules() -> None:
    assert parse_groups(None, "f.yml", parse) == []
    assert parse_groups({}, "f.yml", parse) == []


def test_unknown_fields_can_be_let_through() -> None:
    assert parse_groups({"groups": [{"name": "a", "x": 1}]}, "f.yml", parse, strict=False)
