"""Which proxy a URL is fetched through; then fetching through one, on loopback, for HTTP and HTTPS."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from styr.kit.clock import SystemClock
from styr.metrics.scrape.buffers import Buffers
from styr.metrics.scrape.client import Client
from styr.metrics.scrape.config import parse_config, parse_job
from styr.metrics.scrape.connection import FetchError
from styr.metrics.scrape.fetch import HttpFetcher
from styr.metrics.scrape.httpconfig import Proxy
from styr.metrics.scrape.proxies import is_exempt, proxy_of
from styr.metrics.scrape.target import discovered, make_target
from tests.metrics.scrape.test_fetch import BODY, Server, certificate, get, page, refusal, serving
from tests.peers.prometheus import beside, prometheus

NO_PROXY = "10.0.0.0/8, .below.com,*.star.com,both.com,only.com:81,1.2.3.4,5.6.7.8:90,[fd00::1]:90,fd00:1::/32,bad/99"


@pytest.mark.parametrize(
    ("host", "port", "exempt"),
    [
        ("localhost", 80, True), ("127.0.0.9", 80, True), ("::1", 80, True), ("other.com", 80, False),
        ("10.1.2.3", 80, True), ("11.1.2.3", 80, False), ("a.below.com", 80, True), ("below.com", 80, False),
        ("a.star.com", 80, True), ("star.com", 80, False), ("both.com", 80, True), ("a.b.BOTH.com", 80, True),
        ("notboth.com", 80, False), ("only.com", 81, True), ("a.only.com", 81, True), ("only.com", 80, False),
        ("1.2.3.4", 80, True), ("5.6.7.8", 90, True), ("5.6.7.8", 80, False), ("fd00::1", 90, True),
        ("fd00::1", 80, False), ("fd00:1::7", 80, True), ("fd01::7", 80, False),
    ],
)  # fmt: skip
def test_who_is_reached_without_it(host: str, port: int, exempt: bool) -> None:
    assert is_exempt(host, port, NO_PROXY) == exempt
    assert is_exempt(host, port, f"{NO_PROXY},*")


@pytest.mark.parametrize(
    ("url", "proxy", "environment", "chosen"),
    [
        ("http://a.com/", Proxy(), {"http_proxy": "http://p"}, None),
        ("http://localhost/", Proxy("http://p"), {}, "http://p"),
        ("http://localhost/", Proxy("http://p", "x"), {}, None),
        ("https://a.com/", Proxy("http://p", "a.com:443"), {}, None),
        ("https://a.com/", Proxy("http://p", "a.com:80"), {}, "http://p"),
        ("http://a.com/", Proxy(from_environment=True), {}, None),
        ("http://a.com/", Proxy(from_environment=True), {"HTTP_PROXY": "p:3128"}, "http://p:3128"),
        (
            "http://a.com/",
            Proxy(from_environment=True),
            {"HTTP_PROXY": "http://p", "http_proxy": "http://q"},
            "http://q",
        ),
        ("https://a.com/", Proxy(from_environment=True), {"HTTP_PROXY": "http://p"}, None),
        ("https://a.com/", Proxy(from_environment=True), {"HTTPS_PROXY": "https://p"}, "https://p"),
        ("https://a.com/", Proxy(from_environment=True), {"HTTPS_PROXY": "http://p", "NO_PROXY": "a.com"}, None),
        ("http://127.0.0.1/", Proxy(from_environment=True), {"HTTP_PROXY": "http://p"}, None),
    ],
)
def test_which_it_is(url: str, proxy: Proxy, environment: Mapping[str, str], chosen: str | None) -> None:
    found = proxy_of(urlsplit(url), proxy, environment)
    assert (found and found.geturl()) == chosen


def test_an_environment_with_another_kind_of_proxy_is_told() -> None:
    with pytest.raises(FetchError, match="the environment's http_proxy is no http, https or socks5 URL"):
        proxy_of(urlsplit("http://a.com"), Proxy(from_environment=True), {"HTTP_PROXY": "socks4://p"})


class Tunnels:
    """A proxy that knows CONNECT: whatever name it is told, it connects to `port` on this machine."""

    def __init__(self, port: int, answer: bytes = b"HTTP/1.1 200 OK\r\nVia: us\r\n\r\n") -> None:
        self.target, self.answer, self.port = port, answer, 0
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            if b" 200 " not in self.answer:
                return
            await self._between(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other end, or the test, has gone
        finally:
            writer.close()

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, to = await asyncio.open_connection("127.0.0.1", self.target)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._copy(reader, to))
            both.create_task(self._copy(back, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()


class Socks(Tunnels):
    """The same for SOCKS 5; `requests` are the user with the password, and where to connect. It refuses with `refusal`."""

    def __init__(self, port: int, refusal: int = 0, method: int | None = None) -> None:
        super().__init__(port)
        self.refusal, self.method = refusal, method

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            methods = await reader.readexactly((await reader.readexactly(2))[1])
            method = max(methods) if self.method is None else self.method
            writer.write(bytes([5, method]))
            if method == 2:
                user = await reader.readexactly((await reader.readexactly(2))[1])
                self.requests += [user, await reader.readexactly((await reader.readexactly(1))[0])]
                writer.write(bytes([1, self.requests[-1] != b"right"]))
            kind = (await reader.readexactly(4))[3]
            length = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
            self.requests.append(await reader.readexactly(length + 2))
            writer.write(bytes([5, self.refusal, 0, 3, 2]) + b"us" + bytes(2))
            if not self.refusal:
                await self._between(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other end, or the test, has gone
        finally:
            writer.close()


@asynccontextmanager
async def tunnelling(tunnels: Tunnels, context: ssl.SSLContext | None = None) -> AsyncIterator[Tunnels]:
    listening = await asyncio.start_server(tunnels.serve, "127.0.0.1", 0, ssl=context)
    tunnels.port = listening.sockets[0].getsockname()[1]
    try:
        yield tunnels
    finally:
        listening.close()


def fetcher(address: str, environment: Mapping[str, str] | None = None, **settings: Any) -> HttpFetcher:
    config = parse_job({"job_name": "j", **settings})
    target = make_target(config, discovered(config, {"__address__": address}, {}))
    assert target is not None
    return HttpFetcher(target, config, Client(config.http, Buffers(), SystemClock(), environment or {}))


async def test_a_proxy_for_http_is_told_the_whole_url_and_the_connection_is_kept() -> None:
    async with serving(Server(lambda _: page(BODY))) as proxy:
        found = fetcher("far.away:8080", proxy_url=f"http://us%40er:p%3Aw@127.0.0.1:{proxy.port}", params={"a": ["b"]})
        assert [await get(found), await get(found)] == [BODY, BODY]
        found.close()
    assert proxy.connections == 1
    head = proxy.requests[0].decode().split("\r\n")
    assert head[:2] == ["GET http://far.away:8080/metrics?a=b HTTP/1.1", "Host: far.away:8080"]
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'us@er:p:w').decode()}" in head


async def test_the_environment_says_which() -> None:
    async with serving(Server(lambda _: page(BODY))) as proxy:
        found = fetcher("far.away", {"http_proxy": f"127.0.0.1:{proxy.port}"}, proxy_from_environment=True)
        assert await get(found) == BODY
        found.close()


async def test_who_is_exempt_is_reached_without_the_proxy() -> None:
    async with serving(Server(lambda _: page(BODY))) as server:
        found = fetcher(f"127.0.0.1:{server.port}", proxy_url="http://127.0.0.1:1", no_proxy="nobody")
        assert await get(found) == BODY
        found.close()
    assert server.requests[0].startswith(b"GET /metrics HTTP/1.1\r\n")


@pytest.mark.parametrize("outer", [False, True])
async def test_https_goes_through_a_tunnel(tmp_path: Path, outer: bool) -> None:
    """The target's certificate is the one that counts; the proxy may speak TLS itself."""
    context = certificate(tmp_path)
    tls = {"ca_file": str(tmp_path / "cert.pem"), "server_name": "there"}
    async with (
        serving(Server(lambda _: page(BODY)), context) as server,
        tunnelling(Tunnels(server.port), context if outer else None) as proxy,
    ):
        found = fetcher(
            "far.away:9443", scheme="https", tls_config=tls,
            proxy_url=f"{'https' if outer else 'http'}://u:p@127.0.0.1:{proxy.port}",
            proxy_connect_header={"X-Way": ["a", "b"]},
        )  # fmt: skip
        assert [await get(found), await get(found)] == [BODY, BODY]
        found.close()
        assert server.connections == 1
        (connect,) = proxy.requests
    assert connect.startswith(b"CONNECT far.away:9443 HTTP/1.1\r\nHost: far.away:9443\r\n")
    assert b"\r\nProxy-Authorization: Basic dTpw\r\n" in connect
    assert b"\r\nX-Way: a\r\nX-Way: b\r\n" in connect
    assert server.requests[0].startswith(b"GET /metrics HTTP/1.1\r\nHost: far.away:9443\r\n")
    assert b"Proxy-Authorization" not in server.requests[0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "refused CONNECT with HTTP status 407 Proxy Authent"),
        (b"nonsense\r\n\r\n", "sent no valid HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\n", "closed the connection"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 503 No\r\n\r\n", "refused CONNECT with HTTP status 503 No"),
    ],
)
async def test_a_proxy_that_gives_no_tunnel(answer: bytes, reason: str) -> None:
    async with tunnelling(
        Tunnels(0, answer.replace(b" 200 ", b" 20 ") if answer.endswith(b"OK\r\n") else answer)
    ) as proxy:
        found = fetcher("far.away:9443", scheme="https", proxy_url=f"http://127.0.0.1:{proxy.port}")
        told = await refusal(found)
    assert told.startswith(f"the proxy 127.0.0.1:{proxy.port} {reason}")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("address", "login", "asked"),
    [
        ("far.away:9443", "", [b"far.away\x24\xe3"]),
        ("10.0.0.1:80", "us%40er:right@", [b"us@er", b"right", b"\x0a\0\0\1\0\x50"]),
        ("[fd00::1]:80", "", [b"\xfd" + bytes(14) + b"\1\0\x50"]),
    ],
)
async def test_socks(tmp_path: Path, scheme: str, address: str, login: str, asked: list[bytes]) -> None:
    context = certificate(tmp_path)
    tls = {"ca_file": str(tmp_path / "cert.pem"), "server_name": "there"}
    async with (
        serving(Server(lambda _: page(BODY)), context if scheme == "https" else None) as server,
        tunnelling(Socks(server.port)) as proxy,
    ):
        found = fetcher(address, scheme=scheme, tls_config=tls, proxy_url=f"socks5://{login}127.0.0.1:{proxy.port}")
        assert [await get(found), await get(found)] == [BODY, BODY]
        found.close()
        assert (server.connections, proxy.requests) == (1, asked)
    assert server.requests[0].startswith(b"GET /metrics HTTP/1.1\r\nHost: " + address.removesuffix(":80").encode())


