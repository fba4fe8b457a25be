"""Pods as targets (role `pod`), and the labels that a pod adds to the endpoints that lead to it. Pure.

Called by `roles` and `endpoints`. Pods of the process runtime listen on other ports than they declare: addresses have the real
one (`kinds.pods`), `__meta_kubernetes_pod_container_port_number` the declared one, so that monitors select by what is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from styr.kinds import conditions, meta, pods
from styr.kinds.resources import Object
from styr.metrics.scrape.discovery import ADDRESS, Group
from styr.metrics.scrape.kubernetes.metalabels import (
    NAMESPACE,
    PORT_ANNOTATION,
    PREFIX,
    SCRAPE_ADDRESS,
    flag,
    of_object,
    with_port,
)

POD = f"{PREFIX}pod_"


def source(namespace: str, name: str) -> str:
    return f"pod/{namespace}/{name}"


def group(pod: Object, node: Object | None = None) -> Group:
    """One target for each declared port, or for each container without one. No targets before the pod has an address."""
    address = address_of(pod)
    place = source(meta.namespace(pod), meta.name(pod))
    if not address:
        return Group(place)
    labels = {**labels_of(pod), NAMESPACE: meta.namespace(pod)}
    if node is not None:
        labels |= of_object(node, "node")
    if asked := meta.annotations(pod).get(PORT_ANNOTATION, "").strip():
        port = pods.resolve_port(pod, asked if not asked.isdecimal() else int(asked))
        labels |= {SCRAPE_ADDRESS: with_port(address, port)} if port else {}
    return Group(place, tuple(_targets(pod, address)), labels)


def _targets(pod: Object, address: str) -> Iterator[dict[str, str]]:
    for container, init in containers(pod):
        if not container.get("ports"):
            yield {ADDRESS: address, **container_labels(pod, container, init)}
        for port in container.get("ports") or ():
            real = pods.actual_port(pod, int(port["containerPort"]))
            yield {ADDRESS: with_port(address, real), **container_labels(pod, container, init), **port_labels(port)}


def address_of(pod: Mapping[str, Any]) -> str:
    return str((pod.get("status") or {}).get("podIP") or "")


def containers(pod: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """(container, is it an init container), the others first."""
    spec = pod.get("spec") or {}
    yield from ((one, False) for one in spec.get("containers") or ())
    yield from ((one, True) for one in spec.get("initContainers") or ())


def container_labels(pod: Mapping[str, Any], container: Mapping[str, Any], init: bool) -> dict[str, str]:
    statuses = (pod.get("status") or {}).get("initContainerStatuses" if init else "containerStatuses") or ()
    known = (one.get("containerID") for one in statuses if one.get("name") == container.get("name"))
    return {
        f"{POD}container_name": str(container.get("name", "")),
        f"{POD}container_id": str(next(known, None) or ""),
        f"{POD}container_image": str(container.get("image", "")),
        f"{POD}container_init": flag(init),
    }


def port_labels(port: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{POD}container_port_name": str(port.get("name") or ""),
        f"{POD}container_port_number": str(port["containerPort"]),
        f"{POD}container_port_protocol": str(port.get("protocol") or "TCP"),
    }


def labels_of(pod: Object) -> dict[str, str]:
    """What is common to all targets of the pod, without its namespace."""
    status = pod.get("status") or {}
    ready = conditions.find(status.get("conditions"), "Ready")
    labels = {
        f"{POD}ip": address_of(pod),
        f"{POD}ready": str(ready["status"]).lower() if ready else "unknown",
        f"{POD}phase": str(status.get("phase") or ""),
        f"{POD}node_name": str((pod.get("spec") or {}).get("nodeName") or ""),
        f"{POD}host_ip": str(status.get("hostIP") or ""),
        f"{POD}uid": meta.uid(pod),
        **of_object(pod, "pod"),
    }
    if owner := meta.controller_of(pod):
        labels |= {f"{POD}controller_{word}": str(owner[word]) for word in ("kind", "name") if owner.get(word)}
    return labels
