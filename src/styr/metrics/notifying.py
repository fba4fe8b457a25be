"""Where alerts go: Alertmanagers of the configuration, the embedded notifier, or both. Called by `assemble`.

The notifier runs when `--notify FILE` names its configuration, which is Alertmanager's; its API is at /api/v2 of this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from styr.kinds.transport import Handler
from styr.kit.clock import Clock
from styr.kit.metrics import CollectorRegistry
from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import Labels, make
from styr.metrics.rules.notify import config as notify
from styr.metrics.rules.notify.alertmanager import Alertmanagers
from styr.metrics.rules.notify.api import Api
from styr.metrics.rules.notify.metrics import register_alertmanagers, register_notifier
from styr.metrics.rules.notify.notifier import Notifier
from styr.metrics.rules.notify.targets import read_targets, relabel_configs
from styr.metrics.rules.outgoing import Outgoing, Relabel, labelled
from styr.metrics.scrape.config import parse_rules
from styr.metrics.scrape.fields import Fields
from styr.metrics.scrape.relabel import relabel


def relabelling(section: Mapping[str, Any]) -> Relabel | None:
    """`alerting.alert_relabel_configs`, with what scraping uses. Raises BadData."""
    fields = Fields({"alert_relabel_configs": relabel_configs(section)}, "alerting")
    rules = parse_rules(fields, "alert_relabel_configs")
    if not rules:
        return None

    def apply(labels: Labels) -> Labels | None:
        found = dict(labels)
        return make(found) if relabel(rules, found) else None

    return apply


def _parsed(file: Path) -> notify.Config:
    try:
        return notify.parse(file.read_text(encoding="utf-8"), file.parent)
    except UnicodeDecodeError as error:
        raise BadData(f"{file} is no UTF-8: {error}") from None


class Notifying:
    """Raises BadData for a configuration that is wrong, OSError for one that cannot be read."""

    def __init__(
        self,
        alerting: Mapping[str, Any],
        file: Path | None,
        clock: Clock,
        data_dir: Path,
        external_labels: Labels,
        external_url: str,
    ) -> None:
        self._targets = read_targets(alerting)
        self._external, self._relabel = external_labels, relabelling(alerting)
        self._alertmanagers = Alertmanagers(clock)
        self._notifier: Notifier | None = None
        self._file = file
        if file is not None:
            self._notifier = Notifier(_parsed(file), clock, data_dir / "notifier.json", external_url)

    @property
    def api(self) -> Handler | None:
        """Alertmanager's API v2, when the notifier runs."""
        return None if self._notifier is None else Api(self._notifier)

    @property
    def urls(self) -> list[str]:
        """Of the Alertmanagers, as `alertmanagers` shows them."""
        return [f"{target.url}/api/v2/alerts" for target in self._targets]

    def register(self, registry: CollectorRegistry) -> None:
        """What is counted of alerts on their way."""
        register_alertmanagers(registry, self._alertmanagers)
        if self._notifier is not None:
            register_notifier(registry, self._notifier)

    def send(self, alerts: Sequence[Outgoing]) -> None:
        """Queues; never waits. Both get the same: with the labels of the server, and relabelled."""
        alerts = labelled(alerts, self._external, self._relabel)
        self._alertmanagers.send(alerts)
        if self._notifier is not None and alerts:
            self._notifier.send(alerts)

    async def apply(self, alerting: Mapping[str, Any], external_labels: Labels) -> None:
        """Another configuration, and the notifier's read again. Raises BadData and OSError, and everything stays as it was."""
        targets, relabel = read_targets(alerting), relabelling(alerting)
        notifier = None if self._file is None else await asyncio.to_thread(_parsed, self._file)
        self._targets, self._relabel, self._external = targets, relabel, external_labels
        await self._alertmanagers.apply(targets)
        if self._notifier is not None and notifier is not None:
            self._notifier.reload(notifier)

    async def start(self) -> None:
        """Raises StorageError when the notifier's state cannot be read."""
        if self._notifier is not None:
            await self._notifier.start()
        await self._alertmanagers.apply(self._targets)

    async def close(self) -> None:
        await self._alertmanagers.close()
        if self._notifier is not None:
            await self._notifier.close()