@pytest.mark.parametrize(
    ("proxy", "login", "reason"),
    [
        (Socks(0, refusal=5), "", "refused to connect: connection refused"),
        (Socks(0, refusal=99), "", "refused to connect: 99"),
        (Socks(0), "u:wrong@", "refused its user or password"),
        (Socks(0, method=255), "", "speaks no SOCKS 5, or wants another way to log in"),
        (Socks(0, method=2), "", "speaks no SOCKS 5, or wants another way to log in"),
    ],
)
async def test_a_socks_proxy_that_does_not_connect(proxy: Socks, login: str, reason: str) -> None:
    async with tunnelling(proxy):
        told = await refusal(fetcher("far.away", proxy_url=f"socks5h://{login}127.0.0.1:{proxy.port}"))
    assert told == f"the proxy 127.0.0.1:{proxy.port} {reason}"


async def test_what_socks_cannot_say() -> None:
    told = await refusal(fetcher("far.away", proxy_url=f"socks5://{'u' * 256}:p@127.0.0.1:1"))
    assert told.startswith("SOCKS has no room for 'far.away'")


async def test_another_certificate_than_the_targets_is_refused(tmp_path: Path) -> None:
    context = certificate(tmp_path)
    tls = {"ca_file": str(tmp_path / "cert.pem")}
    async with serving(Server(lambda _: page(BODY)), context) as server, tunnelling(Tunnels(server.port)) as proxy:
        told = await refusal(
            fetcher("far.away:9443", scheme="https", tls_config=tls, proxy_url=f"http://127.0.0.1:{proxy.port}")
        )
    assert told.startswith("TLS with far.away:9443 through the proxy 127.0.0.1")


