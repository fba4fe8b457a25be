from __future__ import annotations

import asyncio
import logging

import pytest

from styr.kit.tasks import Tasks


async def test_leaving_ends_everything() -> None:
    ended = []

    async def forever(name: str) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(name)

    async with Tasks("owner") as tasks:
        tasks.spawn(forever("a"), name="a")
        tasks.spawn(forever("b"), name="b")
        await asyncio.sleep(0)
        assert tasks.names() == ["a", "b"]
    assert ended == ["a", "b"]
    assert len(tasks) == 0


async def test_a_failure_is_kept_and_logged_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("broken")

    logging.getLogger("styr").propagate = True
    async with Tasks("owner") as tasks:
        other = tasks.spawn(asyncio.sleep(10), name="other")
        tasks.spawn(fail(), name="bad")
        while not tasks.failures:
            await asyncio.sleep(0)
        assert not other.done()
    assert [(name, str(error)) for name, error in tasks.failures] == [("bad", "broken")]
    assert "task=bad" in caplog.text


async def test_cancel_by_name_waits_for_the_end() -> None:
    async with Tasks("owner") as tasks:
        first = tasks.spawn(asyncio.sleep(10), name="x")
        other = tasks.spawn(asyncio.sleep(10), name="y")
        await tasks.cancel("x")
        assert first.cancelled()
        assert not other.done()
        assert tasks.names() == ["y"]


async def test_closing_from_a_task_of_its_own() -> None:
    tasks = Tasks("owner")
    other = tasks.spawn(asyncio.sleep(10), name="other")
    await asyncio.wait_for(tasks.spawn(tasks.close(), name="closer"), 5)
    assert other.cancelled()


async def test_a_closed_group_takes_nothing() -> None:
    tasks = Tasks("owner")
    await tasks.close()
    with pytest.raises(RuntimeError, match="late"):
        tasks.spawn(asyncio.sleep(0), name="late")
