"""Asks the metrics engine what the guards say. Called by `rollout` once a guard's interval has passed; decides nothing.

All guards that are due are asked at once, and together they may hold up the judge for a second: an engine that hangs is no
data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from styr.delivery.guards import Guard, Reading, judged, missing, unknown_argument
from styr.kinds.seams import MetricQuery, QueryFailed

PATIENCE = 1.0
"""Seconds for the answers."""


async def ask(query: MetricQuery | None, guards: Iterable[Guard], at: int) -> list[Reading]:
    """In the order of the guards. Never raises for an answer that does not come."""
    return list(await asyncio.gather(*(_ask(query, guard, at) for guard in guards)))


async def _ask(query: MetricQuery | None, guard: Guard, at: int) -> Reading:
    if query is None:
        return missing(guard, "the metrics engine does not run (styr up --without-metrics)", at)
    if wrong := unknown_argument(guard.query):
        return missing(guard, wrong, at)
    try:
        async with asyncio.timeout(PATIENCE):
            found = await query.query(guard.query)
    except QueryFailed as error:
        return missing(guard, str(error), at)
    except TimeoutError:
        return missing(guard, f"the metrics engine did not answer within {PATIENCE:g} s", at)
    return judged(guard, [value for _, value in found], at)
