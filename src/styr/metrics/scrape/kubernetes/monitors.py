"""ServiceMonitor and PodMonitor as jobs, with the relabellings that prometheus-operator writes for them. Pure.

Called by `watcher`. The order of the rules is part of the contract: users' own come last and see `namespace`, `service`, `pod`,
`container`, `job` and `endpoint` set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from styr.kinds import meta
from styr.kinds.resources import Object
from styr.metrics.scrape.kubernetes.credentials import Keys, Refused, credentials, proxy
from styr.metrics.scrape.kubernetes.jobs import (
    ENDPOINT,
    KEEP_JOB,
    NOT_OVER,
    Job,
    Role,
    Rule,
    common,
    constant,
    copied,
    kept,
    namespaces,
    relabelings,
    renamed,
    scheme,
    selected,
)
from styr.metrics.scrape.kubernetes.metalabels import PREFIX, sanitized

_PORT_NAME, _PORT_NUMBER = f"{PREFIX}pod_container_port_name", f"{PREFIX}pod_container_port_number"
_REFERENCE = [f"{PREFIX}endpointslice_address_target_kind", f"{PREFIX}endpointslice_address_target_name"]


def service_monitor(obj: Object, keys: Keys) -> list[Job]:
    """One job for each endpoint, `serviceMonitor/NAMESPACE/NAME/INDEX`. Raises `Refused`."""
    spec = obj.get("spec") or {}
    role = Role("endpointslice", namespaces(spec.get("namespaceSelector"), meta.namespace(obj)), _with_node(spec))
    return [
        Job(
            {
                "job_name": f"serviceMonitor/{meta.namespace(obj)}/{meta.name(obj)}/{index}",
                **_endpoint(spec, endpoint, keys, f"spec.endpoints[{index}]"),
                "relabel_configs": list(_service_rules(spec, endpoint)),
            },
            (role,),
        )
        for index, endpoint in enumerate(spec.get("endpoints") or ())
    ]


def pod_monitor(obj: Object, keys: Keys) -> list[Job]:
    """One job for each endpoint, `podMonitor/NAMESPACE/NAME/INDEX`. Raises `Refused`."""
    spec = obj.get("spec") or {}
    role = Role("pod", namespaces(spec.get("namespaceSelector"), meta.namespace(obj)), _with_node(spec))
    return [
        Job(
            {
                "job_name": f"podMonitor/{meta.namespace(obj)}/{meta.name(obj)}/{index}",
                **_endpoint(spec, endpoint, keys, f"spec.podMetricsEndpoints[{index}]"),
                "relabel_configs": list(_pod_rules(obj, spec, endpoint)),
            },
            (role,),
        )
        for index, endpoint in enumerate(spec.get("podMetricsEndpoints") or ())
    ]


def _with_node(spec: Mapping[str, Any]) -> bool:
    return bool((spec.get("attachMetadata") or {}).get("node"))


def _endpoint(spec: Mapping[str, Any], endpoint: Mapping[str, Any], keys: Keys, path: str) -> dict[str, Any]:
    """All but the name and the relabellings of targets."""
    try:
        config = {
            **renamed(endpoint, ENDPOINT),
            **scheme(endpoint),
            **common(spec),
            **credentials(endpoint, keys, path),
            **proxy(endpoint, keys, path),
        }
    except ValueError as error:
        raise Refused(f"spec.nativeHistogramMinBucketFactor: {error}") from error
    if rules := relabelings(endpoint.get("metricRelabelings")):
        config["metric_relabel_configs"] = rules
    return config


def _service_rules(spec: Mapping[str, Any], endpoint: Mapping[str, Any]) -> Iterator[Rule]:
    yield KEEP_JOB
    yield from selected(spec.get("selector") or {}, "service")
    port, target = str(endpoint.get("port") or ""), endpoint.get("targetPort")
    if port:
        yield kept(f"{PREFIX}endpointslice_port_name", port)
    elif target:
        yield kept(_PORT_NUMBER if isinstance(target, int) else _PORT_NAME, str(target))
    for kind, label in (("Node", "node"), ("Pod", "pod")):
        yield {"source_labels": _REFERENCE, "regex": f"{kind};(.*)", "target_label": label}
    yield copied(f"{PREFIX}namespace", "namespace")
    yield copied(f"{PREFIX}service_name", "service")
    yield copied(f"{PREFIX}pod_name", "pod")
    yield copied(f"{PREFIX}pod_container_name", "container")
    if endpoint.get("filterRunning", True):
        yield NOT_OVER
    yield from _labels(spec.get("targetLabels"), "service")
    yield from _labels(spec.get("podTargetLabels"), "pod")
    yield copied(f"{PREFIX}service_name", "job")
    if job := spec.get("jobLabel"):
        yield copied(f"{PREFIX}service_label_{sanitized(job)}", "job", if_set=True)
    if port or target:
        yield constant("endpoint", port or str(target))
    yield from relabelings(endpoint.get("relabelings"))


def _pod_rules(obj: Object, spec: Mapping[str, Any], endpoint: Mapping[str, Any]) -> Iterator[Rule]:
    yield KEEP_JOB
    if endpoint.get("filterRunning", True):
        yield NOT_OVER
    yield from selected(spec.get("selector") or {}, "pod")
    port: str | int = endpoint.get("port") or endpoint.get("portNumber") or endpoint.get("targetPort") or ""
    if port:
        yield kept(_PORT_NUMBER if isinstance(port, int) else _PORT_NAME, str(port))
    yield copied(f"{PREFIX}namespace", "namespace")
    yield copied(f"{PREFIX}pod_container_name", "container")
    yield copied(f"{PREFIX}pod_name", "pod")
    yield from _labels(spec.get("podTargetLabels"), "pod")
    yield constant("job", f"{meta.namespace(obj)}/{meta.name(obj)}")
    if label := spec.get("jobLabel"):
        yield copied(f"{PREFIX}pod_label_{sanitized(label)}", "job", if_set=True)
    if port:
        yield constant("endpoint", str(port))
    yield from relabelings(endpoint.get("relabelings"))


def _labels(names: Any, kind: str) -> Iterator[Rule]:
    for name in names or ():
        yield copied(f"{PREFIX}{kind}_label_{sanitized(name)}", sanitized(name), if_set=True)
