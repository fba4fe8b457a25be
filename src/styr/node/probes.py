"""Startup, readiness and liveness probes of one running container, and the check of a container that declares none.

Called by `pod.py`, one task per running container. It asks (`check`) and reports (`Report`); what follows is decided there.

Kubernetes' shortest period is one second, which a new pod would spend waiting. So while a container is not yet ready,
its startup and readiness probes run every 0.1 s for the first ten seconds after `initialDelaySeconds`; failures then count
towards `failureThreshold` only once per `periodSeconds`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from styr.kit.clock import Clock
from styr.kit.http import HttpError, fetch

EAGER_PERIOD = 0.1
EAGER_FOR = 10.0
"""Seconds."""

Exec = Callable[[tuple[str, ...], float], Awaitable[tuple[int, str]]]
"""Runs a command in the container's place, for at most that many seconds: (exit code, output)."""
Resolve = Callable[[int | str], int | None]
"""The real port behind a declared number or name."""
Check = Callable[[], Awaitable[str]]
"""Empty when all is well, else why not."""
Count = Callable[[str, bool], None]
"""Told the kind of each probe that was made (Startup, Readiness, Liveness), and whether it succeeded."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Kubernetes' defaults, in seconds and counts."""

    delay: float
    period: float
    timeout: float
    successes: int
    failures: int

    @classmethod
    def of(cls, probe: Mapping[str, Any]) -> Timing:
        def number(name: str, default: int) -> int:
            return max(int(probe.get(name) or default), 0 if default == 0 else 1)

        return cls(
            number("initialDelaySeconds", 0),
            number("periodSeconds", 10),
            number("timeoutSeconds", 1),
            number("successThreshold", 1),
            number("failureThreshold", 3),
        )


class Report(Protocol):
    """What the life of the pod wants to know; all are called in the event loop."""

    def started(self) -> None: ...

    def ready(self, value: bool, why: str) -> None: ...

    def unhealthy(self, kind: str, why: str) -> None:
        """Told once for each run of failures."""

    def dead(self, kind: str, why: str) -> None:
        """A liveness or startup probe failed for good: the container has to be restarted."""


async def watch(
    container: Mapping[str, Any],
    *,
    resolve: Resolve,
    run: Exec,
    clock: Clock,
    report: Report,
    started: bool,
    ready: bool,
    count: Count = lambda kind, successful: None,
) -> None:
    """Until cancelled. `started` and `ready` are what was known before, after an adoption."""

    def checker(kind: str, probe: Mapping[str, Any]) -> Check:
        timeout = Timing.of(probe).timeout

        async def attempt() -> str:
            why = await check(probe, resolve, run, timeout)
            count(kind, not why)
            return why

        return attempt

    if not started:
        probe = container.get("startupProbe")
        if probe and not await _startup(probe, checker("Startup", probe), clock, report):
            return
        report.started()
    jobs = []
    if probe := container.get("readinessProbe"):
        jobs.append(_readiness(probe, checker("Readiness", probe), clock, report, ready))
    elif not ready:
        jobs.append(_listening(container, resolve, clock, report))
    if probe := container.get("livenessProbe"):
        jobs.append(_liveness(probe, checker("Liveness", probe), clock, report))
    await asyncio.gather(*jobs)


async def check(probe: Mapping[str, Any], resolve: Resolve, run: Exec, timeout: float) -> str:
    """One attempt of a probe or hook: empty for success, else the reason, in one line."""
    try:
        if (get := probe.get("httpGet")) is not None:
            return await _http(get, resolve, timeout)
        if (tcp := probe.get("tcpSocket")) is not None:
            return await _tcp(str(tcp.get("host") or "127.0.0.1"), _port(tcp, resolve), timeout)
        if (command := probe.get("exec")) is not None:
            code, output = await run(tuple(map(str, command.get("command") or ())), timeout)
            return "" if code == 0 else f"command ended with {code}: {output.strip()[-200:]}"
        return "the probe names neither httpGet, tcpSocket nor exec"
    except (OSError, ValueError) as error:
        return f"{error}" or type(error).__name__


