"""How kernels are compiled: by numba, at their first call, without the GIL, kept on disk.

Called by every file of this package through `@kernel`, and by `styr metrics warm` through `warm`. Never fastmath: staleness
markers, -0.0 and compensated sums must come out as they are.

The cache: `$STYR_KERNEL_CACHE`, else `$XDG_CACHE_HOME/styr/kernels`, else `~/.cache/styr/kernels`; below it a folder for each
version of a file *and of what it imports* (numba itself only looks at the one file, and would keep a stale callee inlined).
`STYR_KERNEL_BOUNDSCHECK=1` checks every index, for fuzzing: numba does not otherwise.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

BOUNDSCHECK = os.environ.get("STYR_KERNEL_BOUNDSCHECK") == "1"
_IMPORTS = re.compile(r"^from styr\.metrics\.kernels(?:\.(\w+))? import (.+)$", re.MULTILINE)
_HERE = Path(__file__).parent


def cache_root() -> Path:
    """Where compiled kernels are kept."""
    if chosen := os.environ.get("STYR_KERNEL_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "styr" / "kernels"


@cache
def _version(file: Path) -> str:
    """Of a file and all kernel files that it imports."""
    source = file.read_text()
    digest = hashlib.sha256(source.encode())
    for module, names in _IMPORTS.findall(source):
        for name in [module] if module else re.findall(r"\w+", names):
            other = _HERE / f"{name}.py"
            if other.exists() and other != file:
                digest.update(_version(other).encode())
    return digest.hexdigest()[:16]


_compiled: dict[str, list[tuple[Any, tuple[str, ...]]]] = {}


def kernel(*signatures: str, inline: bool = False) -> Callable[[F], F]:
    """`@kernel("i8(u1[::1], i8)")`: compiled for its arguments' types when it is first called, or read from the cache.

    `signatures` are what `warm` compiles ahead: those that the engine calls it with; none for helpers of other kernels.
    `inline` puts it into its callers' code. Division by zero gives infinities and NaN, as in C.
    """

    def decorate(function: F) -> F:
        file = Path(function.__code__.co_filename)
        numba.config.CACHE_DIR = str(  # type: ignore[attr-defined]  # set from the environment, not declared
            cache_root() / f"{file.stem}-{_version(file)}{'-checked' if BOUNDSCHECK else ''}"
        )
        compiled = numba.njit(
            cache=True,
            nogil=True,
            error_model="numpy",
            boundscheck=BOUNDSCHECK,
            inline="always" if inline else "never",
        )(function)
        _compiled.setdefault(file.stem, []).append((compiled, signatures))
        return cast("F", compiled)

    return decorate


def warm(tell: Callable[[str, int, int], None] = lambda name, done, total: None) -> int:
    """Compiles every kernel that names its signatures, of the files imported so far, and forgets the caches of other
    versions. `tell(kernel, done, total)` is called before each. Returns how many were compiled or read."""
    jobs = [
        (each, signature) for kernels in _compiled.values() for each, signatures in kernels for signature in signatures
    ]
    for done, (each, signature) in enumerate(jobs):
        tell(each.__name__, done, len(jobs))
        each.compile(signature)
    return len(jobs)


if sys.byteorder != "little":  # The formats are read through native loads.
    raise ImportError("styr.metrics needs a little-endian machine")
