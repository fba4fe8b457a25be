"""A transport that does what networks do: it loses requests and replies, is late, breaks watches in the middle of a line,
and can stop the world at the n-th write. Every request that reaches the server goes into the trace."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from random import Random

import msgspec

from styr.client.transport import Transport, TransportError
from styr.kinds.errors import ApiError, Conflict, TooManyRequests
from styr.kinds.transport import Request, Response


@dataclass(frozen=True)
class Rates:
    """Probabilities per request, or per second for a watch; delays in seconds."""

    lost_request: float = 0.02
    lost_reply: float = 0.03
    conflict: float = 0.02
    refused: float = 0.01
    broken_watch: float = 0.02
    late: float = 0.05
    delay: float = 0.002
    long_delay: float = 2.0


CALM = Rates(0, 0, 0, 0, 0, 0, 0.001, 0)


@dataclass
class Trace:
    """What reached the server, in order, as one digest. `lines` keeps the last for people to read."""

    lines: list[str] = field(default_factory=list)
    count: int = 0
    writes: int = 0
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def note(self, time: float, text: str) -> None:
        self.count += 1
        self._hash.update(f"{time:.6f} {text}\n".encode())
        self.lines.append(f"{time:10.3f} {text}")
        if len(self.lines) > 400:
            del self.lines[:200]

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


class FaultyTransport:
    """Wraps another. `crash` is called when the write numbered `crash_at` is reached (before or after it is done, by the
    seed) and the caller never hears of it again."""

    def __init__(self, inner: Transport, random: Random, trace: Trace, crash: Callable[[], None]) -> None:
        self.rates = Rates()
        self.crash_at: int | None = None
        self._inner = inner
        self._random = random
        self._trace = trace
        self._crash = crash

    async def request(self, request: Request, /) -> Response:
        rates, writes = self.rates, request.method != "GET"
        await self._delay()
        if self._chance(rates.lost_request):
            raise TransportError("simulation: the request was lost")
        if self._chance(rates.refused):
            return _refusal(TooManyRequests("simulation: busy", details={"retryAfterSeconds": 1}))
        if request.method in ("PUT", "PATCH") and self._chance(rates.conflict):
            return _refusal(Conflict("simulation: conflict"))
        if writes:
            self._trace.writes += 1
        crashes = writes and self.crash_at is not None and self._trace.writes >= self.crash_at
        if crashes and self._random.random() < 0.5:
            await self._die()
        response = await self._inner.request(request)
        self._note(request, response)
        if crashes:
            await self._die()
        if self._chance(rates.lost_reply):
            await _discard(response)
            raise TransportError("simulation: the reply was lost")
        await self._delay()
        if not isinstance(response.body, bytes) and self._random.random() < 0.9:
            response.body = self._frail(response.body)
        return response

    async def close(self) -> None:
        await self._inner.close()

    def _note(self, request: Request, response: Response) -> None:
        body = request.body if isinstance(request.body, bytes) else b""
        digest = hashlib.sha256(body).hexdigest()[:8]
        now = asyncio.get_running_loop().time()
        self._trace.note(now, f"{request.method} {request.path} {response.status} {digest}")

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    async def _delay(self) -> None:
        seconds = self._random.expovariate(1 / self.rates.delay) if self.rates.delay else 0.0
        if self._chance(self.rates.late):
            seconds += self._random.random() * self.rates.long_delay
        await asyncio.sleep(seconds)

    async def _die(self) -> None:
        self.crash_at = None
        self._crash()
        await asyncio.get_running_loop().create_future()

    async def _frail(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A watch that ends after a while: cleanly, with an error, or in the middle of a line. It may also stall."""
        loop = asyncio.get_running_loop()
        rate = self.rates.broken_watch
        ends = loop.time() + (self._random.expovariate(rate) if rate else 1e9)
        how = self._random.choice(("end", "error", "cut"))
        try:
            while True:
                try:
                    async with asyncio.timeout_at(ends):
                        part = await anext(body)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    break
                await self._delay()
                if loop.time() >= ends and how == "cut":
                    yield part[: len(part) // 2]
                    return
                yield part
            if how == "error":
                raise TransportError("simulation: the watch broke")
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()


def _refusal(error: ApiError) -> Response:
    return Response(error.status_code, msgspec.json.encode(error.to_status()), {"content-type": "application/json"})


async def _discard(response: Response) -> None:
    close = getattr(response.body, "aclose", None)
    if close is not None:
        await close()