async def test_no_proxy_listens() -> None:
    for scheme in ("http", "https"):
        told = await refusal(fetcher("far.away", scheme=scheme, proxy_url="http://127.0.0.1:1"))
        assert told.startswith("connecting to the proxy 127.0.0.1")
        assert told.endswith("failed: Connection refused")


def token(value: str, lasts: int = 3600) -> bytes:
    body = f'{{"access_token": "{value}", "expires_in": {lasts}}}'.encode()
    return page(body, b"Content-Type: application/json").replace(b"Content-Type: text/plain\r\n", b"")


async def test_a_token_is_got_through_a_proxy_of_its_own_and_shown_to_the_target() -> None:
    async with serving(Server(lambda _: page(BODY))) as server, serving(Server(lambda _: token("abc"))) as tokens:
        oauth2 = {
            "client_id": "c", "client_secret": "s", "token_url": "http://token.server/token?x=1",
            "proxy_url": f"http://127.0.0.1:{tokens.port}",
        }  # fmt: skip
        found = fetcher(f"127.0.0.1:{server.port}", oauth2=oauth2)
        assert [await get(found), await get(found)] == [BODY, BODY]
        found.close()
    (asked,) = tokens.requests
    assert asked.startswith(b"POST http://token.server/token?x=1 HTTP/1.1\r\nHost: token.server\r\n")
    assert all(b"\r\nAuthorization: Bearer abc\r\n" in request for request in server.requests)
    assert (len(server.requests), server.connections) == (2, 1)


