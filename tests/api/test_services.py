"""Services: the numbers that the server hands out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.kit import MERGE_PATCH, Api, running

SERVICES = "/api/v1/namespaces/default/services"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as found:
        yield found


def service(name: str, *ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
    spec = {"type": "NodePort", "ports": list(ports) or [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def numbers(obj: Any) -> list[int | None]:
    return [port.get("nodePort") for port in obj["spec"]["ports"]]


async def test_every_port_gets_a_number_of_its_own(api: Api) -> None:
    one = await api("POST", SERVICES, service("one", {"name": "a", "port": 80}, {"name": "b", "port": 81}))
    two = await api("POST", SERVICES, service("two", type="LoadBalancer"))
    without = await api("POST", SERVICES, service("three", type="LoadBalancer", allocateLoadBalancerNodePorts=False))
    plain = await api("POST", SERVICES, service("four", type="ClusterIP"))
    found = [*numbers(one), *numbers(two)]
    assert len({*found}) == 3
    assert all(number in range(30000, 32768) for number in found)
    assert numbers(without) == numbers(plain) == [None]


async def test_what_was_asked_for_is_given_once(api: Api) -> None:
    await api("POST", SERVICES, service("one", {"port": 80, "nodePort": 30123}))
    said = await api("POST", SERVICES, service("two", {"port": 80, "nodePort": 30123}), want=422)
    assert said["message"] == (
        'Service "two" is invalid: spec.ports[0].nodePort: Invalid value: 30123: provided port is already allocated'
    )
    said = await api("POST", SERVICES, service("two", {"port": 80, "nodePort": 80}), want=422)
    assert said["message"].endswith("not in the valid range. The range of valid ports is 30000-32767")
    said = await api("POST", SERVICES, service("two", {"port": 80, "nodePort": 30124}, type="ClusterIP"), want=422)
    assert said["details"]["causes"][0]["message"] == "Forbidden: may not be used when `type` is 'ClusterIP'"
    # One number may serve two protocols of the same Service.
    both = [{"name": name, "port": 53, "nodePort": 30053, "protocol": name} for name in ("TCP", "UDP")]
    for port in both:
        port["name"] = str(port["name"]).lower()
    await api("POST", SERVICES, service("dns", *both))
    await api("DELETE", f"{SERVICES}/one")
    await api("POST", SERVICES, service("two", {"port": 80, "nodePort": 30123}))


async def test_it_is_kept_and_given_back(api: Api) -> None:
    made = await api("POST", SERVICES, service("one"))
    changed = await api("PUT", f"{SERVICES}/one", service("one", {"port": 81}))
    assert numbers(changed) == numbers(made)
    plain = await api("PATCH", f"{SERVICES}/one", {"spec": {"type": "ClusterIP"}}, type=MERGE_PATCH)
    assert numbers(plain) == [None]
    again = await api("PATCH", f"{SERVICES}/one", {"spec": {"type": "NodePort"}}, type=MERGE_PATCH)
    assert numbers(again) != [None]


async def test_a_dry_run_takes_nothing(api: Api) -> None:
    asked = await api("POST", f"{SERVICES}?dryRun=All", service("one", {"port": 80, "nodePort": 30123}))
    assert numbers(asked) == [30123]
    await api("POST", SERVICES, service("two", {"port": 80, "nodePort": 30123}))
