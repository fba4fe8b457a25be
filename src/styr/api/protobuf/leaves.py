"""The types that write their own JSON, and the other values that are more than a number. Called by `reader`; pure."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from styr.api import bodies
from styr.api.protobuf.wire import Wire, damaged

_EPOCH = datetime(1970, 1, 1)


def _string(wire: Wire, at: int, end: int, depth: int) -> str:
    return wire.text((at, end))


def _bytes(wire: Wire, at: int, end: int, depth: int) -> str:
    return base64.b64encode(wire.data[at:end]).decode()


def _strings(wire: Wire, at: int, end: int, depth: int) -> list[str]:
    return texts(wire, at, end, 1)


def texts(wire: Wire, at: int, end: int, wanted: int) -> list[str]:
    found = []
    for number, _, bounds in wire.parts(at, end):
        if number == wanted:
            wire.count()
            found.append(wire.text(bounds))
    return found


def _quantity(wire: Wire, at: int, end: int, depth: int) -> str:
    found = "0"
    for number, _, bounds in wire.parts(at, end):
        if number == 1:
            found = wire.text(bounds)
    return found


def _int_or_string(wire: Wire, at: int, end: int, depth: int) -> int | str:
    kind, whole, text = 0, 0, ""
    for number, value, bounds in wire.parts(at, end):
        if number == 1:
            kind = value
        elif number == 2:
            whole = (value & 0xFFFF_FFFF) - ((value & 0x8000_0000) << 1)
        elif number == 3:
            text = wire.text(bounds)
    if kind > 1:
        raise damaged("an IntOrString is neither")
    return text if kind else whole


def _stamp(wire: Wire, at: int, end: int, unit: str) -> str | None:
    """RFC 3339 of a Timestamp; an empty one is no time."""
    if at == end:
        return None
    seconds = nanos = 0
    for number, value, _ in wire.parts(at, end):
        if number == 1:
            seconds = value - (value >> 63 << 64)
        elif number == 2:
            nanos = (value & 0xFFFF_FFFF) - ((value & 0x8000_0000) << 1)
    try:
        stamp = _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000 if unit == "microseconds" else 0)
    except OverflowError:
        raise damaged(f"{seconds} seconds are no time between the years 1 and 9999") from None
    return stamp.isoformat(timespec=unit) + "Z"


def _time(wire: Wire, at: int, end: int, depth: int) -> str | None:
    return _stamp(wire, at, end, "seconds")


def _micro_time(wire: Wire, at: int, end: int, depth: int) -> str | None:
    return _stamp(wire, at, end, "microseconds")


def _json(wire: Wire, at: int, end: int, depth: int) -> Any:
    raw = b""
    for number, _, bounds in wire.parts(at, end):
        if number == 1:
            raw = wire.data[bounds[0] : bounds[1]]
    return bodies.decode(raw, depth) if raw else None


LEAVES: dict[str, Callable[[Wire, int, int, int], Any]] = {
    "string": _string,
    "bytes": _bytes,
    "strings": _strings,
    "quantity": _quantity,
    "intorstring": _int_or_string,
    "time": _time,
    "microtime": _micro_time,
    "json": _json,
}
