"""SPDY/3.1: frames in any pieces, streams and their ends, and peers that mean no good."""

from __future__ import annotations

import asyncio
import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from styr.api.streams.forward import Joined, SpdyForward
from styr.kinds.seams import Duplex
from styr.serving.spdy import frames
from styr.serving.spdy.frames import BadFrame, Data, Decoder, Encoder, GoAway, Ping, Reset, SynStream
from styr.serving.spdy.headers import DICTIONARY, MAX_BLOCK, BadHeaders, Packer, Unpacker
from styr.serving.spdy.session import Refused, Session, Stream
from tests.api.wire_helpers import until
from tests.api.wires import Script, cut

NAMES = st.text("abcdefghij-", min_size=1, max_size=20)
BLOCKS = st.dictionaries(NAMES, st.text(st.characters(max_codepoint=127), max_size=50), max_size=8)
STREAMS = st.integers(1, 0x7FFFFFFF)


def test_the_dictionary_is_the_published_one() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


@given(st.lists(BLOCKS, max_size=8))
def test_header_blocks_survive(blocks: list[dict[str, str]]) -> None:
    pack, unpack = Packer(), Unpacker()
    assert [unpack(pack(block)) for block in blocks] == blocks


def decoded(data: bytes, size: int) -> list[frames.Frame]:
    decoder = Decoder()
    return [frame for piece in cut(data, size) for frame in decoder.feed(piece)]


@given(st.lists(st.tuples(STREAMS, BLOCKS, st.booleans()), max_size=6), st.integers(1, 40))
def test_streams_are_opened_however_the_bytes_come(opened: list[tuple[int, dict[str, str], bool]], size: int) -> None:
    encoder = Encoder()
    data = b"".join(encoder.open(stream, headers, fin=fin) for stream, headers, fin in opened)
    assert decoded(data, size) == [SynStream(stream, headers, fin) for stream, headers, fin in opened]


@given(STREAMS, st.binary(max_size=300), st.booleans(), st.integers(1, 50))
def test_data_is_whole_and_ends_once(stream: int, payload: bytes, fin: bool, size: int) -> None:
    found = decoded(frames.data_head(stream, len(payload), fin=fin) + payload, size)
    assert b"".join(frame.data for frame in found if isinstance(frame, Data)) == payload
    assert [frame.fin for frame in found if isinstance(frame, Data)] == [False] * (len(found) - 1) + [fin]


def test_the_small_frames() -> None:
    settings = struct.pack(">IIIII", 0x80030004, 12, 1, 7, 65536)
    window = struct.pack(">IIII", 0x80030009, 8, 1, 65536)
    data = frames.ping(3) + settings + frames.reset(5, frames.CANCEL) + window + frames.go_away(7)
    assert decoded(data, 5) == [Ping(3), Reset(5, frames.CANCEL), GoAway(7)]


@given(st.binary(max_size=400), st.integers(1, 64))
def test_anything_else_is_a_bad_frame_and_costs_no_memory(data: bytes, size: int) -> None:
    decoder = Decoder()
    try:
        for piece in cut(data, size):
            for _ in decoder.feed(piece):
                pass
            assert len(decoder._buffer) <= frames.MAX_CONTROL + 8 + size
    except BadFrame:
        pass


@given(st.binary(max_size=200))
def test_a_header_block_of_rubbish(block: bytes) -> None:
    packer = zlib.compressobj(zdict=DICTIONARY)
    packed = packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH)
    with suppress(BadHeaders):
        Unpacker()(packed)


def test_a_bomb_in_a_header_block_does_not_unfold() -> None:
    packer = zlib.compressobj(9, zdict=DICTIONARY)
    bomb = packer.compress(b"\0\0\0\1\0\x80\0\0" + bytes(8 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 9000
    with pytest.raises(BadFrame, match=f"more than {MAX_BLOCK} bytes"):
        decoded(struct.pack(">IIIIH", 0x80030001, 10 + len(bomb), 1, 0, 0) + bomb, 1 << 16)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(struct.pack(">II", 0x80020001, 0), id="version 2"),
        pytest.param(struct.pack(">II", 0x80030001, 1 << 20), id="a huge control frame"),
        pytest.param(struct.pack(">IIH", 0x80030001, 2, 1), id="a short one"),
        pytest.param(struct.pack(">III", 0x80030003, 4, 1), id="a short reset"),
        pytest.param(struct.pack(">II", 0, 5), id="data of no stream"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 2000, id="no SPDY at all, endless"),
    ],
)
async def test_the_session_ends_with_a_goodbye(data: bytes) -> None:
    wire = Script([data])
    await Session(wire, lambda stream: None).serve()
    if data.startswith(b"GET"):
        return
    assert wire.told == frames.go_away(0, 1)


