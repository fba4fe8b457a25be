"""A connection that a handler has taken over: raw bytes both ways, no longer HTTP. Implements `kinds.transport.Wire`.

Made by `connection` for a response that carries an `upgrade`; used by `websocket` and `spdy`. Holds at most about `HIGH_WATER`
bytes in either direction: beyond that the peer is not read from, or whoever writes waits.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque

from styr.serving.body import HIGH_WATER
from styr.serving.writer import Stalled, Writer

IDLE = 4 * 3600.0
"""Seconds that a peer may leave what we write unread, as the kubelet has it for its streams."""
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
"""A machine that has gone away without a word is noticed in a minute and a half."""


class Takeover:
    def __init__(self, transport: asyncio.Transport, writer: Writer, begun: bytes = b"") -> None:
        self._transport = transport
        self._writer = writer
        self._pieces: deque[bytes] = deque([begun] if begun else ())
        self._size = len(begun)
        self._ended = False
        self._paused = False
        self._changed = asyncio.Event()
        writer.stall = IDLE
        keep_alive(transport)

    async def read(self) -> bytes:
        while not self._pieces:
            if self._ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._paused and self._size < HIGH_WATER // 2:
            self._paused = False
            if not self._writer.lost:
                self._transport.resume_reading()
        return piece

    async def write(self, *pieces: bytes) -> None:
        if self._writer.lost:
            raise ConnectionError("the peer has gone")
        self._writer.write(*pieces)
        try:
            await self._writer.drain()
        except Stalled:
            raise ConnectionError(f"the peer has read nothing for {IDLE:g} seconds") from None

    def feed(self, data: bytes) -> None:
        """What has come from the peer."""
        self._pieces.append(data)
        self._size += len(data)
        self._changed.set()
        if self._size >= HIGH_WATER and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._changed.set()


def keep_alive(transport: asyncio.Transport) -> None:
    raw = transport.get_extra_info("socket")
    if raw is None or raw.family not in (socket.AF_INET, socket.AF_INET6):
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
