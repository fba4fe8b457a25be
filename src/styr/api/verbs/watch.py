"""GET ?watch=true: the changes of a collection, as they become durable.

Reads the store's window by a cursor; owns no queue. Every fault after the headers is told in the stream, as an ERROR event
that holds a Status: three Python clients understand a 410 only there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import msgspec

from styr.api.call import Call
from styr.api.store.records import Change, EventType, Record, restamp
from styr.api.store.view import Place
from styr.api.store.window import Bell, WindowPassed
from styr.api.table import Form
from styr.api.verbs.list import Filter, before_conversion, read_filter, select
from styr.api.verbs.revisions import parse_version
from styr.kinds.errors import ApiError, Expired, Invalid
from styr.kinds.resources import Object
from styr.kinds.transport import Response

BOOKMARK_EVERY = (30.0, 60.0)
"""Seconds, at random between the two; clients give up on silence after 70."""
DEFAULT_TIMEOUT = (1800.0, 3600.0)
INITIAL_END = "k8s.io/initial-events-end"
_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """`start` None: first everything that is there. `bookmarks` were asked for; `initial` wants the annotated one."""

    filter: Filter
    start: int | None
    bookmarks: bool
    initial: bool
    timeout: float


def read_plan(call: Call) -> Plan:
    """From the query. Raises BadRequest, Invalid."""
    text, match = call.request.param("resourceVersion"), call.request.param("resourceVersionMatch")
    revision = parse_version(text, "resourceVersion")
    asked = call.request.param("sendInitialEvents")
    initial = call.flag("sendInitialEvents")
    if asked and match != "NotOlderThan":
        raise Invalid(
            "ListOptions.meta.k8s.io is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting "
            "resourceVersionMatch to NotOlderThan"
        )
    if match and not asked:
        raise Invalid(
            "ListOptions.meta.k8s.io is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for "
            "watch unless sendInitialEvents is provided"
        )
    start: int | None = revision
    if initial or (not revision and not asked):
        start = None
    elif not revision:
        start = call.core.store.revision
    timeout = call.number("timeoutSeconds") or call.core.random.uniform(*DEFAULT_TIMEOUT)
    return Plan(read_filter(call), start, call.flag("allowWatchBookmarks"), initial, float(timeout))


async def watch(call: Call) -> Response:
    """Status 200 and a stream of `{"type", "object"}` lines; refused before the stream only for a malformed query."""
    plan = read_plan(call)
    # What the watch begins with is what is there now, not when its first byte is asked for: changes between are its events.
    seen = plan.start
    present: list[tuple[Place, Record]] = []
    if seen is None:
        seen = call.core.store.revision
        present = list(select(call.core.store.view(call.served.store_key), before_conversion(call, plan.filter)))
    return Response(200, _stream(call, plan, seen, present), {"content-type": "application/json"})


async def _stream(call: Call, plan: Plan, seen: int, present: list[tuple[Place, Record]]) -> AsyncIterator[bytes]:
    window = call.core.store.window(call.served.store_key)
    bell = Bell(window)
    frame = _framer(call)
    metrics = call.core.metrics
    if metrics is not None:
        metrics.watches.inc()
    try:
        cursor = window.cursor(seen)
        for at in range(0, len(present), _CHUNK):
            chunk = present[at : at + _CHUNK]
            ready = await call.ready([record for _, record in chunk])
            shown = [each for (place, _), each in zip(chunk, ready, strict=True) if plan.filter.matches(place, each)]
            yield b"".join(frame("ADDED", record) for record in shown)
        present.clear()
        if plan.start is None and plan.initial and plan.bookmarks:
            yield _bookmark(call, seen, {INITIAL_END: "true"})
        async for part in _follow(call, plan, bell, cursor, seen, frame):
            yield part
    except WindowPassed:
        yield _error(
            Expired(
                "too old resource version: the changes since then are no longer kept; list again and watch from there"
            )
        )
    except ApiError as error:
        yield _error(error)
    finally:
        bell.close()
        if metrics is not None:
            metrics.watches.dec()


async def _follow(
    call: Call, plan: Plan, bell: Bell, cursor: int, seen: int, frame: Callable[[EventType, Record], bytes]
) -> AsyncIterator[bytes]:
    window = bell.window
    loop = asyncio.get_running_loop()
    end = loop.time() + plan.timeout
    bookmark = loop.time() + call.core.random.uniform(*BOOKMARK_EVERY) if plan.bookmarks else end
    floor = seen
    while True:
        changes = window.read(cursor)
        cursor += len(changes)
        if before_conversion(call, plan.filter) is not plan.filter:
            changes = [await _converted(call, change) for change in changes]
        events = [
            shown
            for change in changes
            if change.revision > floor and (shown := transition(plan.filter, change)) is not None
        ]
        if changes:
            seen = max(seen, changes[-1].revision)
        if events:
            ready = await call.ready([record for _, record in events])
            yield b"".join(frame(kind, record) for (kind, _), record in zip(events, ready, strict=True))
        if changes:
            continue
        # Nothing is left in the window, so all up to the store's revision has been told.
        seen = max(seen, call.core.store.revision)
        now = loop.time()
        if now >= end:
            if plan.bookmarks:
                yield _bookmark(call, seen)
            return
        if now >= bookmark:
            bookmark = now + call.core.random.uniform(*BOOKMARK_EVERY)
            yield _bookmark(call, seen)
            continue
        await bell.wait(min(end, bookmark))


async def _converted(call: Call, change: Change) -> Change:
    """The change, in the version that was asked for: its selected fields stand in that one only."""
    known = [record for record in (change.old, change.new, change.last) if record is not None]
    ready = dict(zip(map(id, known), await call.ready(known), strict=True))
    old, new, last = (record and ready[id(record)] for record in (change.old, change.new, change.last))
    return replace(change, old=old, new=new, last=last)


def transition(wanted: Filter, change: Change) -> tuple[EventType, Record] | None:
    """What a watcher with this filter is shown of a change. One that stops matching is DELETED: the old object with the
    new revision; one that starts matching is ADDED."""
    place = (change.key.namespace, change.key.name)
    before = change.old is not None and wanted.matches(place, change.old)
    after = change.new is not None and wanted.matches(place, change.new)
    if after and change.new is not None:
        return ("MODIFIED" if before else "ADDED"), change.new
    if before and change.old is not None:
        return "DELETED", change.last or restamp(change.old, change.revision)
    return None


def _framer(call: Call) -> Callable[[EventType, Record], bytes]:
    """Events in the form that was asked for. In a Table, only the first carries the column definitions."""
    if call.form is Form.OBJECT:
        return lambda kind, record: _event(kind, call.outward(record))
    first = True

    def frame(kind: EventType, record: Record) -> bytes:
        nonlocal first
        shown = call.show(call.present(record), headers=first)
        first = False
        return _line(kind, shown)

    return frame


@lru_cache(maxsize=16)
def _event(kind: EventType, data: bytes) -> bytes:
    """The line of an event: made for the first of its watchers, the same bytes for the others."""
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), data)


def _bookmark(call: Call, revision: int, annotations: dict[str, str] | None = None) -> bytes:
    resource = call.served.resource
    metadata: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    if call.form is not Form.OBJECT:
        return _line("BOOKMARK", call.form.empty(metadata))
    obj: Object = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
    return _line("BOOKMARK", obj)


def _error(error: ApiError) -> bytes:
    return _line("ERROR", error.to_status())


def _line(kind: EventType, obj: Object) -> bytes:
    return msgspec.json.encode({"type": kind, "object": obj}) + b"\n"
