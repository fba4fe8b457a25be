"""Events are forgotten an hour after they last happened, as in Kubernetes, so that telling people things fills no disk.

Promise: an event whose last time is more than an hour ago is deleted within ten minutes. The keys are namespaces: events
are listed when it is time to look, not kept in a cache.
"""

from __future__ import annotations

from styr.client.controller import After, Context, Controller, Done, Key, Outcome
from styr.kinds import meta
from styr.kinds.errors import Conflict, NotFound
from styr.kinds.resources import EVENT, NAMESPACE, Object
from styr.kit.clock import parse_rfc3339

KEPT_SECONDS = 3600.0
LOOK_SECONDS = 600.0
AT_ONCE = 200
"""Deletions per pass: a flood of events is cleared away in small portions."""


def plan(events: list[Object], now: float) -> tuple[list[Object], float]:
    """The events to delete now, the oldest first, and the seconds until the next look."""
    old = sorted((event for event in events if last_time(event) + KEPT_SECONDS <= now), key=last_time)
    return old[:AT_ONCE], LOOK_SECONDS if len(old) <= AT_ONCE else 1.0


def last_time(event: Object) -> float:
    """When it last happened. An event without any readable time is as old as can be."""
    series = event.get("series") or {}
    given = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    for stamp in (*given, meta.metadata(event).get("creationTimestamp")):
        try:
            return parse_rfc3339(str(stamp or ""))
        except ValueError:
            continue
    return 0.0


async def reconcile(ctx: Context, key: Key) -> Outcome:
    namespace = ctx.get(NAMESPACE, key)
    if namespace is None or meta.deleting(namespace):
        return Done()
    old, wait = plan((await ctx.client.list(EVENT, key.name, limit=500)).items, ctx.clock.time())
    for event in old:
        try:
            await ctx.client.delete(EVENT, meta.name(event), key.name, resource_version=meta.resource_version(event))
        except (NotFound, Conflict):
            continue  # gone, or it has just happened again
    return After(wait)


def controller() -> Controller:
    return Controller("events", NAMESPACE, reconcile, workers=1)
