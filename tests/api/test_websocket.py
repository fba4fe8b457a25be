"""WebSocket streams: channels, closing, and peers that mean no good."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from styr.api.streams.channels import ChannelSession
from styr.api.streams.command import Sizes, conduct
from styr.api.streams.forward import read_ports
from styr.kinds.errors import ApiError, BadRequest
from styr.kinds.seams import StreamOptions, Terminal
from styr.serving import websocket
from styr.serving.websocket import WebSocket
from tests.api.wires import Peer, Script, cut

ALL = StreamOptions("web", ("cat",), stdin=True, stdout=True, stderr=True)
HEADERS = {
    "upgrade": "websocket",
    "connection": "keep-alive, Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_the_handshake_of_the_standard() -> None:
    answer = websocket.accept("GET", HEADERS, "v5.channel.k8s.io")
    assert answer["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert answer["sec-websocket-protocol"] == "v5.channel.k8s.io"


@pytest.mark.parametrize(
    ("method", "changed", "status"),
    [
        ("POST", {}, 400),
        ("GET", {"sec-websocket-version": "8"}, 426),
        ("GET", {"sec-websocket-key": "short"}, 400),
        ("GET", {"sec-websocket-key": "\u00e9" * 24}, 400),
    ],
)
def test_no_handshake(method: str, changed: dict[str, str], status: int) -> None:
    with pytest.raises(ApiError) as refused:
        websocket.accept(method, {**HEADERS, **changed}, "")
    assert refused.value.status_code == status


async def talk(said: list[bytes], run: Any, protocol: str = "v5.channel.k8s.io", **options: bool) -> list[Any]:
    """What a client hears that says so much and then waits."""
    wire = Script(said, stays=True)
    session = ChannelSession(WebSocket(wire, linger=0.01), protocol, StreamOptions("web", ("x",), **(options or _ALL)))
    await asyncio.wait_for(conduct(session, run), 10)
    return Peer().hear(wire.told)


_ALL = {"stdin": True, "stdout": True, "stderr": True}


async def echo(terminal: Terminal) -> int:
    while data := await terminal.read():
        await terminal.write(data)
    await terminal.write(b"over", 2)
    return 7


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_channels_and_the_end_of_input(size: int) -> None:
    peer = Peer()
    said = peer.say(b"\0in") + peer.say(b"\0", whole=False) + peer.say(b"put") + peer.say(b"\xff\0")
    heard = [event.data for event in await talk(cut(said, size), echo) if isinstance(event, BytesMessage)]
    out = b"".join(bytes(data[1:]) for data in heard if data[0] == 1)
    assert (heard[0], out) == (b"\1", b"input")
    assert b"\2over" in heard
    status = json.loads(heard[-1][1:])
    assert heard[-1][0] == 3
    assert (status["reason"], status["details"]["causes"]) == (
        "NonZeroExitCode",
        [{"reason": "ExitCode", "message": "7"}],
    )


async def test_base64_is_text() -> None:
    async def once(terminal: Terminal) -> int:
        await terminal.write(await terminal.read())
        return 0

    wire_bytes = TextMessage("0aGVsbG8=")
    from wsproto.connection import CLIENT, Connection

    said = Connection(CLIENT).send(wire_bytes)
    heard = [
        event.data
        for event in await talk(cut(said, 4), once, "v4.base64.channel.k8s.io")
        if isinstance(event, TextMessage)
    ]
    assert heard[0] == "1"
    assert "".join(heard[1:-1]).replace("1", "", 1)
    assert heard[-1].startswith("3")


async def test_old_protocols_tell_failures_only_and_in_words() -> None:
    async def fails(terminal: Terminal) -> int:
        raise BadRequest("no such thing")

    heard = [event.data for event in await talk([], fails, "channel.k8s.io") if isinstance(event, BytesMessage)]
    assert heard == [b"\1", b"\3no such thing"]


async def test_pings_are_answered_and_close_is_too() -> None:
    from wsproto.connection import CLIENT, Connection

    client = Connection(CLIENT)
    said = client.send(Ping(b"here?")) + client.send(CloseConnection(1000))
    wire = Script([said])
    assert [piece async for piece in WebSocket(wire).pieces()] == []
    heard = Peer().hear(wire.told)
    assert [type(event) for event in heard] == [Pong, CloseConnection]
    assert heard[0].payload == b"here?"


async def test_the_command_ends_when_its_client_goes() -> None:
    ended = asyncio.Event()

    async def forever(terminal: Terminal) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 0

    session = ChannelSession(WebSocket(Script([])), "v5.channel.k8s.io", ALL)
    await asyncio.wait_for(conduct(session, forever), 10)
    assert ended.is_set()


@given(st.lists(st.binary(max_size=80), max_size=12))
def test_no_peer_hangs_it(pieces: list[bytes]) -> None:
    async def run() -> None:
        session = ChannelSession(WebSocket(Script(pieces), linger=0.01), "v5.channel.k8s.io", ALL)
        await asyncio.wait_for(conduct(session, echo), 10)

    asyncio.run(run())


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_message_hangs_it(messages: list[bytes]) -> None:
    peer = Peer()
    said = [peer.say(message) for message in messages]

    async def run() -> None:
        session = ChannelSession(WebSocket(Script(said)), "v5.channel.k8s.io", ALL)
        await asyncio.wait_for(conduct(session, echo), 10)

    asyncio.run(run())


async def test_sizes_as_they_come() -> None:
    sizes = Sizes()
    for piece in (
        b'{"Width":80,"Hei',
        b'ght":24}{"Width":0,"Height":9}[]{"Width":"x"} {"Width":132,"Height":50}',
        b"{" * 9000,
    ):
        sizes.feed(piece)
    assert await sizes.next() == (132, 50)
    assert len(sizes._text) <= Sizes.MAX


@pytest.mark.parametrize("values", [[], [""], ["0"], ["65536"], ["80,x"], ["-1"], ["80"] * 200])
def test_ports_that_are_none(values: list[str]) -> None:
    with pytest.raises(BadRequest, match="ports"):
        read_ports(values)


def test_ports() -> None:
    assert read_ports(["80,81", "9000"]) == [80, 81, 9000]
