"""One push, from the quarantined objects to the verdict, told line by line to the pusher.

`source` makes a `Push` per receive-pack and hands it the questions of git's two hooks:

    pre-receive    check the tree, build, test, store the image, write the record; the answer decides whether the branch moves
    post-receive   make the Release, then follow it until its outcome, unless detached

Before the answer to pre-receive a pusher who goes away cancels everything; after it nothing does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random as random_module
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styr.delivery import build, git, landing, pods
from styr.delivery.build import Builder, BuildError, Source, TestResult
from styr.delivery.detect import Overrides, Plan, detect
from styr.delivery.files import DetectError, Files
from styr.delivery.images import Images, reference
from styr.delivery.interpreters import Interpreter
from styr.delivery.landing import Record, Repositories, branch_of
from styr.delivery.metrics import PushMetrics
from styr.delivery.report import Report
from styr.delivery.tree import Entry, Limits, TreeError
from styr.kinds import meta
from styr.kinds.errors import ApiError
from styr.kinds.resources import APP, RELEASE, Object
from styr.kit.clock import Clock
from styr.kit.log import Log

if TYPE_CHECKING:
    from styr.client.client import Client

log = Log("styr.delivery.push")

OPTIONS = {
    "retry": "judge a commit again that was taken back",
    "detach": "do not wait for the verdict",
    "skip-canary": "send all traffic to it as soon as it is ready",
}
_OUTCOMES = ("Promoted", "RolledBack", "Failed", "Superseded")
_RETELL = 15.0
"""Seconds after which the number of requests to go is told again."""
_READ = 1 << 20
"""Bytes of one file that detection reads at most."""


class Rejected(Exception):
    """The push is refused; the text is shown to the pusher."""


@dataclass(frozen=True, slots=True)
class Update:
    old: str
    new: str
    ref: str


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every push needs."""

    client: Client
    clock: Clock
    random: random_module.Random
    repositories: Repositories
    images: Images
    builder: Builder
    limits: Limits
    work: Path
    follow_seconds: float = 900.0
    metrics: PushMetrics = field(default_factory=PushMetrics)


def choose(updates: Sequence[Update], branch: str, app: str) -> Update:
    """The one update that deploys. Raises `Rejected` with what to push instead."""
    wanted = f"refs/heads/{branch}"
    for update in updates:
        if update.ref != wanted:
            short = update.ref.removeprefix("refs/heads/")
            raise Rejected(
                f"only the branch {branch} of {app} deploys, and this push updates {short}. "
                f"Deploy it with: git push styr {short}:{branch}"
                if update.ref.startswith("refs/heads/")
                else f"only the branch {branch} of {app} can be pushed, not {update.ref}: git push styr {branch}"
            )
    if len(updates) != 1:
        raise Rejected(f"push one branch at a time: git push styr {branch}")
    if updates[0].new.strip("0") == "":
        raise Rejected(
            f"the branch {branch} is what runs and cannot be deleted. Take the app down: kubectl delete app {app}"
        )
    return updates[0]


def check_options(options: Sequence[str]) -> None:
    """Raises `Rejected` naming the first unknown one."""
    for option in options:
        if option not in OPTIONS:
            known = ", ".join(f"{name} ({meaning})" for name, meaning in OPTIONS.items())
            raise Rejected(f"unknown push option {option!r}. Known: {known}")


def remembered(app: Object, commit: str) -> str | None:
    """The verdict of a commit that was taken back; None when it was not."""
    found = (app.get("status") or {}).get("remembered") or ()
    for item in found if isinstance(found, list | tuple) else ():
        if item.get("commit") == commit:
            return str(item.get("verdict") or "it was taken back before")
    return None


def overrides(app: Object) -> Overrides:
    """What the App's own spec says about building it."""
    spec = app.get("spec") or {}
    tests = spec.get("tests") or {}
    return Overrides(str(spec.get("command") or ""), str(tests.get("command") or ""), bool(tests.get("skip")))


