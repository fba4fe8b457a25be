"""Silences: people saying for how long they do not want to hear of something. Called by `api`, `pipeline` and `state`. Pure;
times in milliseconds, ids come in.

A silence is pending, active or expired by its times alone. Changing what an active one silences makes a new one and expires
the old, as Alertmanager does, so that what was silenced when stays true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from styr.metrics.model.errors import BadData, NotFoundError
from styr.metrics.model.labels import Labels
from styr.metrics.rules.notify import matchers as matching
from styr.metrics.rules.notify.matchers import Matchers

State = Literal["pending", "active", "expired"]
RETENTION = 120 * 3_600_000
"""How long an expired silence can still be looked at."""
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Silence:
    id: str
    matchers: Matchers
    starts_at: int
    ends_at: int
    updated_at: int
    created_by: str = ""
    comment: str = ""

    def state(self, now: int) -> State:
        return "pending" if now < self.starts_at else "active" if now < self.ends_at else "expired"


class Silences:
    """All silences by id. `changed` is called after each change."""

    def __init__(self, new_id: Callable[[], str], changed: Callable[[], None] = lambda: None) -> None:
        self._new_id, self._changed = new_id, changed
        self._all: dict[str, Silence] = {}

    def put(self, silence: Silence, now: int) -> str:
        """Creates (id "") or changes one; returns the id under which it stands then. Raises BadData and NotFoundError."""
        check(silence, now)
        old = self._all.get(silence.id)
        if silence.id and old is None:
            raise NotFoundError(f"silence {silence.id} not found")
        if old is not None and _in_place(old, silence, now):
            self._all[old.id] = replace(silence, updated_at=now)
            self._changed()
            return old.id
        if len(self._all) >= MOST:
            raise BadData(f"exceeded maximum number of silences: {MOST}")
        if old is not None and old.state(now) != "expired":
            self._all[old.id] = _expired(old, now)
        made = replace(silence, id=self._new_id(), starts_at=max(silence.starts_at, now), updated_at=now)
        self._all[made.id] = made
        self._changed()
        return made.id

    def expire(self, silence_id: str, now: int) -> None:
        """Raises NotFoundError, and BadData for one that is over already."""
        silence = self.get(silence_id)
        if silence.state(now) == "expired":
            raise BadData(f"silence {silence_id} already expired")
        self._all[silence_id] = _expired(silence, now)
        self._changed()

    def get(self, silence_id: str) -> Silence:
        found = self._all.get(silence_id)
        if found is None:
            raise NotFoundError(f"silence {silence_id} not found")
        return found

    def every(self) -> list[Silence]:
        return list(self._all.values())

    def silencing(self, labels: Labels, now: int) -> list[str]:
        """Ids of the active silences that match, sorted."""
        return sorted(
            each.id
            for each in self._all.values()
            if each.starts_at <= now < each.ends_at and matching.matches(each.matchers, labels)
        )

    def load(self, silences: Iterable[Silence]) -> None:
        """What an earlier process kept."""
        self._all = {silence.id: silence for silence in silences}

    def clean(self, now: int) -> None:
        """Forgets those that expired long ago."""
        over = [key for key, each in self._all.items() if each.ends_at + RETENTION <= now]
        for key in over:
            del self._all[key]
        if over:
            self._changed()


def check(silence: Silence, now: int) -> None:
    """Raises BadData with what is wrong."""
    if not silence.matchers:
        raise BadData("invalid silence: at least one matcher required")
    if all(matcher.matches_empty for matcher in silence.matchers):
        raise BadData("invalid silence: at least one matcher must not match the empty string")
    if silence.ends_at < silence.starts_at:
        raise BadData("invalid silence: end time must not be before start time")
    if silence.ends_at == silence.starts_at:
        raise BadData("failed to create silence: start time must not be equal to end time")
    if silence.ends_at < now:
        raise BadData("failed to create silence: end time can't be in the past")


def _in_place(old: Silence, new: Silence, now: int) -> bool:
    if old.matchers != new.matchers:
        return False
    match old.state(now):
        case "active":
            return old.starts_at == new.starts_at and new.ends_at >= now
        case "pending":
            return new.starts_at >= now
    return False


def _expired(silence: Silence, now: int) -> Silence:
    pending = silence.state(now) == "pending"
    return replace(silence, starts_at=now if pending else silence.starts_at, ends_at=now, updated_at=now)
