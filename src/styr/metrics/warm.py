"""Compiling every kernel. Called by `process` at its very first start, and by `styr metrics warm`; imports numba.

A file `warm-DIGEST` in the cache says that it has been done for these sources and versions: numba makes its
folders when a kernel is declared, so their being there says nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import platform
from collections.abc import Callable
from pathlib import Path

import numba

from styr.metrics import kernels
from styr.metrics.kernels import jit


def marker() -> Path:
    """Where it is noted that all kernels are compiled."""
    versions = f"{numba.__version__} {platform.python_version()} {platform.machine()}"
    digest = hashlib.sha256(versions.encode())
    for file in sorted(Path(kernels.__path__[0]).glob("*.py")):
        digest.update(file.read_bytes())
    return jit.cache_root() / f"warm-{digest.hexdigest()[:16]}{'-checked' if jit.BOUNDSCHECK else ''}"


def is_warm() -> bool:
    return marker().exists()


def warm_all(tell: Callable[[str, int, int], None] = lambda name, done, total: None) -> int:
    """Compiles, or reads from the cache, every kernel of every file of `kernels`. `tell(kernel, done, total)` is called before
    each. Returns how many. Raises OSError when the cache cannot be written."""
    for module in pkgutil.iter_modules(kernels.__path__):
        importlib.import_module(f"{kernels.__name__}.{module.name}")
    count = jit.warm(tell)
    for old in jit.cache_root().glob("warm-*"):
        old.unlink(missing_ok=True)
    marker().parent.mkdir(parents=True, exist_ok=True)
    marker().touch()
    return count
