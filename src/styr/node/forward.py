"""Port-forward: one client's connection, joined to a port of a pod.

Called by `streams.py`. Pods share the machine's network, so "a port of the pod" must mean one of its own: a declared one
(which the node gave it), or one on which a process of the pod listens. Anything else on 127.0.0.1 is none of the pod's.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from styr.kinds.seams import Duplex
from styr.node.runtimes.process import processes_of

HIGH_WATER = 256 << 10
_LISTEN = "0A"


async def join(port: int, duplex: Duplex) -> None:
    """Until both sides are through. Raises OSError when nobody listens."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=HIGH_WATER)
    out = asyncio.ensure_future(_to_client(reader, duplex))
    into = asyncio.ensure_future(_to_pod(duplex, writer))
    try:
        await asyncio.gather(out, into)
    finally:
        for task in (out, into):
            task.cancel()
        await asyncio.gather(out, into, return_exceptions=True)
        writer.close()


async def _to_client(reader: asyncio.StreamReader, duplex: Duplex) -> None:
    while data := await reader.read(HIGH_WATER):
        await duplex.write(data)
    await duplex.close()


async def _to_pod(duplex: Duplex, writer: asyncio.StreamWriter) -> None:
    while data := await duplex.read():
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def refused(port: int) -> OSError:
    return ConnectionRefusedError(errno.ECONNREFUSED, f"dial tcp4 127.0.0.1:{port}: connect: connection refused")


def listens(folder: Path, port: int) -> bool:
    """Does a process of that pod listen on the port? Reads /proc; call it in a thread."""
    sockets = set(_listening(port))
    return bool(sockets) and any(sockets & _sockets(process.pid) for process in processes_of(folder))


def _listening(port: int) -> Iterator[str]:
    """Inodes of the TCP sockets that listen on it. Format: Linux' Documentation/networking/proc_net_tcp.rst."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _sockets(pid: int) -> set[str]:
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            links = [os.readlink(entry.path) for entry in entries]
    except OSError:
        return set()
    return {link[8:-1] for link in links if link.startswith("socket:[")}
