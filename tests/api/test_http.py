"""The wire: what comes in broken, half, huge or all at once, and what goes out."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import socket

import pytest

from styr.kinds.transport import Request, Response
from styr.serving.authn import ADMIN, Authenticator
from styr.serving.http import PortTaken, Timeouts, serve
from styr.serving.wire import MAX_BODY
from tests.api.wire_helpers import (
    TOKEN,
    Recorder,
    dialled,
    exchange,
    read_head,
    read_response,
    running,
    until,
)

AUTH = f"authorization: Bearer {TOKEN}\r\n".encode()
BASIC = b"authorization: Basic " + base64.b64encode(b"styr:" + TOKEN.encode()) + b"\r\n"


async def test_keeps_the_connection_and_the_order_of_pipelined_requests() -> None:
    handler = Recorder()
    async with running(handler) as server, dialled(server) as (reader, writer):
        writer.write(b"".join(b"GET /n/%d HTTP/1.1\r\nhost: x\r\n\r\n" % n for n in range(50)))
        answers = [(await read_response(reader))[2] for _ in range(50)]
    assert answers == [b"/n/%d" % n for n in range(50)]


async def test_decodes_target_and_query() -> None:
    handler = Recorder()
    async with running(handler) as server:
        raw = await exchange(server, b"GET /a%20b%2Fc?x=1&x=2&y= HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert handler.seen == [("GET", "/a b/c", b"")]
    assert b"connection: close" in raw


async def test_head_is_a_get_without_its_body() -> None:
    handler = Recorder()
    async with running(handler) as server:
        raw = await exchange(server, b"HEAD /abc HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert handler.seen[0][0] == "GET"
    assert b"content-length: 4" in raw
    assert raw.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /%ff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
async def test_malformed_requests_get_a_status_and_the_end(data: bytes) -> None:
    handler = Recorder()
    async with running(handler) as server:
        raw = await exchange(server, data)
        head, _, body = raw.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert json.loads(body)["reason"] == "BadRequest"
        assert (await exchange(server, b"GET /ok HTTP/1.0\r\n\r\n")).endswith(b"/ok")
    assert [path for _, path, _ in handler.seen] == ["/ok"]


@pytest.mark.parametrize("newline", [b"\r\n", b""])
async def test_huge_headers_are_refused(newline: bytes) -> None:
    handler = Recorder()
    async with running(handler) as server:
        raw = await exchange(server, b"GET / HTTP/1.1\r\nx: " + b"a" * 300_000 + newline * 2)
    assert raw.startswith(b"HTTP/1.1 431 ")
    assert handler.seen == []


async def test_too_many_headers_are_refused() -> None:
    async with running(Recorder()) as server:
        raw = await exchange(server, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000 + b"\r\n")
    assert raw.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("chunked", [False, True])
async def test_ten_megabytes_get_413_and_the_client_reads_it(chunked: bool) -> None:
    handler = Recorder()
    body = b"x" * 10_000_000
    async with running(handler) as server, dialled(server) as (reader, writer):
        if chunked:
            writer.write(
                b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
            )
        else:
            writer.write(b"POST /a HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        status, _, answer = await read_response(reader)
    assert status == 413
    assert json.loads(answer)["message"] == f"Request entity too large: limit is {MAX_BODY}"
    assert handler.seen == []


async def test_gzip_bodies_are_opened_and_bombs_are_not() -> None:
    handler = Recorder()
    async with running(handler) as server, dialled(server) as (reader, writer):
        for body, expected in (
            (gzip.compress(b"hello"), 200),
            (gzip.compress(b"\0" * 50_000_000), 413),
            (gzip.compress(b"hello" * 100)[:-9], 400),
            (b"not gzip at all", 400),
        ):
            writer.write(b"POST /a HTTP/1.1\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            status, _, _ = await read_response(reader)
            assert status == expected
    assert handler.seen == [("POST", "/a", b"hello")]


async def test_expect_continue() -> None:
    handler = Recorder()
    async with running(handler) as server, dialled(server) as (reader, writer):
        writer.write(b"POST /a HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert (await read_head(reader))[0] == 100
        writer.write(b"hi")
        assert (await read_response(reader))[0] == 200
        writer.write(b"POST /a HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 99999999\r\n\r\n")
        assert (await read_response(reader))[0] == 413
        assert await reader.read() == b""
    assert handler.seen == [("POST", "/a", b"hi")]


async def test_tokens() -> None:
    handler = Recorder()
    async with running(handler) as server, dialled(server) as (reader, writer):
        for header, expected in ((AUTH, 200), (BASIC, 200), (b"", 200), (b"authorization: Bearer wrong\r\n", 401)):
            writer.write(b"GET /a HTTP/1.1\r\n" + header + b"\r\n")
            assert (await read_response(reader))[0] == expected
    assert handler.users == ["styr-admin", "styr-admin", "system:anonymous"]


async def test_streaming_prefix_wants_a_credential_and_challenges() -> None:
    handler = Recorder()
    async with running(handler) as server:
        raw = await exchange(server, b"GET /git/a HTTP/1.1\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 401 ")
    assert b"www-authenticate: Basic realm=" in raw
    assert handler.seen == []


async def test_streaming_bodies_are_larger_than_the_limit_and_held_back() -> None:
    handler = Recorder()
    body = b"y" * 20_000_000
    async with running(handler) as server, dialled(server) as (reader, writer):
        writer.write(b"POST /git/slow HTTP/1.1\r\n" + AUTH + b"content-length: %d\r\n\r\n" % len(body))
        writer.write(body)
        await asyncio.wait_for(handler.started.wait(), 10)
        # Nobody reads: TCP must hold us back, with most of the body still on our side.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.3)
        handler.gate.set()
        assert (await read_response(reader))[0] == 200
    assert handler.seen[0][2] == body


async def test_streaming_gzip_and_chunked_together() -> None:
    handler = Recorder()
    data = gzip.compress(b"pack" * 1000)
    async with running(handler) as server, dialled(server) as (reader, writer):
        writer.write(
            b"POST /git/a HTTP/1.1\r\n" + BASIC + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for start in range(0, len(data), 7):
            piece = data[start : start + 7]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        writer.write(b"0\r\n\r\n")
        assert (await read_response(reader))[0] == 200
    assert handler.seen[0][2] == b"pack" * 1000


async def test_a_body_that_the_handler_leaves_unread_does_not_hang() -> None:
    async with running(Recorder()) as server, dialled(server) as (reader, writer):
        writer.write(b"POST /git/unread HTTP/1.1\r\n" + AUTH + b"content-length: 5000000\r\n\r\n" + b"z" * 5_000_000)
        await writer.drain()
        assert (await read_response(reader))[0] == 200


async def test_a_stream_is_chunked_and_closed_when_the_peer_goes() -> None:
    handler = Recorder()
    async with running(handler) as server:
        async with dialled(server) as (reader, writer):
            writer.write(b"GET /stream HTTP/1.1\r\n\r\n")
            _, headers = await read_head(reader)
            assert headers["transfer-encoding"] == "chunked"
            assert await reader.readexactly(11) == b"6\r\nfirst\n\r\n"
            assert handler.streams == 1
        await until(lambda: handler.streams == 0 and server.connections == 0)


async def test_a_peer_that_does_not_read_holds_the_stream_back_and_is_dropped() -> None:
    handler = Recorder()
    async with running(handler, Timeouts(stall=0.2)) as server, dialled(server) as (_, writer):
        writer.write(b"GET /flood HTTP/1.1\r\n\r\n")
        await until(lambda: handler.streams == 1)
        await until(lambda: handler.streams == 0)


async def test_an_answer_under_way_is_finished_when_the_peer_hangs_up() -> None:
    handler = Recorder()
    async with running(handler) as server:
        async with dialled(server) as (_, writer):
            writer.write(b"POST /wait HTTP/1.1\r\ncontent-length: 1\r\n\r\nx")
            await asyncio.wait_for(handler.started.wait(), 10)
        await until(lambda: server.connections == 0)
        handler.gate.set()
    assert handler.seen == [("POST", "/wait", b"x")]


async def test_slow_loris_and_half_requests_are_timed_out() -> None:
    handler = Recorder()
    limits = Timeouts(head=0.1, body=0.1, idle=0.1, linger=0.1)
    async with running(handler, limits) as server:
        assert (await exchange(server, b"GET / HT")).startswith(b"HTTP/1.1 408 ")
        assert (await exchange(server, b"POST /a HTTP/1.1\r\ncontent-length: 9\r\n\r\nhalf")).startswith(
            b"HTTP/1.1 408 "
        )
        assert await exchange(server, b"") == b""
        raw = await exchange(server, b"POST /git/a HTTP/1.1\r\n" + AUTH + b"content-length: 9\r\n\r\nhalf")
        assert raw.startswith(b"HTTP/1.1 400 ")
    assert handler.seen == []


async def test_a_bug_in_the_handler_is_a_500_and_no_more() -> None:
    async with running(Recorder()) as server, dialled(server) as (reader, writer):
        writer.write(b"GET /boom HTTP/1.1\r\n\r\nGET /next HTTP/1.1\r\n\r\n")
        assert (await read_response(reader))[0] == 500
        assert (await read_response(reader))[2] == b"/next"


async def test_upgrades_are_answered_as_plain_requests() -> None:
    async with running(Recorder()) as server:
        raw = await exchange(server, b"GET /x HTTP/1.1\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n\x80\x03")
    assert raw.startswith(b"HTTP/1.1 200 ")
    assert raw.endswith(b"/x")


async def test_close_ends_streams_properly() -> None:
    handler = Recorder()
    async with running(handler) as server, dialled(server) as (reader, writer):
        writer.write(b"GET /stream HTTP/1.1\r\n\r\n")
        await read_head(reader)
        await reader.readexactly(11)
        await server.close()
        assert await asyncio.wait_for(reader.read(), 10) == b"0\r\n\r\n"
    assert handler.streams == 0


async def test_a_taken_port_says_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PortTaken, match="choose another port"):
            await serve(Recorder(), port=taken.getsockname()[1], tls=None, authenticate=Authenticator())


async def test_an_upgrade_that_was_not_asked_for_is_none() -> None:
    async def handler(request: Request) -> Response:
        async def never(wire: object) -> None:
            raise AssertionError

        return Response(101, headers={"upgrade": "x"}, upgrade=never)

    server = await serve(handler, tls=None, authenticate=Authenticator({TOKEN: ADMIN}))
    raw = await exchange(server, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: xupgrade, close\r\nupgrade: x\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 400 ")
    await server.close()
