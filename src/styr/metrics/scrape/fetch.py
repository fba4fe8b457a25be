"""Getting a target's page: the request as Prometheus sends it, redirects, gzip, limits. Called by `loop`; calls `client`.

A target keeps its connection from scrape to scrape. Whoever waits for `fetch` sets the time limit, by cancelling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import numpy as np
from isal import igzip_lib, isal_zlib

from styr.metrics.exposition.negotiate import accept
from styr.metrics.kernels.text import PADDING
from styr.metrics.scrape.buffers import MOST, Body, Buffers
from styr.metrics.scrape.client import Client
from styr.metrics.scrape.config import ScrapeConfig
from styr.metrics.scrape.connection import BodyTooLarge, Connection, Dropped, FetchError, Page
from styr.metrics.scrape.credentials import in_files
from styr.metrics.scrape.target import Target

MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_PART = 1 << 20
_BROKEN: Any = isal_zlib.error


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


class HttpFetcher:
    def __init__(self, target: Target, config: ScrapeConfig, client: Client) -> None:
        self._client, self._limit = client, config.body_size_limit
        self._url = urlsplit(target.url)
        self._fields = [
            ("Accept", accept(config.protocols, config.escaping)),
            ("Accept-Encoding", "gzip" if config.compression else "identity"),
            ("X-Prometheus-Scrape-Timeout-Seconds", f"{target.timeout / 1000:.6f}".rstrip("0").rstrip(".")),
        ]
        self._constant = client.tokens is None and not in_files(client.http)
        self._head = b""
        self._connection: Connection | None = None

    async def fetch(self) -> Fetched:
        page = await self._get_again(self._head or await self._request())
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

    async def _request(self) -> bytes:
        """Kept when it is always the same."""
        head = self._client.request(self._url, [*self._fields, *await self._client.authorization()])
        if self._constant:
            self._head = head
        return head

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
            if url.scheme not in ("http", "https"):
                raise FetchError(f"redirected to {url.geturl()!r}, which is neither http nor https")
            mine = (url.hostname, url.port) == (self._url.hostname, self._url.port)
            request = self._client.request(url, [*self._fields, *(await self._client.authorization() if mine else ())])
            connection = await self._client.connect(url)
            try:
                page = await connection.get(request, self._most())
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
