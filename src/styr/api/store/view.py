"""One resource at one revision, in order of namespace and name: what lists, pages and watches begin with.

Made by `commit.Store.view`; a view is read at once, before the next write is published. A page of it costs what the page
holds, not what the store holds. Changes nothing.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from styr.api.store.records import Record

Place = tuple[str, str]
"""(namespace, name) within one resource."""


@dataclass(frozen=True, slots=True)
class View:
    """`state` is the newest, `places` its keys in order; `before` says what the objects that have changed since then were,
    None for those that were not there."""

    places: Sequence[Place]
    state: Mapping[Place, Record]
    before: Mapping[Place, Record | None] = field(default_factory=dict)

    def get(self, place: Place) -> Record | None:
        return self.before[place] if place in self.before else self.state.get(place)

    def items(self, namespace: str = "", after: Place | None = None) -> Iterator[tuple[Place, Record]]:
        """In order: those of a namespace ("": of all), beyond `after`."""
        low, high = self._range(namespace, after)
        places: Iterator[Place] = (self.places[index] for index in range(low, high))
        if self.before:
            places = heapq.merge(places, sorted(self._gone(namespace, after)))
        for place in places:
            record = self.get(place)
            if record is not None:
                yield place, record

    def count(self, namespace: str = "", after: Place | None = None) -> int:
        """How many `items` there are."""
        low, high = self._range(namespace, after)
        made = sum(
            record is None and place in self.state and _within(place, namespace, after)
            for place, record in self.before.items()
        )
        return high - low - made + len(self._gone(namespace, after))

    def _range(self, namespace: str, after: Place | None) -> tuple[int, int]:
        low, high = 0, len(self.places)
        if namespace:
            low = bisect_left(self.places, (namespace, ""))
            high = bisect_left(self.places, (namespace + "\0", ""), low)
        if after is not None:
            low = bisect_right(self.places, after, low, max(low, high))
        return low, high

    def _gone(self, namespace: str, after: Place | None) -> list[Place]:
        """Those that were there and are no more."""
        return [
            place
            for place, record in self.before.items()
            if record is not None and place not in self.state and _within(place, namespace, after)
        ]


def _within(place: Place, namespace: str, after: Place | None) -> bool:
    return namespace in ("", place[0]) and (after is None or place > after)
