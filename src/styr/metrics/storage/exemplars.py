"""The newest exemplars, in a ring. Called by `head` under its lock and by `db` for queries. Pure.

Rules of Prometheus (tsdb/exemplar.go): an exemplar equal to its series' newest is dropped, and one that is older; label names
and values together have at most 128 characters.
"""

from __future__ import annotations

from collections import deque

from styr.metrics.model.samples import Exemplar

MOST_CHARACTERS = 128


class Exemplars:
    def __init__(self, capacity: int) -> None:
        self._ring: deque[tuple[int, Exemplar]] = deque(maxlen=capacity)
        self._newest: dict[int, Exemplar] = {}

    def add(self, ref: int, exemplar: Exemplar) -> bool:
        """Whether it was taken."""
        if sum(len(name) + len(value) for name, value in exemplar.labels) > MOST_CHARACTERS or not self._ring.maxlen:
            return False
        newest = self._newest.get(ref)
        if newest is not None and (newest == exemplar or exemplar.t < newest.t):
            return False
        if len(self._ring) == self._ring.maxlen:
            gone, old = self._ring[0]
            if self._newest.get(gone) is old:
                del self._newest[gone]
        self._ring.append((ref, exemplar))
        self._newest[ref] = exemplar
        return True

    def between(self, start: int, end: int) -> dict[int, list[Exemplar]]:
        """By reference, in the order they came; both times inclusive."""
        found: dict[int, list[Exemplar]] = {}
        for ref, exemplar in self._ring:
            if start <= exemplar.t <= end:
                found.setdefault(ref, []).append(exemplar)
        return found

    def __len__(self) -> int:
        return len(self._ring)

    def all(self) -> list[tuple[int, Exemplar]]:
        return list(self._ring)
