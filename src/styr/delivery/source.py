"""Git smart HTTP on asyncio, around the machine's `git receive-pack` and `git upload-pack`.

`plane` mounts `Source.handler` at /git on the API's port, hands `Source.images` to the node, adds `Source.controllers()`
and calls `start` and `stop`. Requests come authenticated. A push's own work is in `push`; here are only the wire, the
processes and what must be undone when the pusher goes away. Format: git's Documentation/gitprotocol-http.
"""

from __future__ import annotations

import asyncio
import random as random_module
import re
import shlex
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from styr.delivery import git, hook, landing, pods
from styr.delivery.build import Builder
from styr.delivery.images import Images
from styr.delivery.interpreters import find_uv
from styr.delivery.landing import Repositories, branch_of
from styr.delivery.metrics import PushMetrics
from styr.delivery.push import Push, Workshop
from styr.delivery.receive import CHUNK, BadBody, Receiving, feed, packet
from styr.delivery.tree import MEBIBYTE, Limits
from styr.kinds import meta
from styr.kinds.errors import ApiError, NotFound
from styr.kinds.meta import Key
from styr.kinds.pods import is_terminal
from styr.kinds.resources import APP, POD, RELEASE, Object
from styr.kinds.transport import ANONYMOUS, Handler, Request, Response, User
from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.kit.metrics import CollectorRegistry
from styr.kit.tasks import Tasks

if TYPE_CHECKING:
    from styr.client.client import Client
    from styr.client.controller import Controller

log = Log("styr.delivery.source")

_PATH = re.compile(
    r"(?:/git)?/(?:(?P<namespace>[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)/)?(?P<app>[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)"
    r"\.git/(?P<rest>info/refs|git-upload-pack|git-receive-pack)"
)
_PROTOCOL = re.compile(r"version=[012](?::[a-z0-9=:-]{0,64})?")
_NO_CACHE = {"cache-control": "no-cache, max-age=0, must-revalidate"}
_COLLECT_EVERY = 600.0
_HOOKS = ("pre-receive", "post-receive")

MayPush = Callable[[User, str, Key], Awaitable[bool]]
"""(user, "get" for fetches or "update" for pushes, app) -> allowed."""


