"""Compiling every kernel. Called by `process` at its very first start, and by `styr metrics warm`; imports numba.

The first start does it in a process of its own (`python -m styr.metrics.warm`), at low priority: the compiler would hold the
GIL for seconds and leave 100 MB behind. Meanwhile the engine compiles for itself what it needs at once.

A file `warm-DIGEST` in the cache says that it has been done for these sources and versions: numba makes its
folders when a kernel is declared, so their being there says nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import os
import pkgutil
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import numba

from styr.kit import log as logging
from styr.kit.log import Log
from styr.metrics import kernels
from styr.metrics.kernels import jit

log = Log("styr.metrics.warm")


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


async def compile_beside() -> None:
    """Ends when all kernels are in the cache, at once when they were before; cancelled, it ends the compiling process."""
    if is_warm():
        return
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "styr.metrics.warm")
    try:
        await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


def main() -> None:
    """Compiles with progress in the log."""
    logging.setup()
    os.nice(10)
    told = 0

    def tell(name: str, done: int, total: int) -> None:
        nonlocal told
        if done >= told:
            told = done + max(1, total // 10)
            log.info("compiling kernels", kernel=name, done=done, of=total, cache=jit.cache_root())

    try:
        log.info("kernels are ready", count=warm_all(tell))
    except Exception as error:
        log.error("kernels could not all be compiled ahead; each is compiled when it is needed", error)


if __name__ == "__main__":
    main()
