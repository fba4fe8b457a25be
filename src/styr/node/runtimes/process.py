"""The runtime `process`: a container is a launcher (`launcher.py`) and, below it, the app in a session of its own.

Called by `pod.py`. Signals go through a pidfd whose process was compared with the recorded start time, so a recycled pid
is never hit. Knows no API and no restart policy.
"""

from __future__ import annotations

import asyncio
import marshal
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from styr.kit.log import Log
from styr.kit.process import ProcessId, boot_id, ended, send, start_time
from styr.node.runtimes import launcher, sandbox
from styr.node.runtimes.base import Exit, Handle, Input, Launch, RuntimeFailed

log = Log("styr.node.process")

LOG_CAP = 10 << 20
"""Bytes of a container's log before it is rotated; one rotated file is kept, so at most about twice that."""

ATTACH = 10.0
"""Seconds in which a launcher must take a client."""
UNKNOWN_EXIT = 137
"""As the kubelet reports a container whose end nobody saw (reason ContainerStatusUnknown)."""


class ProcessRuntime:
    """`private` are folders below which no pod may read anything, whatever else would allow it: Styr's own data."""

    name = "process"

    def __init__(self, *, log_cap: int = LOG_CAP, use_sandbox: bool = True) -> None:
        self._log_cap = log_cap
        self._kernel = sandbox.probe() if use_sandbox else sandbox.NOTHING
        self._boot = boot_id()
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def sandbox(self) -> Mapping[str, str]:
        return self._kernel.describe()

    def start(self, launch: Launch, record: Callable[[Handle], None]) -> Handle:
        visit = launch.visit
        if visit is None:
            launch.exit.unlink(missing_ok=True)
        listener = _listen(launch.input.socket) if launch.input else None
        try:
            descriptors = (*visit.stdio, visit.report) if visit else (listener.fileno(),) if listener else ()
            spec = self._spec(launch, listener.fileno() if listener else -1)
            child = subprocess.Popen(
                [_python(), "-I", "-S", "-E", launcher.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
                pass_fds=descriptors,
            )
        except OSError as error:
            raise RuntimeFailed("CreateContainerError", f"the launcher does not start: {error}") from error
        finally:
            if listener:
                listener.close()
        self._children[child.pid] = child
        stdin = child.stdin
        assert stdin is not None
        try:
            started = start_time(child.pid)
            if not started:
                raise RuntimeFailed("CreateContainerError", "the launcher ended at once")
            handle = Handle(child.pid, started, self._boot)
            record(handle)
            stdin.write(len(spec).to_bytes(8, "big") + spec)
        except OSError as error:
            raise RuntimeFailed("CreateContainerError", f"the launcher does not take its orders: {error}") from error
        finally:
            try:
                stdin.close()
            except OSError:
                log.warning("launcher closed its input", pid=child.pid)
        return handle

    def _spec(self, launch: Launch, listener: int) -> bytes:
        for text in (*launch.argv, *launch.env, *launch.env.values()):
            if "\0" in text:
                raise RuntimeFailed("CreateContainerConfigError", "a command or variable holds a NUL byte")
        visit, input = launch.visit, launch.input
        rules = sandbox.rules(launch.readable, launch.writable) if self._kernel.landlock else []
        return marshal.dumps(
            {
                "argv": list(launch.argv),
                "env": dict(launch.env),
                "cwd": str(launch.cwd),
                "log": str(launch.log),
                "exit": "" if visit else str(launch.exit),
                "stdio": visit.stdio if visit else (),
                "report": visit.report if visit else -1,
                "terminal": launch.terminal,
                "terminal_rights": sandbox.DEVICE & self._kernel.rights(),
                "stdin": bool(input and input.stdin),
                "once": bool(input and input.once),
                "listener": listener,
                "token": input.token.encode() if input else b"",
                "node": os.getpid() if visit else 0,
                "umask": 0o022,
                "timeout": launch.timeout,
                "log_cap": self._log_cap,
                "rlimits": sandbox.rlimits(),
                "ruleset": self._kernel.ruleset(),
                "rules": self._kernel.allowed(rules),
                "seccomp": self._kernel.seccomp,
            }
        )

    def alive(self, handle: Handle) -> bool:
        descriptor = self._open(handle)
        if descriptor is None:
            return False
        os.close(descriptor)
        return True

    async def attach(self, input: Input) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(sock=await _connect(input.socket))
        writer.write(input.token.encode())
        return reader, writer

    async def wait(self, handle: Handle, exit: Path) -> Exit:
        descriptor = self._open(handle)
        if descriptor is not None:
            try:
                await ended(descriptor)
            finally:
                os.close(descriptor)
        child = self._children.pop(handle.pid, None)
        if child is not None:
            child.wait()
        return read_exit(exit)

    def terminate(self, handle: Handle) -> None:
        self._signal(handle, signal.SIGTERM)

    async def kill(self, handle: Handle, folder: Path | None) -> None:
        """The launcher kills its own children; one that does not answer within two seconds is killed with them."""
        descriptor = self._open(handle)
        if descriptor is None:
            return
        try:
            send(descriptor, signal.SIGUSR1)
            try:
                await asyncio.wait_for(ended(descriptor), 2.0)
            except TimeoutError:
                log.warning("launcher does not answer, killing it", pid=handle.pid)
                send(descriptor, signal.SIGKILL)
                await ended(descriptor)
                if folder is not None:
                    await self.sweep(folder)
        finally:
            os.close(descriptor)

    async def sweep(self, folder: Path) -> int:
        killed: set[int] = set()
        for _ in range(200):
            found = await asyncio.to_thread(processes_of, folder)
            if not found:
                break
            killed |= {target.pid for target in found if _kill_exactly(target, folder)}
            await asyncio.sleep(0.01)
        return len(killed)

    def _signal(self, handle: Handle, number: int) -> None:
        if handle.boot == self._boot:
            ProcessId(handle.pid, handle.started).signal(number)

    def _open(self, handle: Handle) -> int | None:
        """A pidfd of exactly that launcher, or None when it has ended."""
        if handle.boot != self._boot:
            return None
        return ProcessId(handle.pid, handle.started).open()


@contextmanager
def _near(socket: Path) -> Iterator[str]:
    """A short name of a socket's path: a Unix socket's has 107 bytes at most."""
    folder = os.open(socket.parent, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{socket.name}"
    finally:
        os.close(folder)


async def _connect(path: Path) -> socket.socket:
    """A Unix socket whose listener has no room says "try again", which asyncio would take for "connecting". Raises OSError."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.setblocking(False)
        async with asyncio.timeout(ATTACH):
            while True:
                try:
                    with _near(path) as near:
                        client.connect(near)
                    return client
                except BlockingIOError:
                    await asyncio.sleep(0.01)
    except BaseException:
        client.close()
        raise


def _listen(path: Path) -> socket.socket:
    """Raises RuntimeFailed."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with _near(path) as near:
            listener.bind(near)
        path.chmod(0o600)
        listener.listen(8)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise RuntimeFailed("CreateContainerError", f"the socket to attach by cannot be made: {error}") from error
    return listener


def _kill_exactly(target: ProcessId, folder: Path) -> bool:
    descriptor = target.open()
    if descriptor is None:
        return False
    try:
        if not belongs(target.pid, folder):
            return False
        send(descriptor, signal.SIGKILL)
        return True
    finally:
        os.close(descriptor)


def read_exit(path: Path) -> Exit:
    """What the launcher wrote; `known=False` when it wrote nothing."""
    try:
        return parse_exit(path.read_bytes())
    except OSError:
        return parse_exit(b"")


def parse_exit(line: bytes) -> Exit:
    """A line of the launcher's. `known=False` when it is none."""
    try:
        code, number, finished, error = line.decode("utf-8", "replace").rstrip("\n").split(" ", 3)
        return Exit(int(code), int(number), float(finished), error)
    except ValueError:
        return Exit(UNKNOWN_EXIT, 0, time.time(), known=False)


def processes_of(folder: Path) -> list[ProcessId]:
    """Every process but this one whose environment or working directory lies in the pod's folder."""
    pids = (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())
    found = [ProcessId.of(pid) for pid in pids if pid != os.getpid() and belongs(pid, folder)]
    return [one for one in found if one.started]


def belongs(pid: int, folder: Path) -> bool:
    """HOME and TMPDIR of every process of a pod point into the pod's folder, whose name is the pod's uid."""
    prefix = f"{folder}/"
    try:
        if os.readlink(f"/proc/{pid}/cwd").startswith(prefix):
            return True
    except OSError:
        return False
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    marker = os.fsencode(prefix)
    return any(entry.startswith((b"HOME=" + marker, b"TMPDIR=" + marker)) for entry in environment.split(b"\0"))


def _python() -> str:
    base: Any = getattr(sys, "_base_executable", None)
    return str(base or sys.executable)
