"""Answers of this engine and of a real Prometheus 3.14 to the same requests over the same block: status, shape, every value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.metrics.web.peer import START, ask, both

MIDDLE = str(START + 1800)
SPAN = {"start": str(START + 600), "end": str(START + 2400), "step": "60"}

INSTANT = [
    "up",
    "up == 0",
    "special",
    "temp",
    "ends",
    "1",
    "1e-7 + 0",
    "-1e21",
    '"a \\"string\\""',
    "vector(1.5)",
    "up[1m]",
    "temp[2m:30s]",
    "nothing",
    "sum by (job) (up)",
    "topk(2, temp)",
    "sort_desc(temp)",
    "rate(requests_total[5m])",
    "increase(requests_total[30m])",
    "histogram_quantile(0.9, sum by (le) (rate(latency_bucket[5m])))",
    '{"with.dots"}',
    'temp{instance=~"a.*|c.*"}',
    "temp * on (instance) group_left () up",
    'count_values("v", up)',
    'absent(nothing{a="b"})',
    'label_replace(up, "short", "$1", "instance", "(.*):.*")',
    "up offset 10m",
    "temp @ 1700000100",
    "rate(temp[5m])",
    "sum(special)",
    "histogram_quantile(2, latency_bucket)",
    "time()",
    "scalar(sum(up))",
    "up and on (instance) temp > 20",
    "quantile_over_time(0.5, temp[10m])",
    "predict_linear(temp[10m], 600)",
    "-temp",
]
RANGE = [expr for expr in INSTANT if "[1m]" not in expr and ":30s]" not in expr and '"a ' not in expr]

BAD = [
    ("query", [("query", "up(")]),
    ("query", [("query", "")]),
    ("query", [("query", "up"), ("time", "x")]),
    ("query", [("query", "up"), ("timeout", "x")]),
    ("query", [("query", "up"), ("limit", "-1")]),
    ("query", [("query", "up + on (job) temp"), ("time", MIDDLE)]),
    ("query", [("query", "up"), ("lookback_delta", "x")]),
    ("query_range", [("query", "up")]),
    ("query_range", [("query", "up"), ("start", "2"), ("end", "1"), ("step", "1")]),
    ("query_range", [("query", "up"), ("start", "0"), ("end", "1"), ("step", "0")]),
    ("query_range", [("query", "up"), ("start", "0"), ("end", "20000"), ("step", "1")]),
    ("query_range", [("query", "up[5m]"), ("start", "0"), ("end", "1"), ("step", "1")]),
    ("series", []),
    ("series", [("match[]", "{")]),
    ("series", [("match[]", '{a=~".*"}')]),
    ("labels", [("match[]", "{}")]),
    ("labels", [("start", "x")]),
    ("labels", [("limit", "x")]),
    ("metadata", [("limit", "x")]),
    ("rules", [("type", "x")]),
    ("rules", [("match[]", "{")]),
    ("rules", [("group_next_token", "x")]),
    ("rules", [("exclude_alerts", "x")]),
    ("status/tsdb", [("limit", "0")]),
    ("targets/relabel_steps", []),
    ("targets/relabel_steps", [("scrapePool", "x"), ("labels", "{}")]),
    ("format_query", [("query", "(")]),
    ("parse_query", [("query", "(")]),
    ("query_exemplars", [("query", "up"), ("start", "2"), ("end", "1")]),
]
LISTS = [
    ("labels", []),
    ("labels", [("match[]", "up")]),
    ("labels", [("match[]", "up"), ("match[]", "special")]),
    ("labels", [("limit", "2")]),
    ("labels", [("start", "0"), ("end", "1")]),
    ("label/job/values", []),
    ("label/__name__/values", [("match[]", '{job="api"}')]),
    ("label/U__label_20_name/values", []),
    ("label/nothing/values", []),
    ("label/instance/values", [("limit", "1")]),
    ("series", [("match[]", "up")]),
    ("series", [("match[]", "up"), ("match[]", '{instance="a:1"}')]),
    ("series", [("match[]", "nothing")]),
    ("metadata", []),
    ("rules", []),
    ("alerts", []),
    ("targets", []),
    ("targets/metadata", []),
    ("scrape_pools", []),
    ("alertmanagers", []),
    ("notifications", []),
    ("query_exemplars", [("query", "up")]),
]
TREES = [
    "up",
    'sum by (job, instance) (rate(requests_total{code=~"2..",job!="x"}[5m] offset -1m)) > bool 1',
    "a * on (x) group_left (y) b",
    "a and ignoring (x) b",
    "topk(5, up)",
    "quantile without (a) (0.5, up)",
    "max_over_time(up[1h:5m] @ end())",
    'label_replace(up, "a", "$1", "b", "(.*)")',
    "-(1 + 2) ^ 3",
    "up @ 1700000000.5 offset 5m",
    '{"with.dots", a="b"}',
    '"text"',
    "time()",
    "0x1F + 1e3 + Inf",
    "up[5m]",
]


def ordered(kind: str, data: Any) -> Any:
    """Without what may differ: the order of series where there is none, statistics' seconds."""
    if isinstance(data, dict) and kind == "query" and data["resultType"] in ("vector", "matrix"):
        return {**data, "result": sorted(data["result"], key=lambda series: sorted(series["metric"].items()))}
    return data


