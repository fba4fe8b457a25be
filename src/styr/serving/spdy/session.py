"""Streams over one connection, the server's side of SPDY/3.1: opened by the client, closed by halves, reset, pinged.

Called by the API's streams with a `Wire`: a connection that was taken over, or WebSocket messages that carry SPDY. Flow
control is the connection's: when nobody takes what has come for one stream, the connection is not read, as in every Kubernetes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from styr.kinds.transport import Wire
from styr.serving.inbox import Budget, Inbox
from styr.serving.spdy import frames
from styr.serving.spdy.frames import BadFrame, Data, Decoder, Encoder, Fin, GoAway, Ping, Reset, SynStream

MAX_STREAMS = 8192
"""Open ones: four thousand forwarded connections."""
MAX_BUFFERED = 4 << 20
"""Bytes of all streams that nobody has taken yet."""
MAX_WRITE = 64 << 10
"""Bytes of one data frame, so that streams take turns."""
LINGER = 5.0
"""Seconds in which the client may read the end before the connection is closed."""
BATCH = 64


class Refused(Exception):
    """Said by who is offered a stream and does not want it."""


class Stream:
    """Made by the session. `headers` have lower-case names."""

    __slots__ = ("_inbox", "_local", "_remote", "_session", "headers", "id")

    def __init__(self, session: Session, frame: SynStream) -> None:
        self.id = frame.stream
        self.headers = dict(frame.headers)
        self._session = session
        self._inbox = Inbox(budget=session.budget)
        self._local = True
        """May we still write?"""
        self._remote = True
        """May the client still write?"""
        if frame.fin:
            self._remote_end()

    async def read(self) -> bytes:
        """b"" when the client sends no more. Raises ConnectionError when it has reset the stream, or gone."""
        return await self._inbox.get()

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when the client wants no more."""
        view = memoryview(data)
        while view:
            piece, view = view[:MAX_WRITE], view[MAX_WRITE:]
            if not self._local:
                raise ConnectionError("the stream is closed")
            await self._session.send(frames.data_head(self.id, len(piece)), bytes(piece))

    async def close(self) -> None:
        """Sends no more; the client still may."""
        if self._local:
            self._local = False
            self._forget()
            await self._session.send(frames.data_head(self.id, 0, fin=True))

    async def reset(self, status: int = frames.CANCEL) -> None:
        """Ends both directions."""
        told, self._local = not (self._local or self._remote), False
        self._remote = False
        self._inbox.drop()
        self._forget()
        if not told:
            await self._session.send(frames.reset(self.id, status))

    def ignore(self) -> None:
        """What the client sends is thrown away from here on."""
        self._inbox.drop()

    async def leave(self) -> None:
        """Closes it, and does not wait for the client to do the same."""
        self.ignore()
        self._remote = False
        await self.close()
        self._forget()

    async def received(self, frame: Data) -> None:
        if self._remote:
            await self._inbox.put(frame.data)
            if frame.fin:
                self._remote_end()

    def _remote_end(self) -> None:
        self._remote = False
        self._inbox.end()
        self._forget()

    def broken(self) -> None:
        """The client has reset it, or is gone."""
        self._local = self._remote = False
        self._inbox.end(ConnectionError("the client has reset the stream"))
        self._inbox.drop()
        self._forget()

    def _forget(self) -> None:
        if not (self._local or self._remote):
            self._session.streams.pop(self.id, None)


class Session:
    """`offered` is called with each new stream and raises Refused for one that it does not want."""

    def __init__(self, wire: Wire, offered: Callable[[Stream], None], *, linger: float = LINGER) -> None:
        self._wire = wire
        self._linger = linger
        self._offered = offered
        self._decoder = Decoder()
        self._encoder = Encoder()
        self._last = 0
        self._closed = False
        self.streams: dict[int, Stream] = {}
        self.budget = Budget(MAX_BUFFERED)

    async def serve(self) -> None:
        """Takes in frames until the client says goodbye, goes, or breaks the protocol."""
        try:
            while data := await self._wire.read():
                for count, frame in enumerate(self._decoder.feed(data), 1):
                    if not await self._received(frame):
                        return
                    if count % BATCH == 0:
                        await asyncio.sleep(0)
        except BadFrame:
            await self._bye(1)
        finally:
            for stream in list(self.streams.values()):
                stream.broken()

    async def _received(self, frame: frames.Frame) -> bool:
        if isinstance(frame, Data):
            if (stream := self.streams.get(frame.stream)) is not None:
                await stream.received(frame)
            elif frame.stream > self._last:
                await self.send(frames.reset(frame.stream, frames.INVALID_STREAM))
        elif isinstance(frame, SynStream):
            await self._open(frame)
        elif isinstance(frame, Reset):
            if (stream := self.streams.get(frame.stream)) is not None:
                stream.broken()
        elif isinstance(frame, Fin):
            if (stream := self.streams.get(frame.stream)) is not None:
                await stream.received(Data(frame.stream, b"", fin=True))
        elif isinstance(frame, Ping):
            if frame.id % 2:
                await self.send(frames.ping(frame.id))
        elif isinstance(frame, GoAway):
            return False
        return True

    async def _open(self, frame: SynStream) -> None:
        if frame.stream % 2 == 0 or frame.stream <= self._last:
            await self.send(frames.reset(frame.stream, frames.PROTOCOL_ERROR))
            return
        self._last = frame.stream
        if len(self.streams) >= MAX_STREAMS:
            await self.send(frames.reset(frame.stream, frames.REFUSED_STREAM))
            return
        self.streams[frame.stream] = stream = Stream(self, frame)
        try:
            self._offered(stream)
        except Refused:
            await stream.reset()
            return
        await self.send(self._encoder.reply(frame.stream))

    async def send(self, *pieces: bytes) -> None:
        """Raises ConnectionError."""
        await self._wire.write(*pieces)

    async def _bye(self, status: int = 0) -> None:
        with suppress(ConnectionError):
            await self.send(frames.go_away(self._last, status))

    async def close(self) -> None:
        """Says goodbye, and waits until the client has read it, within `LINGER` seconds. May be called twice."""
        if self._closed:
            return
        self._closed = True
        await self._bye()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(self._linger):
                while await self._wire.read():
                    pass
