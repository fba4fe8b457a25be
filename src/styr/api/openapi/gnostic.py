"""OpenAPI documents in protobuf, as gnostic defines them: what kubectl up to 1.28 reads of /openapi/v2.

Called by `documents`, in a thread. Pure. Source of names, numbers and types: OpenAPIv2.proto and OpenAPIv3.proto of
github.com/google/gnostic-models v0.7.0 (Apache-2.0), as far as documents of Kubernetes go.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

_NUMBERS = {
    "v2": {
        "Document": "swagger 1 string, info 2 Info, paths 8 Paths, definitions 9 {Schema, parameters 10 {Parameter, "
        "security 12 []Requirement, securityDefinitions 13 {Scheme",
        "Info": "title 1 string, version 2 string",
        "Paths": "* 2 PathItem",
        "PathItem": "get 2 Operation, put 3 Operation, post 4 Operation, delete 5 Operation, options 6 Operation, "
        "head 7 Operation, patch 8 Operation, parameters 9 []ParametersItem, x- 10 any",
        "Operation": "tags 1 []string, description 3 string, operationId 5 string, produces 6 []string, "
        "consumes 7 []string, parameters 8 []ParametersItem, responses 9 Responses, schemes 10 []string, "
        "deprecated 11 bool, x- 13 any",
        "Responses": "* 1 ResponseValue",
        "Response": "description 1 string, schema 2 SchemaItem, x- 5 any",
        "Body": "description 1 string, name 2 string, in 3 string, required 4 bool, schema 5 Schema, x- 6 any",
        "Query": "required 1 bool, in 2 string, description 3 string, name 4 string, type 6 string, format 7 string, "
        "uniqueItems 20 bool, x- 23 any",
        "Path": "required 1 bool, in 2 string, description 3 string, name 4 string, type 5 string, format 6 string, "
        "uniqueItems 19 bool, x- 22 any",
        "Reference": "$ref 1 string, description 2 string",
        "ApiKey": "type 1 string, name 2 string, in 3 string, description 4 string",
        "Schema": "$ref 1 string, format 2 string, title 3 string, description 4 string, default 5 any, "
        "multipleOf 6 double, maximum 7 double, exclusiveMaximum 8 bool, minimum 9 double, exclusiveMinimum 10 bool, "
        "maxLength 11 int, minLength 12 int, pattern 13 string, maxItems 14 int, minItems 15 int, uniqueItems 16 bool, "
        "maxProperties 17 int, minProperties 18 int, required 19 []string, enum 20 []any, "
        "additionalProperties 21 Additional, type 22 Types, items 23 Items, allOf 24 []Schema, properties 25 {Schema, "
        "x- 31 any",
    },
    "v3": {
        "Document": "openapi 1 string, info 2 Info, paths 4 Paths, components 5 Components, security 6 []Requirement",
        "Info": "title 1 string, version 6 string",
        "Components": "schemas 1 {SchemaItem, securitySchemes 7 {Scheme",
        "Paths": "* 1 PathItem",
        "PathItem": "get 4 Operation, put 5 Operation, post 6 Operation, delete 7 Operation, options 8 Operation, "
        "head 9 Operation, patch 10 Operation, parameters 13 []ParametersItem, x- 14 any",
        "Operation": "tags 1 []string, description 3 string, operationId 5 string, parameters 6 []ParametersItem, "
        "requestBody 7 BodyItem, responses 8 Responses, deprecated 10 bool, x- 13 any",
        "Parameter": "name 1 string, in 2 string, description 3 string, required 4 bool, schema 10 SchemaItem, x- 14 any",
        "Body": "description 1 string, content 2 {MediaType, required 3 bool, x- 4 any",
        "Responses": "* 2 ResponseValue",
        "Response": "description 1 string, content 3 {MediaType, x- 5 any",
        "MediaType": "schema 1 SchemaItem, x- 5 any",
        "Reference": "$ref 1 string, description 3 string",
        "ApiKey": "type 1 string, description 2 string, name 3 string, in 4 string",
        "Schema": "nullable 1 bool, title 9 string, multipleOf 10 double, maximum 11 double, exclusiveMaximum 12 bool, "
        "minimum 13 double, exclusiveMinimum 14 bool, maxLength 15 int, minLength 16 int, pattern 17 string, "
        "maxItems 18 int, minItems 19 int, uniqueItems 20 bool, maxProperties 21 int, minProperties 22 int, "
        "required 23 []string, enum 24 []any, type 25 string, allOf 26 []SchemaItem, oneOf 27 []SchemaItem, "
        "anyOf 28 []SchemaItem, not 29 Schema, items 30 Items, properties 31 {SchemaItem, "
        "additionalProperties 32 Additional, default 33 Default, description 34 string, format 35 string, x- 36 any",
    },
}
"""Message -> its fields: name, number, type. `[]`: repeated. `{`: a message of named values. `*`: the message itself is one,
its values stand in this field. `x-`: where extensions go."""


def encode(version: str, document: dict[str, Any]) -> bytes:
    """A document of `v2` or `v3`, whose paths and definitions may be raw. What the format has no field for is left out."""
    return _Codec(version).message("Document", document)


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,)) if value >= 0 else _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def _block(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _number(number: int, kind: str, value: Any) -> bytes:
    if kind == "double":
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    return _varint(number << 3) + _varint(int(value))


def _any(value: Any) -> bytes:
    """A value as YAML, in the form that JSON and YAML share."""
    return _block(2, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")


class _Codec:
    """The messages of one version."""

    def __init__(self, version: str) -> None:
        self._v2 = version == "v2"
        self._messages = {name: dict(map(_fact, fields.split(", "))) for name, fields in _NUMBERS[version].items()}
        self._unions: Mapping[str, Callable[[Any], bytes]] = {
            "Additional": self._additional,
            "BodyItem": lambda value: _block(1, self.message("Body", value)),
            "Default": _default,
            "Items": lambda value: _block(1, self._value("Schema" if self._v2 else "SchemaItem", value)),
            "Parameter": self._parameter,
            "ParametersItem": lambda value: self._or_reference("Parameter", value),
            "Requirement": lambda value: b"".join(self._named(1, "Types", *pair) for pair in value.items()),
            "ResponseValue": lambda value: _block(1, self.message("Response", value)),
            "SchemaItem": self._schema_item,
            "Scheme": lambda value: _block(2 if self._v2 else 1, self.message("ApiKey", value)),
            "Types": lambda value: b"".join(
                _block(1, word.encode()) for word in (value if isinstance(value, list) else [value])
            ),
        }

    def message(self, name: str, value: Mapping[str, Any]) -> bytes:
        fields = self._messages[name]
        if "*" in fields:
            number, kind = fields["*"]
            return b"".join(self._named(number, kind, key, item) for key, item in value.items())
        made: list[tuple[int, bytes]] = []
        for key, item in value.items():
            if key in fields:
                number, kind = fields[key]
                made.append((number, self._field(number, kind, item)))
            elif key.startswith("x-") and "x-" in fields:
                number = fields["x-"][0]
                made.append((number, self._named(number, "any", key, item)))
        made.sort(key=lambda pair: pair[0])
        return b"".join(data for _, data in made)

    def _field(self, number: int, kind: str, value: Any) -> bytes:
        if kind.startswith("[]"):
            return b"".join(_block(number, self._value(kind[2:], item)) for item in value)
        if kind.startswith("{"):
            return _block(number, b"".join(self._named(1, kind[1:], key, item) for key, item in value.items()))
        if kind in ("bool", "int", "double"):
            return _number(number, kind, value) if value else b""
        return _block(number, self._value(kind, value))

    def _named(self, number: int, kind: str, name: str, value: Any) -> bytes:
        return _block(number, _block(1, name.encode()) + _block(2, self._value(kind, value)))

    def _value(self, kind: str, value: Any) -> bytes:
        if isinstance(value, msgspec.Raw):
            value = msgspec.json.decode(value)
        if kind == "string":
            return str(value).encode()
        if kind == "any":
            return _any(value)
        if kind in self._unions and not (kind == "Parameter" and not self._v2):
            return self._unions[kind](value)
        return self.message(kind, value)

    def _or_reference(self, kind: str, value: Mapping[str, Any]) -> bytes:
        if "$ref" in value:
            return _block(2, self.message("Reference", value))
        return _block(1, self._value(kind, value))

    def _schema_item(self, value: Mapping[str, Any]) -> bytes:
        return _block(1, self.message("Schema", value)) if self._v2 else self._or_reference("Schema", value)

    def _parameter(self, value: Mapping[str, Any]) -> bytes:
        """Of v2: a union of a body and of the others, which is a union too."""
        if value["in"] == "body":
            return _block(1, self.message("Body", value))
        number, kind = (4, "Path") if value["in"] == "path" else (3, "Query")
        return _block(2, _block(number, self.message(kind, value)))

    def _additional(self, value: Any) -> bytes:
        if isinstance(value, bool):
            return _number(2, "bool", value)
        return _block(1, self._value("Schema" if self._v2 else "SchemaItem", value))


def _fact(text: str) -> tuple[str, tuple[int, str]]:
    name, number, kind = text.split(" ")
    return name, (int(number), kind)


def _default(value: Any) -> bytes:
    """v3 has no other defaults than these; the rest is an empty one."""
    if isinstance(value, bool):
        return _number(2, "bool", value)
    if isinstance(value, int | float):
        return _number(1, "double", value)
    return _block(3, value.encode()) if isinstance(value, str) else b""
