"""`status/...` and `features`: what the process is, how it was started, what the storage holds. Called by `api`."""

from __future__ import annotations

import os
import platform
import socket
import threading
from collections.abc import Sequence
from typing import Any

from styr.kinds.transport import Response
from styr.metrics.model.errors import BadData
from styr.metrics.model.matchers import compile_regex
from styr.metrics.web import reply
from styr.metrics.web.call import Call
from styr.metrics.web.json import go_time
from styr.version import __version__

PARITY = "3.14.0"
"""The Prometheus whose API this is. Clients (Grafana among them) choose what they ask by this version."""
MAX_STATS = 10_000

FEATURES: dict[str, dict[str, bool]] = {
    "api": {
        "admin": True,
        "exclude_alerts": True,
        "label_values_match": True,
        "lifecycle": False,
        "otlp_write_receiver": True,
        "query_stats": True,
        "query_warnings": True,
        "remote_write_receiver": True,
        "time_range_labels": True,
        "time_range_series": True,
    },
    "otlp_receiver": {"delta_conversion": False, "native_delta_ingestion": False},
    "promql": {
        "anchored": False,
        "at_modifier": True,
        "bool": True,
        "by": True,
        "duration_expr": True,
        "group_left": True,
        "group_right": True,
        "ignoring": True,
        "negative_offset": True,
        "offset": True,
        "on": True,
        "smoothed": False,
        "subqueries": True,
        "without": True,
    },
    "rules": {"concurrent_rule_eval": False, "keep_firing_for": True, "query_offset": True},
    "tsdb": {"delayed_compaction": False, "exemplar_storage": True, "native_histograms": True},
}


async def config(call: Call) -> Response:
    """The configuration, as YAML."""
    return reply.data({"yaml": call.parts.status.config()})


async def flags(call: Call) -> Response:
    """The command line."""
    return reply.data(dict(call.parts.status.flags))


async def buildinfo(_call: Call) -> Response:
    """The version whose API this is; `application` says who really answers."""
    return reply.data(
        {
            "version": PARITY,
            "revision": f"styr-{__version__}",
            "branch": "HEAD",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
            "application": "Styr",
            "features": {"ruler_config_api": "false"},
        }
    )


async def runtimeinfo(call: Call) -> Response:
    """Threads and processors stand where Prometheus counts goroutines."""
    status = call.parts.status
    return reply.data(
        {
            "startTime": go_time(status.started),
            "CWD": os.getcwd(),
            "hostname": socket.gethostname(),
            "serverTime": go_time(call.parts.clock.time()),
            "reloadConfigSuccess": status.config_ok,
            "lastConfigTime": go_time(status.config_loaded),
            "corruptionCount": 0,
            "goroutineCount": threading.active_count(),
            "GOMAXPROCS": len(os.sched_getaffinity(0)),
            "GOMEMLIMIT": 0,
            "GOGC": "",
            "GODEBUG": "",
            "storageRetention": status.retention,
            "python": platform.python_version(),
        }
    )


async def tsdb(call: Call) -> Response:
    """What the head holds, and which labels cost most."""
    text = call.form.text("limit")
    limit = 10
    if text:
        if not text.isdecimal() or not text.isascii() or int(text[:20]) < 1:
            raise BadData("limit must be a positive number")
        limit = int(text[:20])
    if limit > MAX_STATS:
        raise BadData(f"limit must not exceed {MAX_STATS}")
    admin = call.admin
    stats = await call.work(lambda _: admin.stats(limit))
    return reply.data(
        {
            "headStats": {
                "numSeries": stats.series,
                "numLabelPairs": stats.label_pairs,
                "chunkCount": stats.chunks,
                "minTime": stats.mint,
                "maxTime": stats.maxt,
            },
            "seriesCountByMetricName": _rows(stats.by_metric),
            "labelValueCountByLabelName": _rows(stats.values_by_label),
            "memoryInBytesByLabelName": _rows(stats.bytes_by_label),
            "seriesCountByLabelValuePair": _rows(stats.by_pair),
        }
    )


def _rows(counts: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in counts]


async def blocks(call: Call) -> Response:
    """The blocks on the disk: their meta.json."""
    admin = call.admin
    return reply.data({"blocks": await call.work(lambda _: list(admin.blocks()))})


async def walreplay(call: Call) -> Response:
    """How far the start has come. Answered before the storage is ready."""
    first, last, now = call.parts.admin.replay() if call.parts.admin else (0, 0, 0)
    return reply.data({"min": first, "max": last, "current": now})


async def features(_call: Call) -> Response:
    """What is there, and switched on."""
    return reply.data(FEATURES)


async def notifications(_call: Call) -> Response:
    """Messages for people who look at the UI: none are kept."""
    return reply.data([])


async def self_metrics(call: Call) -> Response:
    """The metrics of the process itself, as JSON."""
    pattern = call.form.text("metric_name_pattern")
    try:
        wanted = compile_regex(pattern) if pattern else None
    except BadData as error:
        raise BadData(f"invalid metric_name_pattern: {error}") from None
    rows = []
    for family in call.parts.registry.collect():
        if wanted is None or wanted(family.name):
            samples = [{"name": s.name, "labels": s.labels, "value": s.value} for s in family.samples]
            rows.append({"name": family.name, "help": family.documentation, "type": family.type, "samples": samples})
    return reply.data(rows)
