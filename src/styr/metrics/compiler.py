"""The memory of numba's compiler, given back once kernels are compiled. Called by `assemble` before each round of maintenance.

LLVM's library is mapped whole and some 70 MB of it stay resident after a few kernels were read from the cache, though nothing
runs there any more. The kernel is asked to take those pages (MADV_PAGEOUT, Linux 5.4): they are clean pages of a file, so that
a later compilation only reads them again. Where it refuses, nothing is lost.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

MADV_PAGEOUT = 21
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-[-x]p .*/libllvmlite\.so$")


def mappings(maps: str) -> list[tuple[int, int]]:
    """(address, length) of the library's read-only parts in the text of /proc/PID/maps."""
    found = (_MAPPING.match(line) for line in maps.splitlines())
    return [(begin, int(match[2], 16) - begin) for match in found if match for begin in [int(match[1], 16)]]


def give_back() -> None:
    """Never raises: it is about memory, not about results."""
    try:
        libc = ctypes.CDLL(None)
        advise = libc.madvise
        maps = Path("/proc/self/maps").read_text()
    except (OSError, AttributeError):
        return
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for begin, length in mappings(maps):
        advise(begin, length, MADV_PAGEOUT)
