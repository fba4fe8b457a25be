"""The table of outcomes, and what a context writes, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from random import Random

import pytest

from styr.client.client import Client
from styr.client.controller import After, Context, Controller, Done, Fatal, Manager, Outcome, Retry, Watch, nothing
from styr.client.transport import TransportError
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists, Conflict, Forbidden, TooManyRequests
from styr.kinds.meta import Key
from styr.kinds.resources import CONFIG_MAP, EVENT, SECRET, Object
from styr.kinds.transport import Request
from styr.kit.clock import LoopClock
from tests.client.scripted import Scripted
from tests.simulation import virtual

Reconcile = Callable[[Context, Key], Awaitable[Outcome]]
A = Key("default", "a")


def run(reconcile: Reconcile, test: Callable[[Scripted, Manager], Awaitable[None]], **fields: object) -> None:
    async def main() -> None:
        server = Scripted()
        manager = Manager(Client(server), LoopClock(), Random(1))
        manager.add(Controller("test", CONFIG_MAP, reconcile, **fields))  # type: ignore[arg-type]
        task = asyncio.create_task(manager.run())
        try:
            await asyncio.wait_for(manager.synced(), 10)
            await test(server, manager)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    virtual.run(main)


def outcomes(*script: Outcome | Exception) -> list[float]:
    """The times of the calls after the first, when call n ends as the script says (the last: Done)."""
    times: list[float] = []
    left = list(script)

    async def reconcile(_ctx: Context, _key: Key) -> Outcome:
        times.append(asyncio.get_running_loop().time())
        outcome = left.pop(0) if left else Done()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def test(server: Scripted, _manager: Manager) -> None:
        server.put("configmaps", "default", "a", {})
        await asyncio.sleep(300)

    run(reconcile, test)
    return [time - times[0] for time in times[1:]]


def test_done_waits_for_a_change() -> None:
    assert outcomes(Done()) == []


def test_after_calls_again_then() -> None:
    assert outcomes(After(7), After(2)) == pytest.approx([7, 9])


def test_retry_with_and_without_a_time() -> None:
    assert outcomes(Retry("not yet", after=4)) == pytest.approx([4])
    delays = outcomes(Retry("1"), Retry("2"), Retry("3"))
    assert len(delays) == 3
    assert 0.02 <= delays[0] <= 0.05
    assert 0.1 <= delays[2] - delays[1] <= 0.2


def test_fatal_is_not_tried_again() -> None:
    assert outcomes(Fatal("spec.x must be y")) == []


def test_errors_back_off_and_never_end_the_worker() -> None:
    assert len(outcomes(ValueError("bug"), Conflict("stale"), Forbidden("no"))) == 3
    slow = outcomes(TooManyRequests("busy", details={"retryAfterSeconds": 9}))
    assert slow == pytest.approx([9])


def test_backoff_is_capped() -> None:
    gaps = outcomes(*[Retry(str(number)) for number in range(16)])
    assert max(b - a for a, b in pairwise(gaps)) <= 30


def test_fatal_writes_an_event() -> None:
    async def reconcile(_ctx: Context, _key: Key) -> Outcome:
        raise Fatal("spec.x must be y")

    async def test(server: Scripted, _manager: Manager) -> None:
        server.put("configmaps", "default", "a", {})
        await asyncio.sleep(1)
        (event,) = [obj for (kind, _, _), obj in server.objects.items() if kind == "events"]
        assert (event["type"], event["message"], event["involvedObject"]["name"]) == (
            "Warning",
            "spec.x must be y",
            "a",
        )

    run(reconcile, test)


def test_the_same_event_is_counted() -> None:
    async def reconcile(ctx: Context, key: Key) -> Outcome:
        obj = ctx.get(CONFIG_MAP, key)
        assert obj is not None
        for _ in range(3):
            await ctx.event(obj, "Normal", "Seen", "once more")
        return Done()

    async def test(server: Scripted, _manager: Manager) -> None:
        server.put("configmaps", "default", "a", {})
        await asyncio.sleep(1)
        (event,) = [obj for (kind, _, _), obj in server.objects.items() if kind == "events"]
        assert event["count"] == 3

    run(reconcile, test)


def test_an_event_that_cannot_be_written_harms_nobody() -> None:
    done: list[Key] = []

    async def reconcile(ctx: Context, key: Key) -> Outcome:
        await ctx.event(ctx.get(CONFIG_MAP, key) or {}, "Normal", "Seen", "x" * 5000)
        done.append(key)
        return Done()

    async def test(server: Scripted, _manager: Manager) -> None:
        def no_events(request: Request) -> None:
            if request.path.endswith("/events"):
                raise Forbidden("no")

        server.fault = no_events
        server.put("configmaps", "default", "a", {})
        await asyncio.sleep(1)

    run(reconcile, test)
    assert done == [A]


def test_children_wake_their_owner_and_watches_whom_they_name() -> None:
    calls: list[Key] = []

    async def reconcile(_ctx: Context, key: Key) -> Outcome:
        calls.append(key)
        return Done()

    async def test(server: Scripted, _manager: Manager) -> None:
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "u", "controller": True}
        server.put("secrets", "default", "child", {"metadata": {"ownerReferences": [reference]}})
        await asyncio.sleep(1)
        assert calls == [Key("default", "owner")]
        calls.clear()
        server.put("events", "default", "e", {})
        await asyncio.sleep(1)
        assert calls == [Key("default", "named")]
        calls.clear()
        other = {**reference, "apiVersion": "other.group/v1"}
        server.put("secrets", "default", "stranger", {"metadata": {"ownerReferences": [other]}})
        await asyncio.sleep(1)
        assert calls == []

    watch = Watch(EVENT, lambda _obj, _ctx: [Key("default", "named")])
    run(reconcile, test, owns=(SECRET,), watches=(watch,))


def child(name: str, **data: str) -> Object:
    return {"metadata": {"name": name}, "stringData": data}


def with_context(body: Callable[[Scripted, Context, Object], Awaitable[None]]) -> None:
    """Runs `body` as a reconciler would, over secrets owned by the config map `a`."""

    async def reconcile(_ctx: Context, _key: Key) -> Outcome:
        return Done()

    async def test(server: Scripted, manager: Manager) -> None:
        server.put("configmaps", "default", "a", {})
        await asyncio.sleep(1)
        context = manager._running[0].context
        owner = context.get(CONFIG_MAP, A)
        assert owner is not None
        await body(server, context, owner)

    run(reconcile, test, watches=(Watch(SECRET, nothing),))


def test_children_by_difference() -> None:
    async def body(server: Scripted, ctx: Context, owner: Object) -> None:
        await ctx.apply_children(SECRET, owner, [child("x", n="1"), child("y")], [])
        have = ctx.children(SECRET, owner)
        assert [meta.name(obj) for obj in have] == ["x", "y"], "own writes are in the cache at once"
        assert meta.controller_of(have[0]) == {
            **meta.owner_reference(owner, CONFIG_MAP),
            "uid": meta.uid(owner),
        }
        before = len(server.requests)
        await ctx.apply_children(SECRET, owner, [child("x", n="1"), child("y")], have)
        assert len(server.requests) == before, "nothing differs, nothing is written"
        await ctx.apply_children(SECRET, owner, [child("x", n="2")], have)
        assert [(obj["metadata"]["name"], obj["stringData"]) for obj in ctx.children(SECRET, owner)] == [
            ("x", {"n": "2"})
        ]

    with_context(body)


def test_a_child_whose_creation_was_not_heard_of_is_taken_over() -> None:
    async def body(server: Scripted, ctx: Context, owner: Object) -> None:
        server.silent = True
        server.lose = lambda request: request.method == "POST"
        await ctx.apply_children(SECRET, owner, [child("x", n="1")], [])
        assert [meta.name(obj) for obj in ctx.children(SECRET, owner)] == ["x"]
        server.lose = lambda request: False
        await ctx.apply_children(SECRET, owner, [child("x", n="2")], [])
        assert ctx.children(SECRET, owner)[0]["stringData"] == {"n": "2"}

    with_context(body)


def test_a_lost_answer_that_cannot_be_checked_raises_a_doubt() -> None:
    async def body(server: Scripted, ctx: Context, owner: Object) -> None:
        server.silent = True
        server.lose = lambda request: True
        with pytest.raises(TransportError):
            await ctx.apply_children(SECRET, owner, [child("x")], [])
        server.lose = lambda request: False
        informer = ctx.informers.get(SECRET)
        assert informer is not None
        await informer.sure()
        assert [meta.name(obj) for obj in ctx.children(SECRET, owner)] == ["x"]

    with_context(body)


def test_a_stranger_s_object_is_never_taken() -> None:
    async def body(server: Scripted, ctx: Context, owner: Object) -> None:
        server.put("secrets", "default", "x", {"stringData": {"keep": "me"}})
        with pytest.raises(AlreadyExists):
            await ctx.apply_children(SECRET, owner, [child("x", n="1")], [])
        assert server.objects["secrets", "default", "x"]["stringData"] == {"keep": "me"}

    with_context(body)


def test_status_is_written_only_when_it_differs() -> None:
    async def body(server: Scripted, ctx: Context, owner: Object) -> None:
        told = await ctx.set_status(CONFIG_MAP, owner, {"phase": "x"})
        before = len(server.requests)
        assert await ctx.set_status(CONFIG_MAP, told, {"phase": "x"}) == told
        assert len(server.requests) == before
        with pytest.raises(Conflict):
            await ctx.set_status(CONFIG_MAP, owner, {"phase": "y"})

    with_context(body)


def test_deleting_what_is_gone_is_success() -> None:
    async def body(server: Scripted, ctx: Context, owner: Object) -> None:
        made = await ctx.create(SECRET, {"metadata": {"name": "x", "namespace": "default"}})
        await ctx.delete(SECRET, made)
        assert ctx.get(SECRET, Key("default", "x")) is None
        await ctx.delete(SECRET, made)

    with_context(body)


def test_reading_an_undeclared_kind_is_a_bug_that_is_told() -> None:
    async def body(_server: Scripted, ctx: Context, _owner: Object) -> None:
        with pytest.raises(LookupError, match="v1/Event"):
            ctx.list(EVENT)

    with_context(body)
