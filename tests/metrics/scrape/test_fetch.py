"""Fetching over real sockets on loopback, from servers that behave and from servers that do not."""

from __future__ import annotations

import asyncio
import base64
import datetime
import gzip
import ipaddress
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from styr.kit.clock import SystemClock
from styr.metrics.scrape.buffers import Buffers
from styr.metrics.scrape.client import Client
from styr.metrics.scrape.config import parse_job
from styr.metrics.scrape.connection import FetchError
from styr.metrics.scrape.fetch import HttpFetcher
from styr.metrics.scrape.target import discovered, make_target

Answer = Callable[[bytes], bytes]


class Server:
    """Answers each request by `answer(request head)`; b"" hangs. `close_after` answers it hangs up."""

    def __init__(self, answer: Answer, *, step: int = 0, close_after: int = 0) -> None:
        self.answer, self.step, self.close_after = answer, step, close_after
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        answered = 0
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head)
                data = self.answer(head)
                if not data:
                    await asyncio.Event().wait()
                for at in range(0, len(data), self.step or len(data)):
                    writer.write(data[at : at + (self.step or len(data))])
                    await writer.drain()
                    await asyncio.sleep(0)
                answered += 1
                if b"\r\nConnection: close" in data or data.startswith(b"HTTP/1.0") or answered == self.close_after:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the other end, or the test, has gone
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Server, context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


def fetcher(server: Server, host: str = "127.0.0.1", **settings: Any) -> HttpFetcher:
    config = parse_job({"job_name": "j", "scrape_timeout": "2500ms", **settings})
    target = make_target(config, discovered(config, {"__address__": f"{host}:{server.port}"}, {}))
    assert target is not None
    return HttpFetcher(target, config, Client(config.http, Buffers(), SystemClock()))


