"""Bytes of a message to the object that the same message says in JSON. Called by `envelope`; pure.

As in the real server, unknown fields are skipped, a field that comes twice counts the last time, and two parts of a message
are one. The limits: `bodies.MAX_DEPTH` levels, and `wire.MAX_VALUES`, because an empty message of two bytes becomes an object
of hundreds.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

from styr.api import bodies
from styr.api.protobuf import shapes
from styr.api.protobuf.leaves import LEAVES, texts
from styr.api.protobuf.shapes import Field, Shape
from styr.api.protobuf.wire import Wire, damaged
from styr.kinds.errors import BadRequest
from styr.kinds.resources import Object


class Reader(Wire):
    """Reads one body."""

    __slots__ = ()

    def message(self, at: int, end: int, shape: Shape, out: Object, depth: int) -> Object:
        """Adds the fields within `at:end` to `out`, `depth` levels down."""
        self._enter(depth)
        data, fields = self.data, shape.fields
        while at < end:
            tag = data[at]
            at += 1
            if tag > 127:
                tag, at = self.varint(at - 1)
            field = fields.get(tag)
            if field is None:
                at = self.skip(tag, at, end, shape)
            elif tag & 7 == 2:
                size = data[at]
                at += 1
                if size > 127:
                    size, at = self.varint(at - 1)
                stop = at + size
                if stop > end:
                    raise damaged("it is cut off")
                if field.kind == "string" and not field.many:
                    if size or field.keep:
                        out[field.name] = data[at:stop].decode()
                    else:
                        out.pop(field.name, None)
                else:
                    self._delimited(field, at, stop, out, depth)
                at = stop
            else:
                number, at = self._number(field.kind, at)
                self._put(field, number, out)
        if at > end:
            raise damaged("it is cut off")
        for name, value in shape.absent:
            if name not in out:
                out[name] = self.message(0, 0, shapes.ready(value), {}, depth) if type(value) is Shape else value
        return out

    def _enter(self, depth: int) -> None:
        self.count()
        if depth > bodies.MAX_DEPTH:
            raise BadRequest(f"the object provided is nested deeper than {bodies.MAX_DEPTH} levels")

    def _delimited(self, field: Field, at: int, stop: int, out: Object, depth: int) -> None:
        name, inner = field.name, field.shape
        if field.many == "{}":
            key, value = self._entry(field, at, stop, depth + 2)
            found = out.get(name)
            if found is None:
                out[name] = {key: value}
            else:
                found[key] = value
        elif inner is None:
            if field.kind in _NUMBERS:  # packed
                while at < stop:
                    number, at = self._number(field.kind, at)
                    self._put(field, number, out)
                if at > stop:
                    raise damaged("it is cut off")
            else:
                self._put(field, self._leaf(field.kind, at, stop, depth), out)
        elif field.many:
            self._put(field, self.message(at, stop, shapes.ready(inner), {}, depth + 2), out)
        elif not name:
            self.message(at, stop, shapes.ready(inner), out, depth)
        else:
            known = out.get(name)
            out[name] = self.message(at, stop, shapes.ready(inner), {} if known is None else known, depth + 1)

    def _put(self, field: Field, value: Any, out: Object) -> None:
        if field.many:
            self.count()
            found = out.get(field.name)
            if found is None:
                out[field.name] = [value]
            else:
                found.append(value)
        elif value or field.keep:
            out[field.name] = value
        else:
            out.pop(field.name, None)

    def _entry(self, field: Field, at: int, end: int, depth: int) -> tuple[str, Any]:
        """Of a map: the key is field 1, the value field 2."""
        self.count()
        key, value = "", (at, at)
        for number, _, bounds in self.parts(at, end):
            if number == 1:
                key = self.text(bounds)
            elif number == 2:
                value = bounds
        if field.shape is not None:
            return key, self.message(*value, shapes.ready(field.shape), {}, depth)
        return key, self._leaf(field.kind, *value, depth)

    def _leaf(self, kind: str, at: int, end: int, depth: int) -> Any:
        read = LEAVES.get(kind)
        return _SCHEMAS[kind](self, at, end, depth) if read is None else read(self, at, end, depth)

    def _number(self, kind: str, at: int) -> tuple[Any, int]:
        if kind == "double":
            if at + 8 > len(self.data):
                raise damaged("it is cut off")
            real = struct.unpack_from("<d", self.data, at)[0]
            if not math.isfinite(real):
                raise damaged(f"{real} is no number of JSON")
            return real, at + 8
        value, at = self.varint(at)
        if kind == "bool":
            return value != 0, at
        bits = 32 if kind == "int32" else 64
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> (bits - 1) else value, at


# The schemas of CustomResourceDefinitions, whose parts are one of several types


def _schemas(reader: Reader, at: int, end: int, depth: int, wanted: int) -> list[Object]:
    shape = shapes.find(*shapes.SCHEMA)
    assert shape is not None
    found = [bounds for number, _, bounds in reader.parts(at, end) if number == wanted]
    return [reader.message(*bounds, shape, {}, depth + 2) for bounds in found]


def _schema_or_list(reader: Reader, at: int, end: int, depth: int) -> Any:
    return _schemas(reader, at, end, depth, 2) or _last(_schemas(reader, at, end, depth, 1))


def _schema_or_bool(reader: Reader, at: int, end: int, depth: int) -> Any:
    found = _schemas(reader, at, end, depth, 2)
    allows = [value != 0 for number, value, _ in reader.parts(at, end) if number == 1]
    return found[-1] if found else bool(_last(allows))


def _schema_or_strings(reader: Reader, at: int, end: int, depth: int) -> Any:
    return texts(reader, at, end, 2) or _last(_schemas(reader, at, end, depth, 1))


def _last(found: list[Any]) -> Any:
    return found[-1] if found else None


_NUMBERS = ("bool", "int32", "int64", "double")
_SCHEMAS: dict[str, Callable[[Reader, int, int, int], Any]] = {
    "schemaorlist": _schema_or_list,
    "schemaorbool": _schema_or_bool,
    "schemaorstrings": _schema_or_strings,
}
