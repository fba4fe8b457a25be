"""Alertmanagers and the embedded notifier are told the same, by what the configuration says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from styr.kit.clock import SystemClock
from styr.metrics.config import Config, read
from styr.metrics.notifying import Notifying
from tests.metrics.rules.notify.kit import Peer
from tests.metrics.rules.notify.test_alertmanager import outgoing

DROP = {"source_labels": ["alertname"], "regex": "Drop.*", "action": "drop"}
RENAME = {"target_label": "team", "replacement": "ops"}


def config(site: str, *targets: str, relabel: tuple[dict[str, Any], ...] = ()) -> Config:
    managers = [{"static_configs": [{"targets": [target.removeprefix("http://") for target in targets]}]}]
    alerting = {"alert_relabel_configs": list(relabel), "alertmanagers": managers}
    return read({"global": {"external_labels": {"site": site}}, "alerting": alerting}, Path())


def notifier(file: Path, url: str, receiver: str = "r") -> Path:
    file.write_text(
        f"route: {{receiver: {receiver}, group_wait: 1ms, group_interval: 1s, group_by: ['...']}}\n"
        f"receivers: [{{name: {receiver}, webhook_configs: [{{url: '{url}/'}}]}}]\n"
    )
    return file


async def told(peer: Peer, count: int) -> list[Any]:
    async with asyncio.timeout(20):
        while len(peer.requests) < count:
            await asyncio.sleep(0.01)
    return [sent for _, _, sent in peer.requests]


async def test_both_get_the_labels_of_the_server_and_relabelling(tmp_path: Path) -> None:
    async with Peer() as manager, Peer() as hook:
        clock, found = SystemClock(), config("eu", manager.url, relabel=(DROP, RENAME))
        file = notifier(tmp_path / "am.yml", hook.url)
        notifying = Notifying(found.alerting, file, clock, tmp_path, found.external_labels, "http://styr")
        await notifying.start()
        try:
            now = clock.time()
            notifying.send([outgoing("A", now), outgoing("Dropped", now), outgoing("B", now, site="own")])
            (sent,) = await told(manager, 1)
            want = [
                {"alertname": "A", "site": "eu", "team": "ops"},
                {"alertname": "B", "site": "own", "team": "ops"},
            ]
            assert [alert["labels"] for alert in sent] == want
            webhooks = await told(hook, 2)
            assert (
                sorted((a["labels"] for m in webhooks for a in m["alerts"]), key=lambda each: each["alertname"]) == want
            )
        finally:
            await notifying.close()