class Source:
    """Pushes in, Releases out. `limits` bound what one push may hold; `uv` is the path of its binary (None: pip)."""

    def __init__(
        self,
        client: Client,
        *,
        data_dir: Path,
        clock: Clock,
        random: random_module.Random,
        uv: str | None = "",
        limits: Limits | None = None,
        may_push: MayPush | None = None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        data_dir = data_dir.absolute()
        self.limits = limits or Limits()
        self.images = Images(data_dir / "images")
        self.repositories = Repositories(client, data_dir / "git")
        self._client = client
        self._clock = clock
        self._random = random
        self._hooks = data_dir / "git" / ".hooks"
        self._work = data_dir / "images" / "work"
        self._may_push = may_push
        self._tasks = Tasks("delivery")
        builder = Builder(client, clock, random, self.images, self.limits, find_uv() if uv == "" else uv)
        self.shop = Workshop(
            client,
            clock,
            random,
            self.repositories,
            self.images,
            builder,
            self.limits,
            self._work,
            metrics=PushMetrics(registry),
        )

    @property
    def handler(self) -> Handler:
        return self._handle

    def controllers(self) -> list[Controller]:
        return [self.repositories.controller()]

    async def start(self) -> None:
        """Prepares the folders. What an earlier run left half-done is removed; needs no API yet."""
        self.images.prepare()
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True)
        self._write_hooks()
        for left in (
            *self.repositories.root.glob("**/objects/incoming-*"),
            *self.repositories.root.glob("**/tmp_objdir-*"),
        ):
            shutil.rmtree(left, ignore_errors=True)
        self._tasks.spawn(self._keep_house(), name="housekeeping")

    async def stop(self) -> None:
        """Pushes that were not accepted yet are cancelled; accepted ones have their Release, or get it at the next start."""
        await self._tasks.close()

    def _write_hooks(self) -> None:
        """Outside every repository; a pushed file can never become one."""
        self._hooks.mkdir(parents=True, exist_ok=True, mode=0o700)
        program = shlex.quote(str(Path(hook.__file__).absolute()))
        for name in _HOOKS:
            file = self._hooks / name
            file.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {program} {name}\n")
            file.chmod(0o700)

    # Requests

    async def _handle(self, request: Request) -> Response:
        match = _PATH.fullmatch(request.path)
        if not match:
            return _text(404, "There is no such repository. Its address is /git/APP.git; `styr link` sets it up.")
        user = request.user
        if user is None or user.name == ANONYMOUS.name:
            return _text(
                401,
                "Styr asks for its token. Run `styr link` in this repository.",
                {"www-authenticate": 'Basic realm="styr"'},
            )
        key = Key(match["namespace"] or "default", match["app"])
        try:
            return await self._serve(request, user, key, match["rest"])
        except NotFound:
            return _text(404, f"There is no app {key.name} in namespace {key.namespace}. Make it: styr link {key.name}")
        except BadBody as error:
            return _text(400, str(error))
        except ApiError as error:
            return _text(error.status_code, f"The API answered: {error}")
        except (OSError, git.GitError) as error:
            log.warning("git request failed", app=str(key), error=error)
            return _text(500, f"Styr could not serve this request: {error}")

    async def _serve(self, request: Request, user: User, key: Key, rest: str) -> Response:
        service = request.param("service") if rest == "info/refs" else rest
        if service not in ("git-upload-pack", "git-receive-pack"):
            return _text(403, "Only git's smart protocol is served: use git 1.6.6 or newer.")
        if request.method != ("GET" if rest == "info/refs" else "POST"):
            return _text(
                405, f"{request.method} is not allowed here.", {"allow": "GET" if rest == "info/refs" else "POST"}
            )
        pushing = service == "git-receive-pack"
        app = await self._client.get(APP, key.name, key.namespace)
        if self._may_push and not await self._may_push(user, "update" if pushing else "get", key):
            return _text(403, f"{user.name} may not {'push to' if pushing else 'read'} the app {key}.")
        await self._ensure(app)
        if rest == "info/refs":
            return await self._advertise(request, key, service)
        encoding = request.headers.get("content-encoding", "identity")
        if encoding not in ("identity", "gzip", "x-gzip"):
            return _text(415, f"A body in {encoding} is not understood; gzip is.")
        expected = f"application/x-{service}-request"
        if request.headers.get("content-type") != expected:
            return _text(415, f"The content type must be {expected}.")
        return await (self._receive(request, app, user) if pushing else self._upload(request, key))

    async def _ensure(self, app: Object) -> None:
        """The app's repository; that of an earlier app of the same name goes first."""
        repository = self.repositories.path(meta.key(app))
        owner = repository / "styr" / "app"
        if owner.exists() and owner.read_text() != meta.uid(app):
            await asyncio.to_thread(shutil.rmtree, repository, ignore_errors=True)
        await git.ensure(repository, branch_of(app))
        if not owner.exists():
            owner.parent.mkdir(exist_ok=True)
            owner.write_text(meta.uid(app))

    async def _advertise(self, request: Request, key: Key, service: str) -> Response:
        refs = await git.run(
            self.repositories.path(key),
            *_settings(git.receive_settings(self._hooks, self.limits)),
            service.removeprefix("git-"),
            "--stateless-rpc",
            "--advertise-refs",
            str(self.repositories.path(key)),
            extra=_protocol(request),
        )
        first = (
            b""
            if "GIT_PROTOCOL" in _protocol(request) and refs.startswith(b"000eversion 2")
            else (packet(f"# service={service}\n".encode()) + b"0000")
        )
        return Response(200, first + refs, {"content-type": f"application/x-{service}-advertisement", **_NO_CACHE})

    async def _upload(self, request: Request, key: Key) -> Response:
        process = await self._spawn("upload-pack", self.repositories.path(key), _protocol(request))
        try:
            await feed(request, process, self.limits.pack)
        except BaseException:
            await git.stop(process)
            raise
        return Response(200, _until_end(process), {"content-type": "application/x-git-upload-pack-result", **_NO_CACHE})

    async def _receive(self, request: Request, app: Object, user: User) -> Response:
        ours, theirs = socket.socketpair()
        try:
            process = await self._spawn(
                "receive-pack",
                self.repositories.path(meta.key(app)),
                {**_protocol(request), "STYR_HOOK_FD": str(theirs.fileno())},
                theirs.fileno(),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        receiving = Receiving(process, Push(self.shop, app, user.name), ours, self._tasks, meta.name(app))
        try:
            size = await feed(request, process, self.limits.pack)
        except BaseException:
            await receiving.leave()
            raise
        return Response(
            200,
            receiving.output(size, self.limits),
            {"content-type": "application/x-git-receive-pack-result", **_NO_CACHE},
        )

    async def _spawn(
        self, service: str, repository: Path, extra: dict[str, str], *inherited: int
    ) -> asyncio.subprocess.Process:
        settings = git.receive_settings(self._hooks, self.limits)
        return await asyncio.create_subprocess_exec(
            *git.command(repository, service, "--stateless-rpc", str(repository), settings=settings),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=git.environment(extra),
            start_new_session=True,
            pass_fds=inherited,
            limit=MEBIBYTE,
        )

    # Housekeeping

    async def _keep_house(self) -> None:
        """Stops build pods of an earlier run, then collects images that nothing refers to, now and then."""
        swept = False
        while True:
            try:
                if not swept:
                    await self._stop_orphans()
                    swept = True
                await self.collect()
                await self._pack()
            except (ApiError, OSError) as error:
                log.warning("housekeeping failed; trying again later", error=error)
            await self._clock.sleep(_COLLECT_EVERY if swept else 1.0)

    async def _stop_orphans(self) -> None:
        for pod in (await self._client.list(POD, labels=pods.STEP_LABEL)).items:
            if not is_terminal(pod):
                await pods.delete(self._client, meta.name(pod), meta.namespace(pod))

    async def _pack(self) -> None:
        """Lets git pack what pushes left loose, and bounds the cache of downloads."""
        for repository in self.repositories.root.glob("**/*.git"):
            try:
                await git.run(repository, "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet", timeout=600)
            except (git.GitError, TimeoutError) as error:
                log.warning("git gc failed", repository=repository.name, error=error)
        if not self.shop.builder.installing:
            await asyncio.to_thread(self.images.trim_cache, self.limits.cache)

    async def collect(self) -> int:
        """Removes images that no Release and no accepted push refers to. Returns how many parts went."""
        releases = (await self._client.list(RELEASE)).items
        used = {str((release.get("spec") or {}).get("image", "")).rpartition("@")[2] for release in releases}
        for file in self.repositories.root.glob("**/*.git/styr/*.json"):
            record = landing.read_record(file.parent.parent, file.stem)
            if record and not record.release:
                used.add(record.image.rpartition("@")[2])
        return await asyncio.to_thread(self.images.collect, used.__contains__, self._clock.time())


async def _until_end(process: asyncio.subprocess.Process) -> AsyncIterator[bytes]:
    assert process.stdout
    try:
        while chunk := await process.stdout.read(CHUNK):
            yield chunk
        await process.wait()
    finally:
        await asyncio.shield(git.stop(process))


def _settings(settings: dict[str, str]) -> list[str]:
    return [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]


def _protocol(request: Request) -> dict[str, str]:
    asked = request.headers.get("git-protocol", "")
    return {"GIT_PROTOCOL": asked} if _PROTOCOL.fullmatch(asked) else {}


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    return Response(status, f"{text}\n".encode(), {"content-type": "text/plain; charset=utf-8", **(headers or {})})
