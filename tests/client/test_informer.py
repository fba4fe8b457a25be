"""The cache against a scripted server, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

from styr.client.client import Client
from styr.client.informer import Informer
from styr.client.transport import TransportError
from styr.kinds import meta, selectors
from styr.kinds.meta import Key
from styr.kinds.resources import CONFIG_MAP, Object
from styr.kinds.transport import Request
from tests.client.scripted import Scripted
from tests.simulation import virtual

Seen = list[tuple[str, str]]


def word(old: Object | None, new: Object | None) -> tuple[str, str]:
    kind = "added" if old is None else "removed" if new is None else "changed"
    return kind, meta.name(new or old or {})


def run(test: Callable[[Scripted, Informer, Seen], Awaitable[None]]) -> None:
    async def main() -> None:
        server, seen = Scripted(), Seen()
        informer = Informer(Client(server), CONFIG_MAP, Random(1))
        informer.subscribe(lambda old, new: seen.append(word(old, new)))
        task = asyncio.create_task(informer.run())
        try:
            await test(server, informer, seen)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    virtual.run(main)


def names(informer: Informer) -> list[str]:
    return [meta.name(obj) for obj in informer.list()]


def test_list_then_watch() -> None:
    async def test(server: Scripted, informer: Informer, seen: Seen) -> None:
        server.put("configmaps", "default", "a", {})
        await informer.synced.wait()
        assert names(informer) == ["a"]
        server.put("configmaps", "default", "b", {})
        server.put("configmaps", "default", "a", {"data": {"x": "1"}})
        server.remove("configmaps", "default", "b")
        await asyncio.sleep(1)
        assert seen == [("added", "a"), ("added", "b"), ("changed", "a"), ("removed", "b")]
        obj = informer.get(Key("default", "a"))
        assert obj is not None
        assert (obj["data"], obj["kind"]) == ({"x": "1"}, "ConfigMap")

    run(test)


def test_a_broken_watch_goes_on_where_it_was() -> None:
    async def test(server: Scripted, informer: Informer, seen: Seen) -> None:
        await informer.synced.wait()
        await asyncio.sleep(1)
        server.break_watches()
        server.put("configmaps", "default", "a", {})
        await asyncio.sleep(5)
        assert seen == [("added", "a")]
        assert sum(path.endswith("configmaps") for _, path in server.requests) >= 3
        assert names(informer) == ["a"]

    run(test)


def test_an_expired_watch_lists_again_and_tells_only_the_difference() -> None:
    async def test(server: Scripted, informer: Informer, seen: Seen) -> None:
        for name in "abc":
            server.put("configmaps", "default", name, {})
        await informer.synced.wait()
        await asyncio.sleep(1)
        seen.clear()
        server.silent = True
        server.remove("configmaps", "default", "a")
        server.put("configmaps", "default", "b", {"data": {"n": "2"}})
        server.put("configmaps", "default", "d", {})
        server.expire()
        server.silent = False
        await asyncio.sleep(10)
        assert sorted(seen) == [("added", "d"), ("changed", "b"), ("removed", "a")]
        assert names(informer) == ["b", "c", "d"]

    run(test)


def test_a_server_that_is_down_is_asked_less_and_less() -> None:
    async def test(server: Scripted, informer: Informer, seen: Seen) -> None:
        def down(_request: Request) -> None:
            raise TransportError("down")

        server.fault = down
        await asyncio.sleep(600)
        assert 10 < len(server.requests) < 60
        server.fault = lambda request: None
        server.put("configmaps", "default", "a", {})
        await asyncio.wait_for(informer.synced.wait(), 60)
        assert names(informer) == ["a"]

    run(test)


def test_own_writes_are_seen_before_the_watch_tells_of_them() -> None:
    async def test(server: Scripted, informer: Informer, seen: Seen) -> None:
        await informer.synced.wait()
        server.silent = True
        made = server.put("configmaps", "default", "a", {})
        informer.observe(made)
        assert names(informer) == ["a"]
        newer = server.put("configmaps", "default", "a", {"data": {"n": "2"}})
        informer.observe(newer)
        informer.observe(made)
        assert informer.get(Key("default", "a")) == newer
        server.speak()
        await asyncio.sleep(1)
        assert seen == [("added", "a"), ("changed", "a")], "the watch's replay changes nothing"

    run(test)


def test_an_answer_that_comes_after_the_deletion_is_no_ghost() -> None:
    async def test(server: Scripted, informer: Informer, seen: Seen) -> None:
        await informer.synced.wait()
        made = server.put("configmaps", "default", "a", {})
        server.remove("configmaps", "default", "a")
        await asyncio.sleep(1)
        informer.observe(made)
        assert names(informer) == []

    run(test)


def test_an_own_delete_is_seen_at_once_and_stays() -> None:
    async def test(server: Scripted, informer: Informer, seen: Seen) -> None:
        made = server.put("configmaps", "default", "a", {})
        await informer.synced.wait()
        server.silent = True
        server.put("configmaps", "default", "a", {"data": {"late": "event"}})
        server.remove("configmaps", "default", "a")
        informer.forget(Key("default", "a"), meta.uid(made))
        server.speak()
        await asyncio.sleep(1)
        assert names(informer) == []
        assert seen == [("added", "a"), ("removed", "a")]

    run(test)


def test_a_new_object_under_an_old_name_is_another() -> None:
    async def test(server: Scripted, informer: Informer, seen: Seen) -> None:
        old = server.put("configmaps", "default", "a", {})
        await informer.synced.wait()
        server.remove("configmaps", "default", "a")
        new = server.put("configmaps", "default", "a", {})
        await asyncio.sleep(1)
        informer.forget(Key("default", "a"), meta.uid(old))
        assert informer.get(Key("default", "a")) == {**new, "apiVersion": "v1", "kind": "ConfigMap"}

    run(test)


def test_after_a_lost_answer_a_list_makes_it_sure() -> None:
    async def test(server: Scripted, informer: Informer, seen: Seen) -> None:
        await informer.synced.wait()
        await asyncio.sleep(1)
        server.silent = True
        server.put("configmaps", "default", "a", {})
        before = len(server.requests)
        await informer.sure()
        assert names(informer) == []
        assert len(server.requests) == before, "nothing to ask without a doubt"
        informer.doubt()
        await informer.sure()
        assert names(informer) == ["a"]

    run(test)


def test_a_list_that_the_watch_has_overtaken_changes_nothing() -> None:
    async def test(server: Scripted, informer: Informer, seen: Seen) -> None:
        server.put("configmaps", "default", "a", {})
        await informer.synced.wait()
        old = await Client(server).list(CONFIG_MAP)
        server.remove("configmaps", "default", "a")
        await asyncio.sleep(1)
        informer._replace(old)
        assert names(informer) == []

    run(test)


def test_indexes() -> None:
    async def test(server: Scripted, informer: Informer, seen: Seen) -> None:
        owner = {"ownerReferences": [{"uid": "o", "kind": "App", "name": "x"}], "labels": {"k": "v"}}
        server.put("configmaps", "one", "b", {"metadata": owner})
        server.put("configmaps", "one", "a", {})
        server.put("configmaps", "two", "a", {"metadata": owner})
        await informer.synced.wait()
        assert [meta.key(obj) for obj in informer.owned_by("o")] == [Key("one", "b"), Key("two", "a")]
        assert [meta.key(obj) for obj in informer.list("one")] == [Key("one", "a"), Key("one", "b")]
        assert [meta.key(obj) for obj in informer.list("one", selectors.parse("k=v"))] == [Key("one", "b")]
        server.put("configmaps", "one", "b", {"metadata": {"ownerReferences": []}})
        server.remove("configmaps", "two", "a")
        await asyncio.sleep(1)
        assert list(informer.owned_by("o")) == []
        assert informer.list("two") == []

    run(test)
