"""The life of one receive-pack and of the bytes around it: the body in, git's words out, its hooks' questions answered.

Made by `source` for each push; asks `push` what the answers are. Here is what a pusher who goes away undoes, and when not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

from styr.delivery import git
from styr.delivery.push import Push, Update
from styr.delivery.tree import MEBIBYTE, Limits
from styr.kinds.transport import Request
from styr.kit.tasks import Tasks

_SLACK = 8 * MEBIBYTE
"""Read beyond the limit of a pack, so that git itself can say that it is too large."""
CHUNK = 64 * 1024


class BadBody(Exception):
    """The request's body is not what its headers say."""


class Receiving:
    """One running receive-pack: its process, its hooks' questions, and the pusher who may go away at any time."""

    def __init__(
        self, process: asyncio.subprocess.Process, push: Push, channel: socket.socket, tasks: Tasks, name: str
    ) -> None:
        self._process = process
        self._push = push
        self._left = asyncio.Event()
        self._tasks = tasks
        self._name = name
        self._hooks = tasks.spawn(self._answer(channel), name=f"push {name}")

    async def output(self, size: int, limits: Limits) -> AsyncIterator[bytes]:
        """What receive-pack says, as it says it. Closing it means that the pusher has gone."""
        assert self._process.stdout
        try:
            chunk = await self._process.stdout.read(CHUNK)
            if size > limits.pack and chunk:
                yield _remote(
                    f"This push is larger than {limits.pack / MEBIBYTE:.0f} MB, the most that Styr takes. "
                    "Keep data and builds out of the repository.\n"
                )
            while chunk:
                yield chunk
                chunk = await self._process.stdout.read(CHUNK)
            await self._process.wait()
            await asyncio.shield(self._hooks)
        finally:
            await self.leave()

    async def leave(self) -> None:
        """The pusher is no longer there (or has heard all). Not accepted: all is undone. Accepted: it goes on alone."""
        self._left.set()
        if self._push.accepted:
            if self._process.returncode is None:
                self._tasks.spawn(self._drain(), name=f"push {self._name} without its pusher")
            return
        self._hooks.cancel()
        await asyncio.shield(self._undo())

    async def _undo(self) -> None:
        await asyncio.gather(self._hooks, return_exceptions=True)
        await git.stop(self._process)

    async def _drain(self) -> None:
        assert self._process.stdout
        while await self._process.stdout.read(CHUNK):
            pass
        await self._process.wait()

    async def _answer(self, channel: socket.socket) -> None:
        """Serves both hooks, one after the other; ends when receive-pack and they have ended."""
        reader, writer = await asyncio.open_unix_connection(sock=channel, limit=4 * MEBIBYTE)

        async def say(text: str) -> None:
            if not self._left.is_set():
                await send({"out": text})

        async def send(answer: dict[str, object]) -> None:
            with contextlib.suppress(ConnectionError):
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()

        try:
            while line := await reader.readline():
                await send({"exit": await self._one(json.loads(line), say)})
        finally:
            writer.close()
            await asyncio.shield(self._push.close())

    async def _one(self, question: dict[str, object], say: Callable[[str], Awaitable[None]]) -> int:
        if question["hook"] == "pre-receive":
            updates = [Update(*update) for update in question["updates"]]  # type: ignore[attr-defined]
            quarantine: dict[str, str] = question["quarantine"]  # type: ignore[assignment]
            return 0 if await self._push.pre_receive(updates, question["options"], quarantine, say) else 1  # type: ignore[arg-type]
        following = asyncio.ensure_future(self._push.post_receive(say))
        leaving = asyncio.ensure_future(self._left.wait())
        try:
            await asyncio.wait((following, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            following.cancel()
            leaving.cancel()
            await asyncio.gather(following, leaving, return_exceptions=True)
        return 0


async def feed(request: Request, process: asyncio.subprocess.Process, limit: int) -> int:
    """Copies the body into git, unpacked; returns its size. Reads on when git has stopped listening, so that the pusher
    hears git's answer. Raises `BadBody`."""
    assert process.stdin
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if "gzip" in request.headers.get("content-encoding", "") else None
    size, listening = 0, True
    async for raw in _chunks(request):
        for chunk in _unpacked(raw, unpack):
            size += len(chunk)
            if size > limit + _SLACK:
                listening = False
            if listening:
                try:
                    process.stdin.write(chunk)
                    await process.stdin.drain()
                except (BrokenPipeError, ConnectionResetError):
                    listening = False
        if size > 4 * (limit + _SLACK):
            break
    if unpack is not None and not unpack.eof:
        raise BadBody("the gzip body ends in the middle")
    process.stdin.close()
    return size


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    if isinstance(request.body, bytes):
        yield request.body
        return
    async for chunk in request.body:
        yield chunk


def _unpacked(raw: bytes, unpack: zlib._Decompress | None) -> list[bytes]:
    if unpack is None:
        return [raw]
    parts = []
    try:
        while raw:
            parts.append(unpack.decompress(raw, MEBIBYTE))
            raw = unpack.unconsumed_tail
    except zlib.error as error:
        raise BadBody(f"the body is not gzip: {error}") from None
    return parts


def packet(content: bytes) -> bytes:
    return f"{len(content) + 4:04x}".encode() + content


def _remote(text: str) -> bytes:
    """A line on git's second side band, which the client prints as `remote: ...`."""
    return packet(b"\x02" + text.encode())
