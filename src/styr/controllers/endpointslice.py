"""EndpointSlice: which addresses and ports answer for a Service.

Promise: every pod that a Service's selector matches, and that has an address and is not over, is an endpoint; it is
`ready` while the pod is ready and nobody has asked it to go. A Service without selector is left to its author.

The ports of a slice hold for all of its endpoints, and pods of the process runtime listen on ports of their own: there
is one slice for each distinct set of ports, named by a digest of that set. A Service whose selector matches nothing has one
slice with nothing in it: it is known, and empty.
"""

from __future__ import annotations

from typing import Any

from styr.client.controller import Context, Controller, Done, Key, Outcome, Watch
from styr.controllers.naming import child_name, digest
from styr.kinds import meta, pods, selectors
from styr.kinds.resources import ENDPOINT_SLICE, POD, SERVICE, Object

SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
MAX_ENDPOINTS = 100

Ports = tuple[tuple[str, str, int, str], ...]
"""(name, protocol, number, appProtocol) of each port that a pod has."""


def plan(service: Object, found: list[Object]) -> list[Object]:
    """The slices of a Service, given the pods that its selector matches."""
    groups: dict[tuple[str, Ports], list[Object]] = {}
    for pod in sorted(found, key=meta.name):
        if not pods.is_terminal(pod) and (address := _address(pod)):
            groups.setdefault((_family(address), ports_of(service, pod)), []).append(pod)
    if not groups:
        return [_slice(service, "IPv4", (), [], 0)]
    return [
        _slice(service, family, ports, members[start : start + MAX_ENDPOINTS], start)
        for (family, ports), members in sorted(groups.items())
        for start in range(0, len(members), MAX_ENDPOINTS)
    ]


async def reconcile(ctx: Context, key: Key) -> Outcome:
    service = ctx.get(SERVICE, key)
    if service is None or meta.deleting(service):
        return Done()  # garbage collection takes the slices
    selector = service["spec"].get("selector")
    if not selector or service["spec"].get("type") == "ExternalName":
        return Done()
    found = pods_of(service, ctx)
    have = [child for child in ctx.children(ENDPOINT_SLICE, service) if meta.labels(child).get(MANAGED_BY) == MANAGER]
    await ctx.apply_children(ENDPOINT_SLICE, service, plan(service, found), have)
    return Done()


def pods_of(service: Object, ctx: Context) -> list[Object]:
    """Those that a Service's selector matches."""
    return ctx.list(POD, meta.namespace(service), selectors.from_labels(service["spec"].get("selector") or {}))


def ports_of(service: Object, pod: Object) -> Ports:
    ports = []
    for port in service["spec"].get("ports") or ():
        target = port.get("targetPort") or port["port"]
        number = pods.resolve_port(pod, target)
        if number is not None:
            ports.append((port.get("name") or "", port.get("protocol") or "TCP", number, port.get("appProtocol") or ""))
    return tuple(ports)


def _slice(service: Object, family: str, ports: Ports, members: list[Object], start: int) -> Object:
    own_labels = {SERVICE_LABEL: meta.name(service), MANAGED_BY: MANAGER}
    return {
        "metadata": {
            "name": child_name(meta.name(service), digest(family, ports, start)),
            "labels": {**meta.labels(service), **own_labels},
        },
        "addressType": family,
        "ports": [
            {"name": name, "protocol": protocol, "port": number, **({"appProtocol": app} if app else {})}
            for name, protocol, number, app in ports
        ],
        "endpoints": [_endpoint(service, pod) for pod in members],
    }


def _endpoint(service: Object, pod: Object) -> dict[str, Any]:
    serving, leaving = pods.is_ready(pod), meta.deleting(pod)
    early = bool(service["spec"].get("publishNotReadyAddresses"))
    endpoint = {
        "addresses": [_address(pod)],
        "conditions": {"ready": early or (serving and not leaving), "serving": serving, "terminating": leaving},
        "targetRef": {"kind": "Pod", "namespace": meta.namespace(pod), "name": meta.name(pod), "uid": meta.uid(pod)},
    }
    if node := (pod.get("spec") or {}).get("nodeName"):
        endpoint["nodeName"] = node
    return endpoint


def _address(pod: Object) -> str:
    return str((pod.get("status") or {}).get("podIP") or "")


def _family(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def services_of_pod(pod: Object, ctx: Context) -> list[Key]:
    labels = meta.labels(pod)
    return [
        meta.key(service)
        for service in ctx.list(SERVICE, meta.namespace(pod))
        if (selector := service["spec"].get("selector")) and selectors.matches(selectors.from_labels(selector), labels)
    ]


def controller() -> Controller:
    return Controller(
        "endpointslice", SERVICE, reconcile, owns=(ENDPOINT_SLICE,), watches=(Watch(POD, services_of_pod),)
    )
