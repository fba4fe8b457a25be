"""What the objects of built-in kinds look like, and what Go makes of one: `Type.read` is what decoding into a Go struct and
encoding it again would be. It checks types, drops fields that nobody knows, nulls and empty values that Go leaves out,
writes those that Go never leaves out, and brings quantities and times into their one form.

Called by the strategies of built-in kinds on every write. The facts are those that protobuf needs (`protobuf.shapes`, made
from the published Go types); a structure is compiled when an object first has it. Pure, but for reading that file.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from styr.api.builtin import conditional, leaves
from styr.api.protobuf import shapes
from styr.kinds.errors import BadRequest

MAX_UNKNOWN = 100
"""Unknown fields that one answer names."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_EMPTY: dict[str, Any] = {
    "string": "",
    "bool": False,
    "int32": 0,
    "int64": 0,
    "double": 0,
    "quantity": "0",
    "intorstring": 0,
}
_WORDS = frozenset(
    (*_EMPTY, "bytes", "strings", "time", "microtime", "json", "schemaorlist", "schemaorbool", "schemaorstrings")
)
_NULL_ITEM: dict[str, Any] = {**_EMPTY, "bytes": "", "strings": []}


@dataclass(slots=True, eq=False)
class Field:
    """`kind` is a scalar or special word, "" for a structure, whose `type` is compiled on its own first use. `keep`: an empty
    value says something else than none."""

    kind: str
    type: Type | None
    many: str
    """"" for one, `[]`, `{}`."""
    keep: bool
    pointer: bool
    read: Callable[[Any], Any] | None
    """Of one value of a scalar or special kind: its form in Go. Raises `leaves.Misfit`."""


@dataclass(slots=True, eq=False)
class Type:
    """One Go struct. `name` is `PACKAGE.NAME`, as `core/v1.Probe` is `v1.Probe` here."""

    name: str
    package: str
    text: str
    fields: dict[str, Field] = field(default_factory=dict)
    absent: tuple[tuple[str, Any], ...] = ()
    """Fields that are shown although nobody sent them: a value, or the type of a structure."""
    compiled: bool = False
    fills: bool | None = None
    """Does something below have defaults? Worked out when an object is first filled."""
    table: tuple[tuple[str, bytes, Any], ...] = ()
    """Defaults: field, encoded value (so that each object has a copy of its own), and what it stands in for."""
    hook: Callable[[dict[str, Any]], None] | None = None

    @property
    def short(self) -> str:
        return self.name.rpartition(".")[2]


@cache
def find(api_version: str, kind: str) -> Type:
    """The type of a built-in kind. Raises KeyError for one that is not published."""
    return ready(_named(api_version, kind))


@cache
def _named(package: str, name: str) -> Type:
    return Type(f"{package}.{name}", package, shapes.table()[package][name])


def ready(made: Type) -> Type:
    """Compiles it on its first use."""
    if not made.compiled:
        _compile(made)
    return made


def _compile(made: Type) -> None:
    absent: list[tuple[str, Any]] = []
    for fact in filter(None, made.text.split(", ")):
        _, name, kind = fact.split(" ")
        always, pointer = kind.endswith("!"), kind.startswith("*")
        kind = kind.removesuffix("!").removeprefix("*")
        many = kind[:2] if kind[:2] in ("[]", "{}") else ""
        kind = kind[len(many) :]
        if name == ".":
            inner = ready(_type(made, kind))
            made.fields.update(inner.fields)
            absent += inner.absent
            continue
        plain = kind in _WORDS
        inner_type = None if plain else _type(made, kind)
        read = leaves.READERS[kind] if plain else None
        made.fields[name] = Field(kind if plain else "", inner_type, many, always or pointer, pointer, read)
        if always:
            absent.append((name, None if pointer or many else inner_type or _EMPTY.get(kind)))
    made.absent, made.compiled = tuple(absent), True


def _type(around: Type, kind: str) -> Type:
    package, _, name = kind.rpartition(".")
    return _named(package or around.package, name)


