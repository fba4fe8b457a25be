"""Watches: what they see, from where, and that they all see the same."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from tests.conformance.kubernetes.client import Collection, Kube, Watch
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import config_map


async def mutate(maps: Collection, name: str, value: str) -> str:
    """The resourceVersion after the change."""
    changed = await maps.patch(name, {"data": {"mutation": value}})
    return str(changed["metadata"]["resourceVersion"])


@behaviour("watch-configmaps-with-multiple-watchers")
async def test_each_watcher_sees_what_its_selector_selects(kube: Kube, namespace: str) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    async with maps.watching("w=a") as a, maps.watching("w=b") as b, maps.watching("w in (a, b)") as both:
        for name, concerned, other in (("a", a, b), ("b", b, a)):
            await maps.create(config_map(name, labels={"w": name}))
            versions = [await mutate(maps, name, value) for value in ("1", "2")]
            await maps.delete(name)
            for watch in (concerned, both):
                events = [await watch.next() for _ in range(4)]
                assert [each.type for each in events] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
                assert {each.name for each in events} == {name}
                assert [str(each.version) for each in events[1:3]] == versions
                assert events[2].object["data"] == {"mutation": "2"}
            await other.quiet()


@behaviour("watch-configmaps-from-resource-version")
async def test_a_watch_begins_after_the_version_it_is_given(kube: Kube, namespace: str) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    await maps.create(config_map("m", labels={"w": "from"}))
    first = await mutate(maps, "m", "1")
    second = await mutate(maps, "m", "2")
    await maps.delete("m")
    async with maps.watching("w=from", resourceVersion=first) as watch:
        event = await watch.next()
        assert (event.type, str(event.version)) == ("MODIFIED", second)
        assert (await watch.next()).type == "DELETED"


@behaviour("watch-configmaps-closed-and-restarted")
async def test_a_new_watch_goes_on_where_the_old_one_stopped(kube: Kube, namespace: str) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    async with maps.watching("w=restarted") as watch:
        await maps.create(config_map("m", labels={"w": "restarted"}))
        await mutate(maps, "m", "1")
        assert (await watch.next()).type == "ADDED"
        last = await watch.next()
        assert last.type == "MODIFIED"
    missed = await mutate(maps, "m", "2")
    async with maps.watching("w=restarted", resourceVersion=last.version) as watch:
        await maps.delete("m")
        event = await watch.next()
        assert (event.type, str(event.version)) == ("MODIFIED", missed)
        assert (await watch.next()).type == "DELETED"


@behaviour("watch-configmaps-label-changed")
async def test_leaving_the_selector_is_a_deletion_and_coming_back_an_addition(kube: Kube, namespace: str) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    async with maps.watching("w=in") as watch:
        await maps.create(config_map("m", labels={"w": "in"}))
        await mutate(maps, "m", "1")
        await maps.patch("m", {"metadata": {"labels": {"w": "out"}}})
        assert [(await watch.next()).type for _ in range(3)] == ["ADDED", "MODIFIED", "DELETED"]
        await mutate(maps, "m", "2")
        await watch.quiet()
        await maps.patch("m", {"metadata": {"labels": {"w": "in"}}})
        await mutate(maps, "m", "3")
        await maps.delete("m")
        events = [await watch.next() for _ in range(3)]
        assert [each.type for each in events] == ["ADDED", "MODIFIED", "DELETED"]
        assert [each.object["data"]["mutation"] for each in events] == ["2", "3", "3"]


@behaviour("watch-consistency")
async def test_watches_begun_at_every_version_see_the_same_order(kube: Kube, namespace: str) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    start = (await maps.list())["metadata"]["resourceVersion"]

    async def produce() -> None:
        number = 0
        while True:
            number += 1
            name = f"m-{number % 5}"
            if name in await maps.names():
                await (mutate(maps, name, str(number)) if number % 3 else maps.delete(name))
            else:
                await maps.create(config_map(name))

    producing = asyncio.create_task(produce())
    async with AsyncExitStack() as stack:
        watches: list[Watch] = []
        for _ in range(50):
            watches.append(await stack.enter_async_context(maps.watching(resourceVersion=start)))
            seen = {(await watch.next()).version for watch in watches}
            assert len(seen) == 1
            start = str(seen.pop())
        producing.cancel()
        await asyncio.wait([producing])
