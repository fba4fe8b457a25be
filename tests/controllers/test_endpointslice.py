from __future__ import annotations

import json

from styr.controllers.endpointslice import MANAGED_BY, MAX_ENDPOINTS, SERVICE_LABEL, plan
from styr.kinds import meta
from styr.kinds.pods import PORTS_ANNOTATION
from styr.kinds.resources import Object
from tests.controllers.objects import failed, gone, pod


def service(**spec: object) -> Object:
    ports = [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "uid": "s", "labels": {"team": "a"}},
        "spec": {"selector": {"app": "web"}, "ports": ports, **spec},
    }


def listening(name: str, actual: int | None = None, **fields: object) -> Object:
    """A pod that declares 8080 as `http` and really listens on `actual`."""
    containers = [{"name": "main", "ports": [{"name": "http", "containerPort": 8080}]}]
    annotations = {PORTS_ANNOTATION: json.dumps({"8080": actual})} if actual else {}
    return pod(name, containers=containers, annotations=annotations, **fields)  # type: ignore[arg-type]


def test_pods_on_the_same_port_share_a_slice() -> None:
    (found,) = plan(service(), [listening("b"), listening("a")])
    assert found["ports"] == [{"name": "http", "protocol": "TCP", "port": 8080}]
    assert [endpoint["targetRef"]["name"] for endpoint in found["endpoints"]] == ["a", "b"]
    assert found["endpoints"][0] == {
        "addresses": ["127.0.0.1"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "targetRef": {"kind": "Pod", "namespace": "default", "name": "a", "uid": "a"},
        "nodeName": "n",
    }
    assert meta.labels(found) == {"team": "a", SERVICE_LABEL: "web", MANAGED_BY: "endpointslice-controller.k8s.io"}


def test_pods_with_ports_of_their_own_have_slices_of_their_own() -> None:
    found = plan(service(), [listening("a", 31001), listening("b", 31002)])
    assert [(piece["ports"][0]["port"], piece["endpoints"][0]["targetRef"]["name"]) for piece in found] == [
        (31001, "a"),
        (31002, "b"),
    ]
    names = [meta.name(piece) for piece in found]
    assert len(set(names)) == 2
    assert all(name.startswith("web-") for name in names)
    assert names == [meta.name(piece) for piece in plan(service(), [listening("b", 31002), listening("a", 31001)])]


def conditions(found: list[Object]) -> list[tuple[bool, bool, bool]]:
    told = [endpoint["conditions"] for piece in found for endpoint in piece["endpoints"]]
    return [(one["ready"], one["serving"], one["terminating"]) for one in told]


def test_conditions() -> None:
    assert conditions(plan(service(), [pod("a")])) == [(True, True, False)]
    assert conditions(plan(service(), [pod("a", ready=False)])) == [(False, False, False)]
    assert conditions(plan(service(), [gone("a")])) == [(False, True, True)]
    early = service(publishNotReadyAddresses=True)
    assert conditions(plan(early, [pod("a", ready=False)])) == [(True, False, False)]


def test_pods_without_address_and_pods_that_are_over_are_no_endpoints() -> None:
    (empty,) = plan(service(), [pod("a", podIP=""), failed("b"), pod("c", phase="Succeeded")])
    assert (empty["endpoints"], empty["ports"]) == ([], [])


def test_ports_by_number_and_by_default() -> None:
    ports = [{"name": "a", "port": 80, "targetPort": 9000}, {"name": "b", "port": 81, "appProtocol": "h2c"}]
    (found,) = plan(service(ports=ports), [pod("a")])
    assert [(port["name"], port["port"], port.get("appProtocol")) for port in found["ports"]] == [
        ("a", 9000, None),
        ("b", 81, "h2c"),
    ]


def test_a_name_that_no_container_declares_is_no_port() -> None:
    (found,) = plan(service(), [pod("a")])
    assert found["ports"] == []


def test_families_are_apart_and_slices_are_small() -> None:
    found = plan(service(), [listening("a"), listening("b", podIP="fd00::1")])
    assert [piece["addressType"] for piece in found] == ["IPv4", "IPv6"]
    many = plan(service(), [listening(f"p{number:03}") for number in range(MAX_ENDPOINTS * 2 + 1)])
    assert [len(piece["endpoints"]) for piece in many] == [MAX_ENDPOINTS, MAX_ENDPOINTS, 1]
    assert len({meta.name(piece) for piece in many}) == 3
