"""Compiling every kernel. Called by `process` at its very first start, and by `styr metrics warm`; imports numba."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from styr.metrics import kernels
from styr.metrics.kernels import jit


def warm_all(tell: Callable[[str, int, int], None] = lambda name, done, total: None) -> int:
    """Compiles, or reads from the cache, every kernel of every file of `kernels`. `tell(kernel, done, total)` is called before
    each. Returns how many."""
    for module in pkgutil.iter_modules(kernels.__path__):
        importlib.import_module(f"{kernels.__name__}.{module.name}")
    return jit.warm(tell)
