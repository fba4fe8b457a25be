"""Random rule files over random series: what ours record and fire, minute by minute, is what promtool's rule engine
(Prometheus 3.14) expects: every series of rules and of ALERTS at every minute, and every firing alert with its texts."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import yaml

from styr.metrics.model.labels import text
from styr.metrics.promql import engine as promql
from styr.metrics.promql.notation import parse_series
from styr.metrics.rules.bind import evaluate
from styr.metrics.rules.evaluation import Engine, iterate
from styr.metrics.rules.groups import parse_groups
from styr.metrics.rules.running import RunningGroup
from styr.metrics.rules.scratch import Scratch
from styr.metrics.rules.unittest import _Time

MINUTES, SEEDS = 25, 12
EVERYTHING = '{__name__=~"r[0-9]:x|ALERTS|ALERTS_FOR_STATE"}'
EXPRESSIONS = (
    "m0",
    "m0 > 2",
    "m1 == 0",
    "sum by (a) (m0)",
    "count(m1 > 1)",
    "avg_over_time(m2[3m])",
    "m0 and on (a) m1 > 1",
    'label_replace(m0, "b", "x", "a", "(.)")',
    "absent(m1)",
    "changes(m2[5m]) > 1",
    "r0:x > 1",
    "m2 - m2 offset 1m != 0",
    'ALERTS{alertstate="firing"} == 1',
)
TEXTS = (
    "{{ $value }}",
    "{{ $labels.a }} {{ $value | humanize }}",
    "{{ with query `m0` }}{{ len . }}{{ end }}",
    "plain",
)


def series(random: Random) -> list[dict[str, str]]:
    out = []
    for name in ("m0", "m1", "m2"):
        for label in "xyz":
            values = [
                random.choice(["_", "stale", "0", "1", "1", "2", "3", str(random.randrange(50) / 4)])
                for _ in range(MINUTES)
            ]
            held = [value if random.random() < 0.5 else values[max(0, i - 1)] for i, value in enumerate(values)]
            out.append({"series": f'{name}{{a="{label}"}}', "values": " ".join(held)})
    return out


def rules(random: Random, seed: int) -> list[dict[str, Any]]:
    def labels(alert: bool) -> dict[str, str]:
        found = {"c": random.choice(["1", "2"])} if random.random() < 0.5 else {}
        if alert and random.random() < 0.4:
            found["t"] = random.choice(["{{ $labels.a }}", "{{ $labels.nope }}", "{{ $value }}"])
        return found

    out: list[dict[str, Any]] = []
    out += [{"record": f"r{i}:x", "expr": random.choice(EXPRESSIONS), "labels": labels(False)} for i in range(3)]
    for i in range(4):
        rule = {"alert": f"A{seed}_{i}", "expr": random.choice(EXPRESSIONS), "labels": labels(True)}
        rule["annotations"] = {"s": random.choice(TEXTS)}
        if random.random() < 0.6:
            rule["for"] = f"{random.randrange(5)}m"
        if random.random() < 0.5:
            rule["keep_firing_for"] = f"{random.randrange(1, 4)}m"
        out.append(rule)
    random.shuffle(out)
    return out


async def expected(case: dict[str, Any], own: list[dict[str, Any]]) -> bool:
    """Fills the case with what ours does; False when a rule fails, which ends a test."""
    storage, clock = Scratch(), _Time()
    engine = promql.Engine(lambda: storage, promql.Settings(evaluation_interval=60_000))
    ask = evaluate(engine)
    for each in case["input_series"]:
        labels, points = parse_series(f"{each['series']} {each['values']}")
        (ref,) = storage.refs([labels])
        for index, point in enumerate(points):
            if not point.omitted:
                storage.append(np.array([ref]), np.array([index * 60_000]), np.array([point.number]))
    (group,) = parse_groups({"groups": [{"name": "g", "rules": own}]}, "r.yml", engine.parse)
    running = RunningGroup.of(group)
    for minute in range(MINUTES):
        clock.ms = minute * 60_000
        await iterate(running, clock.ms, Engine(ask, storage, clock))
        if any(rule.last_error for rule in running.rules):
            return False
        samples = [{"labels": text(labels), "value": float(value)} for labels, value in ask(EVERYTHING, clock.ms)]  # type: ignore[arg-type]
        case["promql_expr_test"].append({"expr": EVERYTHING, "eval_time": f"{minute}m", "exp_samples": samples})
        for rule in running.rules:
            if rule.states is not None:
                alerts = [
                    {"exp_labels": dict(a.labels), "exp_annotations": dict(a.annotations)}
                    for a in rule.states.alerts()
                    if a.state == "firing"
                ]
                test = {"eval_time": f"{minute}m", "alertname": rule.rule.name, "exp_alerts": alerts}
                case["alert_rule_test"].append(test)
    return True


@pytest.mark.needs("promtool")
def test_rules_over_random_series_give_what_prometheus_gives(tmp_path: Path) -> None:
    compared = 0
    for seed in range(SEEDS):
        random = Random(seed)
        own = rules(random, seed)
        case: dict[str, Any] = {
            "interval": "1m",
            "input_series": series(random),
            "promql_expr_test": [],
            "alert_rule_test": [],
        }
        if not asyncio.run(expected(case, own)):
            continue
        compared += 1
        (tmp_path / f"rules{seed}.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": own}]}))
        test = {"rule_files": [f"rules{seed}.yml"], "evaluation_interval": "1m", "tests": [case]}
        (tmp_path / f"test{seed}.yml").write_text(yaml.safe_dump(test))
    files = sorted(path.name for path in tmp_path.glob("test*.yml"))
    ran = subprocess.run(
        ["promtool", "test", "rules", *files], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[:5000]
    assert compared > SEEDS // 2
