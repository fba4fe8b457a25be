"""A real Envoy, driven by Gateway API objects: what a client sees."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

from styr.kinds import conditions
from styr.kinds.meta import Key
from styr.kinds.resources import GATEWAY, GATEWAY_CLASS, HTTP_ROUTE
from tests.gateway.conftest import House
from tests.gateway.support import backend, endpoints, eventually, gateway, route, rule, service


async def test_weights_are_drawn_for_each_request(house: House) -> None:
    await house.app("old")
    await house.app("new")
    await house.app("off")
    house.api.put(route("r", rule(backend("old", 8), backend("new", 2), backend("off", 0)), hosts=["hello.localhost"]))
    await house.programmed("r")
    connection = house.connect()
    seen = Counter([(await connection.get(f"hello.localhost:{house.port}")) for _ in range(1500)])
    assert set(seen) == {(200, "old"), (200, "new")}
    assert 225 < seen[200, "new"] < 375  # 300 expected, 5 sigma is 77


async def test_hosts_paths_headers_queries_and_methods(house: House) -> None:
    for name in ("root", "api", "exact", "beta", "query", "post", "wild", "regex"):
        await house.app(name)
    house.api.put(
        route(
            "r",
            rule(backend("root")),
            rule(backend("api"), matches=[{"path": {"type": "PathPrefix", "value": "/api"}}]),
            rule(backend("exact"), matches=[{"path": {"type": "Exact", "value": "/api/one"}}]),
            rule(backend("beta"), matches=[{"headers": [{"name": "X-Beta", "value": "yes"}]}]),
            rule(backend("query"), matches=[{"queryParams": [{"name": "q", "value": "1"}]}]),
            rule(backend("post"), matches=[{"method": "POST"}]),
            rule(backend("regex"), matches=[{"path": {"type": "RegularExpression", "value": "/item/[0-9]+"}}]),
            hosts=["a.localhost"],
        ),
        route("w", rule(backend("wild")), hosts=["*.wild.localhost"]),
    )
    await house.programmed("r")
    await house.programmed("w")
    assert await house.get("a.localhost") == (200, "root")
    assert await house.get("a.localhost", "/api") == (200, "api")
    assert await house.get("a.localhost", "/api/two") == (200, "api")
    assert await house.get("a.localhost", "/apix") == (200, "root")
    assert await house.get("a.localhost", "/api/one") == (200, "exact")
    assert await house.get("a.localhost", "//api//one") == (200, "exact")
    assert await house.get("a.localhost", "/x/../api/one") == (200, "exact")
    assert await house.get("a.localhost", "/", headers={"x-beta": "yes"}) == (200, "beta")
    assert await house.get("a.localhost", "/", headers={"x-beta": "no"}) == (200, "root")
    assert await house.get("a.localhost", "/?q=1") == (200, "query")
    assert await house.get("a.localhost", "/", method="POST") == (200, "post")
    assert await house.get("a.localhost", "/item/42") == (200, "regex")
    assert await house.get("a.localhost", "/item/x") == (200, "root")
    assert await house.get("x.y.wild.localhost") == (200, "wild")
    assert (await house.get("wild.localhost"))[0] == 404
    assert (await house.get("other.localhost"))[0] == 404


async def test_a_missing_backend_gets_500_for_its_share(house: House) -> None:
    app = await house.app("here")
    house.api.put(
        route("half", rule(backend("here"), backend("gone")), hosts=["half.localhost"]),
        route("none", rule(backend("gone")), hosts=["none.localhost"]),
        route("far", rule(backend("here", namespace="elsewhere")), hosts=["far.localhost"]),
        route("empty", rule(backend("empty")), hosts=["empty.localhost"]),
    )
    house.api.put(service("empty"), *endpoints("empty", app.port, ready=False))
    for name in ("half", "none", "far", "empty"):
        await house.programmed(name)
    seen = Counter([(await house.get("half.localhost"))[0] for _ in range(60)])
    assert set(seen) == {200, 500}
    assert (await house.get("none.localhost"))[0] == 500
    assert (await house.get("far.localhost"))[0] == 500
    assert (await house.get("empty.localhost"))[0] == 503
    assert house.api.condition("ResolvedRefs", "half")["reason"] == "BackendNotFound"
    assert house.api.condition("ResolvedRefs", "far")["reason"] == "RefNotPermitted"
    assert house.api.condition("ResolvedRefs", "empty")["status"] == "True"


async def test_what_the_upstream_sees(house: House) -> None:
    app = await house.app("app")
    house.api.put(route("r", rule(backend("app")), hosts=["a.localhost"]))
    await house.programmed("r")
    assert (await house.get(f"a.localhost:{house.port}", headers={"x-forwarded-for": "6.6.6.6"}))[0] == 200
    head = app.last_head.lower()
    assert f"host: a.localhost:{house.port}\r\n" in head
    assert re.search(r"x-forwarded-for: 6\.6\.6\.6,\s?127\.0\.0\.1", head)
    assert "x-envoy" not in head
    assert "x-request-id" not in head


async def test_ipv6_loopback(house: House) -> None:
    await house.app("app")
    house.api.put(route("r", rule(backend("app")), hosts=["a.localhost"]))
    await house.programmed("r")
    if house.gateway.loopback_v6:
        assert await house.connect("::1").get("a.localhost") == (200, "app")


async def test_a_bad_regex_is_told_on_the_guilty_route_and_hurts_no_other(house: House) -> None:
    await house.app("app")
    good = [route(f"good{n}", rule(backend("app")), hosts=[f"good{n}.localhost"]) for n in range(5)]
    bad = route(
        "bad",
        rule(backend("app"), matches=[{"path": {"type": "RegularExpression", "value": "/a(b"}}]),
        hosts=["bad.localhost"],
    )
    house.api.put(*good, bad)
    for n in range(5):
        await house.programmed(f"good{n}")
    await eventually(lambda: house.api.condition("Accepted", "bad").get("status") == "False")
    verdict = house.api.condition("Accepted", "bad")
    assert verdict["reason"] == "UnsupportedValue"
    assert "missing" in verdict["message"]
    for n in range(5):
        assert house.api.condition("Accepted", f"good{n}")["status"] == "True"
        assert await house.get(f"good{n}.localhost") == (200, "app")
    assert (await house.get("bad.localhost"))[0] == 404

    good_again = route("bad", rule(backend("app")), hosts=["bad.localhost"])
    house.api.put(good_again)
    await house.programmed("bad")
    assert await house.get("bad.localhost") == (200, "app")

    house.api.put(bad)
    await eventually(lambda: house.api.condition("Accepted", "bad").get("status") == "False")
    assert "stays in force" in house.api.condition("Accepted", "bad")["message"]
    assert await house.get("bad.localhost") == (200, "app")


async def test_a_port_in_use_is_told_on_its_listener_and_served_once_it_is_free(house: House) -> None:
    other = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    taken = other.sockets[0].getsockname()[1]
    await house.app("app")
    extra = gateway(taken)[1]
    extra["metadata"]["name"] = "extra"
    house.api.put(extra, route("r", rule(backend("app")), hosts=["a.localhost"]))

    def listener() -> dict[str, object]:
        found = house.api.objects[GATEWAY][Key("styr-system", "extra")].get("status") or {}
        return dict(conditions.find((found.get("listeners") or [{}])[0].get("conditions"), "Programmed") or {})

    await eventually(lambda: listener().get("status") == "False")
    assert f"port {taken} is taken by another program" in str(listener()["message"])
    await house.programmed("r")
    assert await house.get("a.localhost") == (200, "app")
    other.close()
    await other.wait_closed()
    await eventually(lambda: listener().get("status") == "True")


async def test_statuses(house: House) -> None:
    await house.app("app")
    house.api.put(
        route("ok", rule(backend("app")), hosts=["a.localhost"]),
        route("filters", rule(backend("app"), filters=[{"type": "URLRewrite"}]), hosts=["f.localhost"]),
        route("lost", rule(backend("app")), hosts=["l.localhost"], sectionName="nope"),
    )
    foreign = {"parentRef": {"name": "x"}, "controllerName": "example.com/other", "conditions": []}
    house.api.objects[HTTP_ROUTE][Key("d", "ok")]["status"] = {"parents": [foreign]}
    await house.programmed("ok")
    await eventually(lambda: house.api.condition("Accepted", "lost"))
    assert house.api.condition("Accepted", "filters")["reason"] == "UnsupportedValue"
    assert "spec.rules[0].filters" in house.api.condition("Accepted", "filters")["message"]
    assert house.api.condition("Accepted", "lost")["reason"] == "NoMatchingParent"
    assert house.api.objects[HTTP_ROUTE][Key("d", "ok")]["status"]["parents"][0] == foreign
    gatewayclass = house.api.objects[GATEWAY_CLASS][Key("", "styr")]
    assert conditions.is_true(gatewayclass, "Accepted")
    status = house.api.objects[GATEWAY][Key("styr-system", "styr")]["status"]
    assert conditions.is_true({"status": status}, "Programmed")
    assert status["listeners"][0]["attachedRoutes"] == 2
    writes = house.api.status_writes.total()
    house.api.wake()
    house.api.put(*endpoints("app", house.apps[0].port))
    await eventually(lambda: house.gateway._settled())
    assert house.api.status_writes.total() == writes

    house.api.remove(HTTP_ROUTE, "ok")
    await eventually(
        lambda: house.api.objects[GATEWAY][Key("styr-system", "styr")]["status"]["listeners"][0]["attachedRoutes"] == 1
    )
    assert (await house.get("a.localhost"))[0] == 404
