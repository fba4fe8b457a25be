"""/proxy of pods, services and nodes: HTTP, handed on as it comes, WebSockets and other upgrades too.

Called by the server. The name may say more: `[SCHEME:]NAME[:PORT]`, the port by number or name. A pod is reached at ports of
its own alone (`kinds.seams.PodStreams.address`), a Service at one of its ready endpoints, a node at what `node/stats.py`
answers. Links within HTML are left as they are.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from styr.api.call import Call
from styr.api.routes import proxied
from styr.api.verbs import admit
from styr.kinds import pods
from styr.kinds.errors import ApiError, BadRequest, NotFound, Unavailable
from styr.kinds.resources import ENDPOINT_SLICE, POD, Object
from styr.kinds.seams import PodStreams
from styr.kinds.transport import Response
from styr.serving.relay import Unreachable, Upstream, relay

SERVICE_LABEL = "kubernetes.io/service-name"
_KINDS = {"pods": "PodProxyOptions", "services": "ServiceProxyOptions", "nodes": "NodeProxyOptions"}


@dataclass(frozen=True, slots=True)
class Name:
    """What stands in the path for a name."""

    scheme: str
    name: str
    port: str


async def proxy(call: Call) -> Response:
    """Raises ApiError."""
    where = proxied(call.request)
    call.waits = call.core.chain.waits(call.served, call.subresource)
    resource = call.served.resource.plural
    await admit.connect(call, {"kind": _KINDS[resource], "apiVersion": "v1", "path": where.path})
    if where.bare and call.request.method == "GET" and "upgrade" not in call.request.headers:
        query = f"?{where.query}" if where.query else ""
        return Response(301, headers={"location": f"{call.request.path}/{query}"})
    if call.core.streams is None:
        raise Unavailable("proxy: no node serves this API; start one with `styr up`")
    wanted = read_name(call.name)
    if resource == "nodes":
        return await _node(call, call.core.streams, wanted, where.path)
    reach = _pod if resource == "pods" else _service
    try:
        host, port = await reach(call, call.core.streams, wanted)
        target = where.path + (f"?{where.query}" if where.query else "")
        response = await relay(call.request, _upstream(call, wanted.scheme, host, port, target))
    except (Unreachable, ConnectionRefusedError) as error:
        raise Unavailable(f"error trying to reach service: {error}") from None
    if location := response.headers.get("location"):
        response.headers["location"] = _outward(location, f"{host}:{port}", where.prefix)
    return response


def read_name(text: str) -> Name:
    """Raises BadRequest."""
    parts = text.split(":")
    if len(parts) == 1:
        parts = ["", *parts, ""]
    elif len(parts) == 2:
        parts = ["", *parts]
    if len(parts) != 3 or not parts[1] or parts[0] not in ("", "http", "https"):
        raise BadRequest(f"invalid pod request {text[:200]!r}: want [http:|https:]NAME[:PORT]")
    return Name(*parts)


def _upstream(call: Call, scheme: str, host: str, port: int, target: str) -> Upstream:
    tls = None
    if scheme == "https":
        # As the real server: whoever asks for it by that name gets it, whatever certificate it shows.
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    headers = {
        "x-forwarded-uri": call.request.path,
        "x-forwarded-host": call.request.headers.get("host", ""),
        "x-forwarded-proto": "https",
    }
    return Upstream(host, port, target, tls, headers)


async def _pod(call: Call, streams: PodStreams, wanted: Name) -> tuple[str, int]:
    record = call.core.store.get(call.key._replace(name=wanted.name))
    if record is None:
        raise NotFound(f'pods "{wanted.name}" not found', details={"name": wanted.name, "kind": "pods"})
    pod = record.decode()
    return await _address(streams, pod, pods.declared_port(pod, wanted.port) if wanted.port else _first_port(pod))


def _first_port(pod: Object) -> int:
    declared = (port for container in pod["spec"]["containers"] for port in container.get("ports") or ())
    return next((int(port["containerPort"]) for port in declared), 80)


async def _address(streams: PodStreams, pod: Object, port: int | None) -> tuple[str, int]:
    meta = pod["metadata"]
    if port is None:
        raise BadRequest(f"pod {meta['name']} has no such port")
    return await streams.address(meta.get("namespace", ""), meta["name"], meta["uid"], port)


async def _service(call: Call, streams: PodStreams, wanted: Name) -> tuple[str, int]:
    record = call.core.store.get(call.key._replace(name=wanted.name))
    if record is None:
        raise NotFound(f'services "{wanted.name}" not found', details={"name": wanted.name, "kind": "services"})
    port = _service_port(record.decode(), wanted)
    found = [
        (piece, endpoint)
        for piece in _slices(call, wanted.name)
        for endpoint in piece.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready", True) and endpoint.get("addresses")
    ]
    if not found:
        raise Unavailable(f'no endpoints available for service "{wanted.name}"')
    piece, endpoint = call.core.random.choice(found)
    target = endpoint.get("targetRef") or {}
    if target.get("kind") == POD.kind:
        pod = call.core.store.get(call.key._replace(resource=POD.group_resource, name=str(target.get("name", ""))))
        if pod is not None:
            obj = pod.decode()
            return await _address(streams, obj, pods.declared_port(obj, port.get("targetPort") or port["port"]))
    return _foreign(str(endpoint["addresses"][0])), _slice_port(piece, port, wanted.name)


def _service_port(service: Object, wanted: Name) -> Object:
    ports: list[Object] = service["spec"].get("ports") or []
    if not wanted.port and len(ports) == 1:
        return ports[0]
    for port in ports:
        if wanted.port and wanted.port in (port.get("name"), str(port.get("port"))):
            return port
    raise Unavailable(f'no service port "{wanted.port}" found for service "{wanted.name}"')


def _slices(call: Call, service: str) -> list[Object]:
    state = call.core.store.state(ENDPOINT_SLICE.group_resource)
    objects = (record.decode() for (namespace, _), record in state.items() if namespace == call.namespace)
    return [obj for obj in objects if (obj["metadata"].get("labels") or {}).get(SERVICE_LABEL) == service]


def _slice_port(piece: Object, port: Object, service: str) -> int:
    for each in piece.get("ports") or ():
        if (each.get("name") or "") == (port.get("name") or "") and each.get("port"):
            return int(each["port"])
    raise Unavailable(f'no endpoints available for service "{service}"')


def _foreign(address: str) -> str:
    """An endpoint that is no pod of ours: whoever may write EndpointSlices must not reach this machine through us."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        found = None
    if found is None or found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast:
        raise BadRequest("address not allowed")
    return address


async def _node(call: Call, streams: PodStreams, wanted: Name, path: str) -> Response:
    if call.core.store.get(call.key._replace(name=wanted.name)) is None:
        raise NotFound(f'nodes "{wanted.name}" not found', details={"name": wanted.name, "kind": "nodes"})
    answer = await streams.about(wanted.name, path) if call.request.method == "GET" else None
    if answer is None:
        raise ApiError("404 page not found", reason="NotFound", status=404)
    return Response(200, answer[1], {"content-type": answer[0]})


def _outward(location: str, authority: str, prefix: str) -> str:
    """A redirect to the same server leads back through the proxy."""
    parts = urlsplit(location)
    if parts.netloc and parts.netloc != authority:
        return location
    if not parts.path.startswith("/"):
        return location
    return prefix + parts.path + (f"?{parts.query}" if parts.query else "")
