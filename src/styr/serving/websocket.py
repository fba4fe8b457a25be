"""WebSocket (RFC 6455), the server's side, over a connection that was taken over. Frames are wsproto's.

Called by the API's streams. Handles pings, closing and broken frames itself. A message is handed on in pieces as it comes,
so its size costs no memory. Offers no extension: what goes through is mostly on this machine.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from wsproto.connection import SERVER, Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, generate_accept_token

from styr.kinds.errors import ApiError, BadRequest, Forbidden
from styr.kinds.transport import Wire
from styr.serving.wire import names_upgrade

LINGER = 5.0
"""Seconds in which the peer may answer our close: closing before it has read everything could take that away from it."""
BATCH = 64
"""Frames between two turns of the loop: a peer that sends tiny ones holds up nobody else."""


class Piece(NamedTuple):
    """Part of a message, in UTF-8 for a text one; `first` and `last` tell where in it."""

    data: bytes
    first: bool
    last: bool


def asked(headers: Mapping[str, str]) -> bool:
    """Is this request one for a WebSocket?"""
    return headers.get("upgrade", "").strip().lower() == "websocket" and names_upgrade(headers)


def offered(headers: Mapping[str, str]) -> list[str]:
    """The subprotocols that the client names, in its order."""
    return [word for word in (part.strip() for part in headers.get("sec-websocket-protocol", "").split(",")) if word]


def choose(headers: Mapping[str, str], supported: Sequence[str]) -> str:
    """The first subprotocol of the client's that we have; "" is for a client that names none. Raises Forbidden, as Kubernetes
    has it."""
    wanted = offered(headers) or [""]
    for name in wanted:
        if name in supported:
            return name
    shown = " ".join(name for name in supported if name)
    raise Forbidden(
        f"unable to upgrade websocket connection: requested protocol(s) are not supported: [{' '.join(wanted)}]; "
        f"supports [{shown}]"
    )


def accept(method: str, headers: Mapping[str, str], protocol: str) -> dict[str, str]:
    """The headers of the 101. Raises BadRequest, or ApiError 426 for another version of the protocol."""
    if method != "GET":
        raise BadRequest("a WebSocket is opened with GET")
    if headers.get("sec-websocket-version", "").strip() != "13":
        raise ApiError("only version 13 of the WebSocket protocol is spoken here", reason="BadRequest", status=426)
    key = headers.get("sec-websocket-key", "").strip()
    try:
        whole = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        whole = False
    if not whole:
        raise BadRequest("Sec-WebSocket-Key must be 16 bytes in base64")
    answer = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-accept": generate_accept_token(key.encode()).decode(),
    }
    return answer | ({"sec-websocket-protocol": protocol} if protocol else {})


class WebSocket:
    def __init__(self, wire: Wire, *, linger: float = LINGER) -> None:
        self._wire = wire
        self._linger = linger
        self._frames = Connection(SERVER)
        self._closed = self._heard = False

    async def pieces(self) -> AsyncIterator[Piece]:
        """All that comes, until the peer closes, goes away or breaks the protocol."""
        count, first = 0, True
        while received := await self._wire.read():
            self._frames.receive_data(received)
            for event in self._frames.events():
                if isinstance(event, (BytesMessage, TextMessage)):
                    data = event.data
                    yield Piece(data.encode() if isinstance(data, str) else bytes(data), first, event.message_finished)
                    first = event.message_finished
                elif isinstance(event, Ping):
                    await self._wire.write(self._frames.send(event.response()))
                elif isinstance(event, CloseConnection):
                    # To a broken frame, too: then the peer has not said that it is through.
                    self._heard = self._frames.state is ConnectionState.REMOTE_CLOSING
                    await self._say_close(event.code, event.reason or "")
                    return
                count += 1
                if count % BATCH == 0:
                    await asyncio.sleep(0)

    async def send(self, data: bytes) -> None:
        """One binary message. Raises ConnectionError."""
        await self._send(BytesMessage(data))

    async def send_text(self, text: str) -> None:
        await self._send(TextMessage(text))

    async def _send(self, message: BytesMessage | TextMessage) -> None:
        try:
            frame = self._frames.send(message)
        except LocalProtocolError:
            raise ConnectionError("the WebSocket is closed") from None
        await self._wire.write(frame)

    async def _say_close(self, code: int, reason: str) -> None:
        if not self._closed:
            self._closed = True
            with suppress(LocalProtocolError, ConnectionError):
                await self._wire.write(self._frames.send(CloseConnection(code, reason)))

    async def close(self, code: int = CloseReason.NORMAL_CLOSURE, reason: str = "") -> None:
        """Says so, and waits until the peer has said so too, or `linger` seconds. May be called twice."""
        await self._say_close(code, reason)
        if self._heard:
            return
        self._heard = True
        with suppress(LocalProtocolError, ConnectionError, TimeoutError):
            async with asyncio.timeout(self._linger):
                while data := await self._wire.read():
                    self._frames.receive_data(data)
                    if any(isinstance(event, CloseConnection) for event in self._frames.events()):
                        return
