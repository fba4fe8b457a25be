"""Where blocking work runs. Called by `evaluation`, `restore` and `notify.state`, which are handed one of these."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Protocol, TypeVar

T = TypeVar("T")


class Run(Protocol):
    """Runs blocking work somewhere and hands back its result or exception."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def inline(work: Callable[[], T], /) -> T:
    """On the caller's thread: for virtual time, and for programs that do one thing."""
    return work()


async def thread(work: Callable[[], T], /) -> T:
    """In one of the loop's own threads."""
    return await asyncio.to_thread(work)


def threads(executor: Executor) -> Run:
    async def run(work: Callable[[], T], /) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, work)

    return run
