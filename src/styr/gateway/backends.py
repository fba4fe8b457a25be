"""Services and EndpointSlices -> the backends in use, with the endpoints that are ready. Pure. Called by `routes`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any

from styr.gateway.ir import Backend, ObjectKey, World
from styr.kinds import meta
from styr.kinds.resources import Object

SERVICE_LABEL = "kubernetes.io/service-name"


def collect(clusters: Iterable[str], world: World) -> tuple[Backend, ...]:
    """One backend for each cluster name. A Service that has gone leaves a backend without endpoints (503)."""
    services = {(meta.namespace(service), meta.name(service)): service for service in world.services}
    slices: dict[ObjectKey, list[Object]] = {}
    for piece in world.slices:
        slices.setdefault((meta.namespace(piece), meta.labels(piece).get(SERVICE_LABEL, "")), []).append(piece)
    found = []
    for cluster in sorted(clusters):
        namespace, name, port = cluster.split("/")
        key = (namespace, name)
        endpoints: tuple[tuple[str, int], ...] = ()
        if key in services:
            port_name = _port_name(services[key], int(port))
            endpoints = tuple(sorted({e for piece in slices.get(key, ()) for e in _ready(piece, port_name)}))
        found.append(Backend(namespace, name, int(port), endpoints))
    return tuple(found)


def _port_name(service: Object, port: int) -> str:
    ports: list[dict[str, Any]] = (service.get("spec") or {}).get("ports") or []
    return next((entry.get("name") or "" for entry in ports if entry.get("port") == port), "")


def _ready(piece: Object, port_name: str) -> Iterator[tuple[str, int]]:
    """(address, port) of every ready endpoint. Host names (addressType FQDN) are no endpoints: Envoy takes only addresses."""
    numbers = [
        int(port["port"])
        for port in piece.get("ports") or ()
        if (port.get("name") or "") == port_name and port.get("port") and (port.get("protocol") or "TCP") == "TCP"
    ]
    for endpoint in piece.get("endpoints") or ():
        if (endpoint.get("conditions") or {}).get("ready") is False:
            continue
        for address in (endpoint.get("addresses") or ())[:1]:
            if _is_address(address):
                yield from ((address, number) for number in numbers)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
