"""A file of settings that somebody may change while we run. Whoever needs it asks; nothing watches in the background."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from styr.kit.log import Log

log = Log("styr.kit.followed")

T = TypeVar("T")
EVERY = 1.0
"""Seconds between two looks at the file."""


class Followed(Generic[T]):
    """What `load` makes of a file: read at once, and again when it has changed. `load` raises one of `errors` for a file that
    cannot be used: at the first reading that is raised here, later it is logged and the last good one stays."""

    def __init__(
        self,
        path: Path,
        load: Callable[[Path], T],
        now: Callable[[], float],
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._path = path
        self._load = load
        self._now = now
        self._errors = errors
        self._looked = now()
        self._stamp = self._stat()
        self.value = load(path)

    def changed(self) -> bool:
        """Looks, if it is time to; True when `value` is another one now."""
        now = self._now()
        if now - self._looked < EVERY:
            return False
        self._looked = now
        stamp = self._stat()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self.value = self._load(self._path)
        except self._errors as error:
            log.error("a file of settings cannot be used; what it said before holds", file=self._path, cause=error)
            return False
        log.info("a file of settings was read anew", file=self._path)
        return True

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
            return found.st_mtime_ns, found.st_ino, found.st_size
        except OSError:
            return None
