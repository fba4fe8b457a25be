"""The HTTP client against a real socket that answers whatever a test says, good or bad."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from styr.kit import http
from styr.kit.http import ConnectFailed, Disconnected, HttpError, Malformed, Pool, TimedOut, TooLarge, fetch

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """Answers request number n with `answers[n]` (the last one for ever); remembers what it was sent."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"content-length" in line), 0
                )
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if isinstance(answer, bytes):
                    writer.write(answer)
                else:
                    await answer(writer)
                await writer.drain()
                if writer.is_closing():
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def peer(*answers: Answer) -> AsyncIterator[Peer]:
    found = Peer(*answers)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()


def then_close(data: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return answer


async def say_nothing(_writer: asyncio.StreamWriter) -> None:
    return


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nx-a: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (OK, 200, b"hi"),
        (CHUNKED, 200, b"abcde"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, 200, b"hi"),
        (then_close(b"HTTP/1.1 200 OK\r\n\r\nuntil the end"), 200, b"until the end"),
        (then_close(b"HTTP/1.0 500 Oops\r\n\r\n"), 500, b""),
    ],
)
async def test_whole_responses(answer: Answer, status: int, body: bytes) -> None:
    async with peer(answer) as server:
        response = await fetch("GET", "127.0.0.1", server.port, "/x?y=1", timeout=5)
    assert (response.status, response.body) == (status, body)
    assert server.requests[0].startswith(b"GET /x?y=1 HTTP/1.1\r\nhost: 127.0.0.1:")


async def test_repeated_headers_are_joined_under_lower_case_names() -> None:
    async with peer(OK) as server:
        response = await fetch("GET", "127.0.0.1", server.port, "/", timeout=5)
    assert response.headers == {"content-length": "2", "x-a": "1, 2"}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (close, Disconnected),
        (then_close(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), Disconnected),
        (then_close(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"), Disconnected),
        (then_close(b"HTTP/1.1 200"), Disconnected),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Malformed),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", Malformed),
        (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 70_000, TooLarge),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n" + b"z" * 2_000_000, TooLarge),
        (say_nothing, TimedOut),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", TimedOut),
    ],
)
async def test_bad_answers_are_told_apart(answer: Answer, error: type[HttpError]) -> None:
    async with peer(answer) as server:
        with pytest.raises(error) as caught:
            await fetch("GET", "127.0.0.1", server.port, "/", timeout=0.5)
    assert str(server.port) in str(caught.value)


async def test_nobody_there() -> None:
    async with peer(OK) as server:
        port = server.port
    with pytest.raises(ConnectFailed):
        await fetch("GET", "127.0.0.1", port, "/", timeout=5)


async def test_head_has_no_body_whatever_its_length_says() -> None:
    async with peer(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n") as server:
        response = await fetch("HEAD", "127.0.0.1", server.port, "/", timeout=5)
    assert (response.status, response.body, response.headers["content-length"]) == (200, b"", "99")


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", "/a b", {}),
        ("GET", "/a\r\nx: y", {}),
        ("GET /", "/", {}),
        ("GET", "/", {"a": "b\r\nc: d"}),
        ("GET", "/", {"a b": "c"}),
        ("GET", "/\u00e6", {}),
    ],
)
async def test_a_request_that_would_be_two_is_never_sent(method: str, target: str, headers: dict[str, str]) -> None:
    async with peer(OK) as server:
        with pytest.raises(ValueError):
            await fetch(method, "127.0.0.1", server.port, target, headers=headers, timeout=1)
        assert server.requests == []


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    found = Peer(OK)
    path = str(tmp_path / "socket")
    server = await asyncio.start_unix_server(found.serve, path)
    response = await fetch("POST", "envoy", 0, "/ready", uds=path, body=b"data", timeout=5)
    server.close()
    assert response.body == b"hi"
    assert b"host: envoy\r\n" in found.requests[0]
    assert found.requests[0].endswith(b"\r\n\r\ndata")


async def test_a_pool_keeps_its_connection() -> None:
    async with peer(OK) as server:
        pool = Pool("127.0.0.1", server.port)
        for _ in range(5):
            assert (await pool.request("GET", "/")).body == b"hi"
        await pool.close()
    assert server.connections == 1


