"""The keys of one issuer, fetched over TLS and kept: discovery document, then its key set. Called by `oidc`.

Fetched when the first token comes, again in the background when they have grown old, and while a token waits when it names a
key that is not among them (issuers rotate), but then not more often than every RETRY seconds, whatever comes.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from styr.api.authn import jws
from styr.api.authn.configuration import Issuer
from styr.api.authn.jws import BadToken, Key, Token
from styr.kit import http
from styr.kit.clock import Clock
from styr.kit.log import Log

log = Log("styr.api.authn")

Fetch = Callable[[str, str], Awaitable[tuple[bytes, str]]]
"""(URL, CA as PEM or "") -> (body, its Cache-Control). Raises OSError."""

RETRY = 10.0
FRESH = (60.0, 3600.0)
"""Seconds that keys are kept without asking again, at least and at most; an issuer's `max-age` decides between them."""
TIMEOUT = 5.0
MAX_BODY = 1 << 20
MAX_KEYS = 100


class UnknownKey(BadToken):
    """None of the keys at hand is the one; newer ones may be."""


class IssuerKeys:
    def __init__(self, issuer: Issuer, clock: Clock, fetch: Fetch) -> None:
        self._issuer = issuer
        self._clock = clock
        self._fetch = fetch
        self._keys: list[Key] = []
        self._asked = float("-inf")
        self._stale = float("-inf")
        self._problem = ""
        self._running: asyncio.Task[None] | None = None

    def check(self, token: Token) -> None:
        """Raises BadToken; UnknownKey when `refresh` may help."""
        named = token.header.get("kid")
        candidates = [key for key in self._keys if named is None or key.id in ("", named)]
        if not candidates:
            raise UnknownKey(self._problem or f"the issuer has no key {str(named)[:100]!r}")
        if self._clock.monotonic() > self._stale:
            self._begin()
        problem = BadToken("")
        for key in candidates:
            try:
                return key.check(token)
            except BadToken as error:
                problem = error
        raise problem

    async def refresh(self) -> None:
        """Waits for newer keys, if it is time to ask for some."""
        task = self._begin()
        if task is not None:
            await asyncio.wait([task])

    def close(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def _begin(self) -> asyncio.Task[None] | None:
        if self._running is None or self._running.done():
            if self._clock.monotonic() - self._asked < RETRY:
                return None
            self._asked = self._clock.monotonic()
            self._running = asyncio.get_running_loop().create_task(self._load(), name=f"keys of {self._issuer.url}")
        return self._running

    async def _load(self) -> None:
        try:
            self._keys, seconds = await self._read()
            self._problem = ""
            self._stale = self._clock.monotonic() + seconds
        except (OSError, ValueError) as error:
            self._problem = f"the issuer's keys cannot be fetched: {error}"
            log.warning("an issuer's keys cannot be fetched; those at hand go on", issuer=self._issuer.url, cause=error)

    async def _read(self) -> tuple[list[Key], float]:
        issuer = self._issuer
        url = issuer.discovery or f"{issuer.url.rstrip('/')}/.well-known/openid-configuration"
        about, _ = await self._object(url)
        if about.get("issuer") != issuer.url:
            raise ValueError(f"{url} is of issuer {str(about.get('issuer'))[:200]!r}, not {issuer.url!r}")
        address = str(about.get("jwks_uri", ""))
        if urlsplit(address).scheme != "https":
            raise ValueError(f"{url} says jwks_uri {address[:200]!r}, which is not https")
        found, cached = await self._object(address)
        entries = found.get("keys")
        if not isinstance(entries, list):
            raise ValueError(f"{address} holds no key set")
        keys = [key for entry in entries[:MAX_KEYS] if isinstance(entry, dict) and (key := jws.from_jwk(entry))]
        if not keys:
            raise ValueError(f"{address} holds no key that tokens are signed with")
        return keys, _seconds(cached)

    async def _object(self, url: str) -> tuple[dict[str, Any], str]:
        body, cached = await self._fetch(url, self._issuer.authority)
        try:
            found = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise ValueError(f"{url} is not JSON") from None
        if not isinstance(found, dict):
            raise ValueError(f"{url} is not a JSON object")
        return found, cached


def _seconds(cached: str) -> float:
    match = re.search(r"max-age=(\d{1,9})", cached)
    return min(max(float(match[1]) if match else 0.0, FRESH[0]), FRESH[1])


async def fetch(url: str, authority: str) -> tuple[bytes, str]:
    """A `Fetch` over TLS; redirects are not followed. Raises OSError."""
    parts = urlsplit(url)
    context = ssl.create_default_context(cadata=authority or None)
    answer = await http.fetch(
        "GET",
        parts.hostname or "",
        parts.port or 443,
        parts.path or "/",
        headers={"accept": "application/json"},
        timeout=TIMEOUT,
        ssl=context,
        max_body=MAX_BODY,
    )
    if answer.status != 200:
        raise OSError(f"{url} answered {answer.status}")
    return answer.body, answer.headers.get("cache-control", "")
