"""`http_sd_configs`: target groups as JSON from an HTTP server, asked again each `refresh_interval`. Run by `job`.

While the server does not answer as it should, the targets that it named last stay.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.metrics.model.errors import BadData
from styr.metrics.scrape.buffers import Buffers
from styr.metrics.scrape.client import Client
from styr.metrics.scrape.config import HttpSd
from styr.metrics.scrape.connection import FetchError
from styr.metrics.scrape.discovery import Group, Publish
from styr.metrics.scrape.fetch import unzip
from styr.metrics.scrape.groups import difference, parse_groups

log = Log("styr.metrics.scrape")

_MOST = 64 << 20
"""Bytes of an answer."""


@dataclass(frozen=True)
class HttpDiscovery:
    config: HttpSd
    clock: Clock = field(compare=False)

    async def run(self, publish: Publish) -> None:
        client = Client(self.config.http, Buffers(), self.clock)
        sources: set[str] = set()
        told = ""
        while True:
            try:
                async with asyncio.timeout(max(1.0, self.config.refresh_interval / 1000)):
                    groups = await self._ask(client)
            except (FetchError, BadData, TimeoutError) as error:
                if str(error) != told:
                    log.error("a server of targets is not usable", url=self.config.url, reason=str(error))
                told = str(error)
            else:
                publish(difference(sources, groups))
                sources, told = {group.source for group in groups}, ""
            await self.clock.sleep(self.config.refresh_interval / 1000)

    async def _ask(self, client: Client) -> list[Group]:
        """Raises FetchError, BadData."""
        url = urlsplit(self.config.url)
        fields = [
            ("Accept", "application/json"),
            ("Accept-Encoding", "gzip"),
            ("X-Prometheus-Refresh-Interval-Seconds", f"{self.config.refresh_interval / 1000:g}"),
            *await client.authorization(),
        ]
        request = client.request(url, fields)
        connection = await client.connect(url)
        try:
            page = await connection.get(request, _MOST)
        finally:
            connection.close()
        if page.status != 200:
            raise FetchError(f"server returned HTTP status {page.status} {page.reason}")
        kind = page.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            raise FetchError(f"unsupported content type {kind!r}")
        body = page.body
        if page.headers.get("content-encoding") == "gzip":
            body = unzip(body, _MOST, client.buffers)
        try:
            document = json.loads(body.bytes())
        except ValueError as error:
            raise FetchError(f"no valid JSON: {error}") from None
        return parse_groups(document, self.config.url, {"__meta_url": self.config.url})
