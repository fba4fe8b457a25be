"""`kubectl attach`: joins a client to a running container, by the socket that its launcher listens on.

Called by `containers.py`. The launcher sends what the app writes from now on, in frames, and takes what the client types
(docs/formats/log.md). The end is the container's, or the client's; a client that detaches ends nothing but itself.
"""

from __future__ import annotations

import asyncio

from styr.kinds.errors import InternalError
from styr.kinds.seams import StreamOptions, Terminal
from styr.node.runtimes.base import Input, Runtime
from styr.node.runtimes.pump import CLOSE, MAX_CLIENTS, RESIZE, STDIN, STDOUT, WELCOME


async def run(runtime: Runtime, input: Input, tty: bool, options: StreamOptions, terminal: Terminal) -> int:
    """0 at the end of the container, as Kubernetes has it: its exit code stands in the pod's status."""
    try:
        reader, writer = await runtime.attach(input)
        await reader.readexactly(len(WELCOME))
    except (OSError, asyncio.IncompleteReadError) as error:
        why = (
            error
            if isinstance(error, TimeoutError | FileNotFoundError)
            else f"{MAX_CLIENTS} clients are attached already"
        )
        raise InternalError(f"Internal error occurred: the container cannot be attached to: {why}") from error
    inputs = [_carry_in(writer, terminal)] if options.stdin and input.stdin else []
    tasks = [asyncio.ensure_future(work) for work in (*inputs, *([_resize(writer, terminal)] if tty else ()))]
    try:
        await _carry_out(reader, options, terminal)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()
    return 0


async def _carry_out(reader: asyncio.StreamReader, options: StreamOptions, terminal: Terminal) -> None:
    while True:
        try:
            head = await reader.readexactly(5)
            data = await reader.readexactly(int.from_bytes(head[1:], "big"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        wanted = options.stdout if head[0] == STDOUT else options.stderr
        if data and wanted:
            await terminal.write(data, head[0])


async def _carry_in(writer: asyncio.StreamWriter, terminal: Terminal) -> None:
    while data := await terminal.read():
        _frame(writer, STDIN, data)
        await writer.drain()
    _frame(writer, CLOSE, b"")


async def _resize(writer: asyncio.StreamWriter, terminal: Terminal) -> None:
    while True:
        columns, rows = await terminal.resized()
        _frame(writer, RESIZE, columns.to_bytes(2, "big") + rows.to_bytes(2, "big"))


def _frame(writer: asyncio.StreamWriter, kind: int, body: bytes) -> None:
    writer.write(bytes((kind,)) + len(body).to_bytes(4, "big") + body)
