"""Alert templates against a table: templates.json holds pairs of a template and what Prometheus 3.14 makes of it with
the labels and the value below. The peer test asks promtool whether it still does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from styr.metrics.model.errors import ExecutionError
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import make
from styr.metrics.rules.evaluate import Vector
from styr.metrics.rules.templates import AlertData, alert_template, check, expand_alert

LABELS = {
    "__name__": "metric",
    "instance": "web-1.example.com:9100",
    "job": "api",
    "zone": "é<b>&'\"",
    "empty_not": "x y",
}
VALUE = 1234567.5
EXTERNAL_LABELS = {"cluster": "eu", "replica": "a"}
EXTERNAL_URL = "http://prom.example:9090/prefix"
ROWS: Vector = [
    (make({"__name__": "metric", "instance": "a:1", "job": "db"}), 3.0),
    (make({"__name__": "metric", "instance": "b:1", "job": "db"}), 2.0),
    (make(LABELS), VALUE),
]
DATA = AlertData(make(LABELS), VALUE, make(EXTERNAL_LABELS), EXTERNAL_URL)
TABLE: list[tuple[str, str]] = [
    tuple(row) for row in json.loads(Path(__file__).with_name("templates.json").read_text())
]


def query(expr: str) -> Vector:
    return sorted(ROWS) if expr == "metric" else []


def expanded(text: str, value: float | Histogram = VALUE) -> str:
    return expand_alert(text, "A", AlertData(make(LABELS), value, make(EXTERNAL_LABELS), EXTERNAL_URL), 0, query)


@pytest.mark.parametrize(("template", "expected"), TABLE, ids=[f"{i}" for i in range(len(TABLE))])
def test_as_prometheus_expands_it(template: str, expected: str) -> None:
    assert expanded(template) == expected


@pytest.mark.needs("promtool")
def test_the_table_is_what_promtool_makes_of_it(tmp_path: Path) -> None:
    """One alert per template, its annotation compared by `promtool test rules`. What does not parse is told when
    rules are loaded, so it is left to the check below."""
    sound = [
        (t, e) for t, e in TABLE if not e.startswith("<error expanding template: error parsing") and not _random(t)
    ]
    rules = [{"alert": f"A{i}", "expr": "metric > 1000", "annotations": {"a": t}} for i, (t, _) in enumerate(sound)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}))
    plain = {name: value for name, value in LABELS.items() if name != "__name__"}
    quoted = {name: json.dumps(value) for name, value in plain.items()}
    series = [
        {"series": "metric{" + ",".join(f"{n}={v}" for n, v in quoted.items()) + "}", "values": str(VALUE)},
        {"series": 'metric{instance="b:1",job="db"}', "values": "2"},
        {"series": 'metric{instance="a:1",job="db"}', "values": "3"},
    ]
    tests = [
        {
            "eval_time": "0s",
            "alertname": f"A{i}",
            "exp_alerts": [{"exp_labels": plain, "exp_annotations": {"a": e.replace("__alert_A:", f"__alert_A{i}:")}}],
        }
        for i, (_, e) in enumerate(sound)
    ]
    for i, test in enumerate(tests):
        text = test["exp_alerts"][0]["exp_annotations"]["a"].replace('"__alert_A"', f'"__alert_A{i}"')  # type: ignore[index]
        text = text.replace("executing template __alert_A:", f"executing template __alert_A{i}:")
        test["exp_alerts"][0]["exp_annotations"]["a"] = text  # type: ignore[index]
    case = {
        "interval": "1m",
        "input_series": series,
        "external_labels": EXTERNAL_LABELS,
        "external_url": EXTERNAL_URL,
        "alert_rule_test": tests,
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [case]}))
    ran = subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _random(template: str) -> bool:
    """Depends on the order of a query's results, which promtool leaves open, on the external URL, which it does not hand to
    functions, or on Go's depth limit, which is not ours."""
    loose = ("now", 'template "r"', " externalURL", "pathPrefix", "| first", "index (query", "$e := query")
    return any(each in template for each in loose)


@pytest.mark.needs("promtool")
def test_what_does_not_parse_is_refused_as_by_promtool(tmp_path: Path) -> None:
    broken = [t for t, e in TABLE if e.startswith("<error expanding template: error parsing")]
    rules = [
        {"alert": "A", "expr": "metric", "labels": {"n": str(i)}, "annotations": {"a": t}} for i, t in enumerate(broken)
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}))
    ran = subprocess.run(
        ["promtool", "check", "rules", "rules.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode != 0
    for template in broken:
        fault = check(alert_template(template), "__alert_A")
        assert fault
        assert fault in said


def test_histograms_print_and_have_fields() -> None:
    histogram = Histogram(count=10.0, sum=5.0)
    assert expanded("{{ $value.Count }} {{ $value.Sum }} {{ .Value.Schema }}", histogram) == "10 5 0"


def test_a_failing_query_is_told_in_the_text() -> None:
    def fails(_: str) -> Vector:
        raise ExecutionError("the storage is closed")

    text = expand_alert('{{ query "up" }}', "A", DATA, 0, fails)
    assert text.endswith('at <query "up">: error calling query: the storage is closed>')


HOSTILE = [
    "{{ range 1000000000 }}{{ range 1000000000 }}{{ end }}{{ end }}",
    '{{ printf "%1000000d%1000000d" 1 1 }}',
    '{{ $a := "xxxxxxxxxxxxxxxx" }}{{ range 64 }}{{ $a = printf "%s%s" $a $a }}{{ end }}{{ len $a }}',
    '{{ define "r" }}{{ template "r" . }}{{ template "r" . }}{{ end }}{{ template "r" 1 }}',
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ if true }}" * 5000 + "{{ end }}" * 5000,
    "{{ if 0 }}" + "{{ else if 0 }}" * 5000 + "{{ end }}",
    '{{ reReplaceAll "" (printf "%100000d" 1) (printf "%100000d" 1) }}',
    '{{ $a := printf "%500000d" 1 }}{{ print $a $a $a $a }}',
    "{{ args 1 " + "2 " * 200_000 + "}}",
    '{{ reReplaceAll "(a*)*b" "x" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }}',
    "{{ 1" + "|print" * 100_000 + " }}",
    "{{ $x := args 1 }}{{ range 100000 }}{{ $x = args $x $x $x }}{{ end }}{{ $x }}",
    "{{" * 10_000,
    "\ud800{{ $value }}",
    "{{ " + "a." * 10_000 + " }}",
    "{{ $labels" + ".a" * 10_000 + " }}",
    "{{ 0x" + "f" * 100_000 + " }}",
    "{{ 1e999999999 }}",
    "{{ toDuration 1e300 }} {{ toTime -62135596800 }}",
    "{{ (toTime 9e9).AddDate 1000000000 0 0 }}",
]


@pytest.mark.parametrize("template", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_templates_end_soon_and_stay_small(template: str) -> None:
    assert len(expanded(template)) < 1_300_000


@pytest.mark.parametrize("template", [t for t, _ in TABLE[:60]])
def test_cut_anywhere_it_never_raises(template: str) -> None:
    for end in range(len(template)):
        expanded(template[:end])


def test_text_without_actions_is_itself() -> None:
    assert expanded("50% }} of {") == "50% }} of {"
