"""API priority and fairness: every request falls under a FlowSchema, waits its turn in that one's priority level, or is sent
away with 429 and told when to come again.

Called by the server around each request. Follows the objects of the store; decides by `flows` and `fairness`. Requests that
last (watches once they stream, logs, exec) hold no seat; those of the level `exempt` are never held up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from styr.api.default_flows import CATCH_ALL, EXEMPT
from styr.api.filters.asked import Asked
from styr.api.filters.fairness import Fairness, Level, Refused, Seat
from styr.api.filters.flows import LevelSpec, Rules, Schema, read_level, read_schema
from styr.api.store.commit import Store
from styr.api.store.records import Change
from styr.kinds.errors import TooManyRequests
from styr.kinds.resources import FLOW_SCHEMA, PRIORITY_LEVEL
from styr.kinds.transport import Request, User
from styr.kit.clock import Clock

RETRY_AFTER = 1
"""Seconds."""
OBJECTS_A_SEAT = 100
MOST_SEATS = 10
"""Of one list."""
_REMEMBERED = 1024
_KEYS = (FLOW_SCHEMA.group_resource, PRIORITY_LEVEL.group_resource)
_LAST = Schema(CATCH_ALL, "", 10_000, CATCH_ALL, "ByUser", ())
_FIRST = Schema(EXEMPT, "", 1, EXEMPT, "", ())
_MASTERS = "system:masters"


class Place(NamedTuple):
    """What a request fell under, and how its answer tells it."""

    schema: Schema
    level: Level
    headers: dict[str, str]

    @classmethod
    def of(cls, schema: Schema, level: Level) -> Place:
        told = {
            "x-kubernetes-pf-flowschema-uid": schema.uid,
            "x-kubernetes-pf-prioritylevel-uid": level.spec.uid,
        }
        return cls(schema, level, {name: uid for name, uid in told.items() if uid})


class Priority:
    """Call `start` before the first request."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._fairness = Fairness(clock.monotonic)
        self._schemas: list[tuple[Schema, Level]] = []
        self._known: dict[tuple[str, tuple[str, ...]], list[tuple[Place, tuple[Rules, ...]]]] = {}
        self._last = self._first = Place.of(_LAST, Level(LevelSpec(CATCH_ALL)))

    def start(self) -> None:
        self._read()
        self._store.on_commit(self._changed)

    def _changed(self, changes: Iterable[Change]) -> None:
        if any(change.key.resource in _KEYS for change in changes):
            self._read()

    def _read(self) -> None:
        """Both kinds, whole: they are few, and change seldom."""
        specs = {spec.name: spec for spec in map(read_level, self._objects(PRIORITY_LEVEL.group_resource))}
        specs.setdefault(EXEMPT, LevelSpec(EXEMPT, exempt=True, shares=0))
        specs.setdefault(CATCH_ALL, LevelSpec(CATCH_ALL, shares=5))
        self._fairness.configure(specs.values())
        levels = self._fairness.levels
        schemas = [read_schema(obj) for obj in self._objects(FLOW_SCHEMA.group_resource)]
        known = {schema.name: schema for schema in schemas}
        self._first = Place.of(known.get(EXEMPT, _FIRST), levels[EXEMPT])
        self._last = Place.of(known.get(CATCH_ALL, _LAST), levels[CATCH_ALL])
        ordered = sorted(schemas, key=lambda schema: (schema.precedence, schema.name))
        self._schemas = [(schema, levels[schema.level]) for schema in ordered if schema.level in specs]
        self._known.clear()

    def _objects(self, key: str) -> Iterator[dict[str, object]]:
        return (record.decode() for record in self._store.state(key).values())

    def place(self, user: User, asked: Asked) -> Place:
        """The first schema that matches; `exempt` for system:masters, whatever the objects say, and `catch-all` for what
        nothing matches."""
        if _MASTERS in user.groups:
            return self._first
        candidates = self._known.get((user.name, user.groups))
        if candidates is None:
            candidates = self._candidates(user)
        for place, rules in candidates:
            for rule in rules:
                if rule.matches(asked):
                    return place
        return self._last

    def _candidates(self, user: User) -> list[tuple[Place, tuple[Rules, ...]]]:
        found = [
            (Place.of(schema, level), rules)
            for schema, level in self._schemas
            if (rules := tuple(rule for rule in schema.rules if rule.concerns(user)))
        ]
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[user.name, user.groups] = found
        return found

    async def enter(self, place: Place, user: User, asked: Asked, request: Request) -> Seat | None:
        """A seat, which its holder gives back; None for a request that needs none. Raises TooManyRequests."""
        level = place.level
        if level.spec.exempt:
            level.dispatched += 1
            return None
        if asked.lasts and asked.verb != "watch":
            return None
        seats = self._seats(asked, request) if asked.verb == "list" else 1
        try:
            seat = self._fairness.take(level, seats)
            if seat is None:
                flow = f"{place.schema.name}\0{place.schema.flow(user, asked)}"
                seat = await self._fairness.wait(level, flow, seats)
        except Refused:
            raise TooManyRequests(
                "too many requests, please try again later.", details={"retryAfterSeconds": RETRY_AFTER}
            ) from None
        return seat

    def _seats(self, asked: Asked, request: Request) -> int:
        key = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
        count = len(self._store.state(key))
        if count <= OBJECTS_A_SEAT:
            return 1
        limit = request.param("limit")
        if limit.isascii() and limit.isdigit() and len(limit) < 10 and int(limit):
            count = min(count, int(limit))
        return min(MOST_SEATS, -(-count // OBJECTS_A_SEAT))

    def levels(self) -> Iterable[Level]:
        """For the metrics."""
        return self._fairness.levels.values()
