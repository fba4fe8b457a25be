"""EndpointSlices as targets (roles `endpointslice` and `endpoints`), with the labels of their Service and pods. Pure.

Called by `roles`. Role `endpoints` is made from the slices too, under its own label names: Kubernetes has deprecated Endpoints
objects, and a slice says all that they say. Ports of containers that no Service names are targets as well, as in Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from styr.kinds import meta, pods
from styr.kinds.resources import Object
from styr.metrics.scrape.discovery import ADDRESS, Group
from styr.metrics.scrape.kubernetes import pods as pod_targets
from styr.metrics.scrape.kubernetes import services
from styr.metrics.scrape.kubernetes.metalabels import (
    NAMESPACE,
    PORT_ANNOTATION,
    PREFIX,
    SCRAPE_ADDRESS,
    flag,
    of_metadata,
    of_object,
    with_port,
)

SERVICE_NAME = "kubernetes.io/service-name"
SLICE = f"{PREFIX}endpointslice_"
ENDPOINT = f"{PREFIX}endpoint_"

Find = Callable[[str, str], Object | None]
"""An object by namespace and name; None when it is not there."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a slice is looked at with. `node` is None when labels of nodes are not wanted."""

    service: Find
    pod: Find
    node: Find | None = None


def source(namespace: str, name: str) -> str:
    return f"endpointslice/{namespace}/{name}"