def uncounted(infos: list[str]) -> list[str]:
    """Prometheus counts the samples of a merged note twice, again and again; ours once."""
    return [re.sub(r"over \d+ samples", "over N samples", info) for info in infos]


def differences(found: list[tuple[Any, Any, Any]]) -> str:
    return "\n\n".join(f"{request}\n  ours   {str(a)[:900]}\n  theirs {str(b)[:900]}" for request, a, b in found)


@pytest.mark.needs("prometheus")
async def test_every_answer_is_prometheus_own(tmp_path: Path) -> None:
    wrong: list[tuple[Any, Any, Any]] = []
    async with both(tmp_path) as (api, peer):
        requests = [("query", [("query", expr), ("time", MIDDLE)]) for expr in INSTANT]
        requests += [("query_range", [("query", expr), *SPAN.items()]) for expr in RANGE]
        requests += [("query", [("query", "up"), ("time", MIDDLE), ("limit", "1")])]
        requests += [("query", [("query", "temp"), ("time", MIDDLE), ("lookback_delta", "1s")])]
        requests += [("query", [("query", "up"), ("time", "2023-11-14T22:33:20.5Z")])]
        requests += LISTS
        requests += [("parse_query", [("query", expr)]) for expr in TREES]
        requests += [("format_query", [("query", expr)]) for expr in TREES]
        for name, pairs in requests:
            for method in ("GET", "POST") if name in ("query", "query_range", "series", "labels") else ("GET",):
                status, mine = await ask(api, name, pairs, method)
                peer_status, theirs = peer.ask(name, pairs, method)
                if name in ("query", "query_range"):
                    for answer in (mine, theirs):
                        answer["data"] = ordered("query", answer.get("data"))
                        answer["infos"] = uncounted(answer.get("infos", []))
                if (status, mine) != (peer_status, theirs):
                    wrong.append(((method, name, pairs), (status, mine), (peer_status, theirs)))
    assert not wrong, f"{len(wrong)} differ\n{differences(wrong)}"


@pytest.mark.needs("prometheus")
async def test_every_error_has_prometheus_status_and_type(tmp_path: Path) -> None:
    wrong: list[tuple[Any, Any, Any]] = []
    async with both(tmp_path) as (api, peer):
        for name, pairs in BAD:
            status, mine = await ask(api, name, pairs)
            peer_status, theirs = peer.ask(name, pairs)
            if (status, mine["status"], mine.get("errorType")) != (
                peer_status,
                theirs["status"],
                theirs.get("errorType"),
            ):
                wrong.append(((name, pairs), (status, mine), (peer_status, theirs)))
    assert not wrong, f"{len(wrong)} differ\n{differences(wrong)}"


@pytest.mark.needs("prometheus")
async def test_shapes_of_what_holds_other_values(tmp_path: Path) -> None:
    async with both(tmp_path) as (api, peer):
        for name in ("status/buildinfo", "status/runtimeinfo", "status/tsdb", "status/walreplay", "status/tsdb/blocks"):
            _, mine = await ask(api, name, [])
            _, theirs = peer.ask(name, [])
            assert set(theirs["data"]) <= set(mine["data"]), name
        pairs = [("query", "up"), ("time", MIDDLE), ("stats", "all")]
        mine, theirs = (
            (await ask(api, "query", pairs))[1]["data"]["stats"],
            peer.ask("query", pairs)[1]["data"]["stats"],
        )
        assert set(mine["timings"]) == set(theirs["timings"])
        assert mine["samples"]["totalQueryableSamples"] == theirs["samples"]["totalQueryableSamples"]
