"""Exec and attach over WebSocket: every message begins with the number of its channel.

Called by `verbs/connect.py`. The protocols are those of `k8s.io/apimachinery/pkg/util/remotecommand`:

    0 stdin, 1 stdout, 2 stderr, 3 the outcome, 4 the terminal's size; 255 (v5 only): the client closes the channel named next
    v5, v4      the outcome is a Status in JSON        base64.*   text messages: a digit, then base64
    older, none the outcome is a sentence, and only for a failure
"""

from __future__ import annotations

import json
from typing import Any

from styr.api.streams import demux
from styr.api.streams.command import Sizes
from styr.api.streams.demux import Demultiplexer
from styr.kinds.seams import StreamOptions
from styr.serving.inbox import Inbox
from styr.serving.websocket import WebSocket

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOLS = (
    "v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io", "",
)  # fmt: skip


class ChannelSession:
    """A `command.Session`."""

    def __init__(self, socket: WebSocket, protocol: str, options: StreamOptions) -> None:
        self._socket = socket
        self._options = options
        self._closes = protocol.startswith("v5.")
        self._json = protocol.startswith(("v5.", "v4."))
        self._base64 = "base64." in protocol
        self._stdin = Inbox()
        self._sizes = Sizes()
        self._demux = Demultiplexer(base64=self._base64)
        if not options.stdin:
            self._stdin.drop()

    # Terminal

    async def read(self) -> bytes:
        return await self._stdin.get()

    async def write(self, data: bytes, stream: int = STDOUT) -> None:
        if self._options.stdout if stream == STDOUT else self._options.stderr:
            await self._send(stream, data)

    async def resized(self) -> tuple[int, int]:
        return await self._sizes.next()

    # Session

    async def opened(self) -> None:
        """An empty message tells the client that it is connected."""
        await self._send(STDOUT if self._options.stdout else STDERR if self._options.stderr else ERROR, b"")

    async def listen(self) -> None:
        async for piece in self._socket.pieces():
            channel, data = self._demux(piece)
            if data and not await self._received(channel, data):
                break
        self._stdin.end()

    async def finish(self, status: dict[str, Any]) -> None:
        if self._json:
            await self._send(ERROR, json.dumps(status, separators=(",", ":")).encode())
        elif status["status"] != "Success":
            await self._send(ERROR, status.get("message", "").encode())

    async def close(self) -> None:
        await self._socket.close()

    async def _send(self, channel: int, data: bytes) -> None:
        await demux.send(self._socket, channel, data, base64=self._base64)

    async def _received(self, channel: int | None, data: bytes) -> bool:
        """Part of a message. False when the protocol is broken."""
        if channel == CLOSE and self._closes:
            if data[0] == STDIN:
                self._stdin.end()
            return data[0] <= RESIZE
        if channel == STDIN:
            await self._stdin.put(data)
        elif channel == RESIZE:
            self._sizes.feed(data)
        return True
