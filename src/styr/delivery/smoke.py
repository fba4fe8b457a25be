"""Before any user: does the new version answer on its own address, and has it warmed up? Called by `rollout`.

It speaks to the pod directly, past the proxy, so these requests count for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from styr.kit import http

ATTEMPTS = 3
TIMEOUT = 10.0
AT_ONCE = 4
WARM_UP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    """One pod, and the name under which users know the app."""

    ip: str
    port: int
    host: str


Fetch = Callable[[Address, str, float], Awaitable[int]]
"""GET of a path within so many seconds; the status code. Raises `kit.http.HttpError`."""


async def fetch(address: Address, path: str, timeout: float) -> int:
    headers = {"user-agent": "styr-smoke"}
    response = await http.fetch(
        "GET", address.ip, address.port, path, host_header=address.host, headers=headers, timeout=timeout
    )
    return response.status


async def check(fetch: Fetch, sleep: Callable[[float], Awaitable[None]], address: Address, path: str) -> str:
    """ "" when it answered with less than 500, else what happened instead. A body too large to read is an answer."""
    problem = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            await sleep(1.0)
        try:
            status = await fetch(address, path, TIMEOUT)
        except http.TooLarge:
            return ""
        except http.HttpError as error:
            problem = f"GET {path} on its own address: {error}"
            continue
        if status < 500:
            return ""
        problem = f"GET {path} on its own address answered {status}"
    return problem


async def warm_up(fetch: Fetch, address: Address, path: str, requests: int) -> int:
    """How many of `requests` were answered, a few at a time, within `WARM_UP_SECONDS`."""
    left, answered = requests, 0

    async def worker() -> None:
        nonlocal left, answered
        while left > 0:
            left -= 1
            try:
                await fetch(address, path, TIMEOUT)
            except http.TooLarge:
                answered += 1
            except http.HttpError:
                continue
            else:
                answered += 1

    try:
        async with asyncio.timeout(WARM_UP_SECONDS):
            await asyncio.gather(*(worker() for _ in range(min(AT_ONCE, requests))))
    except TimeoutError:
        pass
    return answered
