"""What the messages of Kubernetes look like: `fields.json`, read when the first protobuf body arrives, and a message's part of
it compiled when the first one of its kind does. Called by `envelope` and `reader`. Pure, but for reading that file.

The file is made by `generate` from the published definitions, whose version it names: `packages` maps an apiVersion to its
messages, a message to its fields, `NUMBER NAME TYPE` each. NAME is that of JSON, or `.` for a message whose fields JSON shows
among those of the one around it. TYPE is a scalar, a word of `generate.SPECIAL`, or a message (of another apiVersion:
`VERSION.NAME`), after `[]` for a list, `{}` for a map by strings, `*` for a pointer in Go, and before `!` when Go's JSON
writes the field although it is empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from styr.kinds.resources import STABLE_LATER

META = "meta.k8s.io/v1"
SCHEMA = ("apiextensions.k8s.io/v1", "JSONSchemaProps")

_VARINT, _FIXED64, _BYTES = 0, 1, 2
_WIRE = {"bool": _VARINT, "int32": _VARINT, "int64": _VARINT, "double": _FIXED64}
_EMPTY: dict[str, Any] = {
    "string": "",
    "bool": False,
    "int32": 0,
    "int64": 0,
    "double": 0,
    "quantity": "0",
    "intorstring": 0,
}
"""What Go's JSON writes for a type's zero; null where this says nothing."""
_WORDS = (*_EMPTY, "bytes", "strings", "time", "microtime", "json", "schemaorlist", "schemaorbool", "schemaorstrings")


@dataclass(slots=True, eq=False)
class Field:
    """`kind` is a scalar or special word, "" for a message, whose `shape` is compiled on its own first use."""

    name: str
    kind: str
    shape: Shape | None
    many: str
    """"" for one, `[]`, `{}`."""
    keep: bool
    """Shown when it is on the wire, also as a zero; else a zero is as good as absent."""


@dataclass(slots=True, eq=False)
class Shape:
    """A compiled message. `fields` is by tag (number and wire type); `absent` is what JSON shows for fields that are not on
    the wire: a value, or the shape of a struct that is there all the same."""

    fields: dict[int, Field] = field(default_factory=dict)
    numbers: frozenset[int] = frozenset()
    absent: tuple[tuple[str, Any], ...] = ()
    text: str = ""
    package: str = ""
    compiled: bool = False


def find(api_version: str, kind: str) -> Shape | None:
    """The message of a kind, ready to read. None for one that has no protobuf form. The kinds of `META`, such as
    DeleteOptions, come under the apiVersion of what they act on."""
    known = table()
    home = next((package for package in (api_version, META) if kind in known.get(package, ())), None)
    return None if home is None else ready(_named(home, kind))


def ready(shape: Shape) -> Shape:
    """Compiles a message on its first use."""
    if not shape.compiled:
        _compile(shape)
    return shape


@cache
def table() -> dict[str, dict[str, str]]:
    raw = resources.files("styr.api.protobuf").joinpath("fields.json").read_bytes()
    packages: dict[str, dict[str, str]] = msgspec.json.decode(raw)["packages"]
    for beta, stable in STABLE_LATER.items():
        packages[stable] = packages[beta] | packages[stable]
    return packages


@cache
def _named(package: str, name: str) -> Shape:
    """One that is in the table: words of a client would fill the cache."""
    return Shape(text=table()[package][name], package=package)


def _compile(shape: Shape) -> None:
    absent: list[tuple[str, Any]] = []
    numbers = set()
    for fact in filter(None, shape.text.split(", ")):
        number_text, name, kind = fact.split(" ")
        number = int(number_text)
        always, pointer = kind.endswith("!"), kind.startswith("*")
        kind = kind.removesuffix("!").removeprefix("*")
        many = kind[:2] if kind[:2] in ("[]", "{}") else ""
        made = _field(shape, "" if name == "." else name, kind[len(many) :], many, always or pointer)
        wire = _WIRE.get(made.kind, _BYTES)
        shape.fields[number << 3 | (_BYTES if many == "{}" else wire)] = made
        if many == "[]" and wire != _BYTES:
            shape.fields[number << 3 | _BYTES] = made
        numbers.add(number)
        if not made.name and made.shape is not None:
            absent += ready(made.shape).absent
        elif always:
            absent.append((name, None if pointer or many else made.shape or _EMPTY.get(made.kind)))
    shape.numbers, shape.absent, shape.compiled = frozenset(numbers), tuple(absent), True


def _field(around: Shape, name: str, kind: str, many: str, keep: bool) -> Field:
    if kind in _WORDS:
        return Field(name, kind, None, many, keep)
    package, _, message = kind.rpartition(".")
    return Field(name, "", _named(package or around.package, message), many, keep)
