"""Alerts to real Alertmanagers: API v2, batches, a bounded queue for each. Called by `notifying`, which the rules hand their
alerts to.

All Alertmanagers get all alerts. What a queue cannot hold is dropped, oldest first, and counted: alerts come again with the
next resend, which is also why a batch that cannot be delivered is given up after its retries.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.kit.tasks import Tasks
from styr.metrics.rules.notify.post import Access, NotSent, check, post
from styr.metrics.rules.outgoing import Outgoing
from styr.metrics.rules.status import moment

log = Log("styr.metrics.notify")
MOST_BATCH = 256
MOST_QUEUE = 10_000
TRIES = 3
FIRST_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Target:
    """`url` up to and without /api/v2 (`http://host:9093/prefix`); `timeout` in milliseconds."""

    url: str
    access: Access = field(default_factory=Access)
    timeout: int = 10_000


@dataclass(slots=True)
class Counters:
    """Of one Alertmanager. `errors` counts alerts in requests that failed; `latency` is the seconds of the last one."""

    sent: int = 0
    errors: int = 0
    dropped: int = 0
    latency: float = 0.0
    last_error: str = ""


class _Queue:
    def __init__(self, target: Target) -> None:
        self.target = target
        self.counters = Counters()
        self.alerts: deque[Outgoing] = deque()
        self.work = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    def add(self, alerts: Sequence[Outgoing], most: int) -> None:
        over = len(self.alerts) + len(alerts) - most
        if over > 0:
            self.counters.dropped += over
            log.warning("the queue to an Alertmanager is full, alerts are dropped", url=self.target.url, count=over)
        self.alerts.extend(alerts)
        while len(self.alerts) > most:
            self.alerts.popleft()
        self.work.set()
        self.idle.clear()

    def batch(self) -> list[Outgoing]:
        return [self.alerts.popleft() for _ in range(min(MOST_BATCH, len(self.alerts)))]


@dataclass(slots=True)
class Alertmanagers:
    """`apply` the targets whenever they change; `send` from the rules; `close` gives what is queued a last chance."""

    clock: Clock
    most_queue: int = MOST_QUEUE
    jitter: Callable[[], float] = random.random
    _queues: dict[Target, _Queue] = field(default_factory=dict)
    _tasks: Tasks = field(default_factory=lambda: Tasks("alertmanagers"))

    @property
    def counters(self) -> dict[str, Counters]:
        return {target.url: queue.counters for target, queue in self._queues.items()}

    @property
    def queued(self) -> dict[str, int]:
        return {target.url: len(queue.alerts) for target, queue in self._queues.items()}

    async def apply(self, targets: Sequence[Target]) -> None:
        """Queues of targets that stay are kept."""
        for target in [target for target in self._queues if target not in targets]:
            queue = self._queues.pop(target)
            queue.counters.dropped += len(queue.alerts)
            await self._tasks.cancel(_name(target))
        for target in targets:
            if target not in self._queues:
                queue = self._queues[target] = _Queue(target)
                self._tasks.spawn(self._deliver(queue), name=_name(target))

    def send(self, alerts: Sequence[Outgoing]) -> None:
        for queue in self._queues.values() if alerts else ():
            queue.add(alerts, self.most_queue)

    async def close(self, grace: float = 5.0) -> None:
        limit = asyncio.ensure_future(self.clock.sleep(grace))
        drained = asyncio.ensure_future(self._drained())
        try:
            await asyncio.wait([limit, drained], return_when=asyncio.FIRST_COMPLETED)
        finally:
            limit.cancel()
            drained.cancel()
            await asyncio.gather(limit, drained, return_exceptions=True)
        await self._tasks.close()
        for queue in self._queues.values():
            queue.counters.dropped += len(queue.alerts)
            queue.alerts.clear()

    async def _drained(self) -> None:
        for queue in list(self._queues.values()):
            await queue.idle.wait()

    async def _deliver(self, queue: _Queue) -> None:
        while True:
            batch = queue.batch()
            if batch:
                await self._post(queue, batch)
                continue
            queue.idle.set()
            queue.work.clear()
            await queue.work.wait()

    async def _post(self, queue: _Queue, batch: list[Outgoing]) -> None:
        body = json.dumps([_json(alert) for alert in batch], ensure_ascii=False).encode("utf-8", "replace")
        url = queue.target.url.rstrip("/") + "/api/v2/alerts"
        for attempt in range(TRIES):
            begin = self.clock.monotonic()
            try:
                check(await post(url, body, queue.target.access, queue.target.timeout / 1000))
            except NotSent as error:
                queue.counters.errors += len(batch)
                queue.counters.last_error = str(error)
                if not error.again or attempt + 1 == TRIES:
                    break
                await self.clock.sleep(FIRST_PAUSE * 2**attempt * (0.5 + self.jitter()))
            else:
                queue.counters.latency = self.clock.monotonic() - begin
                queue.counters.sent += len(batch)
                queue.counters.last_error = ""
                return
        queue.counters.dropped += len(batch)
        log.warning(
            "alerts did not reach an Alertmanager",
            url=queue.target.url,
            count=len(batch),
            error=queue.counters.last_error,
        )


def _name(target: Target) -> str:
    return f"{target.url} {hash(target)}"


def _json(alert: Outgoing) -> dict[str, Any]:
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": moment(alert.starts_at),
        "endsAt": moment(alert.ends_at),
        "generatorURL": alert.generator_url,
    }
