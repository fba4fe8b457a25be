"""From a branch that moved to a Release: exactly one per accepted push, whatever was killed in between.

Before the branch moves, `push` writes a record beside the repository (GIT/styr/COMMIT.json): image, command, tests. When
it has moved, `land` makes the Release and notes its name in the record. The controller does the same for an App whose
branch has a record without a Release: that is what a crash between the two leaves. It also moves the branch back from a
commit that was taken back, so that the branch stays "code that runs" and pushing that commit again is a push, which
`push` can then refuse or retry.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styr.client.controller import After, Context, Controller, Done, Outcome
from styr.delivery import git
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists, NotFound
from styr.kinds.meta import Key
from styr.kinds.resources import APP, RELEASE, Object
from styr.kit.files import write_atomic
from styr.kit.log import Log

if TYPE_CHECKING:
    from styr.client.client import Client

log = Log("styr.delivery.landing")

PUSH_ANNOTATION = "styr.dev/push"
"""On a Release: the id of the accepted push that it came from."""
APP_LABEL, RELEASE_LABEL = "styr.dev/app", "styr.dev/release"
_TAKEN_BACK = ("RolledBack", "Failed")


@dataclass(frozen=True, slots=True)
class Record:
    """What an accepted push will become. `release` is "" until it has."""

    push: str
    app_uid: str
    commit: str
    subject: str
    image: str
    command: str
    pushed_by: str
    smoke: str = ""
    tests: dict[str, Any] = field(default_factory=dict)
    retry: bool = False
    skip_canary: bool = False
    release: str = ""


def branch_of(app: Object) -> str:
    return str((app.get("spec") or {}).get("branch") or "main")


def record_file(repository: Path, commit: str) -> Path:
    return repository / "styr" / f"{commit}.json"


def write_record(repository: Path, record: Record) -> None:
    """On disk when this returns. Raises OSError."""
    file = record_file(repository, record.commit)
    file.parent.mkdir(exist_ok=True)
    write_atomic(file, json.dumps(asdict(record)))


def read_record(repository: Path, commit: str) -> Record | None:
    try:
        found = json.loads(record_file(repository, commit).read_bytes())
        return Record(**found)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def release_of(app: Object, record: Record, number: int) -> Object:
    name = f"{meta.name(app)}-r{number}"
    return {
        "apiVersion": RELEASE.api_version,
        "kind": RELEASE.kind,
        "metadata": {
            "name": name,
            "namespace": meta.namespace(app),
            "labels": {APP_LABEL: meta.name(app), RELEASE_LABEL: name},
            "annotations": {PUSH_ANNOTATION: record.push},
            "ownerReferences": [meta.owner_reference(app, APP)],
        },
        "spec": {
            "app": meta.name(app),
            "number": number,
            "commit": record.commit,
            "subject": record.subject,
            "image": record.image,
            "command": record.command,
            "tests": dict(record.tests),
            "retry": record.retry,
            "skipCanary": record.skip_canary,
            "pushedBy": record.pushed_by,
        },
    }


class Repositories:
    """Where the bare repositories are, and the one lock of each app's pushes (`queue`) and landings."""

    def __init__(self, client: Client, root: Path) -> None:
        self.client = client
        self.root = root
        self._queues: dict[Key, asyncio.Lock] = {}
        self._landing: dict[Key, asyncio.Lock] = {}

    def path(self, key: Key) -> Path:
        folder = self.root if key.namespace == "default" else self.root / key.namespace
        return folder / f"{key.name}.git"

    def queue(self, key: Key) -> asyncio.Lock:
        """Held by the push that is being built, until its Release is there."""
        return self._queues.setdefault(key, asyncio.Lock())

    async def land(self, app: Object) -> Object | None:
        """The Release of the branch's tip, made now if it is not there yet; None when the tip has none coming."""
        key = meta.key(app)
        repository = self.path(key)
        if not (repository / "HEAD").exists():
            return None
        async with self._landing.setdefault(key, asyncio.Lock()):
            commit = await git.tip(repository, branch_of(app))
            record = read_record(repository, commit) if commit else None
            if record is None or record.app_uid != meta.uid(app):
                return None
            if record.release:
                with contextlib.suppress(NotFound):
                    return await self.client.get(RELEASE, record.release, key.namespace)
                return None
            if record.smoke and record.smoke != ((app["spec"].get("smoke") or {}).get("path")):
                wanted = {"spec": {"smoke": {"path": record.smoke}}}
                app = await self.client.patch(APP, key.name, key.namespace, wanted)
            release = await self._create(app, record)
            write_record(repository, replace(record, release=meta.name(release)))
            return release

    async def _create(self, app: Object, record: Record) -> Object:
        while True:
            found = (await self.client.list(RELEASE, meta.namespace(app), labels=f"{APP_LABEL}={meta.name(app)}")).items
            for release in found:
                if meta.annotations(release).get(PUSH_ANNOTATION) == record.push:
                    return release
            numbers = [int((release.get("spec") or {}).get("number", 0)) for release in found]
            numbers.append(int((app.get("status") or {}).get("nextNumber") or 1) - 1)
            with contextlib.suppress(AlreadyExists):
                return await self.client.create(RELEASE, release_of(app, record, max(numbers) + 1))
            app = await self.client.get(APP, meta.name(app), meta.namespace(app))

    async def step_back(self, app: Object, release: Object) -> None:
        """Moves the branch from a release that was taken back to the commit of the stable one, if nobody pushed since."""
        key = meta.key(app)
        repository = self.path(key)
        spec, status = release.get("spec") or {}, app.get("status") or {}
        commit, branch = str(spec.get("commit", "")), branch_of(app)
        if self.queue(key).locked() or not (repository / "HEAD").exists():
            return
        record = read_record(repository, commit)
        if record is None or record.release != meta.name(release) or await git.tip(repository, branch) != commit:
            return
        stable: Object | None = None
        if status.get("stable") and status["stable"] != meta.name(release):
            with contextlib.suppress(NotFound):
                stable = await self.client.get(RELEASE, str(status["stable"]), key.namespace)
        good = str(((stable or {}).get("spec") or {}).get("commit", ""))
        if good == commit:
            return
        arguments = (
            ("update-ref", f"refs/heads/{branch}", good, commit)
            if good
            else ("update-ref", "-d", f"refs/heads/{branch}", commit)
        )
        with contextlib.suppress(git.GitError):
            await git.run(repository, *arguments)
            log.info("branch moved back", app=str(key), branch=branch, commit=commit[:10], to=good[:10] or "nothing")

    def controller(self) -> Controller:
        """Keeps the branch and the Releases in step, for every App."""

        async def reconcile(context: Context, key: Key) -> Outcome:
            app = context.get(APP, key)
            if app is None or meta.deleting(app):
                return Done()
            if self.queue(key).locked():
                return After(2.0)
            await self.land(app)
            for release in context.children(RELEASE, app):
                if (release.get("status") or {}).get("phase") in _TAKEN_BACK:
                    await self.step_back(app, release)
            return Done()

        return Controller("delivery-branch", APP, reconcile, owns=(RELEASE,))
