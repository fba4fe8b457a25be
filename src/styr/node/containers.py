"""One container of one pod: prepares its folders and environment, starts it, watches it, stops it.

Called by `pod.py`, which decides when; calls the runtime, the probes, and the API for ConfigMaps and Secrets. Never
writes a status: it changes the `ContainerRecord` and says so (`changed`).
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from styr.client.context import Context
from styr.kinds.errors import BadRequest, NotFound
from styr.kinds.pods import HOST_IMAGE
from styr.kinds.resources import Object, Resource
from styr.kinds.seams import Image, ImageStore, Run, StreamOptions, Terminal
from styr.kit.clock import Clock
from styr.kit.files import make_private
from styr.node import attach, environment, probes, visit
from styr.node.logs import last_lines, log_path
from styr.node.metrics import NodeMetrics
from styr.node.plan import ended
from styr.node.record import ContainerRecord, PodRecord
from styr.node.runtimes.base import Handle, Input, Launch, Runtime, RuntimeFailed

CONFIG_RETRY = 2.0
"""Seconds until a container that could not be prepared (a missing Secret) is tried again."""
EXEC_OUTPUT = 10 << 10
"""Bytes that are read of a probe's output."""


class Containers:
    """The containers of one pod. `pod` is replaced by the owner when it changes."""

    def __init__(
        self, pod: Object, record: PodRecord, folder: Path, *, context: Context, runtime: Runtime,
        images: ImageStore | None, clock: Clock, save: Callable[[], None], changed: Callable[[], None],
        metrics: NodeMetrics,
    ) -> None:  # fmt: skip
        self._metrics = metrics
        self.pod, self.record, self.folder = pod, record, folder
        self._context, self._runtime, self._images, self._clock = context, runtime, images, clock
        self._save, self._changed = save, changed
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._launches: dict[str, Launch] = {}
        self._visits: dict[Handle, str] = {}
        """Commands that clients run, and the container of each."""
        self._helpers: set[asyncio.Task[None]] = set()

    def known_image(self, reference: str) -> bool:
        return reference == HOST_IMAGE or (self._images is not None and self._images.resolve(reference) is not None)

    # starting

    async def start(self, spec: Mapping[str, Any]) -> None:
        """Starts it, or leaves the container waiting with the reason."""
        container = self.record.container(spec["name"])
        again = container.attempted
        number = container.restarts + again
        try:
            launch = await self._prepare(spec, number, fresh=True)
            self._runtime.start(launch, lambda handle: self._running(container, number, handle))
        except RuntimeFailed as error:
            self._not_started(container, error.reason, str(error))
            await self._context.event(self.pod, "Warning", "Failed", f"container {container.name}: {error}")
            return
        except OSError as error:
            self._not_started(container, "CreateContainerError", str(error))
            await self._context.event(self.pod, "Warning", "Failed", f"container {container.name}: {error}")
            return
        self._launches[container.name] = launch
        self.watch(spec)
        await self._context.event(self.pod, "Normal", "Started", f"Started container {container.name}")
        if hook := (spec.get("lifecycle") or {}).get("postStart"):
            self._spawn(self._post_start(spec, hook))

    def _running(self, container: ContainerRecord, number: int, handle: Any) -> None:
        """Before the app may run: after a crash right here the next start knows the launcher."""
        container.phase, container.handle, container.restarts = "running", handle, number
        container.reason = container.message = container.why_not_ready = ""
        container.started_at = self._clock.time()
        container.ready = container.started = False
        self._metrics.started(again=number > 0)
        self._save()

    def _not_started(self, container: ContainerRecord, reason: str, message: str) -> None:
        container.phase, container.handle = "waiting", None
        container.reason, container.message = reason, message
        container.retry_at = self._clock.time() + CONFIG_RETRY
        self._changed()

    async def _prepare(self, spec: Mapping[str, Any], number: int, *, fresh: bool) -> Launch:
        """All that a start needs. With `fresh` the container's folders are made anew. Raises RuntimeFailed, OSError."""
        name = str(spec["name"])
        image = self._image(spec)
        work, tmp = self.folder / "work" / name, self.folder / "tmp" / name
        if fresh:
            await asyncio.to_thread(_make_folders, work, tmp, image)
        logs = make_private(self.folder / "containers" / name)
        _drop_old(logs, number)
        base = {
            "PATH": environment.PATH, "LANG": "C.UTF-8", "HOSTNAME": self.record.name,
            **(image.env if image else {}),
            "HOME": str(work), "TMPDIR": str(tmp),
            **environment.port_variables(spec, self.record.ports),
        }  # fmt: skip
        variables = await environment.environment(spec, base, self.pod, self._read)
        readable, writable = self._mounts(spec)
        if spec.get("tty"):
            variables.setdefault("TERM", visit.TERM)
        container = self.record.container(name)
        if fresh:
            container.token = secrets.token_hex(16)
        read_only = (spec.get("securityContext") or {}).get("readOnlyRootFilesystem")
        return Launch(
            argv=environment.command(spec, image, variables),
            env=variables,
            cwd=Path(spec.get("workingDir") or work),
            log=log_path(self.folder, name, number),
            exit=logs / f"{number}.exit",
            readable=(*(image.layers if image else ()), *readable, *((work,) if read_only else ())),
            writable=(tmp, *writable, *(() if read_only else (work,))),
            terminal=bool(spec.get("tty")),
            input=self._input(spec, container),
        )

    def _image(self, spec: Mapping[str, Any]) -> Image | None:
        reference = str(spec.get("image") or "")
        if reference == HOST_IMAGE:
            return None
        image = self._images.resolve(reference) if self._images else None
        if image is None:
            raise RuntimeFailed("ErrImageNeverPull", f"no image {reference!r} on this node")
        self.record.container(spec["name"]).image_id = image.digest
        return image

    async def _read(self, resource: Resource, name: str) -> Object:
        return await self._context.client.get(resource, name, self.record.namespace)

    def _mounts(self, spec: Mapping[str, Any]) -> tuple[list[Path], list[Path]]:
        volumes = {str(v["name"]): v["hostPath"] for v in self.pod["spec"].get("volumes") or () if v.get("hostPath")}
        readable: list[Path] = []
        writable: list[Path] = []
        for mount in spec.get("volumeMounts") or ():
            if mount["name"] not in volumes:
                continue  # the token's, which has no place here
            path = _host_path(volumes[mount["name"]])
            (readable if mount.get("readOnly") else writable).append(path)
        return readable, writable

    # watching

    def watch(self, spec: Mapping[str, Any]) -> None:
        """Follows a running container to its end, and probes it; also after an adoption."""
        self._watching[spec["name"]] = self._spawn(self._follow(spec))

    async def _follow(self, spec: Mapping[str, Any]) -> None:
        container = self.record.container(spec["name"])
        handle = container.handle
        if handle is None:
            return
        exit_file = self.folder / "containers" / container.name / f"{container.restarts}.exit"
        probing = asyncio.create_task(self._probe(spec, container))
        try:
            exit = await self._runtime.wait(handle, exit_file)
            await self._end_visits(container.name)
            if not exit.known:
                await self._runtime.sweep(self.folder)
                exit = replace(exit, finished=self._clock.time())
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
        message = ""
        if exit.code and spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            message = last_lines(log_path(self.folder, container.name, container.restarts))
        ended(self.pod, self.record, container, exit, message)
        self._changed()
        if exit.error:
            await self._context.event(self.pod, "Warning", "Failed", f"container {container.name}: {exit.error}")
        if container.phase == "waiting" and container.retry_at > self._clock.time():
            await self._context.event(self.pod, "Warning", "BackOff", container.message)

    async def _probe(self, spec: Mapping[str, Any], container: ContainerRecord) -> None:
        if not any(c["name"] == container.name for c in self.pod["spec"]["containers"]):
            return
        await probes.watch(
            spec, resolve=lambda target: resolve(spec, self.record.ports, target),
            run=lambda argv, timeout: self.execute(spec, argv, timeout),
            clock=self._clock, report=_Reporter(self, spec, container),
            started=container.started, ready=container.ready, count=self._metrics.probed,
        )  # fmt: skip

    async def execute(self, spec: Mapping[str, Any], argv: tuple[str, ...], timeout: float) -> tuple[int, str]:
        """A command in the container's folders, environment and sandbox: (exit code, output). Raises TimeoutError, OSError."""
        name = str(spec["name"])
        launch = replace(await self._launch(name, spec), argv=argv, timeout=timeout)
        options = StreamOptions(name, argv, stdout=True, stderr=True)
        said = visit.Said(EXEC_OUTPUT)
        try:
            exit = await visit.run(self._runtime, launch, options, said, lambda handle: self._visited(name, handle))
        except RuntimeFailed as error:
            raise OSError(str(error)) from error
        if exit.signal == 9 and exit.code == 137:
            raise TimeoutError(f"command was killed after {timeout:g} s")
        return exit.code, exit.error or said.text()

    # visiting

    async def visit(self, name: str, options: StreamOptions) -> Run:
        """What runs a client's command in a running container. Raises NotFound."""
        launch = replace(await self._launch(name, self._running_spec(name)), argv=options.command)

        async def run(terminal: Terminal) -> int:
            self._running_spec(name)
            return await visit.told(
                self._runtime, launch, options, terminal, lambda handle: self._visited(name, handle)
            )

        return run

    async def attach(self, name: str, options: StreamOptions) -> Run:
        """What joins a client to a running container. Raises NotFound, BadRequest."""
        spec, container = self._running_spec(name), self.record.container(name)
        if not container.token:
            raise BadRequest(f"container {name} was started by an older Styr, to which nobody can attach; restart it")
        input = self._input(spec, container)

        async def run(terminal: Terminal) -> int:
            self._running_spec(name)
            return await attach.run(self._runtime, input, bool(spec.get("tty")), options, terminal)

        return run

    def _input(self, spec: Mapping[str, Any], container: ContainerRecord) -> Input:
        socket = self.folder / "containers" / container.name / "attach"
        return Input(socket, container.token, bool(spec.get("stdin")), bool(spec.get("stdinOnce")))

    async def _launch(self, name: str, spec: Mapping[str, Any]) -> Launch:
        """As the container was started; worked out anew for one that was adopted."""
        if name not in self._launches:
            self._launches[name] = await self._prepare(spec, self.record.container(name).restarts, fresh=False)
        return self._launches[name]

    def _running_spec(self, name: str) -> Mapping[str, Any]:
        specs: list[Mapping[str, Any]] = [
            *(self.pod["spec"].get("initContainers") or ()),
            *self.pod["spec"]["containers"],
            *(self.pod["spec"].get("ephemeralContainers") or ()),
        ]
        spec = next((spec for spec in specs if spec["name"] == name), None)
        if spec is None or self.record.container(name).phase != "running":
            raise NotFound(f'unable to upgrade connection: container not found ("{name}")')
        return spec

    def _visited(self, name: str, handle: Handle) -> None:
        """Its launcher stays as long as anything runs that the command left in the background."""
        self._visits[handle] = name
        self._spawn(self._follow_visit(handle))

    async def _follow_visit(self, handle: Handle) -> None:
        try:
            await self._runtime.wait(handle, self.folder)
        finally:
            self._visits.pop(handle, None)

    async def _end_visits(self, name: str) -> None:
        handles = [handle for handle, where in self._visits.items() if where == name]
        await asyncio.gather(*(self._runtime.kill(handle, None) for handle in handles))

    # stopping

    async def stop(self, spec: Mapping[str, Any], grace: float) -> None:
        """preStop, SIGTERM, and at the end of `grace` seconds SIGKILL to whatever is left. Returns when nothing is."""
        container = self.record.container(spec["name"])
        watching = self._watching.get(container.name)
        if container.handle is None or container.phase != "running" or watching is None:
            return
        handle, deadline = container.handle, self._clock.monotonic() + grace
        if (hook := (spec.get("lifecycle") or {}).get("preStop")) and grace > 0:
            job = asyncio.create_task(self._hook(spec, hook, "PreStop", grace))
            await self._first(job, watching, grace)
            job.cancel()
        left = deadline - self._clock.monotonic()
        if left > 0 and not watching.done():
            self._runtime.terminate(handle)
            await self._first(watching, watching, left)
        if not watching.done():
            await self._runtime.kill(handle, self.folder)
        await asyncio.wait([watching])

    async def _first(self, one: asyncio.Task[Any], other: asyncio.Task[Any], seconds: float) -> None:
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({one, other, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()

    async def restart(self, spec: Mapping[str, Any]) -> None:
        """Stops it as an unhealthy one; that it starts again follows from its end."""
        grace = self.pod["spec"].get("terminationGracePeriodSeconds")
        await self.stop(spec, 30.0 if grace is None else float(grace))

    async def _hook(self, spec: Mapping[str, Any], hook: Mapping[str, Any], name: str, timeout: float) -> bool:
        if (pause := hook.get("sleep")) is not None:
            await self._clock.sleep(min(float(pause.get("seconds") or 0), timeout))
            return True
        why = await probes.check(
            hook, lambda target: resolve(spec, self.record.ports, target),
            lambda argv, seconds: self.execute(spec, argv, seconds), timeout,
        )  # fmt: skip
        if why:
            await self._context.event(self.pod, "Warning", f"Failed{name}Hook", f"container {spec['name']}: {why}")
        return not why

    async def _post_start(self, spec: Mapping[str, Any], hook: Mapping[str, Any]) -> None:
        if not await self._hook(spec, hook, "PostStart", 60.0):
            await self.restart(spec)

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._helpers.add(task)
        task.add_done_callback(self._helpers.discard)
        return task

    async def close(self) -> None:
        """Stops watching; the processes go on."""
        tasks = list(self._helpers)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Reporter:
    """Carries what the probes say into the record."""

    def __init__(self, owner: Containers, spec: Mapping[str, Any], container: ContainerRecord) -> None:
        self._owner, self._spec, self._container = owner, spec, container

    def started(self) -> None:
        self._container.started = True
        self._owner._changed()

    def ready(self, value: bool, why: str) -> None:
        if (self._container.ready, self._container.why_not_ready) != (value, why):
            self._container.ready, self._container.why_not_ready = value, why
            self._owner._changed()

    def unhealthy(self, kind: str, why: str) -> None:
        message = f"{kind} probe failed: container {self._container.name}: {why}"
        self._owner._spawn(self._owner._context.event(self._owner.pod, "Warning", "Unhealthy", message))

    def dead(self, kind: str, why: str) -> None:
        message = f"Container {self._container.name} failed {kind.lower()} probe, will be restarted: {why}"
        self._owner._spawn(self._owner._context.event(self._owner.pod, "Normal", "Killing", message))
        self._owner._spawn(self._owner.restart(self._spec))


def resolve(spec: Mapping[str, Any], ports: Mapping[str, int], target: int | str) -> int | None:
    """The real port behind a containerPort or the name of one of this container's ports."""
    for port in spec.get("ports") or ():
        if port.get("name") == target:
            target = int(port["containerPort"])
            break
    if isinstance(target, str) and not target.isdecimal():
        return None
    return ports.get(str(target), int(target)) or None


def _make_folders(work: Path, tmp: Path, image: Image | None) -> None:
    for folder in (work, tmp):
        if folder.exists():
            shutil.rmtree(folder)
        make_private(folder.parent)
    if image is None:
        make_private(work)
    else:
        shutil.copytree(image.root, work, symlinks=True)
        work.chmod(0o700)
    make_private(tmp)


def _drop_old(logs: Path, number: int) -> None:
    """Keeps the previous run's log beside the next one's."""
    for path in logs.iterdir():
        stem = path.name.partition(".")[0]
        if stem.isdecimal() and int(stem) < number - 1:
            path.unlink(missing_ok=True)


def _host_path(volume: Mapping[str, Any]) -> Path:
    """Checked as Kubernetes' hostPath types say. Raises RuntimeFailed."""
    path, kind = Path(volume["path"]), volume.get("type") or ""
    if kind == "DirectoryOrCreate":
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif kind == "FileOrCreate":
        path.touch(exist_ok=True)
    tests = {
        "Directory": path.is_dir, "DirectoryOrCreate": path.is_dir, "File": path.is_file, "FileOrCreate": path.is_file,
        "Socket": path.is_socket, "CharDevice": path.is_char_device, "BlockDevice": path.is_block_device, "": path.exists,
    }  # fmt: skip
    if kind not in tests or not tests[kind]():
        raise RuntimeFailed(
            "CreateContainerConfigError", f"hostPath {path}: not there, or no {kind or 'file or folder'}"
        )
    return path
