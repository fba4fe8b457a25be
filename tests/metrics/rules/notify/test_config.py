"""The notifier's configuration: what it means, what is refused, and what is hostile. Matchers, routes and times of day in
tables."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import make
from styr.metrics.rules.notify import matchers
from styr.metrics.rules.notify.alert import fingerprint
from styr.metrics.rules.notify.config import of_data, parse
from styr.metrics.rules.notify.intervals import read
from tests.metrics.rules.notify.kit import alert

TEXT = """
global: {resolve_timeout: 3m, smtp_smarthost: 'mail:587', smtp_from: styr@x.org, slack_api_url: 'https://hooks/x'}
templates: ['*.tmpl']
time_intervals:
  - name: nights
    time_intervals: [{times: [{start_time: '22:00', end_time: '24:00'}], weekdays: ['monday:friday'], location: Europe/Berlin}]
route:
  receiver: team
  group_by: [alertname, job]
  routes:
    - {matchers: ['severity="page"', 'team=~"a|b"'], receiver: pager, group_wait: 0s, continue: true}
    - {match: {old: style}, mute_time_intervals: [nights]}
inhibit_rules:
  - {source_matchers: ['severity="page"'], target_matchers: ['severity="warn"'], equal: [job]}
receivers:
  - name: team
    email_configs: [{to: ops@x.org}]
    slack_configs: [{channel: '#ops'}]
  - name: pager
    webhook_configs: [{url: 'http://127.0.0.1/hook'}]