def pods_of(slice: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(namespace, name) of the pods that its endpoints lead to."""
    for endpoint in slice.get("endpoints") or ():
        reference = endpoint.get("targetRef") or {}
        if reference.get("kind") == "Pod":
            yield str(reference.get("namespace") or meta.namespace(slice)), str(reference.get("name", ""))


def group(slice: Object, around: Around, *, legacy: bool = False) -> Group:
    """`legacy` is role `endpoints`."""
    namespace = meta.namespace(slice)
    name = str(meta.labels(slice).get(SERVICE_NAME, ""))
    service = around.service(namespace, name) if name else None
    labels = {NAMESPACE: namespace}
    if legacy:
        labels |= {f"{PREFIX}endpoints_name": name, **of_metadata(slice, "endpoints")}
    else:
        labels |= {f"{SLICE}address_type": str(slice.get("addressType") or ""), **of_object(slice, "endpointslice")}
    if service is not None:
        labels |= services.labels_of(service)
    place = source(namespace, meta.name(slice))
    if _secondary(service, slice):
        return Group(place, (), labels)
    return Group(place, tuple(_targets(slice, service, around, legacy)), labels)


def _targets(slice: Object, service: Object | None, around: Around, legacy: bool) -> Iterator[dict[str, str]]:
    seen: dict[tuple[str, str], tuple[Object, set[int]]] = {}
    name_endpoint, name_port = (_legacy_endpoint, _legacy_port) if legacy else (_slice_endpoint, _slice_port)
    for endpoint in slice.get("endpoints") or ():
        pod = _pod(slice, endpoint, around)
        base = {**name_endpoint(endpoint), **_node_labels(endpoint, around)}
        for port in slice.get("ports") or ():
            number = port.get("port")
            for address in endpoint.get("addresses") or ():
                target = {ADDRESS: with_port(address, int(number)) if number else address, **base, **name_port(port)}
                target |= _annotated(service, pod, str(address))
                if pod is not None:
                    target |= pod_targets.labels_of(pod) | _container(pod, number)
                    _, numbers = seen.setdefault((meta.namespace(pod), meta.name(pod)), (pod, set()))
                    numbers |= {int(number)} if number else set()
                yield target
    for pod, numbers in seen.values():
        yield from _others(pod, numbers)


def _pod(slice: Object, endpoint: Mapping[str, Any], around: Around) -> Object | None:
    found = next(pods_of({**slice, "endpoints": [endpoint]}), None)
    return around.pod(*found) if found else None


def _container(pod: Object, number: Any) -> dict[str, str]:
    """The container and the declared port behind a port of the slice, which is the real one."""
    for container, init in pod_targets.containers(pod):
        for port in container.get("ports") or ():
            if number and pods.actual_port(pod, int(port["containerPort"])) == int(number):
                labels = pod_targets.container_labels(pod, container, init) | pod_targets.port_labels(port)
                return {name: value for name, value in labels.items() if not name.endswith("container_id")}
    return {}


def _others(pod: Object, numbers: set[int]) -> Iterator[dict[str, str]]:
    """Declared ports that no port of the slice leads to."""
    address = pod_targets.address_of(pod)
    for container, init in pod_targets.containers(pod) if address else ():
        for port in container.get("ports") or ():
            real = pods.actual_port(pod, int(port["containerPort"]))
            if real not in numbers:
                own = pod_targets.container_labels(pod, container, init) | pod_targets.port_labels(port)
                own = {name: value for name, value in own.items() if not name.endswith("container_id")}
                yield {ADDRESS: with_port(address, real), **own, **pod_targets.labels_of(pod)}


def _annotated(service: Object | None, pod: Object | None, address: str) -> dict[str, str]:
    asked = meta.annotations(service).get(PORT_ANNOTATION, "").strip() if service else ""
    if not asked:
        return {}
    wanted: int | str = int(asked) if asked.isdecimal() else asked
    port = pods.resolve_port(pod, wanted) if pod is not None else wanted if isinstance(wanted, int) else None
    return {SCRAPE_ADDRESS: with_port(address, port)} if port else {}


def _node_labels(endpoint: Mapping[str, Any], around: Around) -> dict[str, str]:
    if around.node is None:
        return {}
    reference = endpoint.get("targetRef") or {}
    name = reference.get("name") if reference.get("kind") == "Node" else endpoint.get("nodeName")
    node = around.node("", str(name)) if name else None
    return of_object(node, "node") if node is not None else {}


def _slice_endpoint(endpoint: Mapping[str, Any]) -> dict[str, str]:
    told = endpoint.get("conditions") or {}
    reference = endpoint.get("targetRef")
    labels = {
        f"{SLICE}endpoint_conditions_{word}": flag(told[word])
        for word in ("ready", "serving", "terminating")
        if told.get(word) is not None
    }
    for field, word in (
        ("hostname", "endpoint_hostname"),
        ("nodeName", "endpoint_node_name"),
        ("zone", "endpoint_zone"),
    ):
        if endpoint.get(field) is not None:
            labels[f"{SLICE}{word}"] = str(endpoint[field])
    if reference:
        labels[f"{SLICE}address_target_kind"] = str(reference.get("kind") or "")
        labels[f"{SLICE}address_target_name"] = str(reference.get("name") or "")
    return labels


def _slice_port(port: Mapping[str, Any]) -> dict[str, str]:
    words = (
        ("name", "port_name"),
        ("protocol", "port_protocol"),
        ("port", "port"),
        ("appProtocol", "port_app_protocol"),
    )
    return {f"{SLICE}{word}": str(port[field]) for field, word in words if port.get(field) is not None}


def _legacy_endpoint(endpoint: Mapping[str, Any]) -> dict[str, str]:
    ready = (endpoint.get("conditions") or {}).get("ready")
    reference = endpoint.get("targetRef")
    labels = {f"{ENDPOINT}ready": flag(ready is None or ready)}
    for field, word in (("hostname", "hostname"), ("nodeName", "node_name")):
        if endpoint.get(field):
            labels[f"{ENDPOINT}{word}"] = str(endpoint[field])
    if reference:
        labels[f"{ENDPOINT}address_target_kind"] = str(reference.get("kind") or "")
        labels[f"{ENDPOINT}address_target_name"] = str(reference.get("name") or "")
    return labels


def _legacy_port(port: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{ENDPOINT}port_name": str(port.get("name") or ""),
        f"{ENDPOINT}port_protocol": str(port.get("protocol") or "TCP"),
    }


def _secondary(service: Object | None, slice: Object) -> bool:
    """The other family of a dual-stack Service: its targets would be those of the first family once more."""
    spec = (service or {}).get("spec") or {}
    if spec.get("ipFamilyPolicy") not in ("PreferDualStack", "RequireDualStack") or not spec.get("ipFamilies"):
        return False
    return bool(slice.get("addressType") != spec["ipFamilies"][0])
