"""An alert on its way out: what Alertmanager's API v2 and the embedded notifier are handed. Called by `evaluation` and by
`notifying`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from styr.metrics.model.labels import Labels, make
from styr.metrics.rules.alerting import Alert
from styr.metrics.rules.links import table_link


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Times in milliseconds. An alert whose `ends_at` is past is resolved; a firing one carries the time until which it
    holds unless it is sent again."""

    labels: Labels
    annotations: Labels
    starts_at: int
    ends_at: int
    generator_url: str = ""


Send = Callable[[Sequence[Outgoing]], None]
"""Takes alerts over without waiting: queues, and counts what it must drop."""

Relabel = Callable[[Labels], Labels | None]
"""Changes the labels of an alert, or drops it (None). `notifying` binds it to the relabelling that scraping uses."""


def labelled(alerts: Sequence[Outgoing], external: Labels, relabel: Relabel | None) -> list[Outgoing]:
    """With the server's labels where an alert has none of that name, then relabelled; without those that are dropped."""
    found = []
    for alert in alerts:
        labels: Labels | None = make({**dict(external), **dict(alert.labels)})
        if relabel is not None and labels is not None:
            labels = relabel(labels)
        if labels:
            found.append(replace(alert, labels=labels))
    return found


def outgoing(alerts: Sequence[Alert], expr: str, external_url: str) -> list[Outgoing]:
    link = f"{external_url}{table_link(expr)}"
    return [
        Outgoing(
            alert.labels,
            alert.annotations,
            alert.fired_at if alert.fired_at is not None else alert.active_at,
            alert.resolved_at if alert.resolved_at is not None else alert.valid_until or 0,
            link,
        )
        for alert in alerts
    ]