class Push:
    """One receive-pack. `say` writes to the pusher's terminal while a hook runs."""

    def __init__(self, shop: Workshop, app: Object, user: str) -> None:
        self._shop = shop
        self._app = app
        self._key = meta.key(app)
        self._user = user
        self._repository = shop.repositories.path(self._key)
        self._report: Report | None = None
        self._queued = False
        self._id = f"{shop.random.getrandbits(64):016x}"
        self._detach = False
        self.accepted = False
        """Set before the branch may move: from here on the release goes on without the pusher."""

    async def pre_receive(
        self, updates: Sequence[Update], options: Sequence[str], quarantine: Mapping[str, str], say: Say
    ) -> bool:
        self._report = Report(say, self._shop.clock)
        try:
            await self._judge_push(updates, options, quarantine)
        except (Rejected, TreeError, DetectError, BuildError, git.GitError, ApiError, OSError) as error:
            if isinstance(error, git.GitError | ApiError | OSError):
                log.warning("push failed", app=str(self._key), error=error)
            await self._report.outcome(f"Rejected: {_words(error)}")
            await self._report.detail(f"Nothing was changed: {meta.name(self._app)} runs as before.")
            self._shop.metrics.answered(accepted=False)
            return False
        self._shop.metrics.answered(accepted=True)
        self.accepted = True
        return True

    async def _judge_push(
        self, updates: Sequence[Update], options: Sequence[str], quarantine: Mapping[str, str]
    ) -> None:
        shop, name = self._shop, meta.name(self._app)
        check_options(options)
        branch = branch_of(self._app)
        update = choose(updates, branch, name)
        self._detach = "detach" in options
        await self._queue()
        if await git.tip(self._repository, branch) != update.old.replace(git.ZERO, ""):
            raise Rejected(f"{branch} moved while this push waited. See what came first and push again: git fetch styr")
        self._app = await shop.client.get(APP, name, self._key.namespace)
        verdict = remembered(self._app, update.new) or await self._taken_back(update.new)
        if verdict and "retry" not in options:
            raise Rejected(
                f"commit {update.new[:10]} was taken back before. {verdict}\n"
                f"If it should be judged again: git push -o retry styr {branch}"
            )
        tree, subject = await git.subject(self._repository, update.new, quarantine)
        began = shop.clock.monotonic()
        made = await self._make(update.new, tree, subject, quarantine)
        shop.metrics.built(shop.clock.monotonic() - began)
        record = Record(**made, retry="retry" in options, skip_canary="skip-canary" in options)
        landing.write_record(self._repository, record)

    async def _taken_back(self, commit: str) -> str | None:
        """As `remembered`, from the releases themselves: the App's status may be a moment behind."""
        labels = f"{landing.APP_LABEL}={self._key.name}"
        found = (await self._shop.client.list(RELEASE, self._key.namespace, labels=labels)).items
        same = [release for release in found if (release.get("spec") or {}).get("commit") == commit]
        if not same:
            return None
        status = max(same, key=lambda release: int(release["spec"].get("number", 0))).get("status") or {}
        return str(status.get("verdict") or "") if status.get("phase") == "RolledBack" else None

    async def _queue(self) -> None:
        lock = self._shop.repositories.queue(self._key)
        if lock.locked():
            assert self._report
            await self._report.step(f"Another push to {meta.name(self._app)} is being built; this one waits for it")
        await lock.acquire()
        self._queued = True

    async def _make(self, commit: str, tree: str, subject: str, quarantine: Mapping[str, str]) -> dict[str, Any]:
        """Builds and tests; the fields of the record. Raises what `pre_receive` catches."""
        shop, report = self._shop, self._report
        assert report
        await report.step(f"Received {commit[:10]} {subject}")
        await report.detail("Until it is accepted, Ctrl-C stops it and changes nothing.")
        entries = await git.entries(self._repository, commit, shop.limits, quarantine)
        size = sum(entry.size for entry in entries)
        await report.detail(f"{len(entries):,} files, {size / 1e6:.1f} MB, checked in {report.elapsed()}")
        app_layer = await self._app_layer(entries, tree, quarantine)
        folder = shop.images.layer(app_layer)
        files = Files([entry.path for entry in entries if not entry.is_link], lambda path: read_text(folder / path))
        plan = await asyncio.to_thread(detect, files, overrides(self._app))
        source = Source(self._app, tree, folder, files)
        interpreter = await self._announce(plan)
        layer, tests = await self._build_and_test(source, plan, interpreter)
        await report.step("Storing the image")
        command = build.shell_command(plan.command)
        digest = shop.images.write(
            layers=(layer, app_layer),
            env=build.runtime_environment(shop.images.layer(layer), files),
            command=("/bin/sh", "-c", command),
            host=interpreter.reads,
            labels={"org.opencontainers.image.revision": commit},
        )
        await report.detail(f"{digest[:19]} in {report.elapsed()}")
        return {
            "push": self._id,
            "app_uid": meta.uid(self._app),
            "commit": commit,
            "subject": subject,
            "image": reference(meta.name(self._app), digest),
            "command": command,
            "pushed_by": self._user,
            "smoke": plan.smoke,
            "tests": asdict(tests),
        }

    async def _app_layer(self, entries: Sequence[Entry], tree: str, quarantine: Mapping[str, str]) -> str:
        images = self._shop.images
        name = f"app-{tree}"
        if images.is_whole(name):
            images.touch(name)
            return name
        # Beside it first: two apps may push the same tree at once.
        fresh = self._shop.work / f"{self._id}-files"
        await git.export(self._repository, entries, fresh, quarantine)
        try:
            fresh.replace(images.layer(name))
        except OSError:
            await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
            if not images.layer(name).is_dir():
                raise
        images.seal(name, {"tree": tree, "files": len(entries)})
        return name

    async def _announce(self, plan: Plan) -> Interpreter:
        report = self._report
        assert report
        await report.step(f"Detected: {plan.command}")
        await report.detail(f"because of {plan.command_rule}")
        for note in plan.notes:
            await report.detail(f"Note: {note}")
        interpreter = await self._shop.builder.interpreter(plan)
        await report.detail(f"Python {interpreter}" + (f" ({plan.python_rule}: {plan.python})" if plan.python else ""))
        return interpreter

    async def _build_and_test(self, source: Source, plan: Plan, interpreter: Interpreter) -> tuple[str, TestResult]:
        shop, report = self._shop, self._report
        assert report
        layer = await shop.builder.dependencies(source, plan.dependencies, interpreter, report, "Installing")
        testing = layer
        if plan.test_dependencies is not None:
            testing = await shop.builder.dependencies(
                source, plan.test_dependencies, interpreter, report, "Installing what the tests need"
            )
        scratch = shop.work / self._id
        try:
            return layer, await shop.builder.test(source, plan, interpreter, testing, report, scratch)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    async def land(self) -> Object | None:
        """Makes the Release if the branch did move. Called again by `close` in case post-receive never came."""
        app = await self._shop.client.get(APP, self._key.name, self._key.namespace)
        try:
            return await self._shop.repositories.land(app)
        finally:
            self._unqueue()

    async def post_receive(self, say: Say) -> None:
        """Lands, then follows. Cancelling it stops the following only: `close` lands as well."""
        report = Report(say, self._shop.clock)
        try:
            release = await asyncio.shield(asyncio.ensure_future(self.land()))
        except (ApiError, OSError) as error:
            log.warning("landing failed", app=str(self._key), error=error)
            await report.outcome(f"Accepted. Its release follows as soon as the API answers again ({_words(error)}).")
            return
        if release is None:
            await report.outcome("Accepted, but the branch did not move: see git's own message below.")
            return
        name, app = meta.name(release), self._key.name
        await report.outcome(f"Accepted as {name}")
        await report.detail(f"It goes on if this terminal closes; see: styr releases {app}")
        if self._detach:
            await report.detail(f"Detached. Take it back yourself: styr rollback {app}")
            return
        try:
            async with asyncio.timeout(self._shop.follow_seconds):
                await self._follow(name, report)
        except TimeoutError:
            await report.outcome(f"Still being judged; it goes on in the background: styr releases {app}")
        except ApiError as error:
            await report.outcome(f"Lost sight of it ({_words(error)}); it goes on: styr releases {app}")

    async def _follow(self, name: str, report: Report) -> None:
        shop = self._shop
        told: tuple[Any, ...] = ()
        at = 0.0
        async with aclosing(pods.observe(shop.client, shop.clock, RELEASE, name, self._key.namespace)) as states:
            async for release in states:
                if release is None:
                    await report.outcome(f"{name} was deleted")
                    return
                status = release.get("status") or {}
                if status.get("phase") in _OUTCOMES:
                    await report.outcome(await self._outcome(name, status))
                    return
                news = tuple(status.get(word) for word in ("phase", "weight", "outcome"))
                now = shop.clock.monotonic()
                if (line := progress(status)) and (news != told or now - at >= _RETELL):
                    await (report.detail(line) if told else report.step(line))
                    told, at = news, now

    async def _outcome(self, name: str, status: Mapping[str, Any]) -> str:
        app, phase = self._key.name, status.get("phase")
        verdict = str(status.get("verdict") or "")
        lines = [
            f"{name} {'was taken back' if phase == 'RolledBack' else str(phase).lower()}",
            *([verdict] if verdict else []),
        ]
        if phase == "Promoted":
            with contextlib.suppress(ApiError):
                found = await self._shop.client.get(APP, app, self._key.namespace)
                url = (found.get("status") or {}).get("url")
                lines += [f"It answers at {url}"] if url else []
            lines.append(f"Undo it: styr rollback {app}")
        elif phase in ("RolledBack", "Failed"):
            option = "-o retry " if phase == "RolledBack" else ""
            lines += [f"The evidence: styr why {name}", f"Try it again: git push {option}styr {branch_of(self._app)}"]
        return "\n".join(lines)

    async def close(self) -> None:
        """The receive-pack is over. Lands an accepted push whose post-receive hook never asked."""
        if self.accepted and self._queued:
            try:
                await self.land()
            except (ApiError, OSError, git.GitError) as error:
                log.warning("landing failed; the controller tries again", app=str(self._key), error=error)
        self._unqueue()

    def _unqueue(self) -> None:
        if self._queued:
            self._queued = False
            self._shop.repositories.queue(self._key).release()


Say = Callable[[str], Awaitable[None]]


def progress(status: Mapping[str, Any]) -> str:
    """One line for a release that is on its way; "" before there is anything to tell."""
    phase = str(status.get("phase") or "")
    if not phase:
        return ""
    weight = status.get("weight")
    words = phase if weight is None else f"{phase}: {weight} % of the traffic"
    waiting = status.get("waiting") or {}
    if status.get("outcome") == "Held":
        words += "; held, because the signals are missing"
    elif waiting.get("requests"):
        words += f"; about {waiting['requests']:,} more requests to the next step"
    return words


def read_text(path: Path) -> str:
    """A file of the exported tree, never through a link. "" when it cannot be read as text."""
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(_READ).decode("utf-8", "replace").removeprefix("\ufeff")


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno == 28:
        return "the disk of the machine is full. Make room (styr's data folder, /tmp) and push again"
    return str(error) or type(error).__name__
