"""The HTTP API as one `kinds.transport.Handler`: finds the endpoint, reads the body, turns errors into answers.

Called by `styr.serving`, whose connection cancels a request when its client goes: the query behind it then stops. Everything
but `/-/healthy` and `/-/ready` needs a credential; `PROTECTED` are the prefixes that `serving.serve` takes as streaming, so
that bodies may be larger than the Kubernetes API's and come with flow control.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

from styr.kinds.transport import Handler, Request, Response
from styr.kit.log import Log
from styr.metrics.model.errors import BadData, MetricsError, QueryCanceled
from styr.metrics.web import admin, federate, metadata, query, reply, rules, series, status
from styr.metrics.web.call import Call
from styr.metrics.web.forms import MAX_BODY, Form
from styr.metrics.web.gate import Gate
from styr.metrics.web.log import QueryLog
from styr.metrics.web.parts import Parts
from styr.metrics.web.write import Receivers

log = Log("styr.metrics.web")

Endpoint = Callable[[Call], Awaitable[Response]]

GET, POST, PUT = "GET", "POST", "PUT"
ROUTES: Mapping[str, tuple[tuple[str, ...], Endpoint]] = {
    "query": ((GET, POST), query.query),
    "query_range": ((GET, POST), query.query_range),
    "query_exemplars": ((GET, POST), query.query_exemplars),
    "format_query": ((GET, POST), query.format_query),
    "parse_query": ((GET, POST), query.parse_query),
    "labels": ((GET, POST), series.labels),
    "series": ((GET, POST), series.series),
    "metadata": ((GET,), metadata.metadata),
    "targets": ((GET,), metadata.targets),
    "targets/metadata": ((GET,), metadata.targets_metadata),
    "targets/relabel_steps": ((GET,), metadata.relabel_steps),
    "scrape_pools": ((GET,), metadata.scrape_pools),
    "rules": ((GET,), rules.rules),
    "alerts": ((GET,), rules.alerts),
    "alertmanagers": ((GET,), rules.alertmanagers),
    "status/config": ((GET,), status.config),
    "status/flags": ((GET,), status.flags),
    "status/buildinfo": ((GET,), status.buildinfo),
    "status/runtimeinfo": ((GET,), status.runtimeinfo),
    "status/tsdb": ((GET,), status.tsdb),
    "status/tsdb/blocks": ((GET,), status.blocks),
    "status/walreplay": ((GET,), status.walreplay),
    "status/self_metrics": ((GET,), status.self_metrics),
    "features": ((GET,), status.features),
    "notifications": ((GET,), status.notifications),
    "admin/tsdb/delete_series": ((POST, PUT), admin.delete_series),
    "admin/tsdb/clean_tombstones": ((POST, PUT), admin.clean_tombstones),
    "admin/tsdb/snapshot": ((POST, PUT), admin.snapshot),
}
"""Below `/api/v1/`."""


class Api:
    """The handler. `receivers` come when the storage is ready, as the parts do."""

    def __init__(self, parts: Parts, gate: Gate, query_log: QueryLog) -> None:
        self.parts = parts
        self.gate = gate
        self.receivers: Receivers | None = None
        self.alertmanager: Handler | None = None
        """Alertmanager's API v2, below /api/v2, when the embedded notifier runs."""
        self.reload: Callable[[], Awaitable[None]] | None = None
        """Reads the configuration again."""
        self.log = query_log
        names = ("handler", "code")
        registry = parts.registry
        self._requests = Counter("styr_http_requests", "HTTP requests answered.", names, registry=registry)
        self._took = Histogram("styr_http_request_duration_seconds", "Time to answer.", ["handler"], registry=registry)
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        running = Gauge("styr_queries_running", "Queries in worker threads.", registry=registry)
        running.set_function(lambda: gate.running)

    def close(self) -> None:
        """Takes no more queries, and ends the log."""
        self.gate.close()
        self.log.close()

    @property
    def ready(self) -> bool:
        return self.parts.querier is not None and self.receivers is not None

    async def __call__(self, request: Request, /) -> Response:
        began = perf_counter()
        name, endpoint = "unknown", None
        try:
            name, endpoint, variable = self._find(request)
            response = await endpoint(await self._call(request, variable))
        except asyncio.CancelledError:
            self._requests.labels(name, "499").inc()
            raise
        except MetricsError as error:
            response = reply.error(error)
            if isinstance(error, QueryCanceled):
                log.debug("canceled", path=request.path)
        except _NoRoute as error:
            response = reply.text(error.status, f"{error}\n")
        except Exception as error:
            log.error("request failed", error, path=request.path)
            response = reply.internal(f"{type(error).__name__}; see the server's log")
        counted, took = self._counters(name, response.status)
        counted.inc()
        took.observe(perf_counter() - began)
        return response

    def _counters(self, name: str, status: int) -> tuple[Counter, Histogram]:
        """Of a handler and a status: there are few, and looking them up by their texts costs more than counting."""
        found = self._children.get((name, status))
        if found is None:
            found = self._requests.labels(name, str(status)), self._took.labels(name)
            self._children[name, status] = found
        return found

    def _find(self, request: Request) -> tuple[str, Endpoint, str]:
        """(name for the metrics, endpoint, variable part of the path). Raises `_NoRoute`."""
        path = request.path
        if path in _TOP:
            methods, attribute = _TOP[path]
            _allow(request, methods)
            return path, getattr(self, attribute), ""
        if path == "/federate":
            return path, federate.federate, ""
        if path.startswith("/api/v2/") and self.alertmanager is not None:
            return "/api/v2", self._alerting, ""
        if not path.startswith("/api/v1/"):
            raise _NoRoute(404, f"there is no {path[:200]} here; the API is below /api/v1/")
        name = path[len("/api/v1/") :]
        if name in _PUSHED:
            methods, endpoint, variable = (POST,), self._pushed(name), ""
        elif name.startswith("label/") and name.endswith("/values"):
            methods, endpoint, variable = (GET,), series.label_values, name[len("label/") : -len("/values")]
            name = "label/:name/values"
        elif name in ROUTES:
            (methods, endpoint), variable = ROUTES[name], ""
        else:
            raise _NoRoute(404, f"there is no {path[:200]} here")
        _allow(request, methods)
        return name, endpoint, variable

    async def _call(self, request: Request, variable: str) -> Call:
        body = await _collected(request)
        form = Form(request.query, body, request.headers.get("content-type", ""))
        return Call(request, form, body, self.parts, self.gate, self.log, variable)

    def _pushed(self, name: str) -> Endpoint:
        receivers = self.receivers
        if receivers is None:
            return _not_ready
        endpoints: dict[str, Endpoint] = {
            "write": receivers.write,
            "otlp/v1/metrics": receivers.otlp,
            "read": receivers.read,
        }
        return endpoints[name]

    async def _alerting(self, call: Call) -> Response:
        assert self.alertmanager is not None
        request = call.request
        request.body = call.body
        return await self.alertmanager(request)

    async def healthy(self, _call: Call) -> Response:
        """The process runs."""
        return reply.text(200, "Styr metrics is Healthy.\n")

    async def is_ready(self, _call: Call) -> Response:
        """It answers queries."""
        if self.ready:
            return reply.text(200, "Styr metrics is Ready.\n")
        return reply.text(503, "Service Unavailable: the storage is being read\n")

    async def read_again(self, _call: Call) -> Response:
        """What is wrong with the configuration is the answer; the old one goes on then."""
        if self.reload is None:
            return reply.text(503, "Service Unavailable: the storage is being read\n")
        try:
            await self.reload()
        except (BadData, OSError) as error:
            return reply.text(500, f"failed to reload config: {error}\n")
        return reply.text(200, "")

    async def own_metrics(self, _call: Call) -> Response:
        """Metrics of this process."""
        body = await asyncio.to_thread(generate_latest, self.parts.registry)
        return Response(200, body, {"content-type": CONTENT_TYPE_LATEST})


_TOP = {
    "/-/healthy": ((GET,), "healthy"),
    "/-/ready": ((GET,), "is_ready"),
    "/-/reload": ((POST, PUT), "read_again"),
    "/metrics": ((GET,), "own_metrics"),
}
_PUSHED = ("write", "otlp/v1/metrics", "read")


class _NoRoute(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _allow(request: Request, methods: Sequence[str]) -> None:
    if request.method not in methods:
        raise _NoRoute(405, f"{request.method} is not for {request.path[:200]}; {' and '.join(methods)} are")


async def _not_ready(_call: Call) -> Response:
    return reply.text(503, "the storage is being read\n")


async def _collected(request: Request) -> bytes:
    """The whole body. Raises BadData beyond `MAX_BODY`."""
    if isinstance(request.body, bytes):
        return request.body
    pieces, size = [], 0
    async for piece in request.body:
        size += len(piece)
        if size > MAX_BODY:
            raise BadData(f"the body is larger than {MAX_BODY} bytes")
        pieces.append(piece)
    return b"".join(pieces)
