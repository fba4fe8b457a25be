"""Envoy's bootstrap: what it must know before the control plane tells it the rest. Pure.

Called by `envoy`. The format is Envoy's `config.bootstrap.v3.Bootstrap` in JSON, which Envoy reads itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

NODE_ID = "styr"
BOUNDS = (
    1,
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    13,
    16,
    20,
    25,
    32,
    40,
    50,
    63,
    80,
    100,
    130,
    160,
    200,
    250,
    400,
    630,
    1000,
    2000,
    4000,
    10000,
)
"""Upper bounds of the latency histogram, ms. Steps of about 1.25 between 5 and 250, so that a doubling moves a response
by three buckets; two significant digits each, which is the resolution of Envoy's histograms."""

OVERFLOW = 1_000_000_000
"""Bound of one more bucket (11 days), which holds what is above all others."""

_STATS = (
    r"cluster\.[^.]+\.upstream_rq_[1-5]xx",
    r"cluster\.[^.]+\.(upstream_rq_time|upstream_rq_retry|upstream_cx_active|upstream_rq_active)",
    r"http\.[^.]+\.downstream_(rq_[1-5]xx|rq_total|cx_active)",
    r"listener_manager\.(listener_create_failure|listener_in_place_updated)",
    r"server\.(live|uptime|concurrency)",
    r"control_plane\.connected_state",
)


def bootstrap(
    xds_socket: Path, admin_socket: Path, *, max_connections: int = 20_000, max_heap_mb: int = 1024
) -> dict[str, Any]:
    """Sockets are Unix sockets; their paths must be shorter than 108 bytes. Above `max_connections` new downstream
    connections are closed at once; from 90 % of the heap idle memory is given back, at 98 % requests get 503."""
    return {
        "node": {"id": NODE_ID, "cluster": "styr"},
        "admin": {"address": {"pipe": {"path": str(admin_socket), "mode": 0o600}}, "ignore_global_conn_limit": True},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds", "retry_policy": _RECONNECT}}],
            },
            "cds_config": _ADS,
            "lds_config": _ADS,
        },
        "static_resources": {"clusters": [_xds_cluster(xds_socket)]},
        "stats_flush_interval": "0.500s",
        "stats_config": {
            "use_all_default_tags": False,
            "stats_matcher": {"inclusion_list": {"patterns": [{"safe_regex": {"regex": regex}} for regex in _STATS]}},
            "histogram_bucket_settings": [
                {"match": {"suffix": "upstream_rq_time"}, "buckets": [float(b) for b in (*BOUNDS, OVERFLOW)]}
            ],
        },
        "overload_manager": _overload(max_connections, max_heap_mb << 20),
    }


_ADS = {"ads": {}, "resource_api_version": "V3"}
_RECONNECT = {"retry_back_off": {"base_interval": "0.050s", "max_interval": "0.500s"}}
"""A control plane that comes back is found within half a second, however long it was away."""


def _xds_cluster(socket: Path) -> dict[str, Any]:
    return {
        "name": "xds",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": str(socket)}}}}]}],
        },
    }


def _overload(max_connections: int, max_heap_bytes: int) -> dict[str, Any]:
    def monitor(name: str, kind: str, **config: Any) -> dict[str, Any]:
        url = f"type.googleapis.com/envoy.extensions.resource_monitors.{kind}"
        return {"name": f"envoy.resource_monitors.{name}", "typed_config": {"@type": url, **config}}

    def action(name: str, threshold: float) -> dict[str, Any]:
        trigger = {"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": threshold}}
        return {"name": f"envoy.overload_actions.{name}", "triggers": [trigger]}

    return {
        "refresh_interval": "0.250s",
        "resource_monitors": [
            monitor("fixed_heap", "fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=str(max_heap_bytes)),
            monitor(
                "global_downstream_max_connections",
                "downstream_connections.v3.DownstreamConnectionsConfig",
                max_active_downstream_connections=str(max_connections),
            ),
        ],
        "actions": [action("shrink_heap", 0.9), action("stop_accepting_requests", 0.98)],
    }
