"""ScrapeConfig (v1alpha1) as a job: targets by name or by role, nothing added. Pure. Called by `watcher`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from styr.kinds import meta
from styr.kinds.resources import Object
from styr.metrics.scrape.kubernetes.credentials import Keys, credentials, proxy
from styr.metrics.scrape.kubernetes.jobs import (
    KEEP_JOB,
    Job,
    Role,
    RoleName,
    common,
    constant,
    relabelings,
    renamed,
    scheme,
)

_FIELDS = {
    "metricsPath": "metrics_path",
    "params": "params",
    "scrapeInterval": "scrape_interval",
    "scrapeTimeout": "scrape_timeout",
    "honorLabels": "honor_labels",
    "honorTimestamps": "honor_timestamps",
    "trackTimestampsStaleness": "track_timestamps_staleness",
    "enableCompression": "enable_compression",
}


def scrape_config(obj: Object, keys: Keys) -> list[Job]:
    """`scrapeConfig/NAMESPACE/NAME`. Raises `Refused`."""
    spec = obj.get("spec") or {}
    rules = [KEEP_JOB, *([constant("job", str(spec["jobName"]))] if spec.get("jobName") else [])]
    config: dict[str, Any] = {
        "job_name": f"scrapeConfig/{meta.namespace(obj)}/{meta.name(obj)}",
        **renamed(spec, _FIELDS),
        **scheme(spec),
        **common(spec),
        **credentials(spec, keys, "spec"),
        **proxy(spec, keys, "spec"),
        "static_configs": [
            {"targets": list(one.get("targets") or ()), "labels": dict(one.get("labels") or {})}
            for one in spec.get("staticConfigs") or ()
        ],
        "relabel_configs": [*rules, *relabelings(spec.get("relabelings"))],
    }
    if changes := relabelings(spec.get("metricRelabelings")):
        config["metric_relabel_configs"] = changes
    return [Job(config, tuple(_roles(spec, meta.namespace(obj))))]


def _roles(spec: Mapping[str, Any], own: str) -> Iterator[Role]:
    for one in spec.get("kubernetesSDConfigs") or ():
        where = one.get("namespaces") or {}
        names = [*(where.get("names") or ()), *([own] if where.get("ownNamespace") else ())]
        node = bool((one.get("attachMetadata") or {}).get("node"))
        yield Role(cast("RoleName", str(one.get("role")).lower()), tuple(dict.fromkeys(names)), node)
