"""Protobuf messages by table: bytes to plain dicts and back. Called by everything of `remote` that is read message by message;
what comes by the thousand goes through `kernels.wire`. Pure.

A table maps a field number to (name, kind, repeated). A dict holds the fields that were there, and every repeated one as a
list; defaults are the reader's business. Unknown fields are skipped, as proto3 wants it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from styr.metrics.model.errors import BadData

Message = dict[str, Any]

MAX_DEPTH: Final = 32
"""Messages within messages. OTLP's attribute values may nest without end."""


class Malformed(BadData):
    """Bytes that are no such message."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a scalar stands on the wire: its wire type, and its value from the varint or the bytes there."""

    wire: int
    read: Callable[[Any], Any]
    write: Callable[[Any], bytes]


class Field(NamedTuple):
    name: str
    kind: Kind | Callable[[], Table]
    repeated: bool = False


Table = Mapping[int, Field]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _zigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _text(data: memoryview) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise Malformed("a string field is not UTF-8") from None


def varint(value: int) -> bytes:
    """Base 128, low end first; a negative number as its two's complement of 64 bits."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_DOUBLE, _FIXED64, _SFIXED64, _FLOAT = (struct.Struct(code) for code in ("<d", "<Q", "<q", "<f"))

DOUBLE = Kind(1, lambda data: _DOUBLE.unpack(data)[0], _DOUBLE.pack)
FIXED64 = Kind(1, lambda data: _FIXED64.unpack(data)[0], _FIXED64.pack)
SFIXED64 = Kind(1, lambda data: _SFIXED64.unpack(data)[0], _SFIXED64.pack)
FIXED32 = Kind(5, lambda data: int.from_bytes(data, "little"), lambda value: int(value).to_bytes(4, "little"))
UINT = Kind(0, lambda value: value, varint)
INT = Kind(0, _signed, varint)
SINT = Kind(0, _zigzag, lambda value: varint((value << 1) ^ (value >> 63)))
BOOL = Kind(0, bool, lambda value: varint(int(value)))
STRING = Kind(2, _text, lambda value: value.encode())
BYTES = Kind(2, bytes, bytes)


def decode(data: bytes | memoryview, table: Table, depth: int = 0) -> Message:
    """Raises `Malformed`."""
    view = memoryview(data)
    if depth > MAX_DEPTH:
        raise Malformed(f"messages nest deeper than {MAX_DEPTH}")
    out: Message = {field.name: [] for field in table.values() if field.repeated}
    at, end = 0, len(view)
    while at < end:
        tag, at = _varint(view, at)
        wire, field = tag & 7, table.get(tag >> 3)
        value, at = _value(view, at, wire)
        if field is None:
            continue
        if field.repeated:
            out[field.name].extend(_items(field, wire, value, depth))
        else:
            out[field.name] = _item(field, wire, value, depth)
    return out


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    try:
        while (byte := view[at]) > 127:
            value |= (byte & 127) << shift
            shift += 7
            at += 1
            if shift > 63:
                raise Malformed("a number is longer than 64 bits")
    except IndexError:
        raise Malformed("the message ends within a number") from None
    return value | byte << shift, at + 1


def _value(view: memoryview, at: int, wire: int) -> tuple[Any, int]:
    if wire == 0:
        return _varint(view, at)
    if wire == 2:
        length, at = _varint(view, at)
    elif wire in (1, 5):
        length = 8 if wire == 1 else 4
    else:
        raise Malformed(f"wire type {wire} is not supported")
    if length > len(view) - at:
        raise Malformed("the message ends within a field")
    return view[at : at + length], at + length


def _item(field: Field, wire: int, value: Any, depth: int) -> Any:
    kind = field.kind
    if isinstance(kind, Kind):
        if wire != kind.wire:
            raise Malformed(f"field {field.name} has wire type {wire} instead of {kind.wire}")
        return kind.read(value)
    if wire != 2:
        raise Malformed(f"field {field.name} has wire type {wire} instead of 2")
    return decode(value, kind(), depth + 1)


def _items(field: Field, wire: int, value: Any, depth: int) -> list[Any]:
    """One element, or the many of a packed field."""
    kind = field.kind
    if not isinstance(kind, Kind) or kind.wire == wire or wire != 2:
        return [_item(field, wire, value, depth)]
    if kind is DOUBLE or kind is FIXED64 or kind is SFIXED64:
        if len(value) % 8:
            raise Malformed(f"packed field {field.name} is no multiple of 8 bytes")
        return [kind.read(value[at : at + 8]) for at in range(0, len(value), 8)]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(kind.read(number))
    return found


def encode(message: Mapping[str, Any], table: Table) -> bytes:
    """Fields in the table's order; what is missing or None is left out, repeated numbers are packed."""
    out = []
    for number, field in table.items():
        value = message.get(field.name)
        if value is None:
            continue
        kind = field.kind
        if field.repeated and isinstance(kind, Kind) and kind.wire != 2:
            if value:
                out.append(chunk(number, b"".join(map(kind.write, value))))
            continue
        for each in value if field.repeated else (value,):
            if not isinstance(kind, Kind):
                out.append(chunk(number, encode(each, kind())))
            elif kind.wire == 2:
                out.append(chunk(number, kind.write(each)))
            else:
                out.append(varint(number << 3 | kind.wire) + kind.write(each))
    return b"".join(out)


def chunk(number: int, data: bytes) -> bytes:
    """A field of bytes: tag, length, content."""
    return varint(number << 3 | 2) + varint(len(data)) + data
