"""Free memory given back to the machine. Called by `plane` and `metrics`, after a start and other work that leaves holes.

Never raises: it is about memory, not about results.
"""

from __future__ import annotations

import ctypes


def trim() -> None:
    """Hands back the free pages that malloc keeps between those in use (glibc; elsewhere nothing happens)."""
    try:
        release = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return
    release.argtypes = [ctypes.c_size_t]
    release(0)