class Reading:
    """One object being read. `unknown` collects the paths of fields that no type names; `sparse` adds none."""

    __slots__ = ("sparse", "unknown")

    def __init__(self, *, sparse: bool = False) -> None:
        self.unknown: list[str] = []
        self.sparse = sparse

    def struct(self, value: Any, made: Type, path: str) -> None:
        """Brings a structure into Go's form, in place."""
        if not made.compiled:
            _compile(made)
        fields = made.fields
        for key, child in list(value.items()):
            known = fields.get(key)
            if known is None:
                if len(self.unknown) < MAX_UNKNOWN:
                    self.unknown.append(f"{path}{key}")
                del value[key]
            elif child is None:
                del value[key]
            elif known.many:
                self._many(value, key, child, known, made, path)
            elif known.type is not None:
                self._one(value, key, child, known, made, path)
            else:
                self._plain(value, key, child, known, made, path)
        for key, empty in () if self.sparse else made.absent:
            if key not in value:
                if isinstance(empty, Type):
                    child = value[key] = {}
                    self.struct(child, empty, "")
                else:
                    value[key] = empty

    def _one(self, value: Any, key: str, child: Any, known: Field, made: Type, path: str) -> None:
        assert known.type is not None
        if type(child) is not dict:
            raise _mismatch(child, made, path, key, f"v1.{known.type.short}")
        self.struct(child, known.type, f"{path}{key}.")
        if not child and not known.keep:
            del value[key]

    def _plain(self, value: Any, key: str, child: Any, known: Field, made: Type, path: str) -> None:
        kind = known.kind
        if kind == "string" and type(child) is str:
            if not child and not known.keep:
                del value[key]
            return
        if kind in leaves.SCHEMAS:
            value[key] = self._schema(kind, child, made, f"{path}{key}")
            return
        assert known.read is not None
        try:
            found = known.read(child)
        except leaves.Misfit as misfit:
            raise _refused(misfit, child, made, path, key) from None
        if found is None or not (found or known.keep or kind == "json"):
            del value[key]
        else:
            value[key] = found

    def _many(self, value: Any, key: str, child: Any, known: Field, made: Type, path: str) -> None:
        wanted = list if known.many == "[]" else dict
        if type(child) is not wanted:
            raise _mismatch(child, made, path, key, _go(known))
        if not child:
            if not known.keep:
                del value[key]
            return
        if known.type is not None:
            self._structs(child, known, made, path, key)
        elif known.kind == "string":
            for place, item in list(child.items() if isinstance(child, dict) else enumerate(child)):
                if type(item) is not str:
                    if item is not None:
                        raise _mismatch(item, made, path, key, "string")
                    child[place] = ""
        else:
            self._plains(child, known, made, path, key)

    def _structs(self, child: Any, known: Field, made: Type, path: str, key: str) -> None:
        assert known.type is not None
        if known.many == "[]":
            for index, item in enumerate(child):
                if type(item) is not dict:
                    if item is not None:
                        raise _mismatch(item, made, path, key, f"v1.{known.type.short}")
                    child[index] = item = {}
                self.struct(item, known.type, f"{path}{key}[{index}].")
            return
        for name, item in child.items():
            if type(item) is not dict:
                if item is not None:
                    raise _mismatch(item, made, path, key, f"v1.{known.type.short}")
                child[name] = item = {}
            self.struct(item, known.type, f"{path}{key}.{name}.")

    def _plains(self, child: Any, known: Field, made: Type, path: str, key: str) -> None:
        kind = known.kind
        for place, item in list(child.items()) if known.many == "{}" else list(enumerate(child)):
            if kind in leaves.SCHEMAS:
                child[place] = self._schema(kind, item, made, f"{path}{key}[{place}]")
                continue
            assert known.read is not None
            try:
                child[place] = known.read(item) if item is not None else _NULL_ITEM.get(kind)
            except leaves.Misfit as misfit:
                raise _refused(misfit, item, made, path, key) from None

    def _schema(self, kind: str, child: Any, made: Type, path: str) -> Any:
        """The places of a JSON schema that hold a schema or something else."""
        other = leaves.SCHEMAS[kind]
        if type(child) is dict:
            self.struct(child, _named(*shapes.SCHEMA), f"{path}.")
        elif other is list and type(child) is list:
            for index, item in enumerate(child):
                if kind == "schemaorstrings":
                    if type(item) is not str:
                        raise _mismatch(item, made, "", path, "string")
                elif type(item) is dict:
                    self.struct(item, _named(*shapes.SCHEMA), f"{path}[{index}].")
                else:
                    raise _mismatch(item, made, "", path, "v1.JSONSchemaProps")
        elif type(child) is not other:
            raise BadRequest(
                "boolean or JSON schema expected" if other is bool else "object or list of schemas expected"
            )
        return child


