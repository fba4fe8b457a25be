"""What the gateway counts. Made by `gateway`; `xds` counts through it. Requests are Envoy's to count (`Gateway.statistics`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from styr.kit.metrics import CollectorRegistry, Counter, Read, Value, fresh

Number = Callable[[], float]


class GatewayMetrics:
    """`up` is 1 while Envoy runs, `restarts` how often it was started again, `routes` those in force, `held` those that Envoy
    rejected and that are kept back."""

    def __init__(
        self, *, up: Number, restarts: Number, routes: Number, held: Number, registry: CollectorRegistry | None = None
    ) -> None:
        registry = fresh(registry)
        self._sent = Counter("styr_gateway_xds_pushes_total", "Responses sent to Envoy.", ("type",), registry=registry)
        self._rejected = Counter(
            "styr_gateway_xds_nacks_total", "Resources that Envoy rejected.", ("type",), registry=registry
        )
        Read(
            registry,
            Value("styr_gateway_envoy_up", "Does Envoy run?", lambda: [((), up())]),
            Value(
                "styr_gateway_envoy_restarts",
                "How often Envoy was started again.",
                lambda: [((), restarts())],
                kind="counter",
            ),
            Value("styr_gateway_routes", "HTTPRoutes in force.", lambda: [((), routes())]),
            Value(
                "styr_gateway_routes_held", "HTTPRoutes kept back, because Envoy rejected them.", lambda: [((), held())]
            ),
        )

    def count(self, event: Literal["sent", "rejected"], type_url: str) -> None:
        (self._sent if event == "sent" else self._rejected).labels(type_url.rpartition(".")[2]).inc()
