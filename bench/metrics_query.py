"""Thirty queries on the same blocks, whole HTTP query, beside Prometheus: CPU of each, and whether the answers are the same.

Ten expressions (selectors, rate, sum by, histogram_quantile, joins, topk, regex), each as an instant query, over an hour in
steps of 15 s, and over 24 hours in steps of five minutes. The full run has 100,000 series with a sample a minute for 24
hours; the short one 4,000 series. Every query is repeated until it has cost 0.3 CPU seconds; the figures are CPU milliseconds
a query.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench._metrics import Prometheus, Server, Styr, warm_kernels

END = 1_790_000_000
"""Seconds since 1970 of the newest time asked for, on no two-hour boundary."""
BEYOND = 4 * 3600
"""So much longer the samples go on: what is asked for lies in blocks, where both sides read series in the same order."""
SPAN = 24 * 3600
INTERVAL = 60

EXPRESSIONS = {
    "select": 'node_cpu_seconds_total{target="3",mode="idle"}',
    "rate": "sum by (mode) (rate(node_cpu_seconds_total[5m]))",
    "sum": "sum by (namespace) (kube_pod_status_phase_0)",
    "quantile": "histogram_quantile(0.99, sum by (le, handler) (rate(http_request_duration_seconds_bucket[5m])))",
    "topk": 'topk(10, rate(http_request_duration_seconds_bucket{le="+Inf"}[5m]))',
    "ratio": 'sum by (handler) (rate(http_request_duration_seconds_bucket{le="0.1"}[5m])) / '
    'sum by (handler) (rate(http_request_duration_seconds_bucket{le="+Inf"}[5m]))',
    "join": 'node_cpu_seconds_total{mode="idle"} / on (target, cpu) group_left () '
    "sum by (target, cpu) (node_cpu_seconds_total)",
    "regex": 'sum by (target) (increase(http_request_duration_seconds_bucket{handler=~"/api/v1/resource/1.*",le="+Inf"}[10m]))',
    "over_time": 'avg by (target) (max_over_time(node_cpu_seconds_total{mode=~"user|system"}[15m]))',
    "count": 'count by (__name__) ({__name__=~"kube_pod_status_phase_.+"})',
}
SHAPES = {"instant": (0, 0), "1h": (3600, 15), "24h": (SPAN, 300)}


def ask(server: Server, expression: str, shape: str) -> Any:
    back, step = SHAPES[shape]
    if not back:
        return server.get("/api/v1/query", query=expression, time=str(END))
    return server.get("/api/v1/query_range", query=expression, start=str(END - back), end=str(END), step=str(step))


def cost(server: Server, expression: str, shape: str) -> float:
    """CPU milliseconds of one query, once it has been asked before."""
    ask(server, expression, shape)
    before, count = server.usage().cpu, 0
    while count < 1 or (server.usage().cpu - before < 0.3 and count < 300):
        ask(server, expression, shape)
        count += 1
    return (server.usage().cpu - before) * 1000 / count


def points(answer: Any) -> dict[str, Any]:
    """The result by series: order says nothing but for topk's instant query, and is left out."""
    data = answer["data"]["result"]
    return {json.dumps(each["metric"], sort_keys=True): each.get("values", each.get("value")) for each in data}


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> int:
    """Series whose points are not the same to the letter."""
    return sum(ours.get(key) != theirs.get(key) for key in ours.keys() | theirs.keys())


async def run(short: bool) -> dict[str, Any]:
    warm_kernels()
    targets, series = (4, 1000) if short else (20, 5000)
    with tempfile.TemporaryDirectory(prefix="styr-bench-") as name:
        root = Path(name)
        subprocess.run(
            [sys.executable, "-m", "bench._blocks", str(root / "styr"), str(targets), str(series)], check=True
        )
        shutil.copytree(root / "styr", root / "prometheus")
        config = "global: {scrape_interval: 1h}\n"
        keep = "10y"
        with Styr(root / "styr", config, "--retention", keep) as ours:
            ours.start()
            if Prometheus.program() is None:
                return {
                    "figures": {
                        f"{s}_{n}_ms": round(cost(ours, e, s), 2) for n, e in EXPRESSIONS.items() for s in SHAPES
                    }
                }
            with Prometheus(root / "prometheus", config, f"--storage.tsdb.retention.time={keep}") as theirs:
                theirs.start()
                return compare(ours, theirs)


def compare(ours: Server, theirs: Server) -> dict[str, Any]:
    figures: dict[str, float] = {}
    peer: dict[str, float] = {}
    ratio: dict[str, float] = {}
    different = 0
    for name, expression in EXPRESSIONS.items():
        for shape in SHAPES:
            key = f"{name}_{shape}"
            different += differences(points(ask(ours, expression, shape)), points(ask(theirs, expression, shape)))
            figures[f"{key}_ms"] = round(cost(ours, expression, shape), 2)
            peer[f"{key}_ms"] = round(cost(theirs, expression, shape), 2)
            ratio[key] = round(figures[f"{key}_ms"] / max(peer[f"{key}_ms"], 0.01), 3)
    figures["series_that_differ"] = different
    figures["rss_mb"], peer["rss_mb"] = round(ours.usage().rss, 1), round(theirs.usage().rss, 1)
    worst = max(ratio, key=ratio.__getitem__)
    summary = {"median": round(statistics.median(ratio.values()), 3), f"worst ({worst})": ratio[worst]}
    return {"figures": figures, "peer": peer, "ratio": summary | ratio}
