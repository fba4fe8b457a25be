"""Pipes and terminals in the event loop: reading and writing descriptors that do not block. Linux."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

CHUNK = 32 << 10


async def readable(descriptor: int, unless: asyncio.Future[Any] | None = None) -> None:
    """Until there is something to read, or `unless` is done."""
    loop = asyncio.get_running_loop()
    await _ready(descriptor, loop.add_reader, loop.remove_reader, unless)


async def _ready(
    descriptor: int, add: Callable[..., Any], remove: Callable[[int], Any], unless: asyncio.Future[Any] | None = None
) -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(*_: Any) -> None:
        if not waiter.done():
            waiter.set_result(None)

    add(descriptor, wake)
    if unless is not None:
        unless.add_done_callback(wake)
    try:
        await waiter
    finally:
        remove(descriptor)
        if unless is not None:
            unless.remove_done_callback(wake)


async def read(descriptor: int, unless: asyncio.Future[Any] | None = None) -> bytes:
    """The next bytes; b"" at the end, and when nothing is there once `unless` is done. A terminal ends with an error (EIO),
    which is an end too. Always gives the loop a turn."""
    await asyncio.sleep(0)
    while True:
        try:
            return os.read(descriptor, CHUNK)
        except BlockingIOError:
            if unless is not None and unless.done():
                return b""
            await readable(descriptor, unless)
        except OSError:
            return b""


async def write(descriptor: int, data: bytes) -> None:
    """All of it. Raises OSError when nobody reads any more."""
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            await _ready(descriptor, loop.add_writer, loop.remove_writer)
