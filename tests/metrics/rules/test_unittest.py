"""Unit tests of rules: what passes, what fails and how it is told, beside promtool on the same files."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from styr.metrics.rules.unittest import Report, run_file

RULES: dict[str, Any] = {
    "groups": [
        {
            "name": "g",
            "rules": [
                {"record": "job:up:sum", "expr": "sum by (job) (up)"},
                {
                    "alert": "Down",
                    "expr": "up == 0",
                    "for": "2m",
                    "labels": {"severity": "page", "on": "{{ $externalLabels.cluster }}"},
                    "annotations": {"summary": "{{ $labels.instance }} is {{ $value }}", "link": "{{ $externalURL }}"},
                },
                {"record": "h", "expr": "rate(hist[5m])"},
            ],
        },
        {"name": "second", "rules": [{"record": "twice", "expr": "job:up:sum * 2"}]},
    ]
}
GOOD: dict[str, Any] = {
    "rule_files": ["rules.yml"],
    "evaluation_interval": "1m",
    "group_eval_order": ["g", "second"],
    "tests": [
        {
            "name": "all of it",
            "interval": "1m",
            "external_labels": {"cluster": "eu"},
            "external_url": "http://x",
            "input_series": [
                {"series": 'up{job="j",instance="a"}', "values": "1 0x4 _ stale 1"},
                {"series": 'up{job="j",instance="b"}', "values": "1+0x10"},
                {"series": "hist", "values": "{{schema:0 sum:5 count:4 buckets:[1 2 1]}}x5"},
            ],
            "alert_rule_test": [
                {"eval_time": "2m", "alertname": "Down"},
                {
                    "eval_time": "3m30s",
                    "alertname": "Down",
                    "exp_alerts": [
                        {
                            "exp_labels": {"job": "j", "instance": "a", "severity": "page", "on": "eu"},
                            "exp_annotations": {"summary": "a is 0", "link": "http://x"},
                        }
                    ],
                },
                {"eval_time": "7m", "alertname": "Down"},
            ],
            "promql_expr_test": [
                {
                    "expr": "job:up:sum",
                    "eval_time": "1m",
                    "exp_samples": [{"labels": 'job:up:sum{job="j"}', "value": 1}],
                },
                {"expr": "twice", "eval_time": "0s", "exp_samples": [{"labels": 'twice{job="j"}', "value": 4}]},
                {
                    "expr": "h",
                    "eval_time": "5m",
                    "exp_samples": [{"labels": "h", "histogram": "{{counter_reset_hint:gauge}}"}],
                },
                {"expr": "vector(3)", "eval_time": "1m", "exp_samples": [{"labels": "{}", "value": 3}]},
                {"expr": "nope", "eval_time": "1m"},
            ],
        },
        {
            "start_timestamp": "2024-02-29T12:00:00Z",
            "input_series": [{"series": "x", "values": "1 2 3"}],
            "promql_expr_test": [
                {"expr": "time()", "eval_time": "2m", "exp_samples": [{"value": 1709208120.0}]},
                {"expr": "x", "eval_time": "2m", "exp_samples": [{"labels": "x", "value": 3}]},
            ],
        },
    ],
}


def ran(tmp_path: Path, data: Any, rules: Any = RULES) -> Report:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    (tmp_path / "test.yml").write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return asyncio.run(run_file(tmp_path / "test.yml"))


def promtool(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )


def changed(**test: Any) -> dict[str, Any]:
    return {**GOOD, "tests": [{**GOOD["tests"][0], **test}]}


def expects(expr: str, *samples: dict[str, Any], at: str = "1m") -> dict[str, Any]:
    return changed(alert_rule_test=[], promql_expr_test=[{"expr": expr, "eval_time": at, "exp_samples": list(samples)}])


def test_what_is_right_passes(tmp_path: Path) -> None:
    report = ran(tmp_path, GOOD)
    assert report.failures == []
    assert report.ran == ["all of it", "unnamed#1"]


@pytest.mark.needs("promtool")
def test_promtool_agrees(tmp_path: Path) -> None:
    ran(tmp_path, GOOD)
    found = promtool(tmp_path)
    assert found.returncode == 0, found.stderr


FAILING = {
    "another value": expects("job:up:sum", {"labels": 'job:up:sum{job="j"}', "value": 2}),
    "one too many": expects("job:up:sum"),
    "one missing": expects("nope", {"labels": "nope", "value": 2}),
    "another histogram": expects("h", {"labels": "h", "histogram": "{{sum:1}}"}, at="5m"),
    "a label more": expects("job:up:sum", {"labels": 'job:up:sum{job="j",x="y"}', "value": 1}),
    "an expression that fails": expects("up + on(job) up"),
    "no expression": expects("sum("),
    "no vector": expects("up[5m]"),
    "wrong labels": expects("up", {"labels": "{", "value": 1}),
    "no histogram": expects("up", {"labels": "x", "histogram": "1"}),
    "an alert too few": changed(alert_rule_test=[{"eval_time": "4m", "alertname": "Down"}], promql_expr_test=[]),
    "an alert too many": changed(
        alert_rule_test=[{"eval_time": "1m", "alertname": "Down", "exp_alerts": [{"exp_labels": {"a": "b"}}]}],
        promql_expr_test=[],
    ),
    "an alert without a name": changed(alert_rule_test=[{"eval_time": "1m"}]),
    "no series": changed(input_series=[{"series": "{", "values": "1"}]),
    "no values": changed(input_series=[{"series": "x", "values": "one"}]),
    "an unknown field": {**GOOD, "nope": 1},
    "an order twice": {**GOOD, "group_eval_order": ["g", "g"]},
    "a duration": {**GOOD, "evaluation_interval": "soon"},
    "no YAML": "{",
}


@pytest.mark.parametrize("name", FAILING)
def test_what_is_wrong_fails(tmp_path: Path, name: str) -> None:
    assert ran(tmp_path, FAILING[name]).failures


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("name", FAILING)
def test_promtool_refuses_it_too(tmp_path: Path, name: str) -> None:
    ran(tmp_path, FAILING[name])
    assert promtool(tmp_path).returncode != 0


def test_failures_say_what_was_expected_and_what_came(tmp_path: Path) -> None:
    (said,) = ran(tmp_path, FAILING["another value"]).failures
    assert said == (
        "    name: all of it,\n    expr: 'job:up:sum', time: 1m,\n"
        '        exp: job:up:sum{job="j"} 2E+00\n        got: job:up:sum{job="j"} 1E+00'
    )
    (said,) = ran(tmp_path, FAILING["an alert too few"]).failures
    assert 'Labels:{alertname="Down", instance="a", job="j", on="eu", severity="page"}' in said


def test_a_rule_that_fails_ends_its_test(tmp_path: Path) -> None:
    rules = {"groups": [{"name": "g", "limit": 1, "rules": [{"record": "x", "expr": "up"}]}]}
    (said,) = ran(
        tmp_path, changed(promql_expr_test=[{"expr": "up", "eval_time": "9m"}], alert_rule_test=[]), rules
    ).failures
    assert said == "    rule: x, time: 0s, err: exceeded limit of 1 with 2 series"


def test_wrong_rules_are_told_by_path(tmp_path: Path) -> None:
    (said,) = ran(tmp_path, GOOD, {"groups": [{"name": "g", "rules": [{"record": "x", "expr": "sum("}]}]}).failures
    assert "rules.yml: groups[0].rules[0].expr: could not parse expression: 1:5" in said


@pytest.mark.parametrize("values", ["1x99999999999", "_x99999999999", "{{sum:1}}x99999999999", "1+1x" + "9" * 5000])
def test_hostile_series_are_refused_at_once(tmp_path: Path, values: str) -> None:
    assert "at most" in ran(tmp_path, changed(input_series=[{"series": "x", "values": values}])).failures[0]


def test_a_test_of_a_century_is_refused(tmp_path: Path) -> None:
    case = changed(promql_expr_test=[{"expr": "up", "eval_time": "100y"}], alert_rule_test=[])
    assert "evaluations; at most" in ran(tmp_path, case).failures[0]


def test_fuzzy_comparison(tmp_path: Path) -> None:
    close = {"labels": "{}", "value": 0.3}
    data = expects("vector(0.1) + 0.2", close)
    assert ran(tmp_path, data).failures
    assert not ran(tmp_path, {**data, "fuzzy_compare": True}).failures


def test_tests_can_be_chosen(tmp_path: Path) -> None:
    ran(tmp_path, GOOD)
    report = asyncio.run(run_file(tmp_path / "test.yml", wanted=lambda name: name.startswith("unnamed")))
    assert report.ran == ["unnamed#1"]
