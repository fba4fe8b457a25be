"""Memory that is resident for nothing, given back. Called by `assemble` after a start and each round of maintenance.

LLVM's library is mapped whole and some 70 MB of it stay resident after a few kernels were read from the cache, though nothing
runs there any more. They are let go: its code (MADV_DONTNEED: nobody writes there, and a later compilation reads it from
the file again) and its tables (MADV_PAGEOUT, Linux 5.4, since the loader wrote into some). So are the free pages that malloc
keeps between those in use: the first pages of targets are parsed to objects, and leave holes. Where that is refused,
nothing is lost.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

from styr.kit.memory import trim

MADV_DONTNEED, MADV_PAGEOUT = 4, 21
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-([-x])p .*/libllvmlite\.so$")


def mappings(maps: str) -> list[tuple[int, int, int]]:
    """(address, length, advice) of the library's read-only parts in the text of /proc/PID/maps."""
    found = (_MAPPING.match(line) for line in maps.splitlines())
    return [
        (begin, int(match[2], 16) - begin, MADV_DONTNEED if match[3] == "x" else MADV_PAGEOUT)
        for match in found
        if match
        for begin in [int(match[1], 16)]
    ]


def give_back() -> None:
    """Never raises: it is about memory, not about results."""
    trim()
    try:
        advise = ctypes.CDLL(None).madvise
        maps = Path("/proc/self/maps").read_text()
    except (OSError, AttributeError):
        return
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for begin, length, advice in mappings(maps):
        advise(begin, length, advice)
