"""A small world for the tests of pushes: an API in memory whose pods run as subprocesses, and git's handler on a socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from styr.client.client import ObjectList, WatchEvent
from styr.delivery.source import Source
from styr.delivery.tree import Limits
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists, NotFound
from styr.kinds.resources import APP, POD, RELEASE, Object, Resource
from styr.kinds.transport import ANONYMOUS, Handler, Request, Response, User
from styr.kit.clock import SystemClock

TOKEN = "secret"
DEADLINE = 30.0


async def until(condition: Callable[[], Any], what: str = "the condition", deadline: float = DEADLINE) -> Any:
    async with asyncio.timeout(deadline):
        while not (found := condition()):
            await asyncio.sleep(0.01)
    return found


def _matches(obj: Object, labels: str, fields: str) -> bool:
    have = meta.labels(obj)
    for term in filter(None, labels.split(",")):
        key, equals, value = term.partition("=")
        if key not in have or (equals and have[key] != value):
            return False
    return not fields or fields == f"metadata.name={meta.name(obj)}"


class MemoryApi:
    """As much of `Client` as delivery uses. Pods are executed at once; deleting one kills its process group."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.history: list[tuple[int, str, Object]] = []
        self.created: list[Object] = []
        self.changed = asyncio.Event()
        self.revision = 0
        self.runs_pods = True
        self._logs: dict[str, bytearray] = {}
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def _key(self, resource: Resource, name: str, namespace: str) -> tuple[str, str, str]:
        return resource.plural, namespace, name

    def _put(self, resource: Resource, obj: Object, kind: str) -> Object:
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        key = self._key(resource, meta.name(obj), meta.namespace(obj))
        if kind == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = obj
        self.history.append((self.revision, kind, copy.deepcopy(obj) | {"_": resource.plural}))
        self.changed.set()
        self.changed = asyncio.Event()
        return copy.deepcopy(obj)

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Object:
        found = self.objects.get(self._key(resource, name, namespace))
        if found is None:
            raise NotFound(f"{resource.plural} {name!r} not found")
        return copy.deepcopy(found)

    async def list(
        self, resource: Resource, namespace: str = "", *, labels="", fields="", limit=0, keep=lambda obj: obj
    ):
        items = [
            keep(copy.deepcopy(obj))
            for (plural, place, _), obj in self.objects.items()
            if plural == resource.plural and namespace in ("", place) and _matches(obj, labels, fields)
        ]
        return ObjectList(items, str(self.revision))

    async def watch(
        self, resource: Resource, namespace: str = "", *, labels="", fields="", resource_version="", timeout=None
    ):
        seen = int(resource_version or self.revision)
        while True:
            changed = self.changed
            for revision, kind, obj in [entry for entry in self.history if entry[0] > seen]:
                seen = revision
                if (
                    obj["_"] == resource.plural
                    and namespace in ("", meta.namespace(obj))
                    and _matches(obj, labels, fields)
                ):
                    yield WatchEvent(kind, {key: value for key, value in obj.items() if key != "_"})
            await changed.wait()

    async def create(self, resource: Resource, obj: Object) -> Object:
        obj = copy.deepcopy(obj)
        if self._key(resource, meta.name(obj), meta.namespace(obj)) in self.objects:
            raise AlreadyExists(f"{resource.plural} {meta.name(obj)!r} already exists")
        obj["metadata"].setdefault("uid", f"uid-{self.revision + 1}")
        made = self._put(resource, obj, "ADDED")
        self.created.append(made)
        if resource == POD and self.runs_pods:
            task = asyncio.get_running_loop().create_task(self._execute(obj))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return made

    async def delete(self, resource: Resource, name: str, namespace: str = "", **_: Any) -> Object:
        obj = self.objects.get(self._key(resource, name, namespace))
        if obj is None:
            raise NotFound(f"{resource.plural} {name!r} not found")
        self._kill(name)
        return self._put(resource, copy.deepcopy(obj), "DELETED")

    async def patch(self, resource: Resource, name: str, namespace: str, patch: Any, **_: Any) -> Object:
        def merge(old: Any, new: Any) -> Any:
            return {**old, **{k: merge(old.get(k) or {}, v) for k, v in new.items()}} if isinstance(new, dict) else new

        return self._put(resource, merge(await self.get(resource, name, namespace), patch), "MODIFIED")

    def status(self, resource: Resource, name: str, **changes: Any) -> None:
        obj = copy.deepcopy(self.objects[self._key(resource, name, "default")])
        obj.setdefault("status", {}).update(changes)
        self._put(resource, obj, "MODIFIED")

    def all(self, resource: Resource) -> list[Object]:
        return [obj for (plural, _, _), obj in self.objects.items() if plural == resource.plural]

    app_resource = APP

    def all_apps(self) -> list[Object]:
        return self.all(APP)

    def running_pods(self) -> list[str]:
        return list(self._running)

    async def logs(self, name: str, namespace: str, *, follow: bool = False, **_: Any) -> AsyncIterator[bytes]:
        position = 0
        while True:
            log = self._logs.get(name, bytearray())
            if len(log) > position:
                chunk = bytes(log[position:])
                position = len(log)
                yield chunk
            elif name not in self._running:
                return
            else:
                await asyncio.sleep(0.005)

    def _kill(self, name: str) -> None:
        process = self._running.get(name)
        if process and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    async def _execute(self, pod: Object) -> None:
        name, spec = meta.name(pod), pod["spec"]
        container = spec["containers"][0]
        environment = {item["name"]: item["value"] for item in container["env"]}
        process = await asyncio.create_subprocess_exec(
            *container["command"],
            cwd=container["workingDir"],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._running[name], self._logs[name] = process, bytearray()
        self.status(POD, name, phase="Running")
        late = False
        try:
            async with asyncio.timeout(spec["activeDeadlineSeconds"]):
                assert process.stdout
                while chunk := await process.stdout.read(65536):
                    self._logs[name] += chunk
                await process.wait()
        except TimeoutError:
            late = True
            self._kill(name)
            await process.wait()
        finally:
            self._kill(name)
            del self._running[name]
        if ("pods", "default", name) not in self.objects:
            return
        if late:
            self.status(POD, name, phase="Failed", reason="DeadlineExceeded")
            return
        self.status(
            POD,
            name,
            phase="Succeeded" if process.returncode == 0 else "Failed",
            containerStatuses=[{"state": {"terminated": {"exitCode": process.returncode}}}],
        )

    async def close(self) -> None:
        for name in list(self._running):
            self._kill(name)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class GitServer:
    """HTTP/1.1 just well enough for git: chunked and counted bodies, 100-continue, a closed peer closes the response."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.port = 0

    async def __aenter__(self) -> GitServer:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._one(reader, writer)
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:] if line)}
        if "100-continue" in headers.get("expect", ""):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        parts = urlsplit(target)
        login = headers.get("authorization", "").removeprefix("Basic ")
        known = login and base64.b64decode(login).decode().endswith(f":{TOKEN}")
        request = Request(
            method,
            unquote(parts.path),
            parse_qsl(parts.query),
            headers,
            self._body(reader, headers),
            User("admin", ("system:masters",)) if known else ANONYMOUS,
        )
        response = await self._handler(request)
        work = asyncio.create_task(self._respond(response, writer))
        gone = asyncio.create_task(reader.read(1))
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)

    async def _body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                yield await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
            return
        left = int(headers.get("content-length", 0))
        while left:
            chunk = await reader.read(min(left, 65536))
            if not chunk:
                raise ConnectionResetError
            left -= len(chunk)
            yield chunk

    async def _respond(self, response: Response, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {response.status} X", "connection: close"]
        lines += [f"{key}: {value}" for key, value in response.headers.items()]
        if isinstance(response.body, bytes):
            lines.append(f"content-length: {len(response.body)}")
            writer.write("\r\n".join([*lines, "", ""]).encode() + response.body)
            await writer.drain()
            return
        writer.write("\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode())
        async with contextlib.aclosing(response.body) as body:  # type: ignore[type-var]
            async for chunk in body:
                writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()


class World:
    """One Styr's delivery with a real git beside it."""

    def __init__(self, root: Path, **limits: int) -> None:
        self.root = root
        self.api = MemoryApi()
        self.limits = Limits(**limits)
        self.source = self._source()

    def _source(self) -> Source:
        return Source(
            self.api,  # type: ignore[arg-type]
            data_dir=self.root / "data",
            clock=SystemClock(),
            random=random.Random(),
            limits=self.limits,
        )

    async def __aenter__(self) -> World:
        await self.source.start()
        self.server = await GitServer(lambda request: self.source.handler(request)).__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.source.stop()
        await self.server.__aexit__()
        await self.api.close()

    async def restart(self) -> None:
        await self.source.stop()
        self.source = self._source()
        await self.source.start()

    async def app(self, name: str = "hello", **spec: Any) -> Object:
        return await self.api.create(
            APP,
            {
                "apiVersion": APP.api_version,
                "kind": "App",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"branch": "main", **spec},
            },
        )

    def url(self, app: str = "hello") -> str:
        return f"http://styr:{TOKEN}@127.0.0.1:{self.server.port}/git/{app}.git"

    def releases(self) -> list[Object]:
        return self.api.all(RELEASE)

    async def repository(self, files: dict[str, str], name: str = "work") -> Repository:
        repository = Repository(self.root / name)
        repository.folder.mkdir()
        await repository.git("init", "-q", "-b", "main")
        if files:
            await repository.commit(files)
        return repository

    def tip(self, app: str = "hello", branch: str = "main") -> str:
        file = self.root / "data" / "git" / f"{app}.git" / "refs" / "heads" / branch
        return file.read_text().strip() if file.exists() else ""


class Repository:
    """A user's clone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder.parent),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **{f"GIT_{who}_NAME": "A User" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "user@example.com" for who in ("AUTHOR", "COMMITTER")},
        }
        return await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            cwd=self.folder,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

    async def run(self, *arguments: str, stdin: str = "") -> tuple[int, str]:
        process = await self.start(*arguments)
        try:
            async with asyncio.timeout(DEADLINE * 2):
                out, _ = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return process.returncode or 0, out.decode()

    async def git(self, *arguments: str, stdin: str = "") -> str:
        code, out = await self.run(*arguments, stdin=stdin)
        assert code == 0, out
        return out.strip()

    async def commit(self, files: dict[str, str], message: str = "change") -> str:
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        await self.git("add", "-A")
        await self.git("commit", "-q", "--allow-empty", "-m", message)
        return await self.git("rev-parse", "HEAD")


def dumps(obj: Any) -> str:
    return json.dumps(obj, indent=1)
