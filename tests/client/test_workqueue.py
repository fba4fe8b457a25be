"""The keyed queue, in virtual time."""

from __future__ import annotations

import asyncio
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from styr.client.workqueue import Backoff, WorkQueue
from tests.simulation import virtual


def test_order_and_no_duplicates() -> None:
    async def main() -> list[str]:
        queue: WorkQueue[str] = WorkQueue()
        for key in "abcab":
            queue.add(key)
        return [await queue.get() for _ in range(len(queue))]

    assert virtual.run(main) == ["a", "b", "c"]


def test_a_key_added_while_held_comes_back_after_done() -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        queue.add("a")
        assert len(queue) == 0
        queue.done("a")
        assert await queue.get() == "a"
        queue.done("a")
        assert queue.idle

    virtual.run(main)


def test_delays() -> None:
    async def main() -> list[tuple[str, float]]:
        queue: WorkQueue[str] = WorkQueue()
        queue.add_after("late", 10)
        queue.add_after("late", 5)
        queue.add_after("late", 20)
        queue.add_after("now", 60)
        queue.add("now")
        found = []
        for _ in range(2):
            key = await queue.get()
            found.append((key, asyncio.get_running_loop().time()))
            queue.done(key)
        await asyncio.sleep(100)
        assert queue.idle, "an add replaces the delayed one"
        return found

    assert virtual.run(main) == [("now", 0), ("late", 5)]


def test_a_cancelled_waiter_loses_no_key() -> None:
    async def main() -> str:
        queue: WorkQueue[str] = WorkQueue()
        first = asyncio.create_task(queue.get())
        second = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
        return await asyncio.wait_for(second, 5)

    assert virtual.run(main) == "a"


def test_closing_drops_timers() -> None:
    async def main() -> bool:
        queue: WorkQueue[str] = WorkQueue()
        queue.add_after("a", 1)
        queue.close()
        await asyncio.sleep(5)
        return queue.idle

    assert virtual.run(main)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "later"])), max_size=40), st.integers(0, 9))
def test_never_two_workers_on_one_key_and_none_is_lost(script: list[tuple[str, str]], seed: int) -> None:
    async def main() -> None:
        queue: WorkQueue[str] = WorkQueue()
        random = Random(seed)
        held: set[str] = set()
        added: dict[str, float] = {}
        worked: dict[str, float] = {}
        loop = asyncio.get_running_loop()

        async def worker() -> None:
            while True:
                key = await queue.get()
                assert key not in held
                held.add(key)
                worked[key] = loop.time()
                await asyncio.sleep(random.random())
                held.discard(key)
                queue.done(key)

        workers = [asyncio.create_task(worker()) for _ in range(3)]
        for key, how in script:
            await asyncio.sleep(random.random() / 2)
            if how == "add":
                queue.add(key)
                added[key] = loop.time()
            else:
                queue.add_after(key, random.random())
                added[key] = loop.time()
        await asyncio.sleep(60)
        assert queue.idle
        assert all(worked[key] >= added[key] for key in added)
        for task in workers:
            task.cancel()

    virtual.run(main)


def test_backoff_doubles_to_its_cap_and_forgets() -> None:
    backoff: Backoff[str] = Backoff(Random(1), base=1, cap=8)
    delays = [backoff.next("a") for _ in range(6)]
    for delay, full in zip(delays, [1, 2, 4, 8, 8, 8], strict=True):
        assert full / 2 <= delay <= full
    backoff.forget("a")
    assert backoff.next("a") <= 1
