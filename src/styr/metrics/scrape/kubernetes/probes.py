"""Probe as a job: a prober is asked about each target. Pure. Called by `watcher`."""

from __future__ import annotations

from typing import Any

from styr.kinds import meta
from styr.kinds.resources import Object
from styr.metrics.scrape.kubernetes.credentials import Keys, Refused, credentials, proxy
from styr.metrics.scrape.kubernetes.jobs import KEEP_JOB, Job, common, constant, copied, relabelings, renamed, scheme

_TIMES = {"interval": "scrape_interval", "scrapeTimeout": "scrape_timeout"}


def probe(obj: Object, keys: Keys) -> list[Job]:
    """`probe/NAMESPACE/NAME`, with what is probed as `instance`. Raises `Refused`."""
    spec, namespace = obj.get("spec") or {}, meta.namespace(obj)
    prober, listed = spec.get("prober") or {}, (spec.get("targets") or {}).get("staticConfig")
    if not listed:
        raise Refused("spec.targets: only staticConfig is honoured, and it is not there")
    rules = [
        KEEP_JOB,
        *([constant("job", str(spec["jobName"]))] if spec.get("jobName") else []),
        copied("__address__", "__param_target"),
        copied("__param_target", "instance"),
        constant("__address__", str(prober.get("url", ""))),
        *relabelings(listed.get("relabelingConfigs")),
    ]
    labels = {"namespace": namespace, **(listed.get("labels") or {})}
    config: dict[str, Any] = {
        "job_name": f"probe/{namespace}/{meta.name(obj)}",
        "metrics_path": str(prober.get("path") or "/probe"),
        **renamed(spec, _TIMES),
        **scheme(prober),
        **common(spec),
        **credentials(spec, keys, "spec"),
        **proxy(prober, keys, "spec.prober"),
        "static_configs": [{"targets": list(listed.get("static") or ()), "labels": labels}],
        "relabel_configs": rules,
    }
    if module := spec.get("module"):
        config["params"] = {"module": [module]}
    if changes := relabelings(spec.get("metricRelabelings")):
        config["metric_relabel_configs"] = changes
    return [Job(config)]
