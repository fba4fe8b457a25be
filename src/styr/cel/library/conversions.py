"""`int()`, `uint()`, `double()`, `string()`, `bytes()`, `bool()`, `duration()`, `timestamp()`, and the types' own names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from styr.cel.errors import EvaluationError
from styr.cel.functions import Functions, function
from styr.cel.library import times
from styr.cel.types import BOOL, BYTES, DOUBLE, DURATION, INT, STRING, TIMESTAMP, UINT, Type
from styr.cel.values import MAX_INT, MAX_UINT, MIN_INT, SECOND, Duration, Timestamp, UInt, duration, timestamp
from styr.kit.floats import show_double

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def _int(value: int) -> int:
    if MIN_INT <= value <= MAX_INT:
        return int(value)
    raise EvaluationError("integer overflow")


def _int_of_double(value: float) -> int:
    if not math.isfinite(value) or not -(2.0**63) < value < 2.0**63:
        raise EvaluationError("integer overflow")
    return int(value)


def _wrong(name: str) -> EvaluationError:
    return EvaluationError(f"type conversion error from 'string' to '{name}'")


def _or_wrong(parse: Callable[[str], Any], name: str) -> Callable[[str], Any]:
    def run(text: str) -> Any:
        try:
            return parse(text)
        except EvaluationError:
            raise _wrong(name) from None

    return run


def _parsed(text: str, low: int, high: int, name: str) -> int:
    """As Go's ParseInt of base 10: a sign, digits, nothing else."""
    digits = text[1:] if text[:1] in ("+", "-") and low < 0 else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 40 or not low <= int(text) <= high:
        raise _wrong(name)
    return int(text)


def _uint(value: int) -> UInt:
    if 0 <= value <= MAX_UINT:
        return UInt(value)
    raise EvaluationError("unsigned integer overflow")


def _uint_of_double(value: float) -> UInt:
    if not math.isfinite(value) or not 0 <= value < 2.0**64:
        raise EvaluationError("unsigned integer overflow")
    return UInt(int(value))


def _double_of(text: str) -> float:
    """As Go's ParseFloat: no spaces; underscores only in base prefixes, which are left out here."""
    plain = text.strip() == text and "_" not in text and text.isascii()
    try:
        value = float.fromhex(text) if plain and "x" in text.lower() and "p" in text.lower() else float(text)
    except (ValueError, OverflowError):
        plain, value = False, 0.0
    if not plain or (math.isinf(value) and "inf" not in text.lower()):
        raise _wrong("double")
    return value


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from None


def _bool(text: str) -> bool:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise _wrong("bool")


def to_string(value: Any) -> str:
    """What `string()` makes of a simple value."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return show_double(value)
    if kind is bytes:
        return _text(value)
    if kind is Timestamp:
        return times.show_timestamp(value)
    if kind is Duration:
        return times.show_duration(value)
    return str(int(value))


def _same(value: Any) -> Any:
    return value


def _to(name: str, result: Type, *sources: tuple[Type, str, Any]) -> Any:
    return {name: tuple(function(id, (source,), result, run) for source, id, run in sources)}


FUNCTIONS: Functions = {
    **_to(
        "int",
        INT,
        (INT, "int64_to_int64", _same),
        (DOUBLE, "double_to_int64", _int_of_double),
        (DURATION, "duration_to_int64", int),
        (STRING, "string_to_int64", lambda text: _parsed(text, MIN_INT, MAX_INT, "int")),
        (TIMESTAMP, "timestamp_to_int64", lambda value: int(value) // SECOND),
        (UINT, "uint64_to_int64", _int),
    ),
    **_to(
        "uint",
        UINT,
        (UINT, "uint64_to_uint64", _same),
        (DOUBLE, "double_to_uint64", _uint_of_double),
        (INT, "int64_to_uint64", _uint),
        (STRING, "string_to_uint64", lambda text: UInt(_parsed(text, 0, MAX_UINT, "uint"))),
    ),
    **_to(
        "double",
        DOUBLE,
        (DOUBLE, "double_to_double", _same),
        (INT, "int64_to_double", float),
        (STRING, "string_to_double", _double_of),
        (UINT, "uint64_to_double", float),
    ),
    **_to(
        "string",
        STRING,
        (STRING, "string_to_string", _same),
        (BOOL, "bool_to_string", to_string),
        (BYTES, "bytes_to_string", _text),
        (DOUBLE, "double_to_string", show_double),
        (DURATION, "duration_to_string", to_string),
        (INT, "int64_to_string", str),
        (TIMESTAMP, "timestamp_to_string", to_string),
        (UINT, "uint64_to_string", to_string),
    ),
    **_to("bytes", BYTES, (BYTES, "bytes_to_bytes", _same), (STRING, "string_to_bytes", str.encode)),
    **_to("bool", BOOL, (BOOL, "bool_to_bool", _same), (STRING, "string_to_bool", _bool)),
    **_to(
        "duration",
        DURATION,
        (DURATION, "duration_to_duration", _same),
        (INT, "int64_to_duration", lambda value: duration(value)),
        (STRING, "string_to_duration", _or_wrong(times.parse_duration, "google.protobuf.Duration")),
    ),
    **_to(
        "timestamp",
        TIMESTAMP,
        (TIMESTAMP, "timestamp_to_timestamp", _same),
        (INT, "int64_to_timestamp", lambda value: timestamp(int(value) * SECOND)),
        (STRING, "string_to_timestamp", _or_wrong(times.parse_timestamp, "google.protobuf.Timestamp")),
    ),
}
