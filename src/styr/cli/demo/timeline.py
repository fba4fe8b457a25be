"""What a person sees of the demo: one line per happening with the seconds since the start, and a living last line on a
terminal. Called by `steps`; knows nothing of what it prints."""

from __future__ import annotations

import shutil
import time
from typing import TextIO


class Timeline:
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began = time.monotonic()
        self._live = out.isatty()
        self._status = False

    def title(self, text: str) -> None:
        self._clear()
        self._write(f"\n{self._bold(text)}\n")

    def say(self, text: str) -> None:
        """A happening."""
        self._clear()
        self._write(f"{time.monotonic() - self._began:7.1f} s  {text}\n")

    def status(self, text: str) -> None:
        """The living line: replaced by whatever comes next; nothing when this is no terminal."""
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            self._write(f"\r\x1b[K{'':9}  {text}"[: width + 4])
            self._status = True

    def plain(self, text: str) -> None:
        self._clear()
        self._write(f"{text}\n")

    def _clear(self) -> None:
        if self._status:
            self._write("\r\x1b[K")
            self._status = False

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._live else text
