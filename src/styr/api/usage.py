"""metrics.k8s.io/v1beta1: what nodes and pods use, as `kubectl top` and autoscalers ask. Answered by the server itself from
what the node sees; stored nowhere. Called by the server, after authorization.

An APIService for this group and version that names a Service of one's own takes its place (`aggregation`).
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import msgspec

from styr.api.discovery import Documented, Served
from styr.api.routes import Route
from styr.api.store.commit import Store
from styr.api.store.records import ObjectKey, Record
from styr.api.table import Form, negotiate, render
from styr.kinds import selectors
from styr.kinds.errors import BadRequest, MethodNotAllowed, NotFound
from styr.kinds.resources import NODE, POD, Object, Resource
from styr.kinds.seams import NodeUsage, Usage, UsageSource
from styr.kinds.transport import Request, Response
from styr.kit.clock import rfc3339

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
NODE_METRICS = Resource(GROUP, VERSION, "NodeMetrics", "nodes", False, status=False)
POD_METRICS = Resource(GROUP, VERSION, "PodMetrics", "pods", status=False)
SERVED = tuple(Served(resource, ("get", "list")) for resource in (NODE_METRICS, POD_METRICS))
_USAGE: Object = {
    "type": "object",
    "description": "CPU and memory, as quantities.",
    "additionalProperties": {"type": "string"},
}
_WHEN: Object = {
    "timestamp": {"type": "string", "format": "date-time", "description": "The end of the window."},
    "window": {"type": "string", "description": "How long it was measured, such as 15s."},
}
_CONTAINER: Object = {"type": "object", "properties": {"name": {"type": "string"}, "usage": _USAGE}}
_CONTAINERS: Object = {"type": "array", "description": "Its containers, one by one.", "items": _CONTAINER}


def _documented(served: Served, text: str, **fields: Object) -> Documented:
    schema = {"type": "object", "description": text, "properties": {**_WHEN, **fields}}
    return Documented(served, custom=True, schema=schema, list_kind=f"{served.resource.kind}List")


DOCUMENTED = (
    _documented(SERVED[0], "NodeMetrics tells what a node uses.", usage=_USAGE),
    _documented(SERVED[1], "PodMetrics tells what a pod uses.", containers=_CONTAINERS),
)
"""As OpenAPI tells of them."""
_COLUMNS: list[Object] = [
    {"name": "cpu", "type": "string", "jsonPath": ".usage.cpu"},
    {"name": "memory", "type": "string", "jsonPath": ".usage.memory"},
    {"name": "window", "type": "string", "jsonPath": ".window"},
]


class ResourceMetrics:
    def __init__(self, store: Store, source: UsageSource) -> None:
        self._store = store
        self._source = source

    async def answer(self, request: Request, route: Route) -> Response:
        """Raises NotFound, MethodNotAllowed, BadRequest, Unavailable."""
        resource = {"nodes": NODE_METRICS, "pods": POD_METRICS}.get(route.resource)
        if resource is None or route.subresource or (route.namespace and not resource.namespaced):
            raise NotFound("the server could not find the requested resource")
        if request.method not in ("GET", "HEAD") or request.param("watch") in ("1", "true"):
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        form = negotiate(request.headers.get("accept", ""), "get" if route.name else "list")
        usage = await self._source()
        found = list(self._nodes(usage) if resource is NODE_METRICS else self._pods(usage, route.namespace))
        if route.name:
            found = [obj for obj in found if obj["metadata"]["name"] == route.name]
            if not found:
                raise _missing(resource, route)
            whole = found[0]
        else:
            whole = {
                "kind": f"{resource.kind}List",
                "apiVersion": resource.api_version,
                "metadata": {},
                "items": _selected(request, found),
            }
        return _respond(whole, form, resource, request, usage.at)

    def _nodes(self, usage: NodeUsage) -> Iterable[Object]:
        record = self._store.get(ObjectKey(NODE.group_resource, "", usage.node))
        if record is not None:
            yield {**_head(NODE_METRICS, usage, usage.node, "", record), "usage": _tell(usage.whole)}

    def _pods(self, usage: NodeUsage, namespace: str) -> Iterable[Object]:
        for (place, name), containers in sorted(usage.pods.items()):
            record = self._store.get(ObjectKey(POD.group_resource, place, name))
            if record is not None and namespace in ("", place):
                yield {
                    **_head(POD_METRICS, usage, name, place, record),
                    "containers": [{"name": key, "usage": _tell(used)} for key, used in sorted(containers.items())],
                }


def _head(resource: Resource, usage: NodeUsage, name: str, namespace: str, record: Record) -> Object:
    metadata: Object = {"name": name, "creationTimestamp": rfc3339(usage.at)}
    if namespace:
        metadata["namespace"] = namespace
    if record.labels:
        metadata["labels"] = dict(record.labels)
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": metadata,
        "timestamp": rfc3339(usage.at),
        "window": f"{usage.window:.3f}s",
    }


def _tell(usage: Usage) -> Object:
    return {"cpu": f"{round(usage.cpu * 1e9)}n", "memory": f"{-(-usage.memory // 1024)}Ki"}


def _selected(request: Request, found: list[Object]) -> list[Object]:
    try:
        labels = selectors.parse(request.param("labelSelector"))
        fields = selectors.parse(request.param("fieldSelector"))
    except selectors.SelectorError as error:
        raise BadRequest(str(error)) from None
    known = {"metadata.name": "name", "metadata.namespace": "namespace"}
    for requirement in fields:
        if requirement.key not in known:
            raise BadRequest(f'field label not supported: "{requirement.key}"')
    return [
        obj
        for obj in found
        if selectors.matches(labels, obj["metadata"].get("labels") or {})
        and selectors.matches(fields, {key: obj["metadata"].get(name, "") for key, name in known.items()})
    ]


def _missing(resource: Resource, route: Route) -> NotFound:
    name = f"{route.namespace}/{route.name}" if route.namespace else route.name
    kind = resource.kind.lower()
    details = {"name": name, "group": GROUP, "kind": kind}
    return NotFound(f'{kind}.{GROUP} "{name}" not found', details=details)


def _respond(whole: Object, form: Form, resource: Resource, request: Request, now: float) -> Response:
    headers = {"content-type": "application/json"}
    if form is Form.OBJECT:
        return Response(200, msgspec.json.encode(whole), headers)
    if form.is_table:
        for obj in whole.get("items", [whole]):
            obj.setdefault("usage", _sum(obj.get("containers") or ()))
    shown = render(
        whole,
        form,
        resource,
        now=now,
        printer_columns=_COLUMNS,
        include_object=request.param("includeObject"),
    )
    return Response(200, msgspec.json.encode(shown), headers)


def _sum(containers: Iterable[Any]) -> Object:
    cores, bytes_ = Fraction(0), 0
    for container in containers:
        cores += Fraction(int(container["usage"]["cpu"][:-1]), 10**9)
        bytes_ += int(container["usage"]["memory"][:-2]) * 1024
    return _tell(Usage(float(cores), bytes_))
