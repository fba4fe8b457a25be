"""An event loop without sockets, threads or a clock of its own: when nothing is ready, time jumps to the next timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Nothing is ready and no timer is set: whoever waits would wait for ever."""


class _Jump:
    """Stands where the loop expects a selector."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set")
        if timeout > 0:
            self._loop.now += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._selector = _Jump(self)

    def time(self) -> float:
        return self.now

    def _process_events(self, event_list: list[Any]) -> None:
        return None

    def _write_to_self(self) -> None:
        """Wakes a loop that waits in a selector: this one never does. asyncio calls it for forgotten generators too."""


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Like asyncio.run, on a fresh virtual loop: an hour takes as long as its work."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
