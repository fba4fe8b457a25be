"""Alerts, groups and silences as Alertmanager's API v2 lists them. Called by `api`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from styr.kinds.transport import Request
from styr.metrics.model.errors import BadData
from styr.metrics.model.matchers import compile_regex
from styr.metrics.rules.notify import matchers as matching
from styr.metrics.rules.notify.alert import Alert
from styr.metrics.rules.notify.grouping import FOREVER
from styr.metrics.rules.notify.inhibit import Inhibitor
from styr.metrics.rules.notify.intervals import Interval
from styr.metrics.rules.notify.matchers import Matchers
from styr.metrics.rules.notify.notifier import Notifier
from styr.metrics.rules.notify.route import Route
from styr.metrics.rules.notify.silences import Silence
from styr.metrics.rules.status import moment


@dataclass(slots=True)
class Listing:
    """One request's view: which alerts it asks for, and what keeps them quiet."""

    notifier: Notifier
    now: int
    inhibitor: Inhibitor
    filters: Matchers
    receiver: Callable[[str], bool]
    active: bool
    silenced: bool
    inhibited: bool
    muted: bool

    @classmethod
    def of(cls, notifier: Notifier, request: Request) -> Listing:
        """Raises BadData for a filter that is none."""
        now = notifier.now()
        filters = [matcher for key, text in request.query if key == "filter" for matcher in matching.parse(text)]
        pattern = request.param("receiver")
        return cls(
            notifier,
            now,
            Inhibitor(notifier.config.inhibit_rules, notifier.alerts(), now),
            tuple(filters),
            compile_regex(pattern) if pattern else lambda _: True,
            *(_flag(request, name) for name in ("active", "silenced", "inhibited", "muted")),
        )

    def alerts(self) -> list[dict[str, Any]]:
        """Those that still fire, by fingerprint."""
        out = []
        for alert in self.notifier.alerts():
            if alert.resolved(self.now):
                continue
            receivers = [route.options.receiver for route in self.notifier.config.route.find(alert.labels)]
            if any(map(self.receiver, receivers)):
                shown = self._shown(alert, receivers, [])
                if shown is not None:
                    out.append(shown)
        return sorted(out, key=lambda each: each["fingerprint"])

    def groups(self) -> list[dict[str, Any]]:
        """Not empty ones, by labels and receiver."""
        out = []
        for group in self.notifier.groups:
            receiver = group.route.options.receiver
            if not self.receiver(receiver):
                continue
            mutes = self._muted_by(group.route)
            if mutes and not self.muted:
                continue
            alerts = (each for each in group.alerts.values() if not each.resolved(self.now))
            shown = [each for each in (self._shown(alert, [receiver], mutes) for alert in alerts) if each is not None]
            if shown:
                key = (group.labels, receiver)
                entry = {
                    "labels": dict(group.labels),
                    "routeLabels": {},
                    "receiver": {"name": receiver},
                    "alerts": sorted(shown, key=lambda each: each["fingerprint"]),
                }
                out.append((key, entry))
        return [entry for _, entry in sorted(out, key=lambda pair: pair[0])]

    def _muted_by(self, route: Route) -> list[str]:
        intervals = self.notifier.config.intervals

        def within(ranges: Iterable[Interval]) -> bool:
            return any(each.contains(self.now) for each in ranges)

        muted = [name for name in route.mute if within(intervals[name])]
        if route.active and not any(within(intervals[name]) for name in route.active):
            muted += route.active
        return muted

    def _shown(self, alert: Alert, receivers: list[str], mutes: list[str]) -> dict[str, Any] | None:
        """None when the request does not ask for it."""
        if not matching.matches(self.filters, alert.labels):
            return None
        silenced = self.notifier.silences.silencing(alert.labels, self.now)
        by = self.inhibitor.by(alert.labels)
        quiet = bool(silenced or by or mutes)
        if (not self.active and not quiet) or (not self.silenced and silenced) or (not self.inhibited and by):
            return None
        status = {
            "state": "suppressed" if quiet else "active",
            "silencedBy": silenced,
            "inhibitedBy": [by] if by else [],
            "mutedBy": mutes,
        }
        return {
            "annotations": dict(alert.annotations),
            "endsAt": moment(None if alert.ends_at >= FOREVER else alert.ends_at),
            "fingerprint": alert.fingerprint,
            "receivers": [{"name": name} for name in receivers],
            "startsAt": moment(alert.starts_at),
            "status": status,
            "updatedAt": moment(alert.updated_at),
            "generatorURL": alert.generator_url,
            "labels": dict(alert.labels),
        }


def _flag(request: Request, name: str) -> bool:
    text = request.param(name, "true").lower()
    if text not in ("true", "false", "1", "0"):
        raise BadData(f"{name} must be true or false, not {text[:20]!r}")
    return text in ("true", "1")


def silence_json(silence: Silence, now: int) -> dict[str, Any]:
    return {
        "id": silence.id,
        "status": {"state": silence.state(now)},
        "updatedAt": moment(silence.updated_at),
        "annotations": {},
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": moment(silence.ends_at),
        "matchers": [matching.as_json(matcher) for matcher in silence.matchers],
        "startsAt": moment(silence.starts_at),
    }


def sorted_silences(silences: Iterable[Silence], now: int) -> list[Silence]:
    """Active ones by their end, pending ones by their start, expired ones by their end, the latest first."""

    def key(silence: Silence) -> tuple[int, int]:
        match silence.state(now):
            case "active":
                return 0, silence.ends_at
            case "pending":
                return 1, silence.starts_at
        return 2, -silence.ends_at

    return sorted(silences, key=key)
