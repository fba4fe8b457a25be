"""The metrics of the control plane itself: one registry for all parts, and its page.

Called by `up`, which mounts `Pages` at `/metrics` of the API's port: the same TLS, token and RBAC (`nonResourceURLs`), and
where the metrics process scrapes it. Each part counts for itself (`api.metrics`, `client.metrics`, ...); here is what belongs
to none.

    /metrics          the control plane: API server, controllers, node, gateway, delivery, the process
    /metrics/envoy    Envoy's own, handed through from its admin socket
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prometheus_client import GCCollector, ProcessCollector

from styr.kinds.transport import Request, Response
from styr.kit.metrics import CollectorRegistry, Read, Value, exposition, fresh
from styr.version import __version__

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def own_registry() -> CollectorRegistry:
    """With the process' own: CPU, memory, files, garbage collections."""
    registry = fresh()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    Read(registry, Value("styr_build_info", "Which Styr this is.", lambda: [((__version__,), 1.0)], ("version",)))
    return registry


def tell_of_engine(registry: CollectorRegistry, running: Callable[[], bool], restarts: Callable[[], int]) -> None:
    """The metrics process, as its keeper sees it: who scrapes in its place reads here that it is gone."""
    Read(
        registry,
        Value("styr_metrics_process_up", "Does the metrics process run?", lambda: [((), float(running()))]),
        Value(
            "styr_metrics_process_restarts",
            "How often it was started again.",
            lambda: [((), float(restarts()))],
            kind="counter",
        ),
    )


class Pages:
    """A `Handler`. `envoy` gives Envoy's page; OSError or ValueError means that there is none now."""

    def __init__(self, registry: CollectorRegistry, envoy: Callable[[], Awaitable[bytes]] | None = None) -> None:
        self._registry = registry
        self._envoy = envoy

    async def __call__(self, request: Request, /) -> Response:
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"GET it\n", {"content-type": "text/plain", "allow": "GET, HEAD"})
        if request.path.rstrip("/") == "/metrics":
            body, kind = await exposition(self._registry, request.headers.get("accept", ""))
            return Response(200, body, {"content-type": kind})
        if self._envoy is not None and request.path.rstrip("/") == "/metrics/envoy":
            try:
                return Response(200, await self._envoy(), {"content-type": TEXT})
            except (OSError, ValueError) as error:
                return Response(503, f"Envoy gives no statistics: {error}\n".encode(), {"content-type": "text/plain"})
        return Response(404, b"There are /metrics and /metrics/envoy.\n", {"content-type": "text/plain"})
