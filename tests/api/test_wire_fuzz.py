"""Any bytes, in any pieces: the server answers, or closes; it never hangs, never falls, never mixes two requests up."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from styr.serving.http import Timeouts
from tests.api.wire_helpers import Recorder, dialled, read_response, running

FAST = Timeouts(head=0.05, body=0.05, idle=0.05, linger=0.05)
FRAGMENTS = st.sampled_from(
    [
        *(
            b"GET / HTTP/1.1\r\n",
            b"POST /a HTTP/1.1\r\n",
            b"PUT /git/x HTTP/1.1\r\n",
            b"HEAD / HTTP/1.0\r\n",
            b"\r\n",
            b"\n",
        ),
        *(b"content-length: 5\r\n", b"content-length: -1\r\n", b"content-length: 99999999999999999999\r\n", b"hello"),
        *(b"transfer-encoding: chunked\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"fffffffffffffffff\r\n", b"ff;x=y\r\n"),
        *(
            b"expect: 100-continue\r\n",
            b"connection: upgrade\r\nupgrade: h2c\r\n",
            b"content-encoding: gzip\r\n",
            b"\x00",
        ),
        *(
            b"authorization: Bearer s3cret\r\n",
            b"authorization: Basic !!!\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b": x\r\n",
        ),
    ]
)
PIECES = st.lists(FRAGMENTS | st.binary(max_size=12), min_size=1, max_size=12)


async def _throw(pieces: list[bytes]) -> None:
    handler = Recorder()
    async with running(handler, FAST) as server:
        async with dialled(server) as (reader, writer):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)
            async with asyncio.timeout(5):
                try:
                    answer = await reader.read()
                except ConnectionResetError:
                    answer = b""
            assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
        async with dialled(server) as (reader, writer):
            writer.write(b"GET /still-here HTTP/1.1\r\n\r\n")
            assert (await read_response(reader))[2] == b"/still-here"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PIECES)
def test_any_bytes(pieces: list[bytes]) -> None:
    asyncio.run(_throw(pieces))


async def _split(data: bytes, cuts: list[int]) -> list[tuple[str, str, bytes]]:
    handler = Recorder()
    async with running(handler) as server, dialled(server) as (reader, writer):
        edges = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
        for start, end in itertools.pairwise(edges):
            writer.write(data[start:end])
            await asyncio.sleep(0)
        for _ in range(3):
            await read_response(reader)
    return handler.seen


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=8))
def test_where_the_bytes_are_cut_does_not_matter(cuts: list[int]) -> None:
    data = (
        b"POST /a%20b?x=1 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        b"PUT /second HTTP/1.1\r\ncontent-length: 6\r\n\r\n123456GET /third HTTP/1.1\r\n\r\n"
    )
    wanted = [("POST", "/a b", b"abcde"), ("PUT", "/second", b"123456"), ("GET", "/third", b"")]
    assert asyncio.run(_split(data, cuts)) == wanted
