"""One command that a client runs in a container (`kubectl exec`): its pipes or its terminal, joined to the client.

Called by `containers.py`. The command is started by the runtime in the container's own sandbox, folders and environment.
When the client goes, the command gets a hang-up and SIGTERM, and SIGKILL `PATIENCE` seconds later.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from styr.kinds.errors import ApiError, InternalError
from styr.kinds.seams import StreamOptions, Terminal
from styr.kit import descriptors
from styr.node.runtimes.base import Exit, Handle, Launch, Runtime, RuntimeFailed, Visit
from styr.node.runtimes.process import parse_exit

PATIENCE = 3.0
"""Seconds between SIGTERM and SIGKILL for a command whose client has gone."""
TERM = "xterm"


@dataclass(slots=True)
class Ends:
    """Both ends of a command's streams. `theirs` are the command's, closed as soon as it has them."""

    theirs: tuple[int, int, int]
    stdin: int = -1
    outputs: dict[int, int] = field(default_factory=dict)
    """Descriptor -> stream (1 or 2)."""
    terminal: bool = False

    def close_theirs(self) -> None:
        for descriptor in set(self.theirs):
            os.close(descriptor)

    def close_stdin(self) -> None:
        """A terminal has no end of its own: its client only stops typing."""
        if self.stdin >= 0 and not self.terminal:
            os.close(self.stdin)
            self.stdin = -1

    def close(self) -> None:
        for descriptor in {*self.outputs, self.stdin} - {-1}:
            os.close(descriptor)
        self.outputs.clear()
        self.stdin = -1


def open_ends(options: StreamOptions) -> Ends:
    """Raises OSError when there are no more descriptors or terminals."""
    return _terminal(options) if options.tty else _pipes(options)


def _terminal(options: StreamOptions) -> Ends:
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    return Ends((theirs, theirs, theirs), ours if options.stdin else -1, {ours: 1}, terminal=True)


def _pipes(options: StreamOptions) -> Ends:
    ours, theirs = [-1, -1, -1], [-1, -1, -1]
    for number, wanted in enumerate((options.stdin, options.stdout, options.stderr)):
        if not wanted:
            theirs[number] = os.open(os.devnull, os.O_RDWR)
            continue
        reader, writer = os.pipe()
        theirs[number], ours[number] = (reader, writer) if number == 0 else (writer, reader)
        os.set_blocking(ours[number], False)
    return Ends((theirs[0], theirs[1], theirs[2]), ours[0], {ours[n]: n for n in (1, 2) if ours[n] >= 0})


class Said:
    """A `Terminal` of nobody: keeps the first `limit` bytes of what a command says."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = b""

    async def read(self) -> bytes:
        return b""

    async def write(self, data: bytes, stream: int = 1) -> None:
        self._data += data[: max(0, self._limit - len(self._data))]

    async def resized(self) -> tuple[int, int]:
        raise ConnectionError("nobody has a terminal here")

    def text(self) -> str:
        return self._data.decode("utf-8", "replace")


async def told(
    runtime: Runtime, launch: Launch, options: StreamOptions, terminal: Terminal, started: Callable[[Handle], None]
) -> int:
    """The exit code, for a client. Raises ApiError when the command cannot be started, ConnectionError when the client has
    gone."""
    try:
        exit = await run(runtime, launch, options, terminal, started)
    except RuntimeFailed as error:
        raise InternalError(f"Internal error occurred: error executing command in container: {error}") from error
    if exit.error:
        raise _not_started(launch.argv, exit)
    return exit.code


async def run(
    runtime: Runtime, launch: Launch, options: StreamOptions, terminal: Terminal, started: Callable[[Handle], None]
) -> Exit:
    """Raises RuntimeFailed, OSError, and ConnectionError when the client has gone."""
    ends = open_ends(options)
    report, writer = os.pipe()
    os.set_blocking(report, False)
    try:
        try:
            env = {"TERM": TERM, **launch.env} if options.tty else launch.env
            visit = Visit(ends.theirs, writer)
            wanted = replace(launch, env=env, terminal=options.tty, input=None, visit=visit)
            handle = runtime.start(wanted, lambda _handle: None)
        finally:
            ends.close_theirs()
            os.close(writer)
        started(handle)
        return await _join(runtime, handle, ends, report, terminal)
    finally:
        ends.close()
        os.close(report)


def _not_started(argv: tuple[str, ...], exit: Exit) -> ApiError:
    """In the words that people search for."""
    why = exit.error
    if "no such program" in why:
        why = f'exec: "{argv[0]}": ' + (
            "no such file or directory" if "/" in argv[0] else "executable file not found in $PATH"
        )
    return InternalError(
        f"Internal error occurred: error executing command in container: unable to start container process: {why}"
    )


async def _join(runtime: Runtime, handle: Handle, ends: Ends, report: int, terminal: Terminal) -> Exit:
    """Carries bytes until the command has ended and all that it wrote is with the client."""
    over: asyncio.Future[Exit] = asyncio.ensure_future(_ended(report))
    unless = over if ends.terminal or isinstance(terminal, Said) else None
    outputs = [asyncio.ensure_future(_carry_out(fd, n, terminal, unless)) for fd, n in ends.outputs.items()]
    inputs = [asyncio.ensure_future(work) for work in _inputs(ends, terminal)]
    try:
        await asyncio.gather(*outputs, asyncio.shield(over))
        return over.result()
    finally:
        for task in (*outputs, *inputs):
            task.cancel()
        await asyncio.gather(*outputs, *inputs, return_exceptions=True)
        if not over.done():
            ends.close()  # the hang-up of its terminal, the end of its pipes
            await _end(runtime, handle, over)
        over.cancel()
        await asyncio.gather(over, return_exceptions=True)


async def _end(runtime: Runtime, handle: Handle, over: asyncio.Future[Exit]) -> None:
    runtime.terminate(handle)
    await asyncio.wait({over}, timeout=PATIENCE)
    if not over.done():
        await runtime.kill(handle, None)


async def _ended(report: int) -> Exit:
    line = b""
    while data := await descriptors.read(report):
        line += data
    return parse_exit(line)


async def _carry_out(descriptor: int, stream: int, terminal: Terminal, unless: asyncio.Future[Any] | None) -> None:
    while data := await descriptors.read(descriptor, unless):
        await terminal.write(data, stream)


def _inputs(ends: Ends, terminal: Terminal) -> list[Coroutine[Any, Any, None]]:
    found = [_carry_in(ends, terminal)] if ends.stdin >= 0 else []
    return [*found, _resize(next(iter(ends.outputs)), terminal)] if ends.terminal else found


async def _carry_in(ends: Ends, terminal: Terminal) -> None:
    """What a command does not read any more is thrown away, so that its client never waits for it."""
    listening = True
    while data := await terminal.read():
        if listening:
            try:
                await descriptors.write(ends.stdin, data)
            except OSError:
                listening = False
                ends.close_stdin()
    ends.close_stdin()


async def _resize(descriptor: int, terminal: Terminal) -> None:
    """The kernel tells the programs by SIGWINCH."""
    while True:
        columns, rows = await terminal.resized()
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
