"""Errors of the metrics engine.

MetricsError                 anything below; `str()` is a sentence for people: operation, object, cause, way out
├── BadData                  the input is at fault (a query, a body, a parameter): HTTP 400, errorType bad_data
│   └── ParseError           a text does not parse; carries the position in it
├── ExecutionError           the query is right and still cannot be answered: HTTP 422, errorType execution
│   └── TooMuch              it would need more samples or memory than it may
├── QueryTimeout             HTTP 503, errorType timeout
├── QueryCanceled            HTTP 503 (499 when the client has gone), errorType canceled
├── NotFoundError            HTTP 404, errorType not_found
├── Unavailable              HTTP 503, errorType unavailable: starting, stopping, a full disk
└── StorageError             a file could not be written or read
    └── Corrupt              what was read is not what was written; names the file and the offset
"""

from __future__ import annotations


class MetricsError(Exception):
    """Any failure that the engine foresees. Everything else is our bug."""


class BadData(MetricsError):
    pass


class ParseError(BadData):
    """`start` and `end` are offsets in characters into `text`; `str()` shows `line:column: parse error: message`,
    without a text "unknown position" instead."""

    def __init__(self, message: str, text: str = "", start: int = 0, end: int | None = None) -> None:
        self.message, self.text, self.start = message, text, start
        self.end = start if end is None else end
        line = text.count("\n", 0, start) + 1
        column = start - (text.rfind("\n", 0, start) + 1) + 1
        where = f"{line}:{column}" if text else "unknown position"
        super().__init__(f"{where}: parse error: {message}")


class ExecutionError(MetricsError):
    pass


class TooMuch(ExecutionError):
    pass


class QueryTimeout(MetricsError):
    pass


class QueryCanceled(MetricsError):
    pass


class NotFoundError(MetricsError):
    pass


class Unavailable(MetricsError):
    pass


class StorageError(MetricsError):
    pass


class Corrupt(StorageError):
    """`file` and `offset` (bytes) say where."""

    def __init__(self, message: str, file: str = "", offset: int = -1) -> None:
        self.file, self.offset = file, offset
        where = f"{file}: " if file else ""
        at = f" at offset {offset}" if offset >= 0 else ""
        super().__init__(f"{where}{message}{at}")
