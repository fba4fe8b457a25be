"""What the server tells of itself, as Kubernetes' own does: the Service `kubernetes` in `default`, where it answers, and the
range that addresses of Services come from.

Called by whoever made the server listen (`plane`), once it knows the port. Speaks to the server by requests, as its own
user; what is as it should be already is not written again.
"""

from __future__ import annotations

import json
from typing import Any

from styr.api.strategies.service import NETWORK
from styr.kinds.resources import ENDPOINT_SLICE, ENDPOINTS, SERVICE, Object, Resource
from styr.kinds.transport import Handler, Request, User
from styr.kit.log import Log

log = Log("styr.api.itself")

NAME = "kubernetes"
ADDRESS = str(NETWORK[1])
MANAGER = "kube-apiserver"
_USER = User("system:apiserver", ("system:masters",))
_LABELS = {"component": "apiserver", "provider": "kubernetes"}
_SERVICE_CIDR = Resource("networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs", namespaced=False)


async def publish(server: Handler, host: str, port: int, now: str) -> None:
    """`host` is an IP address. `now` is RFC 3339, for what becomes true just now. Says in the log what was refused."""
    service, *others = objects(host, port)
    if not await _apply(server, *service, quiet=True):
        # The first address is another Service's already: any other will do.
        del service[1]["spec"]["clusterIP"]
        await _apply(server, *service)
    for resource, obj in others:
        await _apply(server, resource, obj)
    ready = {"type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready"}
    found = await _ask(server, Request("GET", _SERVICE_CIDR.path(None, NAME), user=_USER))
    if not (found.get("status") or {}).get("conditions"):
        told = {"status": {"conditions": [{**ready, "lastTransitionTime": now}]}}
        await _apply(server, _SERVICE_CIDR, _named(_SERVICE_CIDR, told), "status")


def objects(host: str, port: int) -> list[tuple[Resource, Object]]:
    """Endpoints are not mirrored: the slice is here already."""
    protocol = {"name": "https", "protocol": "TCP"}
    family = "IPv6" if ":" in host else "IPv4"
    service = {
        "spec": {
            "type": "ClusterIP",
            "clusterIP": ADDRESS,
            "ports": [{**protocol, "port": 443, "targetPort": port}],
            "sessionAffinity": "None",
        }
    }
    endpoints = {"subsets": [{"addresses": [{"ip": host}], "ports": [{**protocol, "port": port}]}]}
    piece = {
        "addressType": family,
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
        "ports": [{**protocol, "port": port}],
    }
    return [
        (SERVICE, _named(SERVICE, service, **_LABELS)),
        (ENDPOINTS, _named(ENDPOINTS, endpoints, **{"endpointslice.kubernetes.io/skip-mirror": "true"})),
        (ENDPOINT_SLICE, _named(ENDPOINT_SLICE, piece, **{"kubernetes.io/service-name": NAME})),
        (_SERVICE_CIDR, _named(_SERVICE_CIDR, {"spec": {"cidrs": [str(NETWORK)]}})),
    ]


def _named(resource: Resource, body: Object, **labels: str) -> Object:
    metadata: dict[str, Any] = {"name": NAME, **({"labels": labels} if labels else {})}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **body}


async def _apply(
    server: Handler, resource: Resource, obj: Object, subresource: str = "", *, quiet: bool = False
) -> Object:
    """The object as it is now; {} when it was refused."""
    path = resource.path("default" if resource.namespaced else None, NAME, subresource or None)
    query = [("fieldManager", MANAGER), ("force", "true")]
    headers = {"content-type": "application/apply-patch+yaml"}
    return await _ask(server, Request("PATCH", path, query, headers, json.dumps(obj).encode(), _USER), quiet=quiet)


async def _ask(server: Handler, request: Request, *, quiet: bool = False) -> Object:
    response = await server(request)
    assert isinstance(response.body, bytes)
    answer: Object = json.loads(response.body)
    if response.status >= 400:
        if not quiet:
            log.error("the server cannot tell of itself", path=request.path, reason=answer.get("message", ""))
        return {}
    return answer
