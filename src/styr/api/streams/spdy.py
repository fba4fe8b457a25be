"""Exec and attach over SPDY/3.1: the client opens a stream each for what it wants, named by the header `streamtype`.

Called by `verbs/connect.py`. The protocols are those of `k8s.io/apimachinery/pkg/util/remotecommand`, which the client
offers in `X-Stream-Protocol-Version`: v4 tells the outcome as a Status in JSON, older ones as a sentence; from v3 on there
is a stream for the terminal's size.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from styr.api.streams.command import Sizes
from styr.kinds.errors import BadRequest, Forbidden, Timeout
from styr.kinds.seams import StreamOptions
from styr.kinds.transport import Wire
from styr.serving.spdy.session import Refused, Session, Stream
from styr.serving.wire import names_upgrade

PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
UPGRADE = "SPDY/3.1"
CREATION = 30.0
"""Seconds in which the client must have opened its streams."""


def asked(headers: Mapping[str, str]) -> bool:
    """Is this request one for SPDY?"""
    return UPGRADE.lower() in headers.get("upgrade", "").lower() and names_upgrade(headers)


def choose(headers: Mapping[str, str], supported: Sequence[str]) -> str:
    """The first protocol of the client's that we have. Raises BadRequest, Forbidden."""
    if "x-stream-protocol-version" not in headers:
        raise BadRequest("unable to upgrade: header X-Stream-Protocol-Version does not exist in request")
    wanted = [word for word in (part.strip() for part in headers["x-stream-protocol-version"].split(",")) if word]
    for name in wanted:
        if name in supported:
            return name
    raise Forbidden(
        f"unable to upgrade: unable to negotiate protocol: client supports [{' '.join(wanted)}], "
        f"server accepts [{' '.join(supported)}]"
    )


def accept(protocol: str) -> dict[str, str]:
    """The headers of the 101."""
    return {"connection": "Upgrade", "upgrade": UPGRADE, "x-stream-protocol-version": protocol}


class SpdySession:
    """A `command.Session`."""

    def __init__(self, wire: Wire, protocol: str, options: StreamOptions) -> None:
        self._session = Session(wire, self._offered)
        self._options = options
        self._json = protocol.startswith("v4.")
        self._expected = {"error"} | {name for name in ("stdin", "stdout", "stderr") if getattr(options, name)}
        if options.tty and protocol.startswith(("v4.", "v3.")):
            self._expected.add("resize")
        self._streams: dict[str, Stream] = {}
        self._complete = asyncio.Event()
        self._sizes = Sizes()

    def _offered(self, stream: Stream) -> None:
        kind = stream.headers.get("streamtype", "")
        if kind not in self._expected or kind in self._streams:
            raise Refused
        self._streams[kind] = stream
        if kind not in ("stdin", "resize"):
            stream.ignore()
        if self._streams.keys() == self._expected:
            self._complete.set()

    # Terminal

    async def read(self) -> bytes:
        return await self._streams["stdin"].read() if self._options.stdin else b""

    async def write(self, data: bytes, stream: int = 1) -> None:
        found = self._streams.get("stdout" if stream == 1 else "stderr")
        if found is not None:
            await found.write(data)

    async def resized(self) -> tuple[int, int]:
        return await self._sizes.next()

    # Session

    async def opened(self) -> None:
        try:
            async with asyncio.timeout(CREATION):
                await self._complete.wait()
        except TimeoutError:
            missing = ", ".join(sorted(self._expected - self._streams.keys()))
            raise Timeout(f"timed out waiting for client to create streams: {missing}") from None

    async def listen(self) -> None:
        serving = asyncio.ensure_future(self._session.serve())
        sizes = asyncio.ensure_future(self._take_sizes())
        try:
            await serving
        finally:
            for task in (serving, sizes):
                task.cancel()
            await asyncio.gather(serving, sizes, return_exceptions=True)

    async def _take_sizes(self) -> None:
        await self._complete.wait()
        if (stream := self._streams.get("resize")) is not None:
            while data := await stream.read():
                self._sizes.feed(data)

    async def finish(self, status: dict[str, Any]) -> None:
        with suppress(ConnectionError):
            if (stream := self._streams.get("error")) is not None:
                await stream.write(self._outcome(status))
            for stream in self._streams.values():
                await stream.close()

    def _outcome(self, status: dict[str, Any]) -> bytes:
        if self._json:
            return json.dumps(status, separators=(",", ":")).encode()
        return b"" if status["status"] == "Success" else str(status.get("message", "")).encode()

    async def close(self) -> None:
        await self._session.close()
