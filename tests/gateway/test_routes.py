"""Gateway API -> IR -> xDS as tables, without Envoy."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from styr.gateway import resources
from styr.gateway.ir import CDS, EDS, LDS, RDS, Translation, World
from styr.gateway.routes import intersect, translate
from styr.kinds.resources import Object
from tests.gateway.support import backend, endpoints, gateway, route, rule, service


def world(*objects: Object, port: int = 8080, listeners: list[dict[str, Any]] | None = None, **more: Any) -> World:
    classes, gate = gateway(port)[:1], gateway(port)[1]
    if listeners is not None:
        gate["spec"]["listeners"] = listeners
    by_kind: dict[str, list[Object]] = {}
    for obj in objects:
        by_kind.setdefault(obj["kind"], []).append(obj)
    return World(
        classes,
        [gate, *by_kind.get("Gateway", [])],
        by_kind.get("HTTPRoute", []),
        by_kind.get("Service", [service("a"), service("b")]),
        by_kind.get("EndpointSlice", []),
        by_kind.get("Namespace", []),
    )


def xds(translation: Translation) -> dict[str, dict[str, Any]]:
    found = resources.units(translation.plan, loopback_v6=True)
    return {url: {name: unit.body for name, unit in table.items()} for url, table in found.items()}


def test_intersection_of_hostnames() -> None:
    table: list[tuple[str, list[str], list[str]]] = [
        ("", [], ["*"]),
        ("", ["A.b"], ["a.b"]),
        ("a.b", [], ["a.b"]),
        ("a.b", ["a.b", "c.d"], ["a.b"]),
        ("*.b", ["a.b", "x.a.b", "b", "*.a.b"], ["a.b", "x.a.b", "*.a.b"]),
        ("x.a.b", ["*.b"], ["x.a.b"]),
        ("*.a.b", ["*.b"], ["*.a.b"]),
        ("*.b", ["*.b"], ["*.b"]),
        ("a.b", ["ca.b"], []),
        ("*.ab", ["x.b"], []),
    ]
    for listener, hosts, expected in table:
        assert intersect(listener, hosts) == expected, (listener, hosts)


def path(kind: str, value: str) -> dict[str, Any]:
    return {"path": {"type": kind, "value": value}}


def test_precedence() -> None:
    header = [{"name": "x", "value": "1"}]
    younger = route("young", rule(backend("a"), matches=[path("Exact", "/same")]))
    younger["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    older = route("z-old", rule(backend("b"), matches=[path("Exact", "/same")]))
    mixed = route(
        "mixed",
        rule(backend("a"), matches=[path("PathPrefix", "/"), path("PathPrefix", "/long/prefix/")]),
        rule(backend("a"), matches=[path("RegularExpression", "/r.*"), path("Exact", "/e")]),
        rule(backend("a"), matches=[{**path("PathPrefix", "/p"), "headers": header}, path("PathPrefix", "/p")]),
        rule(backend("a"), matches=[{**path("PathPrefix", "/p"), "method": "GET"}]),
        rule(backend("a"), matches=[{**path("PathPrefix", "/p"), "queryParams": header}]),
    )
    found = translate(world(younger, older, mixed))
    entries = xds(found)[RDS]["http-8080"]["virtual_hosts"][0]["routes"]

    def name(match: dict[str, Any]) -> str:
        where = match.get("path") or match.get("path_separated_prefix") or match.get("prefix")
        where = where or match["safe_regex"]["regex"]
        headers = "+".join(h["name"] for h in match.get("headers", []))
        return f"{where} {headers}{'?' if 'query_parameters' in match else ''}".strip()

    names = [name(entry["match"]) for entry in entries if "safe_regex" not in str(entry["match"].get("headers"))]
    assert names == ["/same", "/same", "/e", "/r.*", "/long/prefix", "/p :method", "/p x", "/p ?", "/p", "/"]
    assert entries[0]["route"]["cluster"] == "d/b/80"  # the older route first


def test_weights_and_unresolved_shares() -> None:
    found = translate(world(route("r", rule(backend("a", 3), backend("b", 0), backend("gone", 1)))))
    action = xds(found)[RDS]["http-8080"]["virtual_hosts"][0]["routes"][0]["route"]
    weights = {cluster["name"]: cluster["weight"] for cluster in action["weighted_clusters"]["clusters"]}
    assert weights == {"d/a/80": 3, "styr-unresolved-backend": 1}
    assert action["cluster_not_found_response_code"] == "INTERNAL_SERVER_ERROR"
    assert set(xds(found)[CDS]) == {"d/a/80", "d/b/80"}  # an arm of weight 0 stays warm


@pytest.mark.parametrize("arms", [[], [backend("a", 0)], [backend("gone")]])
def test_nothing_to_send_to_is_500(arms: list[dict[str, Any]]) -> None:
    found = translate(world(route("r", rule(*arms))))
    assert xds(found)[RDS]["http-8080"]["virtual_hosts"][0]["routes"][0]["direct_response"] == {"status": 500}


def test_reordering_rules_changes_no_cluster() -> None:
    rules = [rule(backend("a"), matches=[path("Exact", "/a")]), rule(backend("b"), matches=[path("Exact", "/b")])]
    one = resources.units(translate(world(route("r", *rules))).plan, loopback_v6=False)
    two = resources.units(translate(world(route("r", *reversed(rules)))).plan, loopback_v6=False)
    for url in (CDS, EDS, LDS):
        assert {n: u.version for n, u in one[url].items()} == {n: u.version for n, u in two[url].items()}


def test_endpoints_are_the_ready_ones_by_port_name() -> None:
    two = service("a")
    two["spec"]["ports"].append({"name": "other", "port": 81})
    odd = endpoints("a", 9)[0]
    odd["ports"] = [{"name": "other", "port": 9}]
    fqdn = endpoints("a", 7)[0] | {"addressType": "FQDN", "endpoints": [{"addresses": ["example.com"]}]}
    unknown = endpoints("a", 6)[0] | {"endpoints": [{"addresses": ["127.0.0.9"]}, {"addresses": []}]}
    slices = [*endpoints("a", 1, 2), *endpoints("a", 3, ready=False), odd, fqdn, unknown, *endpoints("b", 5)]
    found = xds(translate(world(route("r", rule(backend("a"))), two, *slices)))[EDS]["d/a/80"]
    addresses = [e["endpoint"]["address"]["socket_address"] for e in found["endpoints"][0]["lb_endpoints"]]
    assert [(a["address"], a["port_value"]) for a in addresses] == [
        ("127.0.0.1", 1),
        ("127.0.0.1", 2),
        ("127.0.0.9", 6),
    ]


UNSUPPORTED: list[tuple[str, dict[str, Any]]] = [
    ("spec.rules[0].filters", rule(backend("a"), filters=[{"type": "RequestRedirect"}])),
    ("spec.rules[0].timeouts", rule(backend("a"), timeouts={})),
    ("spec.rules[0].retry", rule(backend("a"), retry={"attempts": 3})),
    ("spec.rules[0].backendRefs[0].filters", rule(backend("a", filters=[{"type": "X"}]))),
    ("spec.rules[0].matches[0].path.value", rule(backend("a"), matches=[path("Exact", "no-slash")])),
    ("spec.rules[0].matches[0].path.value", rule(backend("a"), matches=[path("PathPrefix", "/a//b")])),
    ("spec.rules[0].matches[0].path.value", rule(backend("a"), matches=[path("PathPrefix", "/a/%2Fb")])),
]


@pytest.mark.parametrize(("field", "bad"), UNSUPPORTED, ids=[field for field, _ in UNSUPPORTED])
def test_what_is_not_supported_is_named_and_not_served(field: str, bad: dict[str, Any]) -> None:
    found = translate(world(route("r", bad)))
    verdict = found.routes["d", "r"][0].accepted
    assert (verdict.ok, verdict.reason) == (False, "UnsupportedValue")
    assert field in verdict.message
    assert found.plan.ports[0].hosts == ()


def test_a_refused_generation_is_served_as_envoy_last_took_it() -> None:
    good = translate(world(route("r", rule(backend("a"))))).served
    edited = route("r", rule(backend("b")))
    edited["metadata"]["generation"] = 2
    held = translate(world(edited), good=good, held={("d", "r"): 2})
    assert set(xds(held)[CDS]) == {"d/a/80"}
    assert set(xds(translate(world(edited), good=good, held={("d", "r"): 1}))[CDS]) == {"d/b/80"}


REFERENCES: list[tuple[str, dict[str, Any]]] = [
    ("BackendNotFound", backend("gone")),
    ("BackendNotFound", {"name": "a", "port": 81}),
    ("BackendNotFound", {"name": "a"}),
    ("RefNotPermitted", backend("a", namespace="other")),
    ("InvalidKind", backend("a", kind="Bucket")),
    ("InvalidKind", backend("a", group="x.y")),
]


@pytest.mark.parametrize(("reason", "reference"), REFERENCES)
def test_references(reason: str, reference: dict[str, Any]) -> None:
    found = translate(world(route("r", rule(reference))))
    result = found.routes["d", "r"][0]
    assert (result.accepted.ok, result.resolved.ok, result.resolved.reason) == (True, False, reason)


def listener(name: str = "http", port: int = 80, **more: Any) -> dict[str, Any]:
    allowed = {"namespaces": {"from": "All"}}
    return {"name": name, "port": port, "protocol": "HTTP", "allowedRoutes": allowed, **more}


def test_which_listeners_take_a_route() -> None:
    selector = {"from": "Selector", "selector": {"matchLabels": {"team": "blue"}}}
    blue = {"kind": "Namespace", "metadata": {"name": "d", "labels": {"team": "blue"}}}
    table: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        (listener(), {}, "Accepted"),
        (listener(), {"sectionName": "http"}, "Accepted"),
        (listener(), {"sectionName": "x"}, "NoMatchingParent"),
        (listener(), {"port": 80}, "Accepted"),
        (listener(), {"port": 81}, "NoMatchingParent"),
        (listener(hostname="*.h"), {}, "NoMatchingListenerHostname"),
        (listener(hostname="a.localhost"), {}, "Accepted"),
        (listener(protocol="HTTPS"), {}, "NoMatchingParent"),
        (listener(tls={"mode": "Terminate"}), {}, "NoMatchingParent"),
        (listener(allowedRoutes={"namespaces": {"from": "Same"}}), {}, "NotAllowedByListeners"),
        (listener(allowedRoutes={"namespaces": {"from": "None"}}), {}, "NotAllowedByListeners"),
        (listener(allowedRoutes={"namespaces": selector}), {}, "Accepted"),
        (listener(allowedRoutes={"kinds": [{"kind": "TCPRoute"}]}), {}, "NoMatchingParent"),
    ]
    for spec, parent, reason in table:
        one = route("r", rule(backend("a")), hosts=["a.localhost"], **parent)
        found = translate(world(one, blue, listeners=[spec]))
        assert found.routes["d", "r"][0].accepted.reason == reason, (spec, parent)


def test_listener_conflicts() -> None:
    pair = [listener("one", hostname="a.b"), listener("two", hostname="A.b"), listener("three", protocol="HTTPS")]
    one, two, three = translate(world(listeners=pair)).gateways["styr-system", "styr"]
    assert one.conflicted.ok
    assert two.conflicted.reason == "HostnameConflict"
    assert three.conflicted.reason == "ProtocolConflict"


def test_foreign_classes_and_parents_are_left_alone() -> None:
    foreign = world(route("r", rule(backend("a"))))
    classes = copy.deepcopy(list(foreign.classes))
    classes[0]["spec"]["controllerName"] = "example.com/other"
    found = translate(World(classes, foreign.gateways, foreign.routes, foreign.services))
    assert not found.routes
    assert not found.gateways
    assert not found.plan.ports


def test_two_hosts_and_two_gateways_on_one_port_share_a_listener() -> None:
    extra = gateway(8080)[1]
    extra["metadata"]["name"] = "extra"
    one = route("one", rule(backend("a")), hosts=["a.localhost", "b.localhost"])
    two = route("two", rule(backend("b")), hosts=["b.localhost"])
    two["spec"]["parentRefs"][0]["name"] = "extra"
    found = xds(translate(world(one, two, extra)))
    assert set(found[LDS]) == {"http-8080"}
    hosts = {host["name"]: len(host["routes"]) for host in found[RDS]["http-8080"]["virtual_hosts"]}
    assert hosts == {"a.localhost": 2, "b.localhost": 4}


def test_every_resource_is_valid_for_this_envoy(tmp_path: Any) -> None:
    from styr.gateway.protos import Protos, find_binary

    protos = Protos.load(find_binary()[0], tmp_path)
    match = {
        **path("RegularExpression", "/x.*"),
        "method": "GET",
        "headers": [{"name": "h", "type": "RegularExpression", "value": "v+"}],
        "queryParams": [{"name": "q", "value": "1"}],
    }
    found = translate(world(route("r", rule(backend("a"), backend("b"), matches=[match])), *endpoints("a", 1)))
    for table in resources.units(found.plan, loopback_v6=True).values():
        for unit in table.values():
            assert protos.parse(unit.type_url.partition("/")[2], unit.body).SerializeToString()
