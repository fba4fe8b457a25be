"""Streams as a client may send them, and answers as a server behind the proxy may: any bytes, in any pieces. The session
must end by itself, with nothing worse than a broken connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from styr.api.streams.channels import ChannelSession
from styr.api.streams.command import conduct
from styr.api.streams.forward import ChannelForward, Joined, SpdyForward, Tunnel
from styr.api.streams.spdy import SpdySession
from styr.kinds.seams import Duplex, StreamOptions, Terminal
from styr.serving.relay import Unreachable, _Answer
from styr.serving.spdy import frames
from styr.serving.spdy.frames import Encoder
from styr.serving.websocket import WebSocket
from tests.api.wires import Peer, Script, cut

ALL = StreamOptions("web", ("x",), stdin=True, stdout=True, stderr=True)
TTY = StreamOptions("web", ("x",), stdin=True, stdout=True, tty=True)
SECONDS = 10.0


async def _echo(terminal: Terminal) -> int:
    while data := await terminal.read():
        await terminal.write(data)
    return 3


async def _answer(port: int, duplex: Duplex) -> None:
    if port % 2:
        raise ConnectionRefusedError("nobody listens")
    while data := await duplex.read():
        await duplex.write(data)
    await duplex.close()


def _socket(wire: Script) -> WebSocket:
    return WebSocket(wire, linger=0.0)


_JOIN = Joined(_answer, "web")
KINDS: tuple[Callable[[Script], Awaitable[None]], ...] = (
    lambda wire: conduct(ChannelSession(_socket(wire), "v5.channel.k8s.io", ALL), _echo),
    lambda wire: conduct(ChannelSession(_socket(wire), "v4.base64.channel.k8s.io", TTY), _echo),
    lambda wire: conduct(SpdySession(wire, "v4.channel.k8s.io", ALL), _echo),
    lambda wire: conduct(SpdySession(wire, "v3.channel.k8s.io", TTY), _echo),
    lambda wire: SpdyForward(wire, _JOIN, linger=0.0).serve(),
    lambda wire: SpdyForward(Tunnel(_socket(wire)), _JOIN, linger=0.0).serve(),
    lambda wire: ChannelForward(wire, "", (80, 81), _JOIN).serve(),
)
"""Which one it is, the first byte says; the second, how long the pieces are."""


def streams(data: bytes) -> None:
    kind, size, said = (data[0] if data else 0), (data[1] if len(data) > 1 else 0) + 1, data[2:]

    async def run() -> None:
        broken: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))
        with suppress(ConnectionError):
            await asyncio.wait_for(_run(KINDS[kind % len(KINDS)], Script(cut(said, size))), SECONDS)
        assert not broken, broken

    asyncio.run(run())


async def _run(kind: Callable[[Script], Awaitable[None]], wire: Script) -> None:
    await kind(wire)


class _Nobody:
    """A StreamWriter that writes nowhere."""

    def close(self) -> None: ...

    def write(self, data: bytes) -> None: ...


def relayed(data: bytes) -> None:
    """In pieces as long as the first byte says."""

    async def run() -> None:
        reader = asyncio.StreamReader()
        for piece in cut(data[1:], (data[0] if data else 0) + 1):
            reader.feed_data(piece)
        reader.feed_eof()
        answer = _Answer(reader, cast(asyncio.StreamWriter, _Nobody()))
        with suppress(Unreachable):
            await answer.begin()
            async for _ in answer:
                pass

    asyncio.run(run())


def _spdy(*kinds: str, port: str = "80") -> bytes:
    encoder = Encoder()
    opened = [encoder.open(2 * n + 1, {"streamtype": kind, "port": port}) for n, kind in enumerate(kinds)]
    return b"".join(opened) + frames.data_head(3, 2) + b"hi" + frames.ping(1) + frames.data_head(3, 0, fin=True)


def seeds() -> tuple[bytes, ...]:
    peer = Peer()
    channels = peer.say(b"\0in") + peer.say(b'\4{"Width":80,"Height":24}') + peer.say(b"\xff\0")
    pair, all_four = _spdy("error", "data"), _spdy("error", "stdin", "stdout", "stderr")
    said = (
        channels,
        Peer().say(b"0aGk="),
        all_four,
        _spdy("error", "stdin", "stdout", "resize"),
        pair,
        Peer().say(pair),
    )
    return tuple(bytes([n, 200]) + data for n, data in enumerate((*said, Peer().say(b"\0ab"))))


ANSWERS = (
    b"\xffHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
    b"\x05HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    b"\xffHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Up\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nmore",
    b"\xffHTTP/1.0 404 No\r\nset-cookie: a\r\nset-cookie: b\r\n\r\nuntil the end",
)
