"""A file's bytes as an array without reading them. Called by whatever reads blocks and head chunks; calls mmap.

Kernels are compiled for `u1[::1]`, and an array over a read-only map has another type to numba, which would compile everything
twice. So the array claims to be writable; the memory is not, and nothing here writes.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


class _Mapped:
    """Keeps the map as long as an array over it lives."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._mapped = mapped
        address = np.frombuffer(mapped, np.uint8).ctypes.data
        self.__array_interface__: dict[str, Any] = {
            "shape": (len(mapped),),
            "typestr": "|u1",
            "data": (address, False),
            "version": 3,
        }


def map_file(path: Path) -> Bytes:
    """All bytes of a file as it is now. They stay readable when the file is deleted; a file that is cut short while mapped
    kills the process (SIGBUS), so files of a data directory are replaced and never cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_size == 0:
            return np.zeros(0, np.uint8)
        return np.asarray(_Mapped(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)))
    finally:
        os.close(descriptor)
