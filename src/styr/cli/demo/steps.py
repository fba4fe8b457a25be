"""The demo's steps: what is done, and what must come of it. Each returns a `Step`; the demo is ok when all are.

Called by `cli.demo`. Calls `platform`, `load`, `timeline`.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from styr.cli.demo.load import Load, Tally
from styr.cli.demo.platform import DemoError, Platform
from styr.cli.demo.timeline import Timeline
from styr.kinds import meta
from styr.kinds.errors import ApiError
from styr.kinds.resources import APP, POD, RELEASE, Object

OVER = ("Promoted", "RolledBack", "Failed", "Superseded", "Held")
"""Phases and outcomes after which a release waits for nobody."""

VERDICT_PATIENCE = 240.0
"""Seconds that a verdict may take before the step is called failed."""


@dataclass(slots=True)
class Step:
    """`requests` and `failed_requests` are those of the step; `failed_requests_outside_canary` those of them that another
    than the new version, or nobody, answered."""

    name: str
    ok: bool
    verdict: str
    seconds: float
    requests: int
    failed_requests: int
    failed_requests_outside_canary: int
    release: str = ""


@dataclass(slots=True)
class Report:
    ok: bool = False
    steps: list[Step] = field(default_factory=list)
    requests: int = 0
    failed_requests_outside_canary: int = 0
    errors: list[str] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """What an action came to: did it keep its promise, the sentence, and the release it made."""

    ok: bool
    verdict: str
    release: str = ""


class Demo:
    def __init__(self, platform: Platform, timeline: Timeline, rate: float) -> None:
        self.platform = platform
        self.timeline = timeline
        self.rate = rate
        self.load: Load | None = None
        self.report = Report()
        self.version = 1

    async def step(self, name: str, title: str, action: Callable[[], Awaitable[Outcome]], *, canary: str = "") -> bool:
        """Runs one action and books the traffic that passed meanwhile. `canary` is the version whose failures are expected
        while it is judged; any other failure breaks the promise of every step."""
        self.timeline.title(title)
        before, began = self._tally(), time.monotonic()
        try:
            outcome = await action()
        except (DemoError, ApiError, TimeoutError) as error:
            outcome = Outcome(False, f"{type(error).__name__}: {error}")
        await asyncio.sleep(0.5 if self.load else 0)  # answers on their way still belong to this step
        after = self._tally()
        failed = {version: count - before.failed.get(version, 0) for version, count in after.failed.items()}
        outside = sum(count for version, count in failed.items() if version != canary)
        step = Step(
            name,
            outcome.ok and outside == 0,
            outcome.verdict,
            round(time.monotonic() - began, 2),
            after.requests - before.requests,
            sum(failed.values()),
            outside,
            outcome.release,
        )
        self.report.steps.append(step)
        mark = "ok" if step.ok else "NOT WHAT WAS PROMISED"
        self.timeline.say(f"{mark}: {step.verdict}")
        if self.load:
            self.timeline.say(
                f"{step.requests} requests meanwhile, {step.failed_requests} failed ({outside} outside the canary)"
            )

        return step.ok

    def _tally(self) -> Tally:
        return self.load.tally.copy() if self.load else Tally()

    # The steps

    async def start(self) -> Outcome:
        began = time.monotonic()
        output = await self.platform.styr("up", "--detach", "--port", "0")
        for line in output.splitlines():
            self.timeline.say(line)
        return Outcome(True, f"The platform is up after {time.monotonic() - began:.1f} s.")

    async def first(self) -> Outcome:
        await self.platform.make_repository()
        outcome = await self._push_and_wait("Promoted")
        self.load = await Load(self.platform.port, "hello.localhost", rate=self.rate).__aenter__()
        self.timeline.say(
            f"traffic: {self.rate:.0f} requests per second to http://hello.localhost:{self.platform.port}"
        )
        return outcome

    async def good(self) -> Outcome:
        await self._change(
            "A good change", {"Hello, ": "Hello and welcome, "}, tests=("Hello, ", "Hello and welcome, ")
        )
        return await self._push_and_wait("Promoted")

    async def failing_tests(self) -> Outcome:
        before = await self._live()
        await self._change("A change that its own tests reject", {'f"Hello and': 'f"Helo and'})
        pushed = await self._push()
        moved = await self._remote_branch() == await self._head()
        await self.platform.git("reset", "-q", "--hard", "HEAD~1")
        self.version -= 1
        after = await self._live()
        ok = pushed != 0 and not moved and before == after
        return Outcome(
            ok,
            "The push was rejected, the branch did not move." if ok else "The push was not rejected as it should be.",
        )

    async def errors(self) -> Outcome:
        bug = {"    return f": "    if visitor % 20 == 13:\n        raise ValueError(visitor)\n    return f"}
        await self._change("A bug that hits one visitor in twenty", bug)
        outcome = await self._push_and_wait("RolledBack")
        await self._undo()
        return outcome

    async def slow(self) -> Outcome:
        await self._change("Twice as slow", {"WORK = 0.010": "WORK = 0.020"})
        outcome = await self._push_and_wait("RolledBack")
        await self._undo()
        return outcome

    async def crash(self) -> Outcome:
        before = await self._live()
        pid = self.platform.kill()
        self.timeline.say(f"SIGKILL to the control plane (pid {pid}); nobody steers now")
        await asyncio.sleep(2.0)
        output = await self.platform.styr("up", "--detach")
        self.timeline.say(output.splitlines()[0])
        await asyncio.sleep(2.0)
        after = await self._live()
        ok = bool(before) and before == after
        return Outcome(
            ok,
            "The app went on serving and was not restarted." if ok else f"The app's pods changed: {before} -> {after}",
        )

    # What the steps are made of

    async def _change(self, subject: str, replacements: dict[str, str], tests: tuple[str, str] | None = None) -> None:
        if tests:
            file = self.platform.repository / "test_main.py"
            file.write_text(file.read_text().replace(*tests))
        old, self.version = self.version, self.version + 1
        await self.platform.commit(subject, {f'VERSION = "{old}"': f'VERSION = "{self.version}"', **replacements})

    async def _undo(self) -> None:
        await self.platform.git("revert", "--no-edit", "HEAD")
        self.version -= 1

    async def _push(self) -> int:
        self.timeline.say("git push styr main")
        done = await self.platform.git(
            "push", "-o", "detach", "styr", "main", say=lambda line: self.timeline.say(f"  {line}")
        )
        return done.code

    async def _push_and_wait(self, phase: str) -> Outcome:
        if code := await self._push():
            return Outcome(False, f"git push failed with {code}")
        commit = await self._head()
        release = await asyncio.wait_for(self._verdict(commit), VERDICT_PATIENCE)
        status = release.get("status") or {}
        return Outcome(
            status.get("phase") == phase, str(status.get("verdict") or status.get("phase")), meta.name(release)
        )

    async def _verdict(self, commit: str) -> Object:
        """Follows the release of a commit to its end, telling what happens."""
        client, told = self.platform.client(), ""
        try:
            async for event in client.watch(RELEASE, "default", labels="styr.dev/app=hello"):
                release = event.object
                if event.type not in ("ADDED", "MODIFIED") or (release.get("spec") or {}).get("commit") != commit:
                    continue
                status = release.get("status") or {}
                now = f"{meta.name(release)}: {status.get('phase', 'Pending')}, {status.get('weight', 0)} % of the traffic"
                if now != told:
                    told = now
                    self.timeline.say(now)
                elif status.get("verdict"):
                    self.timeline.status(str(status["verdict"]))
                if status.get("phase") in OVER:
                    return release
        finally:
            await client.close()
        raise DemoError("the watch of releases ended")

    async def _live(self) -> list[tuple[str, Any]]:
        """(uid, when its container started) of the pods that serve the stable release."""
        client = self.platform.client()
        try:
            app = await client.get(APP, "hello", "default")
            stable = (app.get("status") or {}).get("stable", "")
            running = (await client.list(POD, "default", labels=f"styr.dev/release={stable}")).items
        finally:
            await client.close()
        return [
            (
                meta.uid(pod),
                [
                    (c.get("state") or {}).get("running")
                    for c in (pod.get("status") or {}).get("containerStatuses") or []
                ],
            )
            for pod in sorted(running, key=meta.name)
        ]

    async def _head(self) -> str:
        return (await self.platform.git("rev-parse", "HEAD")).output.strip()

    async def _remote_branch(self) -> str:
        return (await self.platform.git("ls-remote", "styr", "refs/heads/main")).output.split("\t")[0].strip()


async def run_demo(timeline: Timeline, *, keep: bool, rate: float) -> Report:
    """Everything, in a temporary folder that is removed at the end unless `keep`."""
    root = Path(tempfile.mkdtemp(prefix="styr-demo-"))
    demo = Demo(Platform(root), timeline, rate)
    try:
        await _all_steps(demo)
    finally:
        if demo.load:
            await demo.load.__aexit__()
            demo.report.requests = demo.load.tally.requests
            demo.report.errors = demo.load.tally.errors
        if not keep:
            await _stop(demo, root)
    _finish(demo, keep)
    return demo.report


async def _all_steps(demo: Demo) -> None:
    if not await demo.step("start", "Start the platform", demo.start):
        return
    if not await demo.step("first", "Push an app for the first time", demo.first):
        return
    await demo.step("good", "Push a good version", demo.good)
    await demo.step("failing-tests", "Push a version whose tests fail", demo.failing_tests)
    await demo.step(
        "errors", "Push a version that fails 5 % of real requests", demo.errors, canary=str(demo.version + 1)
    )
    await demo.step("slow", "Push a version that is twice as slow", demo.slow, canary=str(demo.version + 1))
    await demo.step("crash", "Kill the control plane under traffic", demo.crash)


async def _stop(demo: Demo, root: Path) -> None:
    try:
        await demo.platform.styr("down")
    except DemoError as error:
        demo.timeline.say(str(error))
    shutil.rmtree(root, ignore_errors=True)


def _finish(demo: Demo, keep: bool) -> None:
    report, timeline = demo.report, demo.timeline
    report.ok = len(report.steps) == 7 and all(step.ok for step in report.steps)
    report.failed_requests_outside_canary = sum(step.failed_requests_outside_canary for step in report.steps)
    timeline.title("Everything did what it promises." if report.ok else "Not every step did what it promises.")
    timeline.say(f"{report.requests} requests, {report.failed_requests_outside_canary} failed outside a canary")
    for line in [] if report.ok else report.errors:
        timeline.say(f"  {line}")
    if keep:
        state = demo.platform.folder.state()
        report.addresses = {
            "app": f"http://hello.localhost:{state.gateway_port}",
            "api": f"https://127.0.0.1:{state.api_port}",
            "dataDir": str(demo.platform.folder.path),
            "repository": str(demo.platform.repository),
        }
        for name, address in report.addresses.items():
            timeline.say(f"{name}: {address}")
        timeline.say(f"stop it: styr down --data-dir {demo.platform.folder.path}")
