"""SPDY/3.1 frames as bytes: taken apart as they come, and put together. Called by `session`. Does no I/O.

Source: SPDY Protocol, Draft 3.1, section 2.6. A control frame is bounded and kept whole; a data frame is handed on in
pieces, so its size (up to 16 MiB) costs no memory.

    BadFrame(Exception)     the peer does not speak SPDY/3; nothing after it can be trusted
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from styr.serving.spdy.headers import BadHeaders, Packer, Unpacker

MAX_CONTROL = 16 << 10
"""Bytes of a control frame. Those of Kubernetes have some hundred."""
SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL = 1, 2, 3, 5
"""Status codes of RST_STREAM."""
FIN = 0x01
_VERSION = 3
_CONTROL = 0x80000000
_ID = 0x7FFFFFFF
_MAX_DATA = (1 << 24) - 1


class BadFrame(Exception):
    """The text names what was wrong."""


@dataclass(frozen=True, slots=True)
class SynStream:
    stream: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """Part of a data frame; `fin` comes with its last part."""

    stream: int
    data: bytes
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    stream: int
    status: int


@dataclass(frozen=True, slots=True)
class Ping:
    id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    last: int


@dataclass(frozen=True, slots=True)
class Fin:
    """SYN_REPLY or HEADERS: of no interest but for the end of a stream."""

    stream: int


Frame = SynStream | Data | Reset | Ping | GoAway | Fin


@dataclass(slots=True)
class Decoder:
    _buffer: bytearray = field(default_factory=bytearray)
    _unpack: Unpacker = field(default_factory=Unpacker)
    _stream: int = 0
    _left: int = 0
    """Bytes of the current data frame that have not come yet."""
    _fin: bool = False

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames in it; take all of them before the next call. Raises BadFrame. SETTINGS, WINDOW_UPDATE and frames of
        unknown kinds are skipped: no client of Kubernetes keeps windows, it leaves flow control to TCP."""
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while True:
                if self._left:
                    piece = bytes(buffer[position : position + self._left])
                    if not piece:
                        return
                    position += len(piece)
                    self._left -= len(piece)
                    yield Data(self._stream, piece, self._fin and not self._left)
                    continue
                if len(buffer) - position < 8:
                    return
                word, sized = struct.unpack_from(">II", buffer, position)
                flags, length = sized >> 24, sized & _MAX_DATA
                if not word & _CONTROL:
                    position += 8
                    self._begin_data(word, flags, length)
                    if not length:
                        yield Data(self._stream, b"", self._fin)
                    continue
                if length > MAX_CONTROL:
                    raise BadFrame(f"a control frame of {length} bytes; at most {MAX_CONTROL} are taken")
                if len(buffer) - position < 8 + length:
                    return
                body = bytes(buffer[position + 8 : position + 8 + length])
                position += 8 + length
                frame = self._control(word, flags, body)
                if frame is not None:
                    yield frame
        finally:
            del buffer[:position]

    def _begin_data(self, stream: int, flags: int, length: int) -> None:
        if stream == 0:
            raise BadFrame("a data frame of stream 0")
        self._stream, self._left, self._fin = stream, length, bool(flags & FIN)

    def _control(self, word: int, flags: int, body: bytes) -> Frame | None:
        version, kind = word >> 16 & 0x7FFF, word & 0xFFFF
        if version != _VERSION:
            raise BadFrame(f"SPDY version {version}; only version 3 is spoken here")
        if kind in (SYN_STREAM, SYN_REPLY, HEADERS):
            return self._with_headers(kind, flags, body)
        if kind == RST_STREAM:
            return Reset(*_numbers(body, 2, "RST_STREAM"))
        if kind == PING:
            return Ping(*_numbers(body, 1, "PING"))
        if kind == GOAWAY:
            return GoAway(_numbers(body, 2, "GOAWAY")[0] & _ID)
        return None

    def _with_headers(self, kind: int, flags: int, body: bytes) -> Frame | None:
        size = 10 if kind == SYN_STREAM else 4
        if len(body) < size:
            raise BadFrame("a control frame is too short")
        stream = int.from_bytes(body[:4], "big") & _ID
        if stream == 0:
            raise BadFrame("a control frame of stream 0")
        try:
            headers = self._unpack(body[size:])
        except BadHeaders as error:
            raise BadFrame(str(error)) from None
        if kind == SYN_STREAM:
            return SynStream(stream, headers, bool(flags & FIN))
        return Fin(stream) if flags & FIN else None


def _numbers(body: bytes, count: int, name: str) -> tuple[int, ...]:
    if len(body) != 4 * count:
        raise BadFrame(f"{name} has {len(body)} bytes instead of {4 * count}")
    return struct.unpack(f">{count}I", body)


class Encoder:
    """Of one connection: the headers that it sends are one zlib stream."""

    def __init__(self) -> None:
        self._pack = Packer()

    def reply(self, stream: int) -> bytes:
        return _frame(SYN_REPLY, 0, stream.to_bytes(4, "big") + self._pack({}))

    def open(self, stream: int, headers: Mapping[str, str], *, fin: bool = False) -> bytes:
        """SYN_STREAM; for clients."""
        return _frame(SYN_STREAM, FIN if fin else 0, struct.pack(">IIH", stream, 0, 0) + self._pack(headers))


def data_head(stream: int, length: int, *, fin: bool = False) -> bytes:
    """Of a data frame; its bytes come behind it."""
    return struct.pack(">II", stream, (FIN << 24 if fin else 0) | length)


def reset(stream: int, status: int) -> bytes:
    return _frame(RST_STREAM, 0, struct.pack(">II", stream, status))


def ping(number: int) -> bytes:
    return _frame(PING, 0, number.to_bytes(4, "big"))


def go_away(last: int, status: int = 0) -> bytes:
    """Status 0 is OK, 1 a protocol error."""
    return _frame(GOAWAY, 0, struct.pack(">II", last, status))


def _frame(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack(">II", _CONTROL | _VERSION << 16 | kind, flags << 24 | len(body)) + body
