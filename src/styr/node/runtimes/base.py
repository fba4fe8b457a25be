"""What a runtime gives to the life of a pod: start a container, learn how it ended (also when Styr was not there), end it.

Called by `pod.py`, `containers.py`; implemented by `process.py`. `tests/contracts/runtime.py` is the suite that every
implementation passes. A runtime knows nothing of the API, of restarts or of probes.

    RuntimeFailed(Exception)     the container could not be started; carries the reason as kubectl shows it
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

EXEC_FAILED = 128
"""The exit code that Kubernetes reports for a container that could not be started (reason StartError)."""


class RuntimeFailed(Exception):
    """`reason` is CamelCase (StartError, CreateContainerError, ...), the message names object and cause."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Handle:
    """One started container, in a form that survives on disk. A pid alone means nothing: `started` (clock ticks since boot,
    field 22 of /proc/PID/stat) and `boot` (the kernel's boot id) make it this process and no other."""

    pid: int
    started: int
    boot: str


@dataclass(frozen=True, slots=True)
class Visit:
    """How a command is run in a container for somebody who waits: on the given descriptors, which stay the caller's, instead of
    a log. It ends with the node. Its exit is written to `report` as the exit file's line, once the command itself has ended."""

    stdio: tuple[int, int, int]
    report: int


@dataclass(frozen=True, slots=True)
class Input:
    """What clients may send to a container: `stdin` as Kubernetes has it, `once` for stdinOnce. `socket` is where they
    attach, who name the token."""

    socket: Path
    token: str
    stdin: bool = False
    once: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """All that is needed to start one container. `readable` and `writable` are added to what every pod may read. With
    `terminal` it gets one, which a `visit` brings along. Without `input` nobody can attach."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    exit: Path
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    timeout: float = 0.0
    """Seconds after which it is killed whoever watches; 0 for never."""
    terminal: bool = False
    input: Input | None = None
    visit: Visit | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How it ended. `code` is as Kubernetes shows it (128 + signal for a signal). `error` is set when it never ran.
    `known` is false when nobody saw the end: the launcher was killed, or the machine went down."""

    code: int
    signal: int
    finished: float
    error: str = ""
    known: bool = True


class Runtime(Protocol):
    @property
    def name(self) -> str: ...

    def sandbox(self) -> Mapping[str, str]:
        """Each part of the isolation and whether this machine gives it, for the Node's annotation."""

    def start(self, launch: Launch, record: Callable[[Handle], None]) -> Handle:
        """Starts the container. `record(handle)` is called, and must have written the handle down, before the app can run.
        Raises RuntimeFailed."""

    def alive(self, handle: Handle) -> bool: ...

    async def attach(self, input: Input) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A running container's streams, in frames as docs/formats/log.md has them, from now on. Raises OSError."""

    async def wait(self, handle: Handle, exit: Path) -> Exit:
        """Returns when no process of the container is left."""

    def terminate(self, handle: Handle) -> None:
        """Asks it to end (SIGTERM to its process group)."""

    async def kill(self, handle: Handle, folder: Path | None) -> None:
        """Ends every process of the container now; returns when none is left. `folder` is the pod's own; None for a visit,
        whose end must not touch the rest of the pod."""

    async def sweep(self, folder: Path) -> int:
        """Kills whatever process still belongs to that pod folder, however it got away. Returns how many."""
