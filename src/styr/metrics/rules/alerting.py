"""Alerting rules: inactive, pending, firing. Called by `evaluation`, `restore`, `status` and `unittest`. Pure: times
come in.

    inactive --result--> pending --`for` is over--> firing --no result, keep_firing_for over--> inactive (kept 15 minutes)

The rules are Prometheus 3.14's (rules/alerting.go), down to what ALERTS carries when a label template expands to
nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import METRIC_NAME, Labels, make
from styr.metrics.rules.evaluate import RuleFailed, Sample, Value, Vector
from styr.metrics.rules.groups import Rule

State = Literal["inactive", "pending", "firing", "unknown"]
RANK: Mapping[State, int] = {"unknown": 0, "inactive": 1, "pending": 2, "firing": 3}

ALERTS, ALERTS_FOR_STATE = "ALERTS", "ALERTS_FOR_STATE"
RESOLVED_RETENTION = 15 * 60_000
"""How long a resolved alert is kept and told about, so that neither a network fault nor an Alertmanager's restart loses
it."""

Expand = Callable[[str, Labels, Value], str]
"""(template, labels of the result, its value) to text; errors are in the text, as Prometheus has them."""


@dataclass(slots=True)
class Alert:
    """One instance. Times in milliseconds, None: not yet. `value` is 0 for a histogram, as in Prometheus' API."""

    labels: Labels
    annotations: Labels
    value: float
    active_at: int
    state: State = "pending"
    fired_at: int | None = None
    resolved_at: int | None = None
    last_sent: int | None = None
    valid_until: int | None = None
    keep_firing_since: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A result of the expression with its templates expanded: what may become an alert."""

    labels: Labels
    annotations: Labels
    value: float


def candidates(rule: Rule, result: Vector, expand: Expand) -> list[Candidate]:
    """Expands labels and annotations of every result. Runs in a worker thread, since templates may query. Raises
    RuleFailed when two results get the same labels."""
    out: dict[Labels, Candidate] = {}
    for labels, value in result:
        plain = {name: text for name, text in labels if name != METRIC_NAME}
        plain.update((name, expand(text, labels, value)) for name, text in rule.labels)
        plain["alertname"] = rule.name
        annotations = tuple((name, expand(text, labels, value)) for name, text in rule.annotations)
        identity = make(plain)
        if identity in out:
            raise RuleFailed("vector contains metrics with the same labelset after applying alert labels")
        out[identity] = Candidate(identity, annotations, 0.0 if isinstance(value, Histogram) else value)
    return list(out.values())


class AlertStates:
    """The instances of one alerting rule. `restored` False: the `for` state of an earlier process is still to be looked
    up, and until then nothing is written that could overwrite it."""

    __slots__ = ("active", "restored", "rule")

    def __init__(self, rule: Rule, *, restored: bool = True) -> None:
        self.rule = rule
        self.restored = restored
        self.active: dict[Labels, Alert] = {}

    def step(self, found: Iterable[Candidate], ts: int, offset: int, limit: int) -> list[Sample]:
        """One evaluation at `ts`, with samples stamped `ts - offset`. Raises RuleFailed, and forgets all instances,
        beyond `limit`."""
        seen = set()
        for candidate in found:
            seen.add(candidate.labels)
            alert = self.active.get(candidate.labels)
            if alert is not None and alert.state != "inactive":
                alert.value, alert.annotations = candidate.value, candidate.annotations
            else:
                self.active[candidate.labels] = Alert(candidate.labels, candidate.annotations, candidate.value, ts)
        samples: list[Sample] = []
        live = 0
        for labels, alert in list(self.active.items()):
            if labels in seen:
                alert.keep_firing_since = None
            elif not self._without_result(alert, ts):
                continue
            live += 1
            self._hold(alert, ts)
            if self.restored:
                samples += self._samples(alert, ts - offset)
        if 0 < limit < live:
            self.active = {}
            raise RuleFailed(f"exceeded limit of {limit} with {live} alerts")
        return samples

    def _without_result(self, alert: Alert, ts: int) -> bool:
        """True while keep_firing_for holds it."""
        keep = False
        if alert.state == "firing" and self.rule.keep_firing > 0:
            if alert.keep_firing_since is None:
                alert.keep_firing_since = ts
            keep = ts - alert.keep_firing_since < self.rule.keep_firing
        over = alert.resolved_at is not None and ts - alert.resolved_at > RESOLVED_RETENTION
        if alert.state == "pending" or over:
            del self.active[alert.labels]
        if alert.state != "inactive" and not keep:
            alert.state, alert.resolved_at = "inactive", ts
        return keep

    def _hold(self, alert: Alert, ts: int) -> None:
        waited = ts - alert.active_at
        if alert.state == "pending" and waited >= self.rule.hold:
            alert.state, alert.fired_at = "firing", ts
        if alert.state == "firing" and waited < self.rule.hold:
            alert.state = "pending"
            alert.fired_at = alert.last_sent = alert.keep_firing_since = None

    def _samples(self, alert: Alert, t: int) -> list[Sample]:
        own = {**dict(self.rule.labels), **dict(alert.labels), "alertname": self.rule.name}
        state = make({**own, METRIC_NAME: ALERTS, "alertstate": alert.state})
        since = make({**own, METRIC_NAME: ALERTS_FOR_STATE})
        return [Sample(state, t, 1.0), Sample(since, t, float(alert.active_at // 1000))]

    def due(self, ts: int, resend_delay: int, interval: int) -> list[Alert]:
        """Copies of the alerts that receivers must be told about now, stamped as sent: firing ones at least every
        `resend_delay`, each valid for four times the longer of that and the interval; resolved ones at once, then
        likewise."""
        out = []
        for alert in self.active.values():
            if alert.state == "pending":
                continue
            sent = alert.last_sent
            news = alert.resolved_at is not None and (sent is None or alert.resolved_at > sent)
            if news or sent is None or sent + resend_delay < ts:
                alert.last_sent = ts
                alert.valid_until = ts + 4 * max(interval, resend_delay)
                out.append(replace(alert))
        return out

    def alerts(self) -> list[Alert]:
        """Pending and firing ones."""
        return [alert for alert in self.active.values() if alert.resolved_at is None]

    @property
    def state(self) -> State:
        """Of the whole rule: the highest of its instances'."""
        return max((alert.state for alert in self.active.values()), key=RANK.__getitem__, default="inactive")

    def restore(self, recorded: Mapping[Labels, tuple[int, float]], ts: int, grace: int) -> None:
        """Takes over since when alerts were active in an earlier process. `recorded`: by the labels of ALERTS_FOR_STATE
        without its name, time in milliseconds and value of the last sample, those that had gone stale left out.
        `grace`: an alert whose `for` was nearly over waits that long at least, so that it does not fire before the data
        is whole again."""
        hold = self.rule.hold
        for alert in self.active.values() if hold >= grace else ():
            found = recorded.get(alert.labels)
            if found is None:
                continue
            down_at, since = found[0] // 1000 * 1000, int(found[1]) * 1000
            remaining = hold - (down_at - since)
            if 0 < remaining < grace:
                since = ts + grace - hold
            elif remaining > 0:
                since += ts - down_at  # the time it was down does not count as pending
            alert.active_at = since
        self.restored = True