"""


def test_everything_it_can_say(tmp_path: Path) -> None:
    (tmp_path / "own.tmpl").write_text('{{ define "email.default.subject" }}own {{ .Status }}{{ end }}')
    config = parse(TEXT, tmp_path)
    assert config.resolve_timeout == 180_000
    assert {name: [each.kind for each in kinds] for name, kinds in config.receivers.items()} == {
        "team": ["email", "slack"],
        "pager": ["webhook"],
    }
    assert [route.key for route in config.route.every()] == [
        "{}",
        '{}/{severity="page",team=~"a|b"}',
        '{}/{old="style"}',
    ]
    assert config.original == TEXT


@pytest.mark.needs("amtool")
def test_a_real_alertmanager_reads_the_same_text(tmp_path: Path) -> None:
    (tmp_path / "am.yml").write_text(TEXT)
    subprocess.run(["amtool", "check-config", str(tmp_path / "am.yml")], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({}, ["team"]),
        ({"severity": "page"}, ["team"]),
        ({"severity": "page", "team": "a"}, ["pager"]),
        ({"severity": "page", "team": "b", "old": "style"}, ["pager", "team"]),
        ({"old": "style"}, ["team"]),
    ],
)
def test_routes(labels: dict[str, str], receivers: list[str]) -> None:
    assert [route.options.receiver for route in parse(TEXT).route.find(make(labels))] == receivers


def with_route(**route: Any) -> dict[str, Any]:
    return {"route": {"receiver": "a", **route}, "receivers": [{"name": "a"}]}


def deep(levels: int) -> dict[str, Any]:
    route: dict[str, Any] = {}
    for _ in range(levels):
        route = {"routes": [route]}
    return route


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "the configuration is empty"),
        ([], "must be a map"),
        ({"receivers": []}, "route: there must be a route at the root"),
        ({"route": {}, "receivers": []}, "route.receiver: the root route must name a receiver"),
        ({"route": {"receiver": "x"}, "receivers": []}, "route.receiver: undefined receiver 'x' used in route"),
        (with_route(matchers=["a=b"]), "route.matchers: the root route matches everything"),
        (with_route(group_by=["a", "a"]), "route.group_by: a label stands there twice"),
        (with_route(group_by=["...", "a"]), "route.group_by: '...' takes all labels"),
        (with_route(group_by="a"), "route.group_by: must be a list"),
        (with_route(group_interval="0s"), "route.group_interval: must be more than 0"),
        (with_route(repeat_interval="soon"), "route.repeat_interval: "),
        (with_route(nope=1), "route.nope: unknown field"),
        (with_route(routes=[{"matchers": ["a"]}]), "route.routes[0].matchers[0]: bad matcher format: a"),
        (with_route(routes=[{"matchers": ["a=~("]}]), "route.routes[0].matchers[0]: "),
        (with_route(routes=[{"match_re": {"a": "("}}]), "route.routes[0].match_re.a: invalid regular expression"),
        (
            with_route(routes=[{"mute_time_intervals": ["x"]}]),
            "routes[0].mute_time_intervals: undefined time interval 'x'",
        ),
        (with_route(routes="x"), "route.routes: must be a list"),
        (with_route(**deep(60)), "routes are nested more than 50 deep"),
        (
            {**with_route(), "receivers": [{"name": "a"}, {"name": "a"}]},
            "receivers[1].name: the receiver 'a' is there twice",
        ),
        ({**with_route(), "receivers": [{}]}, "receivers[0].name: a receiver must have a name"),
        ({**with_route(), "inhibit_rules": [{}]}, "inhibit_rules[0]: an inhibition rule needs source_matchers"),
        ({**with_route(), "inhibit_rules": [{"nope": 1}]}, "inhibit_rules[0].nope: unknown field"),
        ({**with_route(), "global": {"nope": 1}}, "global.nope: unknown or not honoured"),
        ({**with_route(), "global": {"slack_api_url": "x"}}, "global.slack_api_url: 'x' is no address"),
        ({**with_route(), "nope": 1}, "nope: unknown or not honoured here: nope"),
        ({**with_route(), "time_intervals": [{}]}, "time_intervals[0].name: must be given, once"),
    ],
)
def test_faults_name_their_path(data: Any, said: str) -> None:
    with pytest.raises(BadData) as raised:
        of_data(data)
    assert said in str(raised.value)


HOSTILE = [
    "{",
    "a: &x [1]\nb: [*x, *x]",
    "&a [" + "*a," * 50 + "]",
    "[" * 5000,
    "a: " * 5000,
    "route: !!python/object/apply:os.system ['true']",
    "\x00",
    "x" * (2 << 20),
    "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'http://x', max_alerts: 1e400}]}]",
    "2024-99-99: x",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_refused(text: str) -> None:
    with pytest.raises(BadData):
        parse(text)


def test_cut_anywhere_it_is_read_or_refused() -> None:
    for end in range(0, len(TEXT), 5):
        try:
            parse(TEXT[:end])
        except BadData:
            continue


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("a=b", {"a": "b"}, True),
        ('a = "b"', {"a": "b"}, True),
        ("{a=b,c!=d}", {"a": "b"}, True),
        ('{a=b, c="d, }"}', {"a": "b", "c": "d, }"}, True),
        ("a=~b.*", {"a": "bcd"}, True),
        ("a!~b.*", {"a": "bcd"}, False),
        ('a="x\\"y\\n"', {"a": 'x"y\n'}, True),
        ('"a b"=c', {"a b": "c"}, True),
        ("a=", {}, True),
        ("é=ü", {"é": "ü"}, True),
        ("{}", {}, True),
        ("a=b c", {"a": "b c"}, True),
    ],
)
def test_matchers(text: str, labels: dict[str, str], expected: bool) -> None:
    assert matchers.matches(matchers.parse(text), make(labels)) is expected


@pytest.mark.parametrize("text", ["", "a", "{a=b", "a=b}", "=b", 'a="b', "a=b,,c=d", 'a="b"c', "a=~(", "x" * 100_000])
def test_bad_matchers(text: str) -> None:
    with pytest.raises(BadData):
        matchers.parse(text)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ({}, ["2024-02-29T12:00"], []),
        ({"times": [{"start_time": "09:00", "end_time": "17:00"}]}, ["2024-01-01T09:00"], ["2024-01-01T17:00"]),
        ({"times": [{"start_time": 540, "end_time": "24:00"}]}, ["2024-01-01T23:59"], ["2024-01-01T08:59"]),
        ({"weekdays": ["saturday", "sunday"]}, ["2024-03-02T00:00", "2024-03-03T00:00"], ["2024-03-01T00:00"]),
        ({"weekdays": ["monday:friday"]}, ["2024-03-01T00:00"], ["2024-03-02T00:00"]),
        ({"days_of_month": ["1:5", "-1"]}, ["2024-02-29T00:00", "2024-02-05T00:00"], ["2024-02-28T00:00"]),
        ({"days_of_month": ["-3:-1"]}, ["2023-02-26T00:00"], ["2023-02-25T00:00"]),
        ({"days_of_month": ["31"]}, ["2024-01-31T00:00"], ["2024-02-29T00:00"]),
        ({"months": ["may:july", 12]}, ["2024-06-01T00:00", "2024-12-01T00:00"], ["2024-08-01T00:00"]),
        ({"years": ["2024:2025"]}, ["2025-01-01T00:00"], ["2026-01-01T00:00"]),
        (
            {"times": [{"start_time": "00:00", "end_time": "01:00"}], "location": "Asia/Tokyo"},
            ["2024-01-01T15:30"],
            ["2024-01-01T00:30"],
        ),
    ],
)
def test_times(interval: dict[str, Any], inside: list[str], outside: list[str]) -> None:
    read_ = read(interval, "x")
    assert [read_.contains(at(each)) for each in (*inside, *outside)] == [True] * len(inside) + [False] * len(outside)


@pytest.mark.parametrize(
    "interval",
    [
        [],
        {"nope": 1},
        {"times": [{"start_time": "10:00", "end_time": "09:00"}]},
        {"times": [{"start_time": "25:00", "end_time": "26:00"}]},
        {"times": ["x"]},
        {"weekdays": ["friday:monday"]},
        {"weekdays": ["1"]},
        {"days_of_month": ["0"]},
        {"days_of_month": ["32"]},
        {"days_of_month": ["-1:5"]},
        {"months": ["maytember"]},
        {"years": ["a:b:c"]},
        {"location": "../../etc/passwd"},
        {"location": "Mars/Base"},
    ],
)
def test_wrong_times(interval: Any) -> None:
    with pytest.raises(BadData, match=r"^x"):
        read(interval, "x")


def test_merging_reports() -> None:
    first, second = alert("A", 0, 300), alert("A", 100, 400)
    assert first.merged(second, 0).starts_at == first.starts_at
    assert alert("A", 0, 50).merged(second, 0) == second
    assert first.merged(alert("A", 0, 200), 250_000 + first.starts_at).ends_at == alert("A", 0, 200).ends_at


def test_fingerprints_are_those_of_prometheus_common() -> None:
    assert fingerprint(()) == "cbf29ce484222325"
