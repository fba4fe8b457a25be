"""What alerting counts, under the names of Prometheus and Alertmanager, so that their dashboards and rules fit. Called by
whoever has the registry; values are read where they are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from styr.kit.metrics import CollectorRegistry, Read, Value
from styr.metrics.rules.notify import alertmanager, pipeline
from styr.metrics.rules.notify.alertmanager import Alertmanagers
from styr.metrics.rules.notify.notifier import Notifier

_Rows = Iterable[tuple[tuple[str, ...], float]]


def register_alertmanagers(registry: CollectorRegistry, managers: Alertmanagers) -> None:
    def each(of: Callable[[alertmanager.Counters], float]) -> Callable[[], _Rows]:
        return lambda: [((url,), float(of(counters))) for url, counters in managers.counters.items()]

    def queued() -> _Rows:
        return [((url,), float(length)) for url, length in managers.queued.items()]

    label = ("alertmanager",)
    name = "prometheus_notifications"
    Read(
        registry,
        Value(f"{name}_sent", "Alerts sent.", each(lambda c: c.sent), label, "counter"),
        Value(f"{name}_errors", "Alerts in requests that failed.", each(lambda c: c.errors), label, "counter"),
        Value(f"{name}_dropped", "Alerts given up.", each(lambda c: c.dropped), label, "counter"),
        Value(f"{name}_latency_seconds", "Of the last request that arrived.", each(lambda c: c.latency), label),
        Value(f"{name}_queue_length", "Alerts that wait.", queued, label),
        Value(f"{name}_queue_capacity", "Alerts that can wait.", lambda: [((), float(managers.most_queue))]),
        Value(f"{name}_alertmanagers_discovered", "Alertmanagers.", lambda: [((), float(len(managers.counters)))]),
    )


def register_notifier(registry: CollectorRegistry, notifier: Notifier) -> None:
    def each(of: Callable[[pipeline.Counters], float]) -> Callable[[], _Rows]:
        return lambda: [((kind, name), float(of(counters))) for (name, kind), counters in notifier.counters.items()]

    def alerts() -> _Rows:
        now = notifier.now()
        firing = [not alert.resolved(now) for alert in notifier.alerts()]
        return [(("active",), float(sum(firing))), (("resolved",), float(len(firing) - sum(firing)))]

    def silences() -> _Rows:
        now = notifier.now()
        states = [each.state(now) for each in notifier.silences.every()]
        return [((state,), float(states.count(state))) for state in ("active", "pending", "expired")]

    labels = ("integration", "receiver")
    name = "alertmanager_notification"
    Read(
        registry,
        Value(
            f"{name}s",
            "Notifications that arrived or were given up.",
            each(lambda c: c.sent + c.failed),
            labels,
            "counter",
        ),
        Value(f"{name}s_failed", "Notifications given up.", each(lambda c: c.failed), labels, "counter"),
        Value(f"{name}_requests", "Tries.", each(lambda c: c.requests), labels, "counter"),
        Value(f"{name}_requests_failed", "Tries that failed.", each(lambda c: c.request_failures), labels, "counter"),
        Value("styr_notification_seconds", "Time spent on tries.", each(lambda c: c.seconds), labels, "counter"),
        Value("alertmanager_alerts", "Alerts known.", alerts, ("state",)),
        Value("alertmanager_silences", "Silences known.", silences, ("state",)),
        Value(
            "alertmanager_alerts_received", "Alerts taken in.", lambda: [((), float(notifier.received))], kind="counter"
        ),
        Value(
            "styr_notifier_alerts_dropped",
            "Alerts that were too many.",
            lambda: [((), float(notifier.dropped))],
            kind="counter",
        ),
        Value("alertmanager_dispatcher_aggregation_groups", "Groups.", lambda: [((), float(len(notifier.groups)))]),
    )
