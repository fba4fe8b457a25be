"""Port-forward: many connections over one, each joined to a port of the pod.

Called by `verbs/connect.py`. Three forms, by what the client asks for:

    SPDY/3.1                          a data and an error stream for each connection, told together by the header `requestid`
    SPDY/3.1+portforward.k8s.io       the same, carried in the binary messages of a WebSocket (kubectl 1.31 and newer)
    v4.channel.k8s.io, ... or none    WebSocket, ports in the query: channels 2n (data) and 2n+1 (errors), which begin with
    the port as
                                      two bytes, little-endian; one connection for each port (the Python clients)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from styr.api.streams import demux
from styr.api.streams.demux import Demultiplexer
from styr.kinds.errors import ApiError, BadRequest
from styr.kinds.seams import Duplex, Forward
from styr.kinds.transport import Wire
from styr.kit.log import Log
from styr.serving.inbox import Budget, Inbox
from styr.serving.spdy.session import LINGER, MAX_BUFFERED, Refused, Session, Stream
from styr.serving.websocket import WebSocket

log = Log("styr.api.streams")

PROTOCOL = "portforward.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"
CHANNELS = ("v4.channel.k8s.io", "v4.base64.channel.k8s.io", "v5.channel.k8s.io", "")
CREATION = 30.0
"""Seconds in which both streams of a connection must be there."""
MAX_PORTS = 127
"""Of one WebSocket: a channel's number is one byte."""
MAX_PORT = 0xFFFF


class Joined:
    """Joins connections to ports, and words what goes wrong. `whose` names the pod in messages."""

    def __init__(self, forward: Forward, whose: str) -> None:
        self._forward = forward
        self._whose = whose

    async def __call__(self, port: int, duplex: Duplex) -> str:
        """The error to tell, "" when both sides were through."""
        try:
            await self._forward(port, duplex)
        except ConnectionResetError as error:
            return self._worded(port, f"connection reset by peer: {error}")
        except (OSError, ApiError) as error:
            return self._worded(port, str(error))
        return ""

    def _worded(self, port: int, why: str) -> str:
        return f"error forwarding port {port} to pod {self._whose}: {why}"


class SpdyForward:
    def __init__(self, wire: Wire, join: Joined, *, linger: float = LINGER) -> None:
        self._session = Session(wire, self._offered, linger=linger)
        self._join = join
        self._halves: dict[str, tuple[Stream, asyncio.TimerHandle]] = {}
        """By request: the stream that came first, and when it is given up."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Until the client goes."""
        try:
            await self._session.serve()
        finally:
            for _, given_up in self._halves.values():
                given_up.cancel()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._session.close()

    def _offered(self, stream: Stream) -> None:
        kind, port = stream.headers.get("streamtype", ""), stream.headers.get("port", "")
        if kind not in ("data", "error") or not (port.isdecimal() and len(port) <= 5 and 0 < int(port) <= MAX_PORT):
            raise Refused
        request = stream.headers.get("requestid", "")
        if not request:  # clients before Kubernetes 1.3: the error stream's number, and the data stream's is two more
            request = str(stream.id if kind == "error" else stream.id - 2)
        if kind == "error":
            stream.ignore()
        half = self._halves.pop(request, None)
        if half is None:
            given_up = asyncio.get_running_loop().call_later(CREATION, self._give_up, request)
            self._halves[request] = stream, given_up
            return
        other, given_up = half
        if other.headers["streamtype"] == kind:
            self._halves[request] = half
            raise Refused
        given_up.cancel()
        data, errors = (stream, other) if kind == "data" else (other, stream)
        self._spawn(self._run(int(data.headers["port"]), data, errors))

    def _give_up(self, request: str) -> None:
        """A connection of which one half never came."""
        stream, _ = self._halves.pop(request)
        self._spawn(self._reset(stream))

    async def _reset(self, stream: Stream) -> None:
        with suppress(ConnectionError):
            await stream.reset()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, port: int, data: Stream, errors: Stream) -> None:
        with suppress(ConnectionError):
            if why := await self._join(port, data):
                await errors.write(why.encode())
                await data.reset()
            else:
                await data.leave()
            await errors.leave()


class Tunnel:
    """A `Wire` of the binary messages of a WebSocket."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._pieces = socket.pieces()

    async def read(self) -> bytes:
        async for piece in self._pieces:
            if piece.data:
                return piece.data
        return b""

    async def write(self, *pieces: bytes) -> None:
        await self._socket.send(b"".join(pieces))


async def tunnelled(wire: Wire, join: Joined) -> None:
    socket = WebSocket(wire)
    try:
        await SpdyForward(Tunnel(socket), join).serve()
    finally:
        await socket.close()


class Channel:
    """One port's `Duplex` over a WebSocket of channels. There is no end of one direction: the last data ends it."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]], budget: Budget) -> None:
        self.inbox = Inbox(budget=budget)
        self._send = send

    async def read(self) -> bytes:
        return await self.inbox.get()

    async def write(self, data: bytes) -> None:
        await self._send(data)

    async def close(self) -> None:
        return None


class ChannelForward:
    """Ends when every port's connection has ended, or the client goes."""

    def __init__(self, wire: Wire, protocol: str, ports: Sequence[int], join: Joined) -> None:
        self._socket = WebSocket(wire)
        self._ports = ports
        self._join = join
        self._base64 = "base64." in protocol
        self._demux = Demultiplexer(base64=self._base64)
        budget = Budget(MAX_BUFFERED)
        self._channels = [Channel(self._sender(2 * n), budget) for n in range(len(ports))]

    async def serve(self) -> None:
        listening = asyncio.ensure_future(self._listen())
        running = asyncio.ensure_future(self._run())
        try:
            await asyncio.wait({listening, running}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, running):
                task.cancel()
            await asyncio.gather(listening, running, return_exceptions=True)
            await self._socket.close()

    async def _run(self) -> None:
        for number, port in enumerate(self._ports):
            told = port.to_bytes(2, "little")
            await self._send(2 * number, told)
            await self._send(2 * number + 1, told)
        await asyncio.gather(*(self._forward(n, port) for n, port in enumerate(self._ports)))

    async def _forward(self, number: int, port: int) -> None:
        if why := await self._join(port, self._channels[number]):
            await self._send(2 * number + 1, why.encode())
        self._channels[number].inbox.drop()

    async def _listen(self) -> None:
        async for piece in self._socket.pieces():
            channel, data = self._demux(piece)
            if channel is not None and data and channel % 2 == 0 and channel // 2 < len(self._channels):
                await self._channels[channel // 2].inbox.put(data)

    def _sender(self, channel: int) -> Callable[[bytes], Awaitable[None]]:
        return lambda data: self._send(channel, data)

    async def _send(self, channel: int, data: bytes) -> None:
        await demux.send(self._socket, channel, data, base64=self._base64)


def read_ports(values: Sequence[str]) -> list[int]:
    """The query's `ports`: repeated, or with commas. Raises BadRequest."""
    if not values:
        raise BadRequest('query parameter "ports" is required')
    ports = []
    for text in ",".join(values).split(","):
        if not (text.isdecimal() and len(text) <= 5 and 0 < int(text) <= MAX_PORT):
            raise BadRequest(f'query parameter "ports": unable to parse {text[:20]!r} as a port')
        ports.append(int(text))
    if len(ports) > MAX_PORTS:
        raise BadRequest(f'query parameter "ports": at most {MAX_PORTS} ports over one WebSocket')
    return ports
