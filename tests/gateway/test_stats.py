"""Counters per arm against what a client saw, with a real Envoy."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from styr.gateway.stats import parse
from styr.kinds.seams import RouteCounters
from tests.gateway.conftest import House
from tests.gateway.support import App, backend, endpoints, route, rule, service


async def reading(house: House, name: str, responses: int) -> RouteCounters:
    """A reading once it holds that many responses and their times."""
    deadline = asyncio.get_running_loop().time() + 10
    while True:
        found = await house.gateway.traffic.read("d", name)
        if found is not None and sum(n for arm in found.arms.values() for n in arm.responses.values()) >= responses:
            await asyncio.sleep(0.6)  # what Envoy needs to merge its histograms; there is no signal to wait for
            last = await house.gateway.traffic.read("d", name)
            assert last is not None
            return last
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.05)


async def test_classes_and_times_match_what_the_client_saw(house: House) -> None:
    turns = Counter[str]()

    def mixed(path: str) -> tuple[int, float] | None:
        turns[path] += 1
        return {"/500": (500, 0.0), "/404": (404, 0.0), "/slow": (200, 0.055)}.get(path, (200, 0.0))

    await house.app("old")
    await house.app("new", mixed)
    house.api.put(route("r", rule(backend("old", 1), backend("new", 1)), hosts=["a.localhost"]))
    await house.programmed("r")
    connection, seen = house.connect(), Counter[tuple[str, str]]()
    for path in ["/", "/500", "/404", "/slow"] * 25:
        status, body = await connection.get("a.localhost", path)
        seen[body, f"{status // 100}xx"] += 1
    found = await reading(house, "r", 100)
    counted = {(arm, name): n for arm, c in found.arms.items() for name, n in c.responses.items() if n}
    assert counted == dict(seen)
    for arm in ("old", "new"):
        assert sum(found.arms[arm].latency) == sum(n for (name, _), n in seen.items() if name == arm)
    slow = [j for j, bound in enumerate(found.bounds) if bound >= 50]
    assert sum(found.arms["new"].latency[j] for j in slow) >= turns["/slow"]
    assert sum(found.arms["new"].latency[j] for j in slow) < turns["/slow"] + 20
    assert len(found.bounds) == 28
    assert len(found.arms["new"].latency) == 29


async def test_retries_count_once_and_a_refused_connection_is_a_5xx_of_the_drawn_arm(house: House) -> None:
    attempts = 0

    def every_second(_path: str) -> tuple[int, float] | None:
        nonlocal attempts
        attempts += 1
        return None if attempts % 2 else (200, 0.0)

    await house.app("flaky", every_second)
    dead = await App("dead").start()
    house.api.put(service("dead"), *endpoints("dead", dead.port))
    await dead.stop()
    house.api.put(route("r", rule(backend("flaky", 1), backend("dead", 1)), hosts=["a.localhost"]))
    await house.programmed("r")
    seen = Counter([(await house.get("a.localhost"))[0] for _ in range(40)])
    assert set(seen) == {200, 503}
    found = await reading(house, "r", 40)
    assert found.arms["flaky"].responses.get("2xx") == seen[200]
    assert found.arms["flaky"].responses.get("5xx", 0) == 0
    assert attempts == 2 * seen[200]
    assert found.arms["dead"].responses == {"5xx": seen[503]}


async def test_a_post_is_not_repeated_once_it_was_sent(house: House) -> None:
    app = await house.app("app", lambda _path: None)
    house.api.put(route("r", rule(backend("app")), hosts=["a.localhost"]))
    await house.programmed("r")
    assert (await house.get("a.localhost", method="POST"))[0] == 503
    assert app.requests == 1
    found = await reading(house, "r", 1)
    assert found.arms["app"].responses == {"5xx": 1}


async def test_an_unknown_route_or_a_dead_envoy_gives_no_reading(house: House) -> None:
    assert await house.gateway.traffic.read("d", "nope") is None
    await house.app("app")
    house.api.put(route("r", rule(backend("app")), hosts=["a.localhost"]))
    await house.programmed("r")
    first = await house.gateway.traffic.read("d", "r")
    assert first is not None
    assert first.arms["app"].responses.get("2xx", 0) == 0
    await house.gateway.envoy.stop()
    await asyncio.sleep(0.11)  # the age at which a reading is taken anew
    assert await house.gateway.traffic.read("d", "r") is None


@pytest.mark.parametrize(
    "answer", [b"", b"{}", b"[]", b'{"stats":[{"name":"cluster.a.b"}]}', b'{"stats":[{"histograms":[1]}]}']
)
def test_broken_answers_are_refused(answer: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse(answer)
