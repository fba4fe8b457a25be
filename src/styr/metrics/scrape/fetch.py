"""Getting a target's page: the request as Prometheus sends it, redirects, gzip, limits. Called by `loop`; calls `connection`.

A target keeps its connection from scrape to scrape. Whoever waits for `fetch` sets the time limit, by cancelling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

import numpy as np
from isal import igzip_lib, isal_zlib

from styr.metrics.exposition.negotiate import accept
from styr.metrics.kernels.text import PADDING
from styr.metrics.scrape.buffers import MOST, Body, Buffers
from styr.metrics.scrape.config import Http, ScrapeConfig
from styr.metrics.scrape.connection import BodyTooLarge, Connection, Dropped, FetchError, Page
from styr.metrics.scrape.credentials import TlsContexts, headers, in_files
from styr.metrics.scrape.target import Target
from styr.version import __version__

USER_AGENT = f"Styr/{__version__}"
MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_PART = 1 << 20
_BROKEN: Any = isal_zlib.error
_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True)
class Fetched:
    """`body` is uncompressed and the caller's."""

    content_type: str
    body: Body


class Fetcher(Protocol):
    """Of one target. Implemented here by `HttpFetcher`, by tests otherwise."""

    async def fetch(self) -> Fetched:
        """Raises FetchError."""

    def close(self) -> None: ...


class Client:
    """What the targets of one job share."""

    def __init__(self, http: Http, buffers: Buffers) -> None:
        self.http, self.buffers = http, buffers
        self.tls = TlsContexts(http.tls)

    async def connect(self, url: SplitResult) -> Connection:
        """A new connection. Raises FetchError."""
        host = url.hostname or ""
        try:
            port = url.port or _PORTS[url.scheme]
        except (ValueError, KeyError):
            raise FetchError(f"{url.geturl()}: no URL that can be scraped") from None
        connection = Connection(f"{host}:{port}", self.buffers)
        if url.scheme == "https":
            name = self.http.tls.server_name or host
            await connection.connect(host, port, self.tls.get(), name)
        else:
            await connection.connect(host, port, None, None)
        return connection


def request_head(url: SplitResult, fields: list[tuple[str, str]]) -> bytes:
    """Raises FetchError for what would split the request."""
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = [f"GET {target} HTTP/1.1", f"Host: {url.netloc.rpartition('@')[2]}", f"User-Agent: {USER_AGENT}"]
    lines += [f"{name}: {value}" for name, value in fields]
    text = "\r\n".join(lines)
    if any(char < " " or char == "\x7f" for line in lines for char in line) or " " in target:
        raise FetchError(f"{url.geturl()!r}: no URL that can be requested")
    return f"{text}\r\n\r\n".encode()


class HttpFetcher:
    def __init__(self, target: Target, config: ScrapeConfig, client: Client) -> None:
        self._client, self._limit = client, config.body_size_limit
        self._url = urlsplit(target.url)
        self._fields = [
            ("Accept", accept(config.protocols, config.escaping)),
            ("Accept-Encoding", "gzip" if config.compression else "identity"),
            ("X-Prometheus-Scrape-Timeout-Seconds", f"{target.timeout / 1000:.6f}".rstrip("0").rstrip(".")),
        ]
        self._constant = not in_files(client.http)
        self._head = b""
        self._connection: Connection | None = None

    async def fetch(self) -> Fetched:
        page = await self._get_again(self._request())
        if page.status in _REDIRECTS and self._client.http.follow_redirects:
            page = await self._follow(page)
        if page.status != 200:
            self._client.buffers.give(page.body.buffer)
            raise FetchError(f"server returned HTTP status {page.status} {page.reason}".rstrip())
        body = page.body
        if page.headers.get("content-encoding") == "gzip":
            body = unzip(body, self._limit, self._client.buffers)
        return Fetched(page.headers.get("content-type", ""), body)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _request(self) -> bytes:
        if not self._head or not self._constant:
            self._head = request_head(self._url, [*self._fields, *headers(self._client.http)])
        return self._head

    async def _get_again(self, request: bytes) -> Page:
        """On the connection that is there; once more on a new one, when that has been closed meanwhile."""
        if self._connection is not None and self._connection.open:
            try:
                return await self._connection.get(request, self._most())
            except Dropped:
                pass
        self._connection = await self._client.connect(self._url)
        return await self._connection.get(request, self._most())

    def _most(self) -> int:
        """A body as long as the limit is too long, as in Prometheus."""
        return max(1, self._limit - 1) if self._limit else 0

    async def _follow(self, page: Page) -> Page:
        """Credentials go to the host that they were configured for, and to no other."""
        url = self._url
        for _ in range(MOST_REDIRECTS):
            self._client.buffers.give(page.body.buffer)
            location = page.headers.get("location", "")
            if not location:
                raise FetchError(f"{page.status} response missing Location header")
            url = urlsplit(urljoin(url.geturl(), location))
            if url.scheme not in _PORTS:
                raise FetchError(f"redirected to {url.geturl()!r}, which is neither http nor https")
            mine = (url.hostname, url.port) == (self._url.hostname, self._url.port)
            fields = [*self._fields, *(headers(self._client.http) if mine else ())]
            connection = await self._client.connect(url)
            try:
                page = await connection.get(request_head(url, fields), self._most())
            finally:
                connection.close()
            if page.status not in _REDIRECTS:
                return page
        raise FetchError(f"stopped after {MOST_REDIRECTS} redirects")


def unzip(body: Body, limit: int, buffers: Buffers) -> Body:
    """A gzip body as a new one; gives the old buffer back. Never holds more than `limit` bytes (0: `buffers.MOST`) of the
    result. Raises FetchError."""
    most = limit - 1 if limit else MOST
    data: bytes | memoryview = body.buffer[body.begin : body.end].data
    parts: list[bytes] = []
    size = 0
    try:
        while len(data):
            inflate = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
            part = inflate.decompress(data, min(most + 1 - size, max(_PART, 16 * len(data))))
            while True:
                size += len(part)
                parts.append(part)
                if size > most:
                    raise BodyTooLarge
                if inflate.eof:
                    break
                part = inflate.decompress(b"", min(most + 1 - size, 16 * _PART))
                if not part and not inflate.eof:
                    raise FetchError("unexpected end of the gzip stream")
            data = inflate.unused_data
    except (_BROKEN, EOFError) as error:
        raise FetchError(f"broken gzip stream: {error}") from None
    finally:
        buffers.give(body.buffer)
    return _joined(parts, size, buffers)


def _joined(parts: list[bytes], size: int, buffers: Buffers) -> Body:
    buffer = buffers.take(size + PADDING + 2)
    at = 0
    for part in parts:
        buffer[at : at + len(part)] = np.frombuffer(part, np.uint8)
        at += len(part)
    return Body(buffer, 0, size)
