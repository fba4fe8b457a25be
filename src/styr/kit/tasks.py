"""Tasks with names that end with their owner: nothing is left running, and no error is lost.

Unlike `asyncio.TaskGroup`, one failing task does not take the others down: it is logged, and kept in `failures`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from styr.kit.log import Log

log = Log("styr.tasks")


class Tasks:
    """`async with Tasks("node") as tasks: tasks.spawn(work(), name="pod hello-1")`. Leaving cancels and awaits them all."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.failures: list[tuple[str, BaseException]] = []
        # A dict, not a set: cancelled in the order of their start, so that a seeded run repeats itself.
        self._running: dict[asyncio.Task[Any], str] = {}
        self._closed = False

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Starts it. Names need not be unique. Raises RuntimeError when the group is closed."""
        if self._closed:
            coroutine.close()
            raise RuntimeError(f"{self.owner}: no task {name!r} can start, the group is closed")
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self.owner}: {name}")
        self._running[task] = name
        task.add_done_callback(self._done)
        return task

    def __len__(self) -> int:
        return len(self._running)

    def names(self) -> list[str]:
        return list(self._running.values())

    async def cancel(self, name: str) -> None:
        """Cancels every task of that name but the caller's own, and waits for their end."""
        await self._end([task for task in self._others() if self._running[task] == name])

    async def close(self) -> None:
        """Cancels what runs, waits for it, and takes no more. May be called twice, and from one of the tasks."""
        self._closed = True
        while others := self._others():
            await self._end(others)

    def _others(self) -> list[asyncio.Task[Any]]:
        current = asyncio.current_task()
        return [task for task in self._running if task is not current]

    async def _end(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.sleep(0)  # lets the done callbacks run

    def _done(self, task: asyncio.Task[Any]) -> None:
        name = self._running.pop(task, "")
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append((name, error))
            log.error("task failed", error, owner=self.owner, task=name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
