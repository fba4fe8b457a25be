"""Mirroring: EndpointSlices for the Endpoints that people write themselves.

Promise: Endpoints of the name of a Service without a selector have a slice for each of their subsets and families of
addresses; who reads slices only finds them too. Endpoints that say `skip-mirror`, that are somebody's lock, or whose Service
has a selector are left alone, and slices made for them go.
"""

from __future__ import annotations

from typing import Any

from styr.client.controller import Context, Controller, Done, Key, Outcome, Watch
from styr.controllers.endpointslice import MANAGED_BY, SERVICE_LABEL
from styr.controllers.naming import child_name, digest
from styr.kinds import meta
from styr.kinds.resources import ENDPOINT_SLICE, ENDPOINTS, SERVICE, Object

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LOCK = "control-plane.alpha.kubernetes.io/leader"
TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
MAX_ENDPOINTS = 1000
"""In one subset; more are not mirrored, as in Kubernetes."""
_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", TRIGGER)


def plan(endpoints: Object) -> list[Object]:
    """The slices of Endpoints that are mirrored."""
    return [
        _slice(endpoints, number, family, subset, pieces)
        for number, subset in enumerate(endpoints.get("subsets") or ())
        for family, pieces in sorted(_families(subset).items())
    ]


def mirrored(endpoints: Object, service: Object | None) -> bool:
    if service is None or meta.deleting(service) or service["spec"].get("selector"):
        return False
    skipped = meta.labels(endpoints).get(SKIP) == "true" or LOCK in meta.annotations(endpoints)
    return not skipped and not meta.deleting(endpoints)


async def reconcile(ctx: Context, key: Key) -> Outcome:
    endpoints = ctx.get(ENDPOINTS, key)
    if endpoints is None:
        return Done()  # garbage collection takes the slices
    have = [child for child in ctx.children(ENDPOINT_SLICE, endpoints) if meta.labels(child).get(MANAGED_BY) == MANAGER]
    wanted = plan(endpoints) if mirrored(endpoints, ctx.get(SERVICE, key)) else []
    await ctx.apply_children(ENDPOINT_SLICE, endpoints, wanted, have)
    return Done()


def _families(subset: Object) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for kind, ready in (("addresses", True), ("notReadyAddresses", False)):
        for address in subset.get(kind) or ():
            family = "IPv6" if ":" in address["ip"] else "IPv4"
            if len(members := found.setdefault(family, [])) < MAX_ENDPOINTS:
                members.append(_endpoint(address, ready=ready))
    return found


def _endpoint(address: Object, *, ready: bool) -> Object:
    endpoint: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for field in ("hostname", "nodeName", "targetRef"):
        if address.get(field):
            endpoint[field] = address[field]
    return endpoint


def _slice(endpoints: Object, number: int, family: str, subset: Object, pieces: list[Object]) -> Object:
    labels = {**meta.labels(endpoints), SERVICE_LABEL: meta.name(endpoints), MANAGED_BY: MANAGER}
    annotations = {key: value for key, value in meta.annotations(endpoints).items() if key not in _NOT_COPIED}
    metadata: dict[str, Any] = {"name": child_name(meta.name(endpoints), digest(number, family)), "labels": labels}
    if annotations:
        metadata["annotations"] = annotations
    ports = [
        {
            "name": port.get("name") or "",
            "protocol": port.get("protocol") or "TCP",
            "port": port["port"],
            **({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {}),
        }
        for port in subset.get("ports") or ()
    ]
    return {"metadata": metadata, "addressType": family, "ports": ports, "endpoints": pieces}


def _same_name(service: Object, _ctx: Context) -> list[Key]:
    return [meta.key(service)]


def controller() -> Controller:
    return Controller(
        "endpointslicemirroring", ENDPOINTS, reconcile, owns=(ENDPOINT_SLICE,), watches=(Watch(SERVICE, _same_name),)
    )
