"""OpenAPI v2 of other servers: one document tells of everything, so theirs are fetched when ours is asked for.

Called by `openapi.documents`. What a server told is kept for a minute, and beyond that while it tells nothing.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from styr.api.aggregation.proxy import Proxy
from styr.api.aggregation.services import Remote, Services
from styr.api.callout import CalloutFailed
from styr.api.openapi.foreign import Foreign
from styr.kinds.errors import ApiError
from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.serving.relay import Unreachable

PATH = "/openapi/v2"
KEPT = 60.0
TIMEOUT = 5.0

log = Log("styr.api.aggregation")

_Place = tuple[str, str, int]
"""Namespace, name and port of a Service."""


@dataclass(slots=True)
class _Told:
    until: float
    digest: str = ""
    body: bytes = b""


class Documents:
    def __init__(self, services: Services, proxy: Proxy, clock: Clock) -> None:
        self._services, self._proxy, self._clock = services, proxy, clock
        self._told: dict[_Place, _Told] = {}
        self._asking = asyncio.Lock()

    async def read(self) -> Sequence[Foreign]:
        """Of every server that is available and has such a document."""
        if not self._services.all:
            return ()
        places: dict[_Place, list[Remote]] = {}
        for remote in self._services.all:
            if remote.available:
                places.setdefault(_place(remote), []).append(remote)
        async with self._asking:
            self._told = {place: told for place, told in self._told.items() if place in places}
            now = self._clock.monotonic()
            stale = [place for place in places if place not in self._told or self._told[place].until <= now]
            await asyncio.gather(*(self._ask(place, places[place][0]) for place in stale))
            told = [(remotes, self._told[place]) for place, remotes in sorted(places.items())]
        return [
            Foreign(tuple(sorted(remote.path for remote in remotes)), found.digest, found.body)
            for remotes, found in told
            if found.body
        ]

    async def _ask(self, place: _Place, remote: Remote) -> None:
        known = self._told.setdefault(place, _Told(0.0))
        known.until = self._clock.monotonic() + KEPT
        try:
            async with asyncio.timeout(TIMEOUT):
                status, body = await self._proxy.look(remote, PATH)
        except (CalloutFailed, Unreachable, ApiError, OSError) as error:
            log.warning("a server does not tell its OpenAPI", service=remote.host, reason=str(error))
            return
        if status == 200:
            known.digest = hashlib.sha256(body).hexdigest()
            known.body = await asyncio.to_thread(gzip.compress, body, 6)


def _place(remote: Remote) -> _Place:
    return str(remote.service["namespace"]), str(remote.service["name"]), int(remote.service.get("port", 443))
