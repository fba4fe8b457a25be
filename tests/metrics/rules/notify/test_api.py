"""Alertmanager's API v2: shapes, filters, bad input, and amtool against it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import Any

import pytest

from styr.kinds.transport import ANONYMOUS, Request, User
from styr.kit.clock import SystemClock
from styr.metrics.rules.notify.api import Api
from styr.metrics.rules.notify.config import parse
from styr.metrics.rules.notify.notifier import Notifier
from styr.serving import http
from tests.metrics.rules.notify.kit import World, config
from tests.simulation.virtual import run

START, END = "2027-01-15T08:00:00Z", "2027-01-15T09:00:00.5+00:00"


async def ask(api: Api, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
    pairs = list(query.items())
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    answer = await api(Request(method, f"/api/v2{path}", pairs, body=raw))
    assert isinstance(answer.body, bytes)
    return answer.status, json.loads(answer.body) if answer.body else None


def on_world(main: Any) -> Any:
    def test() -> None:
        async def body() -> None:
            rules = [{"source_matchers": ["sev=page"], "target_matchers": ["sev=warn"], "equal": ["host"]}]
            world = World(config({"routes": [{"receiver": "b", "matchers": ["team=b"]}]}, inhibit_rules=rules))
            await world.notifier.start()
            await main(world, Api(world.notifier))
            await world.notifier.close()

        run(body)

    test.__name__ = main.__name__
    return test


def silence(**more: Any) -> dict[str, Any]:
    matchers = [{"name": "alertname", "value": "A", "isRegex": False, "isEqual": True}]
    return {"matchers": matchers, "startsAt": START, "endsAt": END, "createdBy": "me", "comment": "why", **more}


@on_world
async def test_alerts_in_and_out(world: World, api: Api) -> None:
    alerts = [
        {"labels": {"alertname": "A", "team": "b", "empty": ""}, "annotations": {"s": "x"}, "generatorURL": "http://g"},
        {"labels": {"alertname": "B"}, "startsAt": START, "endsAt": END},
    ]
    assert await ask(api, "POST", "/alerts", alerts) == (200, None)
    status, shown = await ask(api, "GET", "/alerts")
    assert status == 200
    (first,) = [each for each in shown if each["labels"]["alertname"] == "A"]
    assert {**first, "fingerprint": ""} == {
        "annotations": {"s": "x"},
        "endsAt": "2027-01-15T08:05:00Z",
        "fingerprint": "",
        "receivers": [{"name": "b"}],
        "startsAt": "2027-01-15T08:00:00Z",
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []},
        "updatedAt": "2027-01-15T08:00:00Z",
        "generatorURL": "http://g",
        "labels": {"alertname": "A", "team": "b"},
    }
    for query, names in (
        ({"filter": 'team="b"'}, ["A"]),
        ({"filter": "alertname!=A"}, ["B"]),
        ({"receiver": "b"}, ["A"]),
        ({"receiver": "b|a"}, ["A", "B"]),
        ({"active": "false"}, []),
    ):
        _, some = await ask(api, "GET", "/alerts", **query)
        assert sorted(each["labels"]["alertname"] for each in some) == names, query


@on_world
async def test_groups_and_what_keeps_alerts_quiet(world: World, api: Api) -> None:
    world.fire("Page", sev="page", host="1")
    world.fire("Warn", sev="warn", host="1")
    world.fire("A", team="b")
    _, made = await ask(api, "POST", "/silences", silence())
    _, groups = await ask(api, "GET", "/alerts/groups")
    assert [(group["receiver"]["name"], len(group["alerts"])) for group in groups] == [("a", 2), ("b", 1)]
    states = {a["labels"]["alertname"]: a["status"] for group in groups for a in group["alerts"]}
    assert states["A"] == {"state": "suppressed", "silencedBy": [made["silenceID"]], "inhibitedBy": [], "mutedBy": []}
    assert states["Warn"]["state"] == "suppressed"
    assert len(states["Warn"]["inhibitedBy"]) == 1
    _, heard = await ask(api, "GET", "/alerts", silenced="false", inhibited="false")
    assert [each["labels"]["alertname"] for each in heard] == ["Page"]


@on_world
async def test_silences_from_making_to_expiring(world: World, api: Api) -> None:
    _, made = await ask(api, "POST", "/silences", silence())
    identity = made["silenceID"]
    status, shown = await ask(api, "GET", f"/silence/{identity}")
    assert status == 200
    assert shown == {
        **silence(),
        "id": identity,
        "startsAt": "2027-01-15T08:00:00Z",
        "endsAt": "2027-01-15T09:00:00.5Z",
        "status": {"state": "active"},
        "updatedAt": "2027-01-15T08:00:00Z",
        "annotations": {},
    }
    _, longer = await ask(api, "POST", "/silences", silence(id=identity, endsAt="2027-01-15T10:00:00Z"))
    assert longer["silenceID"] == identity
    other = [{"name": "alertname", "value": "B|C", "isRegex": True, "isEqual": True}]
    _, changed = await ask(api, "POST", "/silences", silence(id=identity, matchers=other))
    assert changed["silenceID"] != identity
    _, every = await ask(api, "GET", "/silences")
    assert [each["status"]["state"] for each in every] == ["active", "expired"]
    assert await ask(api, "DELETE", f"/silence/{changed['silenceID']}") == (200, None)
    assert (await ask(api, "DELETE", f"/silence/{changed['silenceID']}"))[0] == 400
    _, rest = await ask(api, "GET", "/silences", expired="false")
    assert rest == []
    _, filtered = await ask(api, "GET", "/silences", filter='alertname=~"B|C"')
    assert [each["id"] for each in filtered] == [changed["silenceID"]]


@on_world
async def test_status_and_receivers(world: World, api: Api) -> None:
    _, status = await ask(api, "GET", "/status")
    assert set(status) == {"cluster", "versionInfo", "config", "uptime"}
    assert await ask(api, "GET", "/receivers") == (200, [{"name": "a"}, {"name": "b"}, {"name": "c"}])


BAD: list[tuple[str, str, Any, int]] = [
    ("POST", "/alerts", b"{", 400),
    ("POST", "/alerts", b"[" * 100_000, 400),
    ("POST", "/alerts", {}, 400),
    ("POST", "/alerts", ["x"], 400),
    ("POST", "/alerts", [{"labels": {}}], 400),
    ("POST", "/alerts", [{"labels": {"a": 1}}], 400),
    ("POST", "/alerts", [{"labels": {"a": "b"}, "startsAt": "yesterday"}], 400),
    ("POST", "/alerts", [{"labels": {"a": "b"}, "startsAt": 5}], 400),
    ("POST", "/alerts", [{"labels": {"a": "b"}, "startsAt": END, "endsAt": START}], 400),
    ("POST", "/alerts", [{"labels": {"a": "b"}, "generatorURL": []}], 400),
    ("POST", "/silences", silence(matchers=[]), 400),
    ("POST", "/silences", silence(matchers=[{"name": "a", "value": "", "isRegex": False}]), 400),
    ("POST", "/silences", silence(matchers=[{"name": "a", "value": "(", "isRegex": True}]), 400),
    ("POST", "/silences", silence(matchers=[{"name": "", "value": "x"}]), 400),
    ("POST", "/silences", silence(matchers="x"), 400),
    ("POST", "/silences", silence(endsAt=START), 400),
    ("POST", "/silences", silence(endsAt=None), 400),
    ("POST", "/silences", silence(endsAt="2020-01-01T00:00:00Z", startsAt="2019-01-01T00:00:00Z"), 400),
    ("POST", "/silences", silence(comment=5), 400),
    ("POST", "/silences", silence(id="nope"), 404),
    ("GET", "/silence/nope", None, 404),
    ("DELETE", "/silence/nope", None, 404),
    ("GET", "/nope", None, 404),
    ("PUT", "/alerts", None, 405),
    ("POST", "/alerts", b" " * (9 << 20), 400),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD, ids=range(len(BAD)))
def test_bad_requests(method: str, path: str, body: Any, status: int) -> None:
    async def main() -> None:
        world = World(config())
        await world.notifier.start()
        assert (await ask(Api(world.notifier), method, path, body))[0] == status
        assert world.notifier.alerts() == []
        await world.notifier.close()

    run(main)


def test_bad_filters() -> None:
    async def main() -> None:
        api = Api(World(config()).notifier)
        for query in ({"filter": "{{"}, {"filter": "a=~("}, {"receiver": "("}, {"active": "maybe"}):
            assert (await ask(api, "GET", "/alerts", **query))[0] == 400, query
        assert (await ask(api, "GET", "/silences", active="x"))[0] == 400

    run(main)


def test_good_alerts_among_bad_ones_count() -> None:
    async def main() -> None:
        world = World(config())
        status, said = await ask(Api(world.notifier), "POST", "/alerts", [{"labels": {"a": "b"}}, {"labels": {}}])
        assert (status, said) == (400, "[1]: at least one label pair required")
        assert len(world.notifier.alerts()) == 1

    run(main)


@pytest.mark.needs("amtool")
async def test_amtool_works_against_it() -> None:
    text = "route: {receiver: team, group_by: [alertname]}\nreceivers: [{name: team}]\n"
    notifier = Notifier(parse(text), SystemClock())
    await notifier.start()
    server = await http.serve(Api(notifier), tls=None, authenticate=_anybody, streaming_prefixes=())

    async def amtool(*words: str) -> str:
        command = ["amtool", f"--alertmanager.url=http://127.0.0.1:{server.port}", *words]
        ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return str(ran.stdout)

    await amtool("alert", "add", "alertname=Down", "host=a", "--annotation=summary=it is down")
    await amtool("alert", "add", "alertname=Slow", "host=b")
    assert {each["labels"]["alertname"] for each in json.loads(await amtool("alert", "query", "-o", "json"))} == {
        "Down",
        "Slow",
    }
    assert "Down" in await amtool("alert", "query", "host=a")
    assert "Slow" not in await amtool("alert", "query", "host=a")
    made = (await amtool("silence", "add", "alertname=Down", "-c", "work", "-d", "1h", "-a", "me")).strip()
    assert "Down" not in await amtool("alert", "query")
    assert "Down" in await amtool("alert", "query", "--silenced")
    assert made in await amtool("silence", "query")
    await amtool("silence", "update", made, "-c", "more work", "-d", "2h")
    assert "more work" in await amtool("silence", "query")
    await amtool("silence", "expire", made)
    assert made not in await amtool("silence", "query")
    assert made in await amtool("silence", "query", "--expired")
    assert "team" in await amtool("config", "show")
    assert "team" in await amtool("config", "routes", "test", "alertname=Down")
    assert "disabled" in await amtool("cluster", "show")
    await server.close()
    await notifier.close()


def _anybody(*_: object) -> User:
    return ANONYMOUS
