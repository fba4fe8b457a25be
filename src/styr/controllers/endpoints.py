"""Endpoints: the older form of what a Service's EndpointSlices say.

Promise: a Service with a selector has one Endpoints of its name: in each subset the addresses of the pods that have the
same ports, those that are ready apart from those that are not; no pods are no subsets. More than a thousand addresses are
cut off, and an annotation says so. The Endpoints of a Service without a selector are their author's.
"""

from __future__ import annotations

from typing import Any

from styr.client.apply import difference, wanted_parts
from styr.client.context import owned
from styr.client.controller import Context, Controller, Done, Key, Outcome, Watch
from styr.controllers.endpointslice import Ports, pods_of, ports_of, services_of_pod
from styr.kinds import meta, pods
from styr.kinds.resources import ENDPOINTS, POD, SERVICE, Object

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MAX_ADDRESSES = 1000


def plan(service: Object, found: list[Object]) -> Object:
    """The Endpoints of a Service, given the pods that its selector matches."""
    early = bool(service["spec"].get("publishNotReadyAddresses"))
    groups: dict[Ports, dict[str, list[Object]]] = {}
    members = [pod for pod in sorted(found, key=meta.name) if _belongs(pod, early=early)]
    # Of too many, those that serve are kept.
    members.sort(key=lambda pod: not (early or pods.is_ready(pod)))
    for pod in members[:MAX_ADDRESSES]:
        kind = "addresses" if early or pods.is_ready(pod) else "notReadyAddresses"
        groups.setdefault(ports_of(service, pod), {}).setdefault(kind, []).append(_address(pod))
    subsets = [
        {**{kind: groups[ports][kind] for kind in sorted(groups[ports])}, **_ports(ports)} for ports in sorted(groups)
    ]
    metadata: dict[str, Any] = {"name": meta.name(service), "labels": {**meta.labels(service), MANAGED_BY: MANAGER}}
    if len(members) > MAX_ADDRESSES:
        metadata["annotations"] = {OVER_CAPACITY: "truncated"}
    return {"metadata": metadata, "subsets": subsets}


async def reconcile(ctx: Context, key: Key) -> Outcome:
    service = ctx.get(SERVICE, key)
    if service is None or meta.deleting(service):
        return Done()  # garbage collection takes them
    if not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
        return Done()
    wanted = owned(plan(service, pods_of(service, ctx)), service, ENDPOINTS)
    existing = ctx.get(ENDPOINTS, key)
    if existing is None:
        await ctx.create(ENDPOINTS, wanted)
    elif not meta.deleting(existing) and (patch := difference(_parts(wanted, service, existing), existing)):
        await ctx.patch(ENDPOINTS, existing, patch)
    return Done()


def _parts(wanted: Object, service: Object, existing: Object) -> Object:
    """What is compared: an annotation that no longer holds is to go, Endpoints that somebody else made become the Service's."""
    parts = wanted_parts(wanted)
    if OVER_CAPACITY in meta.annotations(existing):
        parts["metadata"].setdefault("annotations", {OVER_CAPACITY: None})
    if not meta.is_controlled_by(existing, service):
        parts["metadata"]["ownerReferences"] = wanted["metadata"]["ownerReferences"]
    return parts


def _belongs(pod: Object, *, early: bool) -> bool:
    address = (pod.get("status") or {}).get("podIP")
    return bool(address) and not pods.is_terminal(pod) and (early or not meta.deleting(pod))


def _address(pod: Object) -> dict[str, Any]:
    address: dict[str, Any] = {"ip": pod["status"]["podIP"]}
    if node := (pod.get("spec") or {}).get("nodeName"):
        address["nodeName"] = node
    names = {"namespace": meta.namespace(pod), "name": meta.name(pod), "uid": meta.uid(pod)}
    return {**address, "targetRef": {"kind": "Pod", **names}}


def _ports(ports: Ports) -> dict[str, Any]:
    told = [
        {
            **({"name": name} if name else {}),
            "port": number,
            "protocol": protocol,
            **({"appProtocol": app} if app else {}),
        }
        for name, protocol, number, app in ports
    ]
    return {"ports": told} if told else {}


def controller() -> Controller:
    return Controller("endpoints", SERVICE, reconcile, owns=(ENDPOINTS,), watches=(Watch(POD, services_of_pod),))
