"""Raw bytes to a real server and back, for tests of the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from styr.kinds.transport import Request, Response
from styr.serving.authn import ADMIN, Authenticator
from styr.serving.http import Server, Timeouts, serve

TOKEN = "s3cret"


@dataclass
class Recorder:
    """A handler that keeps what it saw. `/stream` streams until stopped; `/git/...` reads its body as it comes."""

    seen: list[tuple[str, str, bytes]] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    streams: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: Request) -> Response:
        body = request.body
        whole = body if isinstance(body, bytes) else b""
        if not isinstance(body, bytes) and not request.path.endswith("/unread"):
            if request.path.endswith("/slow"):
                self.started.set()
                await self.gate.wait()
            async for piece in body:
                whole += piece
        self.seen.append((request.method, request.path, whole))
        self.users.append(request.user.name if request.user else "")
        if request.path == "/stream":
            return Response(200, self.stream(), {"content-type": "text/plain"})
        if request.path == "/flood":
            return Response(200, self.flood(), {})
        if request.path == "/boom":
            raise RuntimeError("a bug")
        if request.path == "/wait":
            self.started.set()
            await self.gate.wait()
        return Response(200, request.path.encode(), {"content-type": "text/plain"})

    async def stream(self) -> AsyncIterator[bytes]:
        self.streams += 1
        try:
            yield b"first\n"
            await self.gate.wait()
            yield b"last\n"
        finally:
            self.streams -= 1

    async def flood(self) -> AsyncIterator[bytes]:
        self.streams += 1
        try:
            while True:
                yield b"x" * 65536
        finally:
            self.streams -= 1


@asynccontextmanager
async def running(handler: Recorder, timeouts: Timeouts | None = None) -> AsyncIterator[Server]:
    server = await serve(handler, tls=None, authenticate=Authenticator({TOKEN: ADMIN}), timeouts=timeouts)
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def dialled(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def exchange(server: Server, data: bytes) -> bytes:
    """Sends bytes, half-closes nothing, and returns all until the server closes the connection."""
    async with dialled(server) as (reader, writer):
        writer.write(data)
        async with asyncio.timeout(10):
            return await reader.read()


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines)


async def read_response(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    status, headers = await read_head(reader)
    async with asyncio.timeout(10):
        return status, headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
