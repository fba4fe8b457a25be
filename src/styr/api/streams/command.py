"""Exec and attach: joins what the node runs to a client's streams, and tells how it ended.

Called by `verbs/connect.py`. A `Session` is one client: `channels.ChannelSession` over WebSocket, `spdy.SpdySession` over SPDY.
The end is a Status on the error stream, as the kubelet writes it: `Success`, or `NonZeroExitCode` with the code as a cause.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any, Protocol

from styr.kinds.errors import ApiError, InternalError, Unavailable
from styr.kinds.seams import Run, Terminal
from styr.kit.log import Log

log = Log("styr.api.streams")

LAST_WORD = 1.0
"""Seconds in which a client can be told that the server stops."""
MAX_SIZE = 0xFFFF
"""Columns or rows of a terminal: a 16-bit number in the kernel."""


class Session(Terminal, Protocol):
    async def opened(self) -> None:
        """Until all streams are there. Raises ApiError when the client does not open them in time."""

    async def listen(self) -> None:
        """Takes in what the client sends; returns when it has gone."""

    async def finish(self, status: dict[str, Any]) -> None:
        """Tells the outcome and closes."""

    async def close(self) -> None:
        """Closes, however far it has come. May be called after `finish`."""


async def conduct(session: Session, run: Run) -> None:
    """Until the command has ended or the client has gone, whichever comes first."""
    listening = asyncio.ensure_future(session.listen())
    working = asyncio.ensure_future(_outcome(run, session))
    try:
        await asyncio.wait({listening, working}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            with suppress(ConnectionError):
                await session.finish(working.result())
    except asyncio.CancelledError:
        # Without a word a client takes the end for a good one.
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(LAST_WORD):
                await session.finish(Unavailable("the server is stopping, and the command with it").to_status())
        raise
    finally:
        await _stopped(working)
        await _stopped(listening)
        await session.close()


async def _outcome(run: Run, session: Session) -> dict[str, Any]:
    try:
        await session.opened()
        return exit_status(await run(session))
    except ApiError as error:
        return error.to_status()
    except ConnectionError:
        return success()  # nobody is there to read it
    except Exception as error:
        log.error("a stream broke off", error)
        return InternalError(f"error executing command in container: {error}").to_status()


async def _stopped(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def success() -> dict[str, Any]:
    return {"metadata": {}, "status": "Success"}


def exit_status(code: int) -> dict[str, Any]:
    """As `k8s.io/apimachinery/pkg/util/remotecommand` and its clients know it."""
    if code == 0:
        return success()
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


class Sizes:
    """Terminal sizes as JSON objects in a row, `{"Width":80,"Height":24}`; only the newest counts."""

    MAX = 4096
    """Bytes of an object that never ends before they are thrown away."""

    def __init__(self) -> None:
        self._text = ""
        self._size: tuple[int, int] | None = None
        self._changed = asyncio.Event()
        self._decoder = json.JSONDecoder()

    def feed(self, data: bytes) -> None:
        self._text = (self._text + data.decode("utf-8", "replace"))[-self.MAX :].lstrip()
        while self._text:
            try:
                value, end = self._decoder.raw_decode(self._text)
            except (ValueError, RecursionError):
                return
            self._text = self._text[end:].lstrip()
            self._take(value)

    def _take(self, value: Any) -> None:
        if not isinstance(value, dict):
            return
        sides = [value.get(name) for name in ("Width", "Height")]
        if all(isinstance(side, int) and 0 < side <= MAX_SIZE for side in sides):
            self._size = (sides[0], sides[1])  # type: ignore[assignment]
            self._changed.set()

    async def next(self) -> tuple[int, int]:
        while self._size is None:
            self._changed.clear()
            await self._changed.wait()
        size, self._size = self._size, None
        return size