class Streams:
    """Takes every stream."""

    def __init__(self, *said: bytes, stays: bool = True) -> None:
        self.wire = Script(said, stays=stays)
        self.opened: list[Stream] = []
        self.session = Session(self.wire, self.opened.append)

    async def __aenter__(self) -> Streams:
        self.task = asyncio.create_task(self.session.serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_halves_close_one_by_one() -> None:
    encoder = Encoder()
    said = encoder.open(1, {"a": "b"}) + frames.data_head(1, 3, fin=True) + b"abc"
    async with Streams(said) as s:
        await until(lambda: bool(s.opened))
        (stream,) = s.opened
        assert (stream.headers, await stream.read(), await stream.read()) == ({"a": "b"}, b"abc", b"")
        assert s.session.streams
        await stream.write(b"answer")
        await stream.close()
        assert not s.session.streams
        assert s.wire.told.endswith(frames.data_head(1, 6) + b"answer" + frames.data_head(1, 0, fin=True))
        with pytest.raises(ConnectionError):
            await stream.write(b"more")


async def test_a_reset_ends_both_halves() -> None:
    encoder = Encoder()
    async with Streams(encoder.open(1, {}), frames.reset(1, frames.CANCEL)) as s:
        await until(lambda: bool(s.opened) and not s.session.streams)
        with pytest.raises(ConnectionError):
            await s.opened[0].read()
        with pytest.raises(ConnectionError):
            await s.opened[0].write(b"x")


async def test_pings_are_answered_and_wrong_ids_refused() -> None:
    encoder = Encoder()
    said = encoder.open(4, {}) + encoder.open(5, {}) + encoder.open(3, {}) + frames.ping(9) + frames.ping(2)
    async with Streams(said) as s:
        await until(lambda: s.wire.told.endswith(frames.ping(9)))
    assert [stream.id for stream in s.opened] == [5]
    for wrong in (4, 3):
        assert frames.reset(wrong, frames.PROTOCOL_ERROR) in s.wire.told
    assert frames.ping(2) not in s.wire.told


async def test_what_nobody_takes_stays_with_the_peer() -> None:
    """Half the frames of a stream that is not read wait outside; all streams together have a bound too."""
    encoder = Encoder()
    count, size = 40, 200_000
    opened = b"".join(encoder.open(2 * n + 1, {}) for n in range(count))
    flood = [frames.data_head(2 * n + 1, size) + bytes(size) for n in range(count)]
    async with Streams(opened, *flood) as s:
        await until(lambda: len(s.opened) == count and len(s.wire.said) < count // 2 + 5)
        left = len(s.wire.said)
        assert left > count // 4
        for stream in s.opened:
            stream.ignore()
        await until(lambda: not s.wire.said)


async def test_a_stream_that_nobody_wants_is_reset() -> None:
    def refuse(stream: Stream) -> None:
        raise Refused

    wire = Script([Encoder().open(1, {})])
    await Session(wire, refuse).serve()
    assert wire.told == frames.reset(1, frames.CANCEL)


async def _echo(port: int, duplex: Duplex) -> None:
    if port == 9:
        raise ConnectionRefusedError("connection refused")
    while data := await duplex.read():
        await duplex.write(data)
    await duplex.close()


async def test_a_thousand_connections_over_one() -> None:
    encoder, said = Encoder(), b""
    for n in range(1000):
        for place, kind in ((4 * n + 1, "error"), (4 * n + 3, "data")):
            said += encoder.open(place, {"streamtype": kind, "port": "80", "requestid": str(n)})
        said += frames.data_head(4 * n + 3, 4, fin=True) + b"%04d" % n
    wire = Script(cut(said, 10_000), stays=True)
    forward = SpdyForward(wire, Joined(_echo, "web"), linger=0.01)
    task = asyncio.create_task(forward.serve())
    await until(lambda: not wire.said and not forward._tasks and not forward._session.streams)
    answers = [frame for frame in decoded(wire.told, 1 << 16) if isinstance(frame, Data) and frame.data]
    assert sorted(answer.data for answer in answers) == [b"%04d" % n for n in range(1000)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_error_is_told_and_the_pair_reset() -> None:
    encoder = Encoder()
    said = [encoder.open(n, {"streamtype": kind, "port": "9"}) for n, kind in ((1, "error"), (3, "data"))]
    wire = Script(said, stays=True)
    task = asyncio.create_task(SpdyForward(wire, Joined(_echo, "web, uid u"), linger=0.01).serve())
    await until(lambda: frames.reset(3, frames.CANCEL) in wire.told)
    assert b"error forwarding port 9 to pod web, uid u: connection refused" in wire.told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_no_peer_hangs_the_session(pieces: list[bytes]) -> None:
    encoder = Encoder()
    pair = [encoder.open(n, {"streamtype": kind, "port": "80"}) for n, kind in ((1, "error"), (3, "data"))]

    async def run() -> None:
        await asyncio.wait_for(SpdyForward(Script([*pair, *pieces]), Joined(_echo, "web")).serve(), 10)

    asyncio.run(run())
