"""Channels over the messages of a WebSocket: the first byte of each is its channel's number. Called by `channels`, `forward`.

With `base64` a message is text: the channel as a character (`0` is 0), then base64.
"""

from __future__ import annotations

import base64 as coding
import binascii

from styr.serving.websocket import Piece, WebSocket

MAX_MESSAGE = 32 << 10
"""Bytes of a message that we send: lightkube takes no more than 64 KiB."""


class Demultiplexer:
    """What comes in."""

    def __init__(self, *, base64: bool) -> None:
        self._base64 = base64
        self._channel: int | None = None
        """Of the message that is coming in."""
        self._undecoded = b""

    def __call__(self, piece: Piece) -> tuple[int | None, bytes]:
        """The channel (None while the message has no byte yet) and what has come for it."""
        data = piece.data
        if piece.first:
            self._channel, self._undecoded = None, b""
        if self._channel is None and data:
            self._channel = data[0] - (ord("0") if self._base64 else 0)
            data = data[1:]
        return self._channel, self._decoded(data) if self._base64 else data

    def _decoded(self, data: bytes) -> bytes:
        """Four characters are three bytes, and a piece may end anywhere. What is no base64 is left out."""
        data = self._undecoded + data
        whole = len(data) & ~3
        self._undecoded = data[whole:]
        try:
            return coding.b64decode(data[:whole], validate=True)
        except binascii.Error:
            return b""


async def send(socket: WebSocket, channel: int, data: bytes, *, base64: bool) -> None:
    """As one message, or several; an empty one too. Raises ConnectionError."""
    for start in range(0, len(data) or 1, MAX_MESSAGE):
        piece = data[start : start + MAX_MESSAGE]
        if base64:
            await socket.send_text(f"{channel}{coding.b64encode(piece).decode()}")
        else:
            await socket.send(bytes((channel,)) + piece)
