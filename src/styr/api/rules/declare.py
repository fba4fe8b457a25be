"""A structural schema as a type of CEL: what rules see of a value, and how large it can be. Called by `tree` and `definition`.

Sizes are those of k8s.io/apiserver `pkg/cel/common/schemas.go`: they decide which rules are too expensive.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from styr.cel import types
from styr.cel.errors import EvaluationError
from styr.cel.lexer import RESERVED
from styr.cel.library.times import parse_duration, parse_timestamp
from styr.cel.types import Type
from styr.cel.values import ListMap, ListSet

MAX_REQUEST = 3 * 1024 * 1024
"""Bytes: what is not bounded by the schema is bounded by the request."""
_RESERVED = RESERVED | {"true", "false", "null", "in"}
_SPECIAL = re.compile(r"__|[-./]|[^A-Za-z0-9_./-]")
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_SCHEMA = Mapping[str, Any]
_TEXT: _SCHEMA = {"type": "string"}
_META: _SCHEMA = {"type": "object", "properties": {"name": _TEXT, "generateName": _TEXT}}

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Declared:
    """`most` elements (characters, items, entries) and at least `least` bytes of JSON. `convert` makes of JSON what rules
    see; None when that is the same."""

    type: Type
    least: int
    most: int = 0
    fields: Mapping[str, Declared] = field(default_factory=dict)
    element: Declared | None = None
    convert: Convert | None = None

    def at(self, path: tuple[str, ...]) -> int | None:
        """The most elements at a path of `cel.estimate`, which starts with a variable."""
        found: Declared | None = self
        for step in path[1:]:
            if found is None:
                return None
            if step in ("@items", "@values"):
                found = found.element
            elif step == "@keys":
                return 0 if found.type.kind == "map" else None
            else:
                found = found.fields.get(step)
        return None if found is None else found.most


def escape(name: str) -> str | None:
    """The name of a property in expressions; None when it can have none."""
    if not name or name[0].isdigit():
        return None
    if name in _RESERVED:
        return f"__{name}__"
    if _SPECIAL.search(name) is None:
        return name
    escaped = _SPECIAL.sub(lambda match: _ESCAPES.get(match.group(), "\0"), name)
    return None if "\0" in escaped else escaped


def declare(schema: _SCHEMA, name: str, *, root: bool = False) -> Declared | None:
    """None for a value that rules cannot see, because nothing is known of it. `name` is what its type is called in messages.
    `root` is the root of a resource, which has apiVersion, kind and metadata."""
    if schema.get("x-kubernetes-int-or-string") is True:
        return Declared(types.DYN, 1, _length(schema))
    kind = "object" if root else schema.get("type")
    if kind == "array":
        return _list(schema, name)
    if kind == "object":
        return _object(schema, name, root=root)
    if kind == "string":
        return _string(schema)
    return {
        "boolean": Declared(types.BOOL, 4),
        "number": Declared(types.DOUBLE, 1, convert=_float),
        "integer": Declared(types.INT, 1),
    }.get(str(kind))


def _float(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _length(schema: _SCHEMA) -> int:
    """Bytes: a character has up to four."""
    return max(schema["maxLength"], 0) * 4 if "maxLength" in schema else MAX_REQUEST - 2


def _string(schema: _SCHEMA) -> Declared:
    form = schema.get("format")
    if form == "byte":
        return Declared(
            types.BYTES, 2, max(schema["maxLength"], 0) if "maxLength" in schema else MAX_REQUEST - 2, convert=_bytes
        )
    if form == "duration":
        return Declared(types.DURATION, 3, 32, convert=_parsed(parse_duration))
    if form == "date":
        return Declared(types.TIMESTAMP, 12, 12, convert=_parsed(lambda text: parse_timestamp(f"{text}T00:00:00Z")))
    if form == "date-time":
        return Declared(types.TIMESTAMP, 21, 32, convert=_parsed(parse_timestamp))
    words = [len(word.encode()) for word in schema.get("enum") or () if isinstance(word, str)]
    if "maxLength" not in schema and schema.get("enum"):
        return Declared(types.STRING, 2, max(words, default=0))
    return Declared(types.STRING, 2, _length(schema))


def _bytes(value: Any) -> Any:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else value
    except (ValueError, binascii.Error):
        return value


def _parsed(parse: Callable[[str], Any]) -> Convert:
    def convert(value: Any) -> Any:
        try:
            return parse(value) if isinstance(value, str) else value
        except EvaluationError:
            return value

    return convert


def _list(schema: _SCHEMA, name: str) -> Declared | None:
    items = schema.get("items")
    if not isinstance(items, Mapping):
        return None
    element = declare(items, f"{name}.@idx", root=items.get("x-kubernetes-embedded-resource") is True)
    if element is None:
        return None
    most = max(schema["maxItems"], 0) if "maxItems" in schema else (MAX_REQUEST - 2) // (element.least + 1)
    return Declared(types.list_of(element.type), 2, most, element=element, convert=_list_converter(schema, element))


def _list_converter(schema: _SCHEMA, element: Declared) -> Convert | None:
    kind, each = schema.get("x-kubernetes-list-type"), element.convert
    keys = tuple(escape(key) or key for key in schema.get("x-kubernetes-list-map-keys") or ())
    if kind not in ("set", "map") and each is None:
        return None

    def convert(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        items = [each(item) for item in value] if each else value
        if kind == "set":
            return ListSet(items)
        if kind != "map":
            return items
        made = ListMap(items)
        made.keys = keys
        return made

    return convert


def _object(schema: _SCHEMA, name: str, *, root: bool) -> Declared | None:
    extra = schema.get("additionalProperties")
    if isinstance(extra, Mapping) and not root:
        value = declare(extra, f"{name}.@elem", root=extra.get("x-kubernetes-embedded-resource") is True)
        if value is None:
            return None
        most = max(schema["maxProperties"], 0) if "maxProperties" in schema else (MAX_REQUEST - 2) // (value.least + 6)
        each = value.convert
        convert = None if each is None else _values_converter(each)
        return Declared(types.map_of(types.STRING, value.type), 2, most, element=value, convert=convert)
    properties = dict(schema.get("properties") or {})
    if root:
        properties |= {"apiVersion": _TEXT, "kind": _TEXT, "metadata": _META}
    required = set(schema.get("required") or ())
    fields: dict[str, Declared] = {}
    renamed: dict[str, tuple[str, Convert | None]] = {}
    least = 2
    for key, prop in properties.items():
        escaped = escape(key)
        found = declare(prop, f"{name}.{escaped}", root=prop.get("x-kubernetes-embedded-resource") is True)
        if found is None:
            continue
        if key in required and "default" not in prop:
            least += len(key) + found.least + 4
        if escaped is None:
            continue
        fields[escaped] = found
        if escaped != key or found.convert is not None or prop.get("nullable") is True:
            renamed[key] = (escaped, found.convert)
    kind = types.struct(name, {key: found.type for key, found in fields.items()})
    return Declared(kind, least, 0, fields, convert=_fields_converter(renamed) if renamed else None)


def _values_converter(each: Convert) -> Convert:
    return lambda value: {key: each(item) for key, item in value.items()} if isinstance(value, dict) else value


def _fields_converter(renamed: Mapping[str, tuple[str, Convert | None]]) -> Convert:
    """A field that is null counts as absent. One that is called like a word of the language has both names."""

    def convert(value: Any) -> Any:
        if not isinstance(value, dict) or value.keys().isdisjoint(renamed):
            return value
        made = dict(value)
        for key, (escaped, change) in renamed.items():
            if key in value:
                item = made.pop(key)
                if item is not None:
                    made[escaped] = change(item) if change else item
                    if key in _RESERVED:
                        made[key] = made[escaped]
        return made

    return convert
