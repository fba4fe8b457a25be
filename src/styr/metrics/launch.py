"""The metrics process as `plane` handles it: started, adopted, watched, started again, stopped. Light: no numpy.

Called by `plane`. The process runs in a session of its own and outlives the control plane, as Envoy does: SIGKILL of Styr
leaves it scraping, and the next start adopts it, by pid and start time. Only `stop_metrics` ends it. What it does is its own
affair (`process`): here it is a command line, a log file and an HTTP address.

    DIR/metrics/process.json     pid, start time, and a digest of the command line
    DIR/metrics/self.json        what is scraped: Styr itself (`self_targets`), and what DIR/prometheus.yml adds
    DIR/metrics/data/            the engine's own: WAL and blocks
    DIR/log/metrics.log          what it said
    DIR/prometheus.yml           a user's own, if there is one: further jobs, rule files, Alertmanagers
    DIR/alertmanager.yml         a user's own, if there is one: the embedded notifier's configuration
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from styr.kit.clock import Clock
from styr.kit.files import make_private, write_atomic
from styr.kit.log import Log
from styr.kit.process import ProcessId, ended
from styr.metrics.ask import Ask
from styr.metrics.invocation import Settings, command, configuration, fingerprint

log = Log("styr.metrics.launch")

GRACE = 20.0
"""Seconds for it to end after SIGTERM: it closes its files. Then SIGKILL, which loses nothing acknowledged."""
LOG_LIMIT = 10 << 20
HEALTHY = 60.0
"""Seconds of life after which the next restart waits little again."""


class Engine:
    """One metrics process. `start()` once, then `supervise()` as a task. It is the `MetricQuery` of the platform. Raises
    `ConfigError` for a user's file that cannot be used."""

    def __init__(self, settings: Settings, token: str, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.identity: ProcessId | None = None
        self.adopted = False
        self.restarts = 0
        self.ask = Ask(settings.port, token)
        self._child: subprocess.Popen[bytes] | None = None
        self._line = command(settings)
        self._document = configuration(settings)

    @property
    def running(self) -> bool:
        return self.identity is not None and self.identity.alive()

    async def query(self, expression: str, /) -> list[tuple[Mapping[str, str], float]]:
        """Raises `QueryFailed`."""
        return await self.ask.query(expression)

    async def start(self) -> None:
        """Adopts the process of an earlier run, or starts one; it may not answer for some seconds yet. Raises OSError."""
        folder, notifier = make_private(self.settings.folder), b""
        with contextlib.suppress(OSError):
            notifier = self.settings.alertmanager_yml.read_bytes()
        wanted = fingerprint(self._line, self._document, notifier)
        found = recorded(self.settings.data_dir)
        if found is not None:
            if _record(self.settings.data_dir).get("fingerprint") == wanted:
                self.identity, self.adopted = found, True
                log.info("adopted the metrics process", pid=found.pid)
                return
            log.info("the metrics process has other settings: replacing it", pid=found.pid)
            await self._end(found)
        write_atomic(folder / "self.json", json.dumps(self._document, indent=1, default=str))
        self._spawn(wanted)

    def _spawn(self, wanted: str) -> None:
        make_private(self.settings.log.parent)
        with contextlib.suppress(OSError):
            if self.settings.log.stat().st_size > LOG_LIMIT:
                self.settings.log.replace(self.settings.log.with_suffix(".log.1"))
        with self.settings.log.open("ab") as output:
            self._child = subprocess.Popen(
                self._line, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/"
            )
        self.identity, self.adopted = ProcessId.of(self._child.pid), False
        _yield_to_others(self._child.pid, True)
        record = {**asdict(self.identity), "fingerprint": wanted, "port": self.settings.port}
        write_atomic(self.settings.folder / "process.json", json.dumps(record))
        log.info("started the metrics process", pid=self._child.pid, port=self.settings.port)

    async def supervise(self) -> None:
        """Until cancelled: starts it again when it ends, after 0.5 s, doubling to 60 s while it does not live long."""
        delay = 0.5
        while True:
            began = self.clock.monotonic()
            await self._until_ended()
            if self.clock.monotonic() - began > HEALTHY:
                delay = 0.5
            code = self._child.poll() if self._child is not None else None
            log.error(
                "the metrics process ended; starting it again", after=f"{delay:g}s", status=code, log=self.settings.log
            )
            await self.clock.sleep(delay)
            delay = min(delay * 2, 60.0)
            self.restarts += 1
            try:
                await self.start()
            except OSError as error:
                log.error("the metrics process cannot be started", cause=error)

    async def _until_ended(self) -> None:
        descriptor = self.identity.open() if self.identity is not None else None
        if descriptor is None:
            return
        try:
            if self._child is not None and not await self._became_ready(descriptor):
                return
            await ended(descriptor)
        finally:
            os.close(descriptor)

    async def _became_ready(self, descriptor: int) -> bool:
        """While it compiles its kernels and reads its data, it does not take a core from what wakes up. False: it has ended."""
        assert self.identity is not None
        while self.identity.alive():
            if await self.ask.ready():
                _yield_to_others(self.identity.pid, False)
                return True
            await self.clock.sleep(0.5)
        return False

    async def close(self) -> None:
        """Lets it run on."""
        await self.ask.close()

    async def _end(self, target: ProcessId) -> None:
        target.signal(signal.SIGTERM)
        deadline = self.clock.monotonic() + GRACE
        while target.alive():
            if self._child is not None and self._child.pid == target.pid and self._child.poll() is not None:
                break
            if self.clock.monotonic() > deadline:
                target.signal(signal.SIGKILL)
            await self.clock.sleep(0.02)
        if self._child is not None:
            self._child.poll()


def _yield_to_others(pid: int, low: bool) -> None:
    """SCHED_BATCH: woken threads of others go first. (A higher nice value could not be lowered again without root.)"""
    policy = os.SCHED_BATCH if low else os.SCHED_OTHER
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                os.sched_setscheduler(int(thread), policy, os.sched_param(0))


def _record(data_dir: Path) -> dict[str, Any]:
    try:
        found = json.loads((data_dir / "metrics" / "process.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def recorded(data_dir: Path) -> ProcessId | None:
    """The metrics process that the folder's record names, if it runs."""
    record = _record(data_dir)
    try:
        found = ProcessId(int(record["pid"]), int(record["started"]))
    except (KeyError, TypeError, ValueError):
        return None
    return found if found.alive() else None


def stop_metrics(data_dir: Path) -> bool:
    """For `styr down`: ends the metrics process of this data folder. False when none ran. Blocks for at most 25 s."""
    target = recorded(data_dir)
    if target is not None:
        for number, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 5.0)):
            target.signal(number)
            deadline = time.monotonic() + seconds
            while target.alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            if not target.alive():
                break
    (data_dir / "metrics" / "process.json").unlink(missing_ok=True)
    return target is not None