def page(body: bytes, *fields: bytes) -> bytes:
    head = [b"HTTP/1.1 200 OK", b"Content-Type: text/plain", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def chunks(body: bytes, sizes: Callable[[], int], trailer: bytes = b"") -> bytes:
    parts, at = [], 0
    while at < len(body):
        part = body[at : at + sizes()]
        at += len(part)
        parts.append(b"%x;note=1\r\n%s\r\n" % (len(part), part))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


BODY = b"".join(b"metric_%d 1.5\n" % number for number in range(20_000))


async def get(found: HttpFetcher) -> bytes:
    async with asyncio.timeout(10):
        return (await found.fetch()).body.bytes()


async def refusal(found: HttpFetcher) -> str:
    with pytest.raises(FetchError) as caught:
        await get(found)
    return str(caught.value)


@pytest.mark.parametrize("step", [0, 1000, 7777])
async def test_bodies_of_every_framing(step: int) -> None:
    chance = random.Random(step)
    answers = [
        page(BODY),
        chunks(BODY, lambda: 4096),
        chunks(BODY, lambda: chance.randint(1, 9000), b"X-Trailer: 1\r\n"),
        page(gzip.compress(BODY), b"Content-Encoding: gzip"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + page(BODY),
        page(b""),
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" + BODY,
        b"HTTP/1.0 200 OK\nContent-Type: text/plain\n\n" + BODY,
    ]
    waiting = iter(answers)
    async with serving(Server(lambda head: next(waiting), step=step, close_after=8)) as server:
        found = fetcher(server)
        for answer in answers:
            wanted = b"" if answer == page(b"") else BODY
            assert await get(found) == wanted
        assert server.connections == 2
        found.close()


async def test_a_slow_byte_by_byte_answer() -> None:
    body = b"a 1\nb 2\n"
    for answer in (page(body), chunks(body, lambda: 3)):
        async with serving(Server(lambda head, answer=answer: answer, step=1)) as server:
            found = fetcher(server)
            assert await get(found) == body
            found.close()


async def test_the_request() -> None:
    async with serving(Server(lambda head: page(b"a 1\n"))) as server:
        found = fetcher(server, params={"a": ["x y", "z"]}, basic_auth={"username": "u", "password": "p"})
        await get(found)
        head = server.requests[0].decode()
        assert head.startswith("GET /metrics?a=x+y&a=z HTTP/1.1\r\n")
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        assert fields["Host"] == f"127.0.0.1:{server.port}"
        assert fields["Accept"].startswith("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,")
        assert fields["Accept"].endswith(",*/*;q=0.2")
        assert fields["Accept-Encoding"] == "gzip"
        assert fields["X-Prometheus-Scrape-Timeout-Seconds"] == "2.5"
        assert fields["User-Agent"].startswith("Styr/")
        assert fields["Authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
        found.close()


async def test_a_token_is_read_from_its_file_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    async with serving(Server(lambda head: page(b"a 1\n"))) as server:
        found = fetcher(server, authorization={"credentials_file": str(file)}, enable_compression=False)
        assert "unable to read credentials from file" in await refusal(found)
        for token in ("one", "two"):
            file.write_text(token + "\n")
            await get(found)
            assert f"Authorization: Bearer {token}\r\n".encode() in server.requests[-1]
        assert b"Accept-Encoding: identity" in server.requests[-1]
        found.close()


async def test_a_connection_is_kept_and_made_again() -> None:
    async with serving(Server(lambda head: page(b"a 1\n"), close_after=2)) as server:
        found = fetcher(server)
        for _ in range(5):
            await get(found)
        assert server.connections == 3
        found.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "HTTP status 500 Internal Server Error"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "HTTP status 204"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no valid HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n", "no valid HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000, "bytes of headers"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "content-length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "body size limit exceeded"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\na 1\n", "before the answer was whole"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\na 1",
            "before the answer was",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "a broken chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", "a broken chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n", "a broken chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: br\r\n\r\n", "unknown transfer encoding"),
        (page(b"not gzip at all", b"Content-Encoding: gzip"), "broken gzip stream"),
        (page(gzip.compress(BODY)[:-9], b"Content-Encoding: gzip"), "gzip stream"),
        (page(gzip.compress(BODY)[:50], b"Content-Encoding: gzip"), "gzip stream"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "missing Location"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ftp://x/\r\n\r\n", "neither http nor https"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /again\r\n\r\n", "stopped after 10 redirects"),
    ],
    ids=range(19),
)
async def test_answers_that_are_none(answer: bytes, reason: str) -> None:
    async with serving(Server(lambda head: answer)) as server:
        found = fetcher(server)
        assert reason in await refusal(found)
        found.close()


async def test_nobody_listens() -> None:
    async with serving(Server(lambda head: b"")) as server:
        found = fetcher(server)
    assert await refusal(found) == f"connecting to 127.0.0.1:{server.port} failed: Connection refused"


async def test_a_hanging_target_is_left_and_asked_again_on_a_new_connection() -> None:
    answers = iter([b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na 1\n", page(b"a 1\n")])

    async with serving(Server(lambda head: next(answers))) as server:
        found = fetcher(server)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await found.fetch()
        assert await get(found) == b"a 1\n"
        assert server.connections == 3
        found.close()


async def test_an_answer_that_goes_on_is_cut_and_the_connection_left() -> None:
    async with serving(Server(lambda head: page(b"a 1\n") + b"surplus")) as server:
        found = fetcher(server)
        assert [await get(found), await get(found)] == [b"a 1\n"] * 2
        assert server.connections == 2
        found.close()


@pytest.mark.parametrize("size", [999, 1000, 5000])
async def test_the_body_limit(size: int) -> None:
    body = b"x" * size
    for answer in (page(body), chunks(body, lambda: 100), page(gzip.compress(body), b"Content-Encoding: gzip")):
        async with serving(Server(lambda head, answer=answer: answer)) as server:
            found = fetcher(server, body_size_limit="1000B")
            if size < 1000:
                assert await get(found) == body
            else:
                assert await refusal(found) == "body size limit exceeded"
            found.close()


async def test_a_gzip_bomb_is_stopped_at_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 100_000_000)
    async with serving(Server(lambda head: page(bomb, b"Content-Encoding: gzip"))) as server:
        found = fetcher(server, body_size_limit="1MB")
        assert await refusal(found) == "body size limit exceeded"
        found.close()


async def test_redirects_are_followed_and_credentials_stay_home() -> None:
    async with serving(Server(lambda head: page(b"a 2\n"))) as other:

        def answer(head: bytes) -> bytes:
            if head.startswith(b"GET /metrics"):
                return b"HTTP/1.1 307 Moved\r\nContent-Length: 0\r\nLocation: /next?x=1\r\n\r\n"
            return (
                f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:{other.port}/\r\n\r\n".encode()
            )

        async with serving(Server(answer)) as server:
            found = fetcher(server, basic_auth={"username": "u", "password": "p"})
            assert await get(found) == b"a 2\n"
            assert all(b"Authorization" in head for head in server.requests)
            assert b"Authorization" not in other.requests[0]
            assert server.requests[1].startswith(b"GET /next?x=1 ")
            found.close()
            found = fetcher(server, follow_redirects=False)
            assert await refusal(found) == "server returned HTTP status 307 Moved"
            found.close()


def certificate(folder: Path) -> ssl.SSLContext:
    """A server context whose certificate, for 127.0.0.1 and `there`, lies in `folder` as cert.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "there")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("there"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_tls(tmp_path: Path) -> None:
    context = certificate(tmp_path)
    ca = str(tmp_path / "cert.pem")
    async with serving(Server(lambda head: page(BODY)), context) as server:
        for tls, works in [
            ({"ca_file": ca}, True),
            ({"ca": (tmp_path / "cert.pem").read_text(), "server_name": "there"}, True),
            ({"ca_file": ca, "server_name": "elsewhere"}, False),
            ({}, False),
            ({"insecure_skip_verify": True}, True),
        ]:
            found = fetcher(server, scheme="https", tls_config=tls)
            if works:
                assert [await get(found), await get(found)] == [BODY, BODY]
            else:
                assert "TLS with 127.0.0.1:" in await refusal(found)
            found.close()
        assert "tls_config cannot be used" in await refusal(
            fetcher(server, scheme="https", tls_config={"ca_file": str(tmp_path / "none")})
        )


async def test_a_client_certificate(tmp_path: Path) -> None:
    context = certificate(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tmp_path / "cert.pem")
    pem = {name: (tmp_path / f"{name}.pem").read_text() for name in ("cert", "key")}
    async with serving(Server(lambda head: page(b"a 1\n")), context) as server:
        found = fetcher(server, scheme="https", tls_config={"ca": pem["cert"], **pem})
        assert await get(found) == b"a 1\n"
        found.close()
        found = fetcher(server, scheme="https", tls_config={"ca": pem["cert"]})
        await refusal(found)
        found.close()