async def test_a_token_does_not_go_to_another_host_and_a_new_one_is_got_in_time(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("one\n")
    async with serving(Server(lambda _: page(BODY))) as other, serving(Server(lambda _: token("t", 10))) as tokens:
        there = f"http://localhost:{other.port}/metrics".encode()
        away = page(b"").replace(b"200 OK", b"302 Found\r\nLocation: " + there)
        async with serving(Server(lambda _: away)) as server:
            oauth2 = {
                "client_id": "c", "client_secret_file": str(secret),
                "token_url": f"http://127.0.0.1:{tokens.port}/",
            }  # fmt: skip
            found = fetcher(f"127.0.0.1:{server.port}", oauth2=oauth2)
            assert [await get(found), await get(found)] == [BODY, BODY]
            secret.unlink()
            assert (await refusal(found)).startswith("unable to read oauth2 client secret from file")
            found.close()
    assert len(tokens.requests) == 2, "one that lasts no ten seconds counts for one request"
    assert all(b"Bearer t" in request for request in server.requests)
    assert not any(b"Authorization" in request for request in other.requests)


async def test_a_token_server_that_refuses_fails_the_scrape() -> None:
    refused = page(b'{"error": "nobody"}').replace(b"200 OK", b"400 Bad Request")
    async with serving(Server(lambda _: refused)) as tokens:
        url = f"http://127.0.0.1:{tokens.port}/"
        found = fetcher("127.0.0.1:1", oauth2={"client_id": "c", "client_secret": "s", "token_url": url})
        assert (await refusal(found)).startswith(f"oauth2: no token from {url}: it answered with HTTP status 400")


OWN = ("user-agent", "accept-encoding", "accept", "connection")
"""Headers that each writes in its own way."""


class Recorder(Server):
    """Proxy and token server in one; keeps the first request of each kind, with its body."""

    def __init__(self) -> None:
        super().__init__(lambda head: token("abc") if head.startswith(b"POST") else page(b"a 1\n"))
        self.seen: dict[str, tuple[dict[str, str], bytes]] = {}
        self.all = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                first, *lines = head.decode().strip().split("\r\n")
                fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                self.seen.setdefault(first, (fields, body))
                if len(self.seen) == 3:
                    self.all.set()
                refused = first.startswith("CONNECT")
                writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n" if refused else self.answer(head))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the other end, or the test, has gone
        finally:
            writer.close()


@pytest.mark.needs("prometheus")
async def test_prometheus_asks_the_same(tmp_path: Path) -> None:
    """Of a token server, of a proxy for HTTP, and of one for HTTPS."""
    shared = {"proxy_url": "http://us:pw@127.0.0.1:PROXY", "proxy_connect_header": {"X-Way": ["a"]}}
    oauth2 = {
        "client_id": "c:1", "client_secret": "s 1", "token_url": "http://127.0.0.1:PROXY/token", "scopes": ["r", "w"],
        "endpoint_params": {"aud": "x y"},
    }  # fmt: skip
    jobs = [
        {"job_name": "a", **shared, "oauth2": oauth2, "static_configs": [{"targets": ["far.away:80"]}]},
        {"job_name": "b", **shared, "scheme": "https", "static_configs": [{"targets": ["far.away:9443"]}]},
    ]
    asked = []
    for ours in (False, True):
        async with serving(Recorder()) as server:
            assert isinstance(server, Recorder)
            text = json.dumps({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs})
            document = text.replace("PROXY", str(server.port))
            if ours:
                for job in parse_config(json.loads(document)):
                    address = dict(job.static[0].targets[0])
                    target = make_target(job, discovered(job, address, {}))
                    assert target is not None
                    found = HttpFetcher(target, job, Client(job.http, Buffers(), SystemClock(), {}))
                    with contextlib.suppress(FetchError):
                        await get(found)
                    found.close()
            else:
                async with beside(prometheus(tmp_path / "data", config=document)), asyncio.timeout(60):
                    await server.all.wait()
            asked.append({
                first: ({n: v.replace(str(server.port), "PROXY") for n, v in fields.items() if n not in OWN}, body)
                for first, (fields, body) in server.seen.items()
            })  # fmt: skip
    assert asked[1] == asked[0]
