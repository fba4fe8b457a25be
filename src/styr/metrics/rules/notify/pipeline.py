"""One flush of a group on its way: who is muted, what is new, sending it until it arrives, remembering that it did. Called by
`notifier` for each flush.

Per integration: the notification log is asked, the receiver is tried with growing pauses until the next flush would come, and
the log is written to disk before the flush counts as done. So a notification is told at least once, and twice only when the
process is killed between the receiver's answer and that write.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.metrics.model.errors import StorageError
from styr.metrics.rules.notify.alert import Alert
from styr.metrics.rules.notify.config import Config
from styr.metrics.rules.notify.grouping import Flush
from styr.metrics.rules.notify.inhibit import Inhibitor
from styr.metrics.rules.notify.intervals import Interval
from styr.metrics.rules.notify.log import Entry, NotificationLog, reason
from styr.metrics.rules.notify.messages import Message
from styr.metrics.rules.notify.post import NotSent
from styr.metrics.rules.notify.receivers.base import Receiver
from styr.metrics.rules.notify.silences import Silences

log = Log("styr.metrics.notify")
FIRST_PAUSE, MOST_PAUSE = 0.5, 60.0
LEAST_TIME = 10.0
"""Seconds that a notification has at least, however short the group_interval."""
ONE_TRY = 30.0
"""Seconds for one try: a peer that hangs leaves time for others."""


@dataclass(slots=True)
class Counters:
    """Of one integration."""

    sent: int = 0
    failed: int = 0
    """Notifications given up."""
    requests: int = 0
    request_failures: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Pipeline:
    """`alerts` gives all firing alerts, for inhibition; `save` writes the state. `jitter` gives 0 to 1, for the pauses."""

    config: Config
    silences: Silences
    log: NotificationLog
    alerts: Callable[[], Sequence[Alert]]
    save: Callable[[], Awaitable[None]]
    clock: Clock
    external_url: str
    counters: dict[tuple[str, str], Counters] = field(default_factory=dict)
    jitter: Callable[[], float] = random.random

    async def run(self, flush: Flush) -> bool:
        """True when every integration of the receiver has been told, or needed not to be."""
        if self._off_hours(flush):
            return True
        heard = self._heard(flush)
        if not heard:
            return True
        receiver = flush.group.route.options.receiver
        told = await asyncio.gather(
            *(
                self._integration(flush, heard, integration, f"{receiver}/{integration.kind}/{index}")
                for index, integration in enumerate(self.config.receivers[receiver])
            )
        )
        return all(told)

    def _off_hours(self, flush: Flush) -> bool:
        route = flush.group.route
        if any(_within(self.config.intervals[name], flush.now) for name in route.mute):
            return True
        return bool(route.active) and not any(_within(self.config.intervals[name], flush.now) for name in route.active)

    def _heard(self, flush: Flush) -> list[Alert]:
        inhibitor = Inhibitor(self.config.inhibit_rules, self.alerts(), flush.now)
        return [
            alert
            for alert in flush.alerts
            if not inhibitor.by(alert.labels) and not self.silences.silencing(alert.labels, flush.now)
        ]

    async def _integration(self, flush: Flush, alerts: list[Alert], receiver: Receiver, name: str) -> bool:
        now, options = flush.now, flush.group.route.options
        firing = frozenset(alert.fingerprint for alert in alerts if not alert.resolved(now))
        resolved = frozenset(alert.fingerprint for alert in alerts if alert.resolved(now))
        key = flush.group.key
        why = reason(
            self.log.find(key, name, now), firing, resolved, options.repeat_interval, now, receiver.send_resolved
        )
        if not why:
            return True
        shown = alerts if receiver.send_resolved else [alert for alert in alerts if not alert.resolved(now)]
        if shown:
            message = Message(options.receiver, key, flush.group.labels, shown, self.external_url, now, why)
            deadline = self.clock.monotonic() + max(options.group_interval / 1000, LEAST_TIME)
            if not await self._send(receiver, message, name, deadline):
                return False
        self.log.put(Entry(key, name, now, firing, resolved, now + 2 * options.repeat_interval))
        try:
            await self.save()
        except StorageError as error:
            log.warning("a notification was sent and cannot be remembered across a restart", error=error)
        return True

    async def _send(self, receiver: Receiver, message: Message, name: str, deadline: float) -> bool:
        """Tries until it is through, until trying again is no use, or until the deadline."""
        counters = self.counters.setdefault((message.receiver, receiver.kind), Counters())
        pause = FIRST_PAUSE
        while True:
            begin = self.clock.monotonic()
            counters.requests += 1
            try:
                await receiver.notify(message, self.config.texts, min(ONE_TRY, max(deadline - begin, 1.0)))
            except NotSent as error:
                counters.request_failures += 1
                counters.seconds += self.clock.monotonic() - begin
                wait = pause * (0.5 + self.jitter())
                if not error.again or self.clock.monotonic() + wait >= deadline:
                    counters.failed += 1
                    log.warning("a notification was given up", receiver=name, group=message.group_key, error=error)
                    return False
                await self.clock.sleep(wait)
                pause = min(pause * 2, MOST_PAUSE)
            else:
                counters.seconds += self.clock.monotonic() - begin
                counters.sent += 1
                return True


def _within(intervals: Sequence[Interval], now: int) -> bool:
    return any(interval.contains(now) for interval in intervals)
