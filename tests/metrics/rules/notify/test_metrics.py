"""What alerting counts is exposed under the names that dashboards and our own rules ask for."""

from __future__ import annotations

import asyncio

from prometheus_client import generate_latest

from styr.kit.clock import LoopClock
from styr.kit.metrics import fresh
from styr.metrics.rules.notify.alertmanager import Alertmanagers, Target
from styr.metrics.rules.notify.metrics import register_alertmanagers, register_notifier
from styr.metrics.rules.notify.post import NotSent
from tests.metrics.rules.notify.kit import World, config
from tests.simulation.virtual import run


def test_counters() -> None:
    async def main() -> None:
        registry = fresh()
        world = World(config())
        managers = Alertmanagers(LoopClock())
        await managers.apply([Target("http://am")])
        register_notifier(registry, world.notifier)
        register_alertmanagers(registry, managers)
        await world.notifier.start()
        world.memory["a"].faults = [NotSent("no", again=True)]
        world.fire("A")
        await asyncio.sleep(60)
        text = generate_latest(registry).decode()
        for line in (
            'alertmanager_notifications_total{integration="memory",receiver="a"} 1.0',
            'alertmanager_notifications_failed_total{integration="memory",receiver="a"} 0.0',
            'alertmanager_notification_requests_total{integration="memory",receiver="a"} 2.0',
            'alertmanager_alerts{state="active"} 1.0',
            'alertmanager_silences{state="active"} 0.0',
            "alertmanager_alerts_received_total 1.0",
            'prometheus_notifications_dropped_total{alertmanager="http://am"} 0.0',
            'prometheus_notifications_queue_length{alertmanager="http://am"} 0.0',
        ):
            assert line in text.splitlines()
        await world.notifier.close()
        await managers.close()

    run(main)
