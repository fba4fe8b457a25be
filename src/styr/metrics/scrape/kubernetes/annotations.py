"""Jobs for what says `prometheus.io/scrape: "true"` of itself, pods and Services: no monitor needed. Pure. Called by `watcher`.

Further annotations: `prometheus.io/port` (number or name of a container's port), `/path`, `/scheme`. Prometheus' example
configuration and its Helm chart made them usual.
"""

from __future__ import annotations

from collections.abc import Iterator

from styr.metrics.scrape.kubernetes.jobs import NOT_OVER, Job, Role, Rule, copied, kept
from styr.metrics.scrape.kubernetes.metalabels import PREFIX, SCRAPE_ADDRESS

PODS = "kubernetes-pods"
SERVICES = "kubernetes-service-endpoints"


def jobs() -> list[Job]:
    """Two jobs, always the same."""
    return [
        Job({"job_name": PODS, "relabel_configs": list(_rules("pod"))}, (Role("pod"),)),
        Job({"job_name": SERVICES, "relabel_configs": list(_rules("service"))}, (Role("endpointslice"),)),
    ]


def _rules(kind: str) -> Iterator[Rule]:
    annotation = f"{PREFIX}{kind}_annotation_prometheus_io_"
    yield kept(f"{annotation}scrape", "true")
    yield NOT_OVER
    yield {**copied(f"{annotation}scheme", "__scheme__"), "regex": "(https?)"}
    yield copied(f"{annotation}path", "__metrics_path__", if_set=True)
    yield copied(SCRAPE_ADDRESS, "__address__", if_set=True)
    yield copied(f"{PREFIX}namespace", "namespace")
    if kind == "service":
        yield copied(f"{PREFIX}service_name", "service")
    yield copied(f"{PREFIX}pod_name", "pod")
    for word in ("app", "release"):
        yield copied(f"{PREFIX}pod_label_styr_dev_{word}", word, if_set=True)
