"""When a group of alerts is told about. Called by `notifier`, which sleeps until `next_at` and sends what `due` hands it.
Pure: times come in, in milliseconds.

A group begins with its first alert; it is flushed after group_wait (at once, when that alert is older), then every
group_interval until it is empty. Flushing is not telling: `pipeline` decides whether anything is new.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from styr.metrics.model.labels import Labels
from styr.metrics.rules.notify.alert import Alert, label_text, order
from styr.metrics.rules.notify.route import Route

FOREVER = 1 << 62
"""`ends_at` of an alert that fires in a flush, so that it cannot resolve while it is being sent."""


@dataclass(slots=True)
class Group:
    route: Route
    labels: Labels
    next_at: int
    alerts: dict[str, Alert] = field(default_factory=dict)
    flushed: bool = False
    busy: bool = False

    @property
    def key(self) -> str:
        return f"{self.route.key}:{label_text(self.labels)}"


@dataclass(frozen=True, slots=True)
class Flush:
    """What a group held at `now`, sorted."""

    group: Group
    now: int
    alerts: tuple[Alert, ...]


class Groups:
    """All groups of one routing tree."""

    def __init__(self, root: Route) -> None:
        self.root = root
        self._groups: dict[tuple[str, Labels], Group] = {}
        self._queue: list[tuple[int, int, Group]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def insert(self, alert: Alert, now: int) -> list[Group]:
        """Puts a new or changed alert into its groups. A resolved alert begins no group."""
        out = []
        for route in self.root.find(alert.labels):
            labels = route.group(alert.labels)
            group = self._groups.get((route.id, labels))
            if group is None:
                if alert.resolved(now):
                    continue
                group = self._groups[route.id, labels] = Group(route, labels, now + route.options.group_wait)
                self._plan(group)
            group.alerts[alert.fingerprint] = alert
            if not group.flushed and alert.starts_at + route.options.group_wait < now < group.next_at:
                group.next_at = now
                self._plan(group)
            out.append(group)
        return out

    @property
    def next_at(self) -> int | None:
        """When `due` has something, None: not before an alert comes."""
        while self._queue and self._queue[0][2].next_at != self._queue[0][0]:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def due(self, now: int) -> list[Flush]:
        """The groups to flush, each planned again for a group_interval later. A group whose last flush is not over waits."""
        out = []
        while (at := self.next_at) is not None and at <= now:
            group = heapq.heappop(self._queue)[2]
            group.next_at = now + group.route.options.group_interval
            self._plan(group)
            if group.busy:
                continue
            if not group.alerts:
                self._drop(group)
                continue
            group.flushed = group.busy = True
            alerts = (a if a.resolved(now) else replace(a, ends_at=FOREVER) for a in group.alerts.values())
            out.append(Flush(group, now, tuple(order(alerts))))
        return out

    def done(self, flush: Flush, success: bool) -> None:
        """After a flush that reached everybody, resolved alerts that have not changed since are forgotten, and with the last
        of them the group."""
        group = flush.group
        group.busy = False
        if success:
            for alert in flush.alerts:
                if alert.ends_at != FOREVER and group.alerts.get(alert.fingerprint) == alert:
                    del group.alerts[alert.fingerprint]
        if not group.alerts:
            self._drop(group)

    def _drop(self, group: Group) -> None:
        if self._groups.get((group.route.id, group.labels)) is group:
            del self._groups[group.route.id, group.labels]
        group.next_at = -1

    def _plan(self, group: Group) -> None:
        self._count += 1
        heapq.heappush(self._queue, (group.next_at, self._count, group))


def regroup(root: Route, alerts: Iterable[Alert], now: int) -> Groups:
    """The groups of a changed routing tree."""
    groups = Groups(root)
    for alert in alerts:
        groups.insert(alert, now)
    return groups
