"""What the targets of one job share to talk to their servers: credentials, a token, contexts for TLS, the way through a proxy.
Called by `fetch` and `http_sd`; calls `credentials`, `oauth2`, `proxies`, `tunnel`, `connection`. Keeps no connection.
"""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Mapping
from functools import partial
from random import Random, SystemRandom
from urllib.parse import SplitResult, unquote, urlsplit

from styr.kit.clock import Clock
from styr.metrics.scrape.buffers import Buffers
from styr.metrics.scrape.connection import Connection, FetchError
from styr.metrics.scrape.credentials import TlsContexts, headers, read
from styr.metrics.scrape.httpconfig import Http
from styr.metrics.scrape.oauth2 import Answer, Tokens
from styr.metrics.scrape.proxies import PORTS, SOCKS, proxy_of
from styr.metrics.scrape.tunnel import Way, by_connect, by_socks, open_tunnel
from styr.version import __version__

USER_AGENT = f"Styr/{__version__}"
_MOST_ANSWER = 1 << 20
"""Bytes of a token server's answer."""


class Client:
    """`environment` is where a configuration may look for proxies."""

    def __init__(
        self,
        http: Http,
        buffers: Buffers,
        clock: Clock,
        environment: Mapping[str, str] = os.environ,
        random: Random | None = None,
    ) -> None:
        self.http, self.buffers = http, buffers
        self.tls = TlsContexts(http.tls)
        self.tokens: Tokens | None = None
        self._environment = environment
        if wanted := http.oauth2:
            server = Client(Http(tls=wanted.tls, proxy=wanted.proxy), buffers, clock, environment)
            secret = partial(read, wanted.client_secret, "oauth2 client secret")
            self.tokens = Tokens(wanted, server.post, secret, clock, random or SystemRandom())

    async def authorization(self) -> list[tuple[str, str]]:
        """Configured headers, and the token. Raises FetchError."""
        token = [("Authorization", await self.tokens.header())] if self.tokens is not None else []
        return [*token, *headers(self.http)]

    async def connect(self, url: SplitResult) -> Connection:
        """A new connection, through the proxy if there is one. Raises FetchError."""
        host, port = _place(url)
        proxy = proxy_of(url, self.http.proxy, self._environment)
        connection = Connection(f"{host}:{port}", self.buffers)
        if proxy is None:
            await connection.connect(*self._to(url))
            return connection
        if proxy.scheme in SOCKS:
            login = (unquote(proxy.username), unquote(proxy.password or "")) if proxy.username else None
            ask = by_socks(host, port, login)
        elif url.scheme == "http":
            connection.peer = f"the proxy {proxy.hostname}"
            await connection.connect(*self._to(proxy))
            return connection
        else:
            ask = by_connect(self._connect_request(host, port, proxy))
        context = self.tls.get() if url.scheme == "https" else None
        await open_tunnel(connection, Way(*self._to(proxy)), ask, context, self.http.tls.server_name or host)
        return connection

    def _connect_request(self, host: str, port: int, proxy: SplitResult) -> bytes:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        fields = [("Host", where), ("User-Agent", USER_AGENT), *_proxy_authorization(proxy)]
        fields += [(name, value.value) for name, values in self.http.proxy.headers for value in values]
        return _head(f"CONNECT {where} HTTP/1.1", fields)

    def _to(self, url: SplitResult) -> tuple[str, int, ssl.SSLContext | None, str | None]:
        host, port = _place(url)
        if url.scheme != "https":
            return host, port, None, None
        return host, port, self.tls.get(), self.http.tls.server_name or host

    def request(self, url: SplitResult, fields: list[tuple[str, str]], method: str = "GET") -> bytes:
        """The head of a request for a connection that `connect` made. A proxy for plain HTTP is told the whole URL. Raises
        FetchError for what would split the request."""
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        host = url.netloc.rpartition("@")[2]
        proxy = proxy_of(url, self.http.proxy, self._environment) if url.scheme == "http" else None
        if proxy is not None and proxy.scheme not in SOCKS:
            target = f"http://{host}{target}"
            fields = [*_proxy_authorization(proxy), *fields]
        if " " in target:
            raise FetchError(f"{url.geturl()!r}: no URL that can be requested")
        return _head(f"{method} {target} HTTP/1.1", [("Host", host), ("User-Agent", USER_AGENT), *fields])

    async def post(self, address: str, fields: list[tuple[str, str]], body: bytes) -> Answer:
        """See `oauth2.Post`."""
        url = urlsplit(address)
        head = self.request(url, [*fields, ("Content-Length", str(len(body)))], "POST")
        connection = await self.connect(url)
        try:
            page = await connection.get(head + body, _MOST_ANSWER)
        finally:
            connection.close()
        content = page.body.bytes()
        self.buffers.give(page.body.buffer)
        return Answer(page.status, page.headers.get("content-type", ""), content)


def _place(url: SplitResult) -> tuple[str, int]:
    """Raises FetchError."""
    try:
        return url.hostname or "", url.port or PORTS[url.scheme]
    except (ValueError, KeyError):
        raise FetchError(f"{url.geturl()}: no URL that can be scraped") from None


def _proxy_authorization(proxy: SplitResult) -> list[tuple[str, str]]:
    """From the user and the password in the proxy's URL."""
    if proxy.username is None:
        return []
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return [("Proxy-Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")]


def _head(first: str, fields: list[tuple[str, str]]) -> bytes:
    """Raises FetchError for what would split the request."""
    lines = [first, *(f"{name}: {value}" for name, value in fields)]
    if any(char < " " or char == "\x7f" for line in lines for char in line):
        raise FetchError(f"{first!r}: no request that can be sent")
    text = "\r\n".join(lines)
    return f"{text}\r\n\r\n".encode()
