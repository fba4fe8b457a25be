"""Watches: what is shown, in which order, across reconnects, selectors, bookmarks and windows that have passed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.api.kit import Api, config, running, take

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as found:
        yield found


def told(events: list[dict]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


async def test_without_a_version_it_begins_with_what_is_there(api: Api) -> None:
    await api("POST", MAPS, config("a"))
    for query in ("", "&resourceVersion=0"):
        async with api.watching(f"{MAPS}?watch=true{query}") as stream:
            assert told([await anext(stream)]) == [("ADDED", "a")]
            await api("PUT", f"{MAPS}/a", config("a", {"k": query}))
            assert told([await anext(stream)]) == [("MODIFIED", "a")]


async def test_it_begins_when_it_is_answered_not_when_it_is_read(api: Api) -> None:
    async with api.watching(f"{MAPS}?watch=true") as stream:
        await api("POST", MAPS, config("a"))
        await api("PUT", f"{MAPS}/a", config("a", {"k": "v"}))
        await api("DELETE", f"{MAPS}/a")
        found = [event async for event in take(stream, 3)]
    assert told(found) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_from_a_version_it_tells_every_change_once(api: Api) -> None:
    start = (await api("GET", MAPS))["metadata"]["resourceVersion"]
    await api("POST", MAPS, config("a"))
    await api("PUT", f"{MAPS}/a", config("a", {"k": "v"}))
    await api("DELETE", f"{MAPS}/a")
    events = await api.events(f"{MAPS}?watch=1&resourceVersion={start}", 3)
    assert told(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert events[2]["object"]["data"] == {"k": "v"}


async def test_selector_transitions(api: Api) -> None:
    start = (await api("GET", MAPS))["metadata"]["resourceVersion"]
    await api("POST", MAPS, config("a", labels={"on": "no"}))
    await api("PUT", f"{MAPS}/a", config("a", {"k": "1"}, labels={"on": "yes"}))
    await api("PUT", f"{MAPS}/a", config("a", {"k": "2"}, labels={"on": "yes"}))
    left = await api("PUT", f"{MAPS}/a", config("a", {"k": "3"}, labels={"on": "no"}))
    events = await api.events(f"{MAPS}?watch=1&resourceVersion={start}&labelSelector=on%3Dyes", 3)
    assert told(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert events[2]["object"]["data"] == {"k": "2"}
    assert events[2]["object"]["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]


async def test_a_version_too_old_is_told_in_the_stream() -> None:
    async with running(window_changes=4) as api:
        for number in range(8):
            await api("POST", MAPS, config(f"m{number}"))
        (event,) = await api.events(f"{MAPS}?watch=1&resourceVersion=1", 1)
        assert event["type"] == "ERROR"
        assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


async def test_a_slow_watcher_is_dropped_in_the_stream() -> None:
    async with running(window_changes=4) as api, api.watching(f"{MAPS}?watch=1") as stream:
        waiting = asyncio.ensure_future(anext(stream))
        await api("POST", MAPS, config("first"))
        assert told([await waiting]) == [("ADDED", "first")]
        for number in range(8):
            await api("POST", MAPS, config(f"m{number}"))
        event = await anext(stream)
        assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
        assert await anext(stream, None) is None


async def test_a_future_version_is_silent_until_then(api: Api) -> None:
    revision = api.server.store.revision + 2
    async with api.watching(f"{MAPS}?watch=1&resourceVersion={revision}") as stream:
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        for name in "abc":
            await api("POST", MAPS, config(name))
        assert told([await waiting]) == [("ADDED", "c")]


async def test_initial_events_end_with_a_bookmark(api: Api) -> None:
    await api("POST", MAPS, config("a"))
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true"
    events = await api.events(f"{MAPS}?{query}&resourceVersionMatch=NotOlderThan", 2)
    assert told(events) == [("ADDED", "a"), ("BOOKMARK", "")]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert events[1]["object"]["metadata"]["resourceVersion"] == str(api.server.store.revision)
    assert events[1]["object"]["kind"] == "ConfigMap"
    await api("GET", f"{MAPS}?{query}", want=422)


async def test_a_last_bookmark_before_the_timeout(api: Api) -> None:
    await api("POST", MAPS, config("a"))
    async with api.watching(f"{MAPS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=1") as stream:
        await api("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "unseen"}})
        events = [event async for event in stream]
    assert told(events) == [("ADDED", "a"), ("BOOKMARK", "")]
    assert events[1]["object"]["metadata"]["resourceVersion"] == str(api.server.store.revision)


async def test_one_object_by_name(api: Api) -> None:
    await api("POST", MAPS, config("a"))
    await api("POST", MAPS, config("b"))
    events = await api.events(f"{MAPS}?watch=1&fieldSelector=metadata.name%3Db&timeoutSeconds=1", 5)
    assert told(events) == [("ADDED", "b")]


async def test_tables_in_a_watch(api: Api) -> None:
    await api("POST", MAPS, config("a"))
    await api("POST", MAPS, config("b"))
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    response = await api.raw("GET", f"{MAPS}?watch=1&timeoutSeconds=1", accept=accept)
    body = b"".join([chunk async for chunk in response.body])  # type: ignore[union-attr]
    import json

    events = [json.loads(line) for line in body.splitlines()]
    assert [event["object"]["rows"][0]["cells"][0] for event in events] == ["a", "b"]
    assert events[0]["object"]["columnDefinitions"]
    assert not events[1]["object"]["columnDefinitions"]


@pytest.mark.parametrize("inline", [True, False])
async def test_no_gap_and_no_duplicate_across_reconnects(tmp_path, inline: bool) -> None:
    async with running(tmp_path / "store.db", inline=inline) as api:
        start = (await api("GET", MAPS))["metadata"]["resourceVersion"]
        total = 120

        async def writer(worker: int) -> None:
            for number in range(total // 4):
                await api("POST", MAPS, config(f"w{worker}-{number}"))

        async def reader(step: int) -> list[int]:
            seen: list[int] = []
            version = start
            while len(seen) < total:
                async with api.watching(f"{MAPS}?watch=1&resourceVersion={version}") as stream:
                    async for event in take(stream, min(step, total - len(seen))):
                        assert event["type"] == "ADDED"
                        version = event["object"]["metadata"]["resourceVersion"]
                        seen.append(int(version))
            return seen

        async with asyncio.timeout(60):
            *_, one, two = await asyncio.gather(*(writer(worker) for worker in range(4)), reader(7), reader(1))
        assert one == two
        assert one == sorted(set(one))
        assert len(one) == total


async def test_a_restart_keeps_the_window(tmp_path) -> None:
    async with running(tmp_path / "store.db", inline=False) as api:
        start = (await api("POST", MAPS, config("a")))["metadata"]["resourceVersion"]
        await api("PUT", f"{MAPS}/a", config("a", {"k": "v"}))
    async with running(tmp_path / "store.db", inline=False) as api:
        events = await api.events(f"{MAPS}?watch=1&resourceVersion={start}", 1)
        assert told(events) == [("MODIFIED", "a")]


async def test_closing_a_watch_leaves_nothing(api: Api) -> None:
    async with api.watching(f"{MAPS}?watch=1") as stream:
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert api.server.store.window("configmaps").watchers == 1
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert api.server.store.window("configmaps").watchers == 0