def read(obj: Any, made: Type, *, sparse: bool = False) -> list[str]:
    """Brings an object into Go's form, in place; returns the paths of its unknown fields, which are gone from it. `sparse`:
    part of an object, whose missing fields say nothing and stay missing. Raises BadRequest, in Go's words, for the first value
    of a wrong type."""
    reading = Reading(sparse=sparse)
    head = {key: obj.pop(key) for key in ("apiVersion", "kind") if key in obj}
    try:
        reading.struct(obj, made, "")
    finally:
        obj.update(head)
    return reading.unknown


def fill(obj: Any, made: Type, kind: str = "") -> None:
    """Fills in Kubernetes' defaults, in place, in an object that was `read`. `kind` is `apiVersion/Kind`, for the defaults that
    only it has."""
    for path, value in _defaults()["kinds"].get(kind, {}).items():
        *steps, last = path.split(".")
        place = obj
        for step in steps:
            place = place.get(step)
            if place is None:
                break
        if place is not None and last not in place:
            place[last] = copy.deepcopy(value)
    if _fills(made, set()):
        _fill(obj, made)


def _fill(value: dict[str, Any], made: Type) -> None:
    for key, encoded, zero in made.table:
        if value.get(key) is None or (zero is not None and value[key] == zero):
            value[key] = _decode(encoded)
    if made.hook is not None:
        made.hook(value)
    for key, child in value.items():
        known = made.fields.get(key)
        if known is None or known.type is None or not child or not known.type.fills:
            if known is not None and known.type is not None and known.type.fills and child == {}:
                _fill(child, known.type)
            continue
        if known.many == "[]":
            for item in child:
                _fill(item, known.type)
        elif known.many:
            for item in child.values():
                _fill(item, known.type)
        else:
            _fill(child, known.type)


def _fills(made: Type, above: set[str]) -> bool:
    """Whether the structure, or one below it, has defaults. Kept, but for what a circle hides."""
    if made.fills is None:
        ready(made)
        found = _defaults()["types"].get(made.name, {})
        made.table = tuple((key, _encode(value), _zero(made.fields[key])) for key, value in found.items())
        made.hook = conditional.HOOKS.get(made.name)
        above.add(made.name)
        below = [
            _fills(field.type, above)
            for field in made.fields.values()
            if field.type is not None and field.type.name not in above
        ]
        above.discard(made.name)
        made.fills = bool(made.table or made.hook or any(below))
    return made.fills


def _zero(field: Field) -> Any:
    """The empty value that counts as none, None where a pointer tells them apart."""
    return _EMPTY.get(field.kind) if field.keep and not field.pointer and not field.many else None


@cache
def _defaults() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(resources.files(__package__).joinpath("defaults.json").read_bytes())
    return found


def _go(known: Field) -> str:
    inner = f"v1.{known.type.short}" if known.type is not None else leaves.GO.get(known.kind, known.kind)
    return f"[]{inner}" if known.many == "[]" else f"map[string]{inner}"


def _refused(misfit: leaves.Misfit, value: Any, made: Type, path: str, key: str) -> BadRequest:
    if misfit.message:
        return BadRequest(misfit.message)
    return _mismatch(value, made, path, key, misfit.wanted)


def _mismatch(value: Any, made: Type, path: str, key: str, wanted: str) -> BadRequest:
    where = ".".join(step.partition("[")[0] for step in f"{path}{key}".split("."))
    return BadRequest(
        f"json: cannot unmarshal {_word(value)} into Go struct field {made.short}.{where} of type {wanted}"
    )


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number" if isinstance(value, int) and abs(value) < 1 << 31 else f"number {json.dumps(value)}"
    return "array" if isinstance(value, list) else "object"
