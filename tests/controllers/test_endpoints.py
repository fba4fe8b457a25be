"""Endpoints by pods, and slices by Endpoints."""

from __future__ import annotations

import pytest

from styr.controllers import endpoints, mirroring
from styr.controllers.endpointslice import MANAGED_BY, SERVICE_LABEL
from styr.kinds import meta
from styr.kinds.resources import Object
from tests.controllers.objects import failed, gone, pod
from tests.controllers.test_endpointslice import listening, service


def addresses(found: Object) -> list[tuple[list[str], list[str], list[int]]]:
    """(ready, not ready, ports) of each subset, by pod."""
    return [
        (
            [each["targetRef"]["name"] for each in subset.get("addresses", ())],
            [each["targetRef"]["name"] for each in subset.get("notReadyAddresses", ())],
            [port["port"] for port in subset.get("ports", ())],
        )
        for subset in found["subsets"]
    ]


def test_ready_pods_apart_from_others() -> None:
    found = endpoints.plan(service(), [listening("b"), listening("a"), listening("c", ready=False)])
    assert addresses(found) == [(["a", "b"], ["c"], [8080])]
    assert meta.labels(found) == {"team": "a", endpoints.MANAGED_BY: endpoints.MANAGER}
    assert found["subsets"][0]["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]


def test_other_ports_are_another_subset() -> None:
    found = endpoints.plan(service(), [listening("a", 31001), listening("b", 31002)])
    assert addresses(found) == [(["a"], [], [31001]), (["b"], [], [31002])]


def test_who_is_over_or_leaving_is_out_but_for_those_who_ask_early() -> None:
    members = [gone("a"), failed("b"), pod("c", podIP="")]
    assert endpoints.plan(service(), members)["subsets"] == []
    early = service(publishNotReadyAddresses=True)
    assert addresses(endpoints.plan(early, [gone("a"), listening("b", ready=False)]))[0][0] == ["a"]


def test_too_many_are_cut_off() -> None:
    many = [listening(f"p{number:04}", ready=number > 3) for number in range(1004)]
    found = endpoints.plan(service(), many)
    assert sum(len(ready) + len(rest) for ready, rest, _ in addresses(found)) == 1000
    assert addresses(found)[0][1] == []
    assert meta.annotations(found) == {endpoints.OVER_CAPACITY: "truncated"}


def written(**more: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "default", "uid": "e", "labels": {"team": "a"}, **more},
        "subsets": [
            {
                "addresses": [{"ip": "10.1.2.3", "hostname": "one"}, {"ip": "fd00::1"}],
                "notReadyAddresses": [{"ip": "10.1.2.4"}],
                "ports": [{"port": 80}],
            }
        ],
    }


def test_what_people_write_is_mirrored_by_family() -> None:
    four, six = mirroring.plan(written(annotations={"a": "b", mirroring.TRIGGER: "now"}))
    assert (four["addressType"], six["addressType"]) == ("IPv4", "IPv6")
    assert [(each["addresses"], each["conditions"]["ready"]) for each in four["endpoints"]] == [
        (["10.1.2.3"], True),
        (["10.1.2.4"], False),
    ]
    assert four["endpoints"][0]["hostname"] == "one"
    assert four["ports"] == [{"name": "", "protocol": "TCP", "port": 80}]
    assert meta.labels(four) == {"team": "a", SERVICE_LABEL: "web", MANAGED_BY: mirroring.MANAGER}
    assert meta.annotations(four) == {"a": "b"}
    assert meta.name(four) != meta.name(six)


@pytest.mark.parametrize(
    ("changes", "owner", "expected"),
    [
        ({}, service(selector=None), True),
        ({}, service(), False),
        ({}, None, False),
        ({"labels": {mirroring.SKIP: "true"}}, service(selector=None), False),
        ({"annotations": {mirroring.LOCK: "{}"}}, service(selector=None), False),
        ({"deletionTimestamp": "now"}, service(selector=None), False),
    ],
)
def test_what_is_mirrored(changes: Object, owner: Object | None, expected: bool) -> None:
    assert mirroring.mirrored(written(**changes), owner) is expected