async def test_a_pool_runs_as_many_requests_as_its_limit_at_once() -> None:
    running = highest = 0

    async def slowly(writer: asyncio.StreamWriter) -> None:
        nonlocal running, highest
        running += 1
        highest = max(highest, running)
        await asyncio.sleep(0.01)
        running -= 1
        writer.write(OK)

    async with peer(slowly) as server:
        pool = Pool("127.0.0.1", server.port, limit=3)
        await asyncio.gather(*(pool.request("GET", "/") for _ in range(12)))
        await pool.close()
    assert highest == 3


async def test_a_kept_connection_that_died_is_replaced_for_safe_methods_only() -> None:
    async with peer(OK, close, OK, close) as server:
        pool = Pool("127.0.0.1", server.port)
        await pool.request("GET", "/")
        assert (await pool.request("GET", "/")).body == b"hi"
        with pytest.raises(Disconnected):
            await pool.request("POST", "/", body=b"x")
        await pool.close()
    assert len(server.requests) == 4


async def test_a_caller_may_say_that_a_request_can_be_repeated() -> None:
    async with peer(OK, close, OK) as server:
        pool = Pool("127.0.0.1", server.port, spare=1)
        await pool.request("POST", "/", body=b"x")
        assert (await pool.request("POST", "/", body=b"x", repeats=True)).body == b"hi"
        await pool.close()
    assert server.connections == 2


async def test_no_more_connections_stay_open_than_are_spared() -> None:
    async with peer(OK, OK) as server:
        pool = Pool("127.0.0.1", server.port, spare=0)
        await pool.request("GET", "/")
        await pool.request("GET", "/")
    assert server.connections == 2


async def test_a_request_that_is_given_up_does_not_poison_the_pool() -> None:
    async with peer(say_nothing, OK) as server:
        pool = Pool("127.0.0.1", server.port)
        with pytest.raises(TimedOut):
            await pool.request("GET", "/", timeout=0.1)
        assert (await pool.request("GET", "/")).body == b"hi"
        await pool.close()


async def test_bytes_nobody_asked_for_close_the_connection() -> None:
    async with peer(OK + OK, OK) as server:
        pool = Pool("127.0.0.1", server.port)
        assert (await pool.request("GET", "/first")).body == b"hi"
        assert (await pool.request("GET", "/second")).body == b"hi"
        await pool.close()
    assert server.connections == 2


async def test_a_stream_comes_as_it_is_sent_and_closes_when_left() -> None:
    gone = asyncio.Event()

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\na\n\r\n")
        await writer.drain()
        try:
            while True:
                await asyncio.sleep(0.01)
                writer.write(b"2\r\nb\n\r\n")
                await writer.drain()
        except OSError:
            gone.set()

    async with peer(drip) as server:
        pool = Pool("127.0.0.1", server.port)
        status, headers, body = await pool.stream("GET", "/watch")
        assert (status, headers["transfer-encoding"]) == (200, "chunked")
        assert await anext(body) == b"a\n"
        assert (await anext(body)).startswith(b"b\n")
        await body.aclose()
        await asyncio.wait_for(gone.wait(), 5)
        await pool.close()


async def test_a_stream_that_breaks_raises_after_what_came() -> None:
    async with peer(then_close(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\na\n\r\n")) as server:
        _, _, body = await Pool("127.0.0.1", server.port).stream("GET", "/watch")
        assert await anext(body) == b"a\n"
        with pytest.raises(Disconnected):
            await anext(body)


async def test_a_silent_stream_times_out() -> None:
    async with peer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n") as server:
        _, _, body = await Pool("127.0.0.1", server.port).stream("GET", "/watch", idle=0.05)
        with pytest.raises(TimedOut):
            await anext(body)


async def test_a_slow_reader_stops_the_sender() -> None:
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(400):
            writer.write(b"x" * 65536)
            sent += 65536
            try:
                async with asyncio.timeout(0.3):
                    await writer.drain()
            except TimeoutError:
                return

    async with peer(flood) as server:
        _, _, body = await Pool("127.0.0.1", server.port).stream("GET", "/")
        await anext(body)
        await asyncio.sleep(0.6)
        assert body._connection._buffered < http._HIGH_WATER + (1 << 20)
        assert sent < 26_000_000
        await body.aclose()
