"""The head of a request, as it comes out of the parser: its target and its headers, within bounds. Called by `connection`.

HeadTooLarge(Exception)     raised inside a parser callback; httptools hands it on as the cause of its own error
"""

from __future__ import annotations

from styr.serving import wire


class HeadTooLarge(Exception):
    """More than `wire.MAX_HEAD` bytes, or `wire.MAX_HEADERS` headers."""


class Head:
    """`size` counts what has come of it; header names are in lower case."""

    __slots__ = ("_count", "headers", "size", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[str, str] = {}
        self.size = self._count = 0

    def add(self, name: bytes, value: bytes) -> None:
        """Raises HeadTooLarge."""
        self._count += 1
        self.grow(len(name) + len(value))
        if self._count > wire.MAX_HEADERS:
            raise HeadTooLarge
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        if key in self.headers:
            # Names of groups may hold commas; no header holds a newline.
            text = f"{self.headers[key]}{chr(10) if key.startswith('impersonate-') else ','}{text}"
        self.headers[key] = text

    def grow(self, size: int) -> None:
        """Raises HeadTooLarge."""
        self.size += size
        if self.size > wire.MAX_HEAD:
            raise HeadTooLarge
