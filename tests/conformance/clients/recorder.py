"""Stands between a client and Styr, and writes down what each request was and how it was answered.

Called by `report.py`. Passes bytes on as they are, over TLS on both sides with Styr's own certificate; it changes nothing, so a
client cannot tell. What becomes of the exchanges is `transcript.py`'s.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httptools

from styr.api import pki
from styr.kit.clock import SystemClock
from styr.plane.folder import Folder

MOST = 4 << 20
"""Bytes of a body that are kept."""


@dataclass(slots=True)
class Message:
    """One half of an exchange as it is parsed: httptools calls the methods."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_body(self, data: bytes) -> None:
        if len(self.body) < MOST:
            self.body += data


@dataclass(slots=True)
class Exchange:
    """A request and its answer; `status` is 0 while there is none."""

    method: str
    target: str
    request: Message
    status: int = 0
    response: Message = field(default_factory=Message)


class Requests:
    """Parses what the client sends. Every whole request goes to `found`, in order."""

    def __init__(self, found: list[Exchange], waiting: list[Exchange]) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._found, self._waiting = found, waiting
        self._target, self._message = b"", Message()

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._target, self._message = b"", Message()

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._message.on_header(name, value)

    def on_body(self, data: bytes) -> None:
        self._message.on_body(data)

    def on_message_complete(self) -> None:
        exchange = Exchange(self._parser.get_method().decode(), self._target.decode("latin-1"), self._message)
        self._found.append(exchange)
        self._waiting.append(exchange)


class Responses:
    """Parses what the server answers, each to the oldest request that waits."""

    def __init__(self, waiting: list[Exchange]) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = waiting
        self._message = Message()

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._message = self._waiting[0].response if self._waiting else Message()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._message.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._waiting:
            self._waiting[0].status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self._message.on_body(data)

    def on_message_complete(self) -> None:
        if self._waiting and self._waiting[0].status >= 200:
            self._waiting.pop(0)


class Recorder:
    """`entries` holds the exchanges, and between them what a scene did itself, in the order of time."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, folder: Folder) -> asyncio.Server:
        made = pki.ensure(folder.path / "pki", SystemClock())
        self._upstream = ssl.create_default_context(cafile=str(folder.ca))
        self._port = folder.state().api_port
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.certificate, made.key)
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        waiting: list[Exchange] = []
        pumps: list[asyncio.Task[None]] = []
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._upstream)
            pumps = [
                asyncio.create_task(_pump(reader, up_writer, Requests(self.entries, waiting))),
                asyncio.create_task(_pump(up_reader, writer, Responses(waiting))),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            up_writer.close()
        except (OSError, asyncio.CancelledError):
            pass  # one side has gone: so does the other
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            writer.close()
            self._tasks.discard(task)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parser: Requests | Responses) -> None:
    parsing = True
    with suppress(OSError, ssl.SSLError):
        while data := await reader.read(1 << 16):
            if parsing:
                try:
                    parser.feed(data)
                except (httptools.HttpParserUpgrade, httptools.HttpParserError):
                    parsing = False
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def recording(folder: Folder, work: Path) -> AsyncIterator[tuple[Recorder, Path]]:
    """A recorder, and a kubeconfig that leads through it."""
    recorder = Recorder()
    server = await recorder.serve(folder)
    document = json.loads(folder.kubeconfig.read_text())
    for cluster in document["clusters"]:
        cluster["cluster"]["server"] = f"https://127.0.0.1:{recorder.port}"
    kubeconfig = work / "kubeconfig-recorded"
    kubeconfig.write_text(json.dumps(document))
    try:
        yield recorder, kubeconfig
    finally:
        server.close()
        await recorder.stop()
