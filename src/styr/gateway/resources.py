"""IR -> xDS resources as plain dicts in Envoy's JSON form, each with the objects it was made from. Pure.

Called by `gateway` after `routes`. Names: listener and route configuration `http-PORT`, cluster and its endpoints
`NAMESPACE/SERVICE/PORT`. Order of routes: Gateway API's precedence (HTTPRouteRule.matches); a regular expression stands
between exact paths and prefixes, longest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from styr.gateway.ir import (
    CDS,
    EDS,
    LDS,
    RDS,
    Arm,
    Backend,
    Match,
    Plan,
    Port,
    Route,
    Source,
    StringMatch,
    Unit,
    make_unit,
)

_EXT = "type.googleapis.com/envoy.extensions"
_NO_CLUSTER = "styr-unresolved-backend"
"""Never defined: a request drawn for it gets the 500 that Gateway API asks for."""
_IDEMPOTENT = "GET|HEAD|OPTIONS|PUT|DELETE|TRACE"
"""RFC 9110, 9.2.2."""
_LIMIT = 65536
_FORWARDED_FOR = {
    "header": {"key": "x-forwarded-for", "value": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"},
    "append_action": "APPEND_IF_EXISTS_OR_ADD",
}
"""Envoy itself would write the machine's own address for a client on loopback."""


def units(plan: Plan, *, loopback_v6: bool) -> dict[str, dict[str, Unit]]:
    """Every resource of a plan by type and name. `loopback_v6`: listen on ::1 too."""
    found: dict[str, dict[str, Unit]] = {CDS: {}, EDS: {}, LDS: {}, RDS: {}}
    for backend in plan.backends:
        source = (Source("Service", backend.namespace, backend.service),)
        found[CDS][backend.cluster] = make_unit(CDS, backend.cluster, cluster(backend.cluster), source)
        found[EDS][backend.cluster] = make_unit(EDS, backend.cluster, assignment(backend), source)
    for port in plan.ports:
        name = f"http-{port.number}"
        routes = {route.source: None for _, members in port.hosts for route in members}
        found[LDS][name] = make_unit(LDS, name, listener(name, port.number, loopback_v6), port.gateways)
        found[RDS][name] = make_unit(RDS, name, route_configuration(name, port), tuple(routes))
    return found


def cluster(name: str) -> dict[str, Any]:
    """HTTP/1.1 with keep-alive. Idle connections go after 1 s, before any usual server closes them under a request
    (gunicorn 2 s, uvicorn and Node 5 s). Limits are raised from 1,024: the application's own are what should bite. In
    turn, not by least requests: an endpoint that has just died has the fewest, and would be drawn again by each retry."""
    limits = {"max_connections": _LIMIT, "max_pending_requests": _LIMIT, "max_requests": _LIMIT, "max_retries": 1024}
    return {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}},
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        "circuit_breakers": {"thresholds": [{"priority": "DEFAULT", **limits}]},
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_EXT}.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": "1s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def assignment(backend: Backend) -> dict[str, Any]:
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}
        for address, port in backend.endpoints
    ]
    return {"cluster_name": backend.cluster, "endpoints": [{"lb_endpoints": endpoints}] if endpoints else []}


def listener(name: str, port: int, loopback_v6: bool) -> dict[str, Any]:
    def address(text: str) -> dict[str, Any]:
        return {"socket_address": {"address": text, "port_value": port}}

    value: dict[str, Any] = {
        "name": name,
        "address": address("127.0.0.1"),
        "filter_chains": [{"filters": [_connection_manager(name)]}],
        "per_connection_buffer_limit_bytes": 1 << 20,
    }
    if loopback_v6:
        value["additional_addresses"] = [{"address": address("::1")}]
    return value


def _connection_manager(name: str) -> dict[str, Any]:
    router = {"@type": f"{_EXT}.filters.http.router.v3.Router", "suppress_envoy_headers": True}
    manager = {
        "@type": f"{_EXT}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "rds": {"route_config_name": name, "config_source": {"ads": {}, "resource_api_version": "V3"}},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        "use_remote_address": True,
        "skip_xff_append": True,
        "normalize_path": True,
        "merge_slashes": True,
        "generate_request_id": False,
        "server_header_transformation": "PASS_THROUGH",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "localhost"},
        "request_headers_timeout": "30s",
        "stream_idle_timeout": "3600s",
        "common_http_protocol_options": {"idle_timeout": "3600s"},
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def route_configuration(name: str, port: Port) -> dict[str, Any]:
    hosts = [
        {"name": host, "domains": [host], "routes": [entry for match in ordered(routes) for entry in match]}
        for host, routes in port.hosts
    ]
    return {
        "name": name,
        "virtual_hosts": hosts,
        "ignore_port_in_host_matching": True,
        "request_headers_to_add": [_FORWARDED_FOR],
        "request_headers_to_remove": ["x-envoy-external-address", "x-envoy-internal"],
    }


