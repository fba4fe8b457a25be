"""A `Wire` without a socket: what the peer says is a list, what it is told is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from wsproto.connection import CLIENT, Connection
from wsproto.events import BytesMessage, Event


class Script:
    """After `said` the peer goes, or with `stays` says nothing more."""

    def __init__(self, said: Iterable[bytes] = (), *, stays: bool = False) -> None:
        self.said = list(said)
        self.told = b""
        self.stays = stays

    async def read(self) -> bytes:
        if self.said:
            return self.said.pop(0)
        if self.stays:
            await asyncio.Event().wait()
        return b""

    async def write(self, *pieces: bytes) -> None:
        self.told += b"".join(pieces)


class Peer:
    """A client's end of a WebSocket, as bytes."""

    def __init__(self) -> None:
        self._frames = Connection(CLIENT)

    def say(self, data: bytes, *, whole: bool = True) -> bytes:
        return self._frames.send(BytesMessage(data, message_finished=whole))

    def hear(self, data: bytes) -> list[Event]:
        self._frames.receive_data(data)
        return list(self._frames.events())


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]