async def _http(get: Mapping[str, Any], resolve: Resolve, timeout: float) -> str:
    headers = {str(entry["name"]): str(entry["value"]) for entry in get.get("httpHeaders") or ()}
    host = next((headers.pop(name) for name in list(headers) if name.lower() == "host"), "")
    context = _unverified() if str(get.get("scheme", "HTTP")).upper() == "HTTPS" else None
    target = str(get.get("path") or "/")
    target = target if target.startswith("/") else f"/{target}"
    port = _port(get, resolve)
    try:
        answer = await fetch(
            "GET", str(get.get("host") or "127.0.0.1"), port, target,
            host_header=host, headers={"User-Agent": "kube-probe/styr"} | headers, timeout=timeout, ssl=context,
        )  # fmt: skip
    except HttpError as error:
        return f"GET {target} on port {port}: {error}"
    return "" if 200 <= answer.status < 400 else f"GET {target} on port {port} answered {answer.status}"


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # as the kubelet: a probe does not check certificates
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _tcp(host: str, port: int, timeout: float) -> str:
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"nothing answers on {host}:{port} within {timeout:g} s"
    except OSError:
        return f"nothing listens on {host}:{port}"
    writer.close()
    return ""


def _port(source: Mapping[str, Any], resolve: Resolve) -> int:
    port = resolve(source.get("port") or 0)
    if not port:
        raise ValueError(f"no port {source.get('port')!r} is declared")
    return port


class _Pace:
    """When the next attempt is due, and whether a failure counts."""

    def __init__(self, timing: Timing, clock: Clock, eager: bool) -> None:
        self.timing, self.clock = timing, clock
        self.eager_until = clock.monotonic() + timing.delay + (EAGER_FOR if eager else 0.0)
        self.counts_at = clock.monotonic() + timing.delay

    async def next(self, eager: bool) -> None:
        hurry = eager and self.clock.monotonic() < self.eager_until
        await self.clock.sleep(min(EAGER_PERIOD, self.timing.period) if hurry else self.timing.period)

    def counts(self) -> bool:
        if self.clock.monotonic() < self.counts_at:
            return False
        self.counts_at = self.clock.monotonic() + self.timing.period
        return True


async def _startup(probe: Mapping[str, Any], attempt: Check, clock: Clock, report: Report) -> bool:
    timing = Timing.of(probe)
    pace, failures = _Pace(timing, clock, eager=True), 0
    await clock.sleep(timing.delay)
    while why := await attempt():
        report.ready(False, f"startup probe: {why}")
        failures += pace.counts()
        if failures >= timing.failures:
            report.dead("Startup", why)
            return False
        await pace.next(eager=True)
    return True


async def _readiness(probe: Mapping[str, Any], attempt: Check, clock: Clock, report: Report, ready: bool) -> None:
    timing = Timing.of(probe)
    pace, successes, failures = _Pace(timing, clock, eager=not ready), 0, 0
    await clock.sleep(0 if ready else timing.delay)
    while True:
        if why := await attempt():
            successes, failures = 0, failures + pace.counts()
            if not ready or failures >= timing.failures:
                if failures == timing.failures:
                    report.unhealthy("Readiness", why)
                ready = False
                report.ready(False, f"readiness probe: {why}")
        else:
            successes, failures = successes + 1, 0
            if successes >= timing.successes:
                ready = True
                report.ready(True, "")
        await pace.next(eager=not ready)


async def _liveness(probe: Mapping[str, Any], attempt: Check, clock: Clock, report: Report) -> None:
    timing = Timing.of(probe)
    failures = 0
    await clock.sleep(timing.delay)
    while True:
        if why := await attempt():
            failures += 1
            if failures == 1:
                report.unhealthy("Liveness", why)
            if failures >= timing.failures:
                report.dead("Liveness", why)
                return
        else:
            failures = 0
        await clock.sleep(timing.period)


async def _listening(container: Mapping[str, Any], resolve: Resolve, clock: Clock, report: Report) -> None:
    """Without a readinessProbe: ready once every declared TCP port accepts a connection, which proves that and no more."""
    until = clock.monotonic() + EAGER_FOR
    for port in container.get("ports") or ():
        if port.get("protocol", "TCP") != "TCP":
            continue
        declared = int(port["containerPort"])
        while why := await _tcp("127.0.0.1", resolve(declared) or declared, 1.0):
            report.ready(False, f"{why} (containerPort {declared}); the app has to listen on the port in $PORT")
            await clock.sleep(EAGER_PERIOD if clock.monotonic() < until else 1.0)
    report.ready(True, "")
