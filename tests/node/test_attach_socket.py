"""The socket that a launcher listens on: strangers, rubbish, crowds, and what a terminal's size becomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from styr.kinds.errors import InternalError
from styr.kinds.seams import StreamOptions
from styr.node import attach
from styr.node.runtimes.base import Handle, Input, Launch
from styr.node.runtimes.process import ProcessRuntime
from styr.node.runtimes.pump import MAX_CLIENTS, RESIZE, STDIN
from styr.node.visit import Said
from tests.node.world import eventually

TOKEN = "t" * 32
ENV = {"PATH": "/usr/bin:/bin", "TERM": "xterm"}


class Attached:
    def __init__(self, runtime: ProcessRuntime, launch: Launch, handle: Handle) -> None:
        assert launch.input is not None
        self.runtime, self.launch, self.handle, self.input = runtime, launch, handle, launch.input

    async def connect(self, token: str = TOKEN) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await self.runtime.attach(Input(self.input.socket, token))

    async def until_said(self, reader: asyncio.StreamReader, wanted: bytes) -> bytes:
        said = b""
        async with asyncio.timeout(20):
            while wanted not in said:
                head = await reader.readexactly(5)
                said += await reader.readexactly(int.from_bytes(head[1:], "big"))
        return said


def frame(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + len(body).to_bytes(4, "big") + body


@pytest.fixture
async def attached(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Attached]:
    terminal = bool(getattr(request, "param", False))
    script = "while read word; do echo got $word; stty size 2>/dev/null; done"
    input = Input(tmp_path / "attach", TOKEN, stdin=True)
    launch = Launch(
        ("/bin/sh", "-c", script), ENV, tmp_path, tmp_path / "log", tmp_path / "exit", writable=(tmp_path,),
        terminal=terminal, input=input,
    )  # fmt: skip
    runtime = ProcessRuntime()
    handle = runtime.start(launch, lambda _: None)
    yield Attached(runtime, launch, handle)
    await runtime.kill(handle, tmp_path)
    await runtime.wait(handle, launch.exit)


async def test_a_stranger_hears_nothing(attached: Attached) -> None:
    reader, writer = await attached.connect("x" * 32)
    writer.write(frame(STDIN, b"evil\n"))
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    reader, writer = await attached.connect()
    writer.write(frame(STDIN, b"good\n"))
    assert await attached.until_said(reader, b"got good") == b"got good\n"
    writer.close()


async def test_one_too_many_is_hung_up_on(attached: Attached) -> None:
    held = [await attached.connect() for _ in range(MAX_CLIENTS)]
    for reader, _ in held:
        async with asyncio.timeout(20):
            assert await reader.readexactly(5) == bytes(5)  # welcome
    options = StreamOptions("web", stdout=True)
    with pytest.raises(InternalError, match="16 clients are attached already"):
        await attach.run(attached.runtime, attached.input, False, options, Said(100))
    held[0][1].write(frame(STDIN, b"all\n"))
    for reader, _ in held:
        assert b"got all\n" in await attached.until_said(reader, b"got all\n")
    for _, writer in held:
        writer.close()


@pytest.mark.parametrize("attached", [True], indirect=True)
async def test_a_terminal_has_the_size_it_was_told(attached: Attached) -> None:
    reader, writer = await attached.connect()
    writer.write(frame(RESIZE, (132).to_bytes(2, "big") + (43).to_bytes(2, "big")))
    writer.write(frame(STDIN, b"now\n"))
    assert b"43 132" in await attached.until_said(reader, b"43 132")
    writer.close()


async def test_a_frame_without_end_is_not_waited_for(attached: Attached) -> None:
    reader, writer = await attached.connect()
    writer.write(bytes((STDIN,)) + b"\xff\xff\xff\xff")
    async with asyncio.timeout(20):
        assert await reader.read() == bytes(5)
    assert attached.runtime.alive(attached.handle)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_rubbish_ends_nobody_but_its_sender(pieces: list[bytes]) -> None:
    """Straight at the loop, without a process."""
    import os
    import socket

    from styr.node.runtimes.pump import Pump

    listener = socket.socket(socket.AF_UNIX)
    listener.bind("")
    listener.listen()
    signals, other = os.pipe()
    os.set_blocking(signals, False)
    reader, stdin = os.pipe()
    os.set_blocking(stdin, False)
    pump = Pump(
        signals, None, {}, stdin, listener=listener.fileno(), token=b"t", accept=lambda _: listener.accept()[0].detach()
    )
    client = socket.socket(socket.AF_UNIX)
    client.connect(listener.getsockname())
    client.sendall(b"t" + b"".join(pieces))
    client.shutdown(socket.SHUT_WR)
    for _ in range(20):
        pump.turn(0.0)
    assert not pump._clients
    for descriptor in (signals, other, reader, stdin):
        os.close(descriptor)
    client.close()
    listener.close()


async def test_the_socket_goes_with_the_launcher(attached: Attached, tmp_path: Path) -> None:
    await attached.runtime.kill(attached.handle, tmp_path)
    await eventually(lambda: not attached.runtime.alive(attached.handle), "the launcher stays")
    with pytest.raises(OSError):
        await attached.connect()