def ordered(routes: Iterable[Route]) -> list[list[dict[str, Any]]]:
    """Envoy's routes of one virtual host, first match wins. Ties go to the older route, then by name, then by position."""
    entries = []
    for route in routes:
        for rule in route.rules:
            for position, match in enumerate(rule.matches):
                tie = (route.created, route.source.namespace, route.source.name, rule.index, position)
                entries.append((*_rank(match), tie, match, rule.arms))
    entries.sort(key=lambda entry: entry[:-2])
    return [_routes(match, arms) for *_, match, arms in entries]


def _rank(match: Match) -> tuple[int, int, int, int, int]:
    kind = {"Exact": 0, "RegularExpression": 1, "PathPrefix": 2}[match.path_kind]
    return kind, -len(match.path), not match.method, -len(match.headers), -len(match.query)


def _routes(match: Match, arms: tuple[Arm, ...]) -> list[dict[str, Any]]:
    """One route, or two when methods differ in what may be retried."""
    live = [arm for arm in arms if arm.weight > 0]
    if not any(arm.cluster for arm in live):
        return [{"match": _match(match), "direct_response": {"status": 500}}]
    if match.method:
        safe = match.method in _IDEMPOTENT.split("|")
        return [{"match": _match(match), "route": _action(live, safe)}]
    by_method = _header(StringMatch(":method", _IDEMPOTENT, regex=True))
    idempotent = _match(match)
    idempotent["headers"] = [*idempotent.get("headers", []), by_method]
    return [
        {"match": idempotent, "route": _action(live, True)},
        {"match": _match(match), "route": _action(live, False)},
    ]


def _match(match: Match) -> dict[str, Any]:
    found: dict[str, Any] = {}
    prefix = match.path.rstrip("/")
    if match.path_kind == "Exact":
        found["path"] = match.path
    elif match.path_kind == "RegularExpression":
        found["safe_regex"] = {"regex": match.path}
    elif prefix:
        found["path_separated_prefix"] = prefix
    else:
        found["prefix"] = "/"
    headers = [_header(header) for header in match.headers]
    if match.method:
        headers.append(_header(StringMatch(":method", match.method)))
    if headers:
        found["headers"] = headers
    if match.query:
        found["query_parameters"] = [{"name": query.name, "string_match": _string(query)} for query in match.query]
    return found


def _header(match: StringMatch) -> dict[str, Any]:
    return {"name": match.name, "string_match": _string(match)}


def _string(match: StringMatch) -> dict[str, Any]:
    return {"safe_regex": {"regex": match.value}} if match.regex else {"exact": match.value}


def _action(arms: list[Arm], idempotent: bool) -> dict[str, Any]:
    """The arm is drawn for each request anew, from the stream's own random number. No time limit on the whole response
    (Envoy's default of 15 s would cut downloads and long polls): a dead upstream is found by its connection."""
    action: dict[str, Any] = {
        "timeout": "0s",
        "retry_policy": _retry(idempotent),
        "cluster_not_found_response_code": "INTERNAL_SERVER_ERROR",
    }
    if len(arms) == 1:
        action["cluster"] = arms[0].cluster
    else:
        weighted = [{"name": arm.cluster or _NO_CLUSTER, "weight": arm.weight} for arm in arms]
        action["weighted_clusters"] = {"clusters": weighted}
    return action


def _retry(idempotent: bool) -> Mapping[str, Any]:
    """Only what cannot have had an effect, or may be repeated. Never by status: a 503 of the application is its answer."""
    conditions = "connect-failure,refused-stream,reset-before-request"
    previous = {"@type": f"{_EXT}.retry.host.previous_hosts.v3.PreviousHostsPredicate"}
    return {
        "retry_on": conditions + ",reset" if idempotent else conditions,
        "num_retries": 3,
        "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": previous}],
        "host_selection_retry_max_attempts": "20",
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.050s"},
    }
