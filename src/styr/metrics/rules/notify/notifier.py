"""The embedded notifier under way: takes alerts, keeps them in groups, flushes groups in time. Called by `process`; `api` is
its HTTP side. It talks to nobody but receivers and its state file.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.kit.tasks import Tasks
from styr.metrics.model.errors import StorageError
from styr.metrics.model.labels import make
from styr.metrics.rules.notify.alert import Alert
from styr.metrics.rules.notify.config import Config
from styr.metrics.rules.notify.grouping import Flush, Groups, regroup
from styr.metrics.rules.notify.log import NotificationLog
from styr.metrics.rules.notify.pipeline import Counters, Pipeline
from styr.metrics.rules.notify.silences import Silences
from styr.metrics.rules.notify.state import Snapshot, StateFile
from styr.metrics.rules.outgoing import Outgoing
from styr.metrics.rules.workers import Run, thread

log = Log("styr.metrics.notify")
KEEP_RESOLVED = 15 * 60_000
"""How long a resolved alert is still listed by the API."""
AFTER_RESTART = 5 * 60_000
"""How long alerts of an earlier process have to be reported again before they count as resolved."""
CLEAN_EVERY = 15 * 60.0
MOST_ALERTS = 100_000


@dataclass(slots=True)
class Notifier:
    """`start`, then `send` as `evaluation` does it or `receive` as the API does, and `close`. `state` None keeps nothing."""

    config: Config
    clock: Clock
    state: Path | None = None
    external_url: str = ""
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    jitter: Callable[[], float] = random.random
    run: Run = thread
    silences: Silences = field(init=False)
    groups: Groups = field(init=False)
    dropped: int = 0
    received: int = 0
    started_at: int = 0
    _alerts: dict[str, Alert] = field(default_factory=dict)
    _log: NotificationLog = field(default_factory=NotificationLog)
    _tasks: Tasks = field(default_factory=lambda: Tasks("notifier"))
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _file: StateFile = field(init=False)
    _pipeline: Pipeline = field(init=False)

    def __post_init__(self) -> None:
        self.silences = Silences(self.new_id)
        self.groups = Groups(self.config.route)
        self._file = StateFile(self.state, self._snapshot, self.run)
        self._pipeline = self._piped(self.config)

    def _piped(self, config: Config) -> Pipeline:
        return Pipeline(
            config,
            self.silences,
            self._log,
            self.alerts,
            self.save,
            self.clock,
            self.external_url,
            jitter=self.jitter,
        )

    def now(self) -> int:
        return int(self.clock.time() * 1000)

    @property
    def counters(self) -> dict[tuple[str, str], Counters]:
        """By receiver and kind of integration."""
        return self._pipeline.counters

    def _snapshot(self) -> Snapshot:
        return Snapshot(self.silences.every(), self._log.every(), list(self._alerts.values()))

    async def save(self) -> None:
        """Raises StorageError."""
        await self._file.save()

    async def start(self) -> None:
        """Goes on where an earlier process stopped. Raises StorageError."""
        now = self.started_at = self.now()
        kept = self._file.read()
        self.silences.load(kept.silences)
        self._log.load(kept.entries)
        for alert in kept.alerts:
            if alert.ends_at > alert.updated_at and alert.ends_at < now + AFTER_RESTART:
                alert = replace(alert, ends_at=now + AFTER_RESTART, timeout=True)
            self._alerts[alert.fingerprint] = alert
            self.groups.insert(alert, now)
        self._tasks.spawn(self._flushing(), name="flush")
        self._tasks.spawn(self._cleaning(), name="clean")

    async def close(self) -> None:
        """Ends what is being sent, and keeps the state."""
        await self._tasks.close()
        try:
            await self.save()
        except StorageError as error:
            log.warning("the state of the notifier was not kept", error=error)

    def alerts(self) -> list[Alert]:
        return list(self._alerts.values())

    def reload(self, config: Config) -> None:
        """Another configuration: alerts are grouped anew, what was told stays known by group key and receiver."""
        counters = self._pipeline.counters
        self.config = config
        self._pipeline = self._piped(config)
        self._pipeline.counters = counters
        self.groups = regroup(config.route, self._alerts.values(), self.now())
        self._wake.set()

    def send(self, alerts: Sequence[Outgoing]) -> None:
        """From our own rules."""
        now = self.now()
        self.receive(
            [Alert(make(a.labels), a.annotations, a.starts_at, a.ends_at, now, a.generator_url) for a in alerts]
        )

    def receive(self, alerts: Sequence[Alert]) -> None:
        """Alerts with their times set. What goes beyond `MOST_ALERTS` is dropped and counted."""
        now = self.now()
        self.received += len(alerts)
        for alert in alerts:
            key = alert.fingerprint
            old = self._alerts.get(key)
            if old is None and len(self._alerts) >= MOST_ALERTS:
                self.dropped += 1
                continue
            merged = alert if old is None else old.merged(alert, now)
            self._alerts[key] = merged
            self.groups.insert(merged, now)
        self._wake.set()

    async def _flushing(self) -> None:
        while True:
            for flush in self.groups.due(self.now()):
                self._tasks.spawn(self._flush(flush), name=f"flush {flush.group.key}")
            self._wake.clear()
            await self._wait(self.groups.next_at)

    async def _wait(self, at: int | None) -> None:
        """Until `at`, or until something changes."""
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._wake.wait())]
        if at is not None:
            waits.append(asyncio.ensure_future(self.clock.sleep(max(0.0, (at - self.now()) / 1000))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _flush(self, flush: Flush) -> None:
        groups, success = self.groups, False
        try:
            success = await self._pipeline.run(flush)
        finally:
            groups.done(flush, success)
            self._wake.set()

    async def _cleaning(self) -> None:
        while True:
            await self.clock.sleep(CLEAN_EVERY)
            now = self.now()
            self.silences.clean(now)
            self._log.clean(now)
            over = [key for key, alert in self._alerts.items() if alert.ends_at + KEEP_RESOLVED <= now]
            for key in over:
                del self._alerts[key]
            try:
                await self.save()
            except StorageError as error:
                log.warning("the state of the notifier was not kept", error=error)
