"""Byte buffers that bodies are received into and compared in, used again and again. Called by `fetch` and `ingest`; one thread.

A target keeps the buffer of its last body, because the next is compared with it, and gives it back when the next has taken its
place. So there is one buffer for each target and a few that are waiting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.text import PADDING

Bytes = NDArray[np.uint8]

MOST = (1 << 30) - (1 << 20)
"""Bytes of a body at the most, whatever the limits say: places in it are 32-bit numbers."""

_WAITING = 32 << 20
"""Bytes in buffers that are kept for the next taker."""

_ROUND = 256
"""Buffers taken between two looks at how many nobody needs: after a start all targets have two at once, and later one."""


@dataclass(slots=True)
class Body:
    """`buffer[begin:end]`, with `kernels.text.PADDING` + 1 readable and writable bytes behind it."""

    buffer: Bytes
    begin: int
    end: int

    def bytes(self) -> bytes:
        return self.buffer[self.begin : self.end].tobytes()

    def __len__(self) -> int:
        return self.end - self.begin


class Buffers:
    """Sizes are rounded up to eighths of powers of two, so that bodies that grow a little fit again."""

    def __init__(self) -> None:
        self._free: dict[int, list[Bytes]] = {}
        self._idle: dict[int, int] = {}
        """By size: the least that were free since the last look."""
        self._waiting = self._taken = 0

    def take(self, size: int) -> Bytes:
        """At least `size` bytes, padding included; the content is arbitrary."""
        step = max(1024, 1 << max(0, size.bit_length() - 4))
        rounded = -(-size // step) * step
        self._taken += 1
        if self._taken % _ROUND == 0:
            self._trim()
        free = self._free.get(rounded)
        if not free:
            self._idle[rounded] = 0
            return np.empty(rounded, np.uint8)
        self._waiting -= rounded
        buffer = free.pop()
        self._idle[rounded] = min(self._idle.get(rounded, 0), len(free))
        return buffer

    def _trim(self) -> None:
        """Lets go of those that nobody took since the last look."""
        for size, free in list(self._free.items()):
            unused = min(len(free), self._idle.get(size, len(free)))
            self._waiting -= unused * size
            del free[:unused]
            if not free:
                del self._free[size]
        self._idle = {size: len(free) for size, free in self._free.items()}

    @property
    def waiting(self) -> int:
        """Bytes that are kept for the next taker."""
        return self._waiting

    def give(self, buffer: Bytes) -> None:
        size = len(buffer)
        if size and self._waiting + size <= _WAITING:
            self._free.setdefault(size, []).append(buffer)
            self._waiting += size

    def body(self, data: bytes) -> Body:
        """A copy of some bytes, as a body."""
        buffer = self.take(len(data) + PADDING + 1)
        buffer[: len(data)] = np.frombuffer(data, np.uint8)
        return Body(buffer, 0, len(data))
