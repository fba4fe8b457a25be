"""Tokens for client credentials (RFC 6749, 4.4) or a signed assertion (RFC 7523): got from a token server, kept until they
expire. Called by `client` for the targets of a job, which share one; calls `assertion`, and what it is given to talk to the
server.

As Prometheus (golang.org/x/oauth2): the client's name and secret go in an Authorization header, and if the server does not
take that, in the form; which of both it took is remembered. A token counts as expired 10 s before it is. A secret that lies
in a file is read for each scrape, and a changed one gets a new token.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode

from styr.kit.clock import Clock
from styr.metrics.scrape.assertion import assertion
from styr.metrics.scrape.connection import FetchError
from styr.metrics.scrape.httpconfig import JWT_BEARER, OAuth2

EARLY = 10.0
"""Seconds."""
_LONGEST = (1 << 31) - 1
_SHOWN = 200
"""Characters of an answer that are told of."""
_FORMS = ("application/x-www-form-urlencoded", "text/plain")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    body: bytes


Post = Callable[[str, list[tuple[str, str]], bytes], Awaitable[Answer]]
"""Sends a form (URL, headers, body); raises FetchError."""


class Tokens:
    """Of one configuration. `secret` reads the client's secret or key; it and `post` raise FetchError."""

    def __init__(self, config: OAuth2, post: Post, secret: Callable[[], str], clock: Clock, random: Random) -> None:
        self._config, self._post, self._secret, self._clock, self._random = config, post, secret, clock, random
        self._header = self._of_secret = ""
        self._until = 0.0
        self._in_form: bool | None = None
        self._lock = asyncio.Lock()

    async def header(self) -> str:
        """The value of Authorization, from the server if there is none that counts. Raises FetchError."""
        secret = self._secret()
        if not self._counts(secret):
            async with self._lock:  # Whoever waits here takes what the one before has got.
                if not self._counts(secret):
                    await self._renew(secret)
        return self._header

    def _counts(self, secret: str) -> bool:
        return bool(self._header) and secret == self._of_secret and self._clock.monotonic() < self._until

    async def _renew(self, secret: str) -> None:
        asked = self._clock.monotonic()
        document = await self._get(secret)
        token, kind = document.get("access_token"), document.get("token_type") or "Bearer"
        if not isinstance(token, str) or not isinstance(kind, str) or not token:
            raise self._error("its answer has no access_token")
        header = f"{'Bearer' if kind.lower() == 'bearer' else kind} {token}"
        if not header.isprintable():
            raise self._error("its access_token cannot be sent in a header")
        lasts = _seconds(document.get("expires_in"))
        self._header, self._of_secret = header, secret
        self._until = asked + lasts - EARLY if lasts else float("inf")

    async def _get(self, secret: str) -> dict[str, Any]:
        if (jwt := self._config.jwt) is not None:
            identity = f"{self._random.getrandbits(128):032x}"
            shown = assertion(self._config, jwt, secret, self._clock.time(), identity)
            return await self._send([], {"grant_type": JWT_BEARER, "assertion": shown})
        if self._in_form is not None:
            return await self._ask(secret, self._in_form)
        try:
            document, in_form = await self._ask(secret, in_form=False), False
        except FetchError:
            document, in_form = await self._ask(secret, in_form=True), True
        self._in_form = in_form
        return document

    async def _ask(self, secret: str, in_form: bool) -> dict[str, Any]:
        form, name = {"grant_type": "client_credentials"}, self._config.client_id
        if in_form:
            return await self._send([], {**form, "client_id": name, "client_secret": secret})
        pair = f"{quote_plus(name)}:{quote_plus(secret)}"
        return await self._send([("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")], form)

    async def _send(self, more: list[tuple[str, str]], form: dict[str, str]) -> dict[str, Any]:
        config = self._config
        if config.scopes:
            form = {**form, "scope": " ".join(config.scopes)}
        form = {**form, **dict(config.endpoint_params)}
        headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json"), *more]
        answer = await self._post(config.token_url, headers, urlencode(sorted(form.items())).encode())
        document = self._read(answer)
        if answer.status // 100 != 2 or document.get("error"):
            said = document.get("error_description") or document.get("error") or answer.body.decode("utf-8", "replace")
            raise self._error(f"it answered with HTTP status {answer.status}: {str(said)[:_SHOWN]}")
        return document

    def _read(self, answer: Answer) -> dict[str, Any]:
        if answer.content_type.split(";")[0].strip().lower() in _FORMS:
            return {name: values[0] for name, values in parse_qs(answer.body.decode("utf-8", "replace")).items()}
        try:
            document = json.loads(answer.body)
        except ValueError:
            document = None
        if isinstance(document, dict):
            return document
        if answer.status // 100 == 2:
            raise self._error("its answer is no JSON object")
        return {}

    def _error(self, reason: str) -> FetchError:
        return FetchError(f"oauth2: no token from {self._config.token_url}: {reason}")


def _seconds(value: Any) -> float:
    """How long a token lasts; 0 for ever. Some servers send a text."""
    try:
        return float(min(int(value or 0), _LONGEST))
    except (TypeError, ValueError, OverflowError):
        return 0.0
