"""Logging with constant messages and key/value pairs, on the standard library.

    log = Log("styr.client")
    log.info("watch broken", resource=resource, error=error)   ->   watch broken resource=v1/Pod error="peer closed"

Constant messages can be searched for; what varies stands in the pairs. `setup` is called once, by `plane` or `cli`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import Any, TextIO

_PLAIN = re.compile(r"[^\s\"=]+")


def render(message: str, pairs: dict[str, Any]) -> str:
    """One line, whatever the values hold: those with spaces, quotes or control characters are written as JSON strings."""
    return " ".join([message, *(f"{key}={_value(value)}" for key, value in pairs.items())])


def _value(value: Any) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) and text.isprintable() else json.dumps(text, ensure_ascii=False)


class Log:
    """A named logger. Values are rendered only when the level is on."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, **pairs: Any) -> None:
        self._write(logging.DEBUG, message, pairs)

    def info(self, message: str, **pairs: Any) -> None:
        self._write(logging.INFO, message, pairs)

    def warning(self, message: str, **pairs: Any) -> None:
        self._write(logging.WARNING, message, pairs)

    def error(self, message: str, error: BaseException | None = None, **pairs: Any) -> None:
        """With `error`, its traceback follows."""
        self._write(logging.ERROR, message, pairs, error)

    def _write(self, level: int, message: str, pairs: dict[str, Any], error: BaseException | None = None) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", render(message, pairs), exc_info=error)


class _Format(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_msec_format = "%s.%03dZ"
    default_time_format = "%Y-%m-%dT%H:%M:%S"


def setup(level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """One handler on the `styr` logger: UTC time, level, name, message. Calling it again replaces the handler."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Format("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("styr")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False
