"""Which parts of an object are owned one by one, and which as a whole.

Called by the registry (`builtin`, `custom`), once per kind; read by `typed`. Built-in kinds come from `builtin.json`, made
by tests/api/generate_apply_types.py and read on first use; custom ones from their structural schema. Never sees an object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any


@dataclass(slots=True, eq=False)
class Type:
    """A value whose parts have owners of their own. None stands for one that is owned as a whole: a scalar, an atomic list
    or structure. One type may describe both a map and a list (`ANY`); what the value is decides."""

    fields: dict[str, Type | None] = field(default_factory=dict)
    """Declared fields."""
    values: Type | None = None
    """Of keys that are not declared."""
    always: frozenset[str] = frozenset()
    """Fields that every object has as far as ownership goes: left out means empty."""
    is_map: bool = True
    keys: tuple[str, ...] | None = None
    """Of a list whose items have owners; () for a set of scalars."""
    items: Type | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Of keys that an item leaves out."""


ANY = Type()
"""No schema: maps field by field, lists as a whole."""
ANY.values = ANY


@cache
def builtin(api_version: str, kind: str) -> Type | None:
    """The type of a built-in kind, None for one that the table does not have."""
    name = _table()["kinds"].get(f"{api_version}/{kind}")
    return _named(name) if name else None


def custom(schema: Mapping[str, Any]) -> Type:
    """The type of a structural schema (already compiled, so known to be sound); metadata is everybody's."""
    root = _schema(schema) or Type()
    return Type(
        {**root.fields, "apiVersion": None, "kind": None, "metadata": _named("meta.v1.ObjectMeta")},
        values=root.values,
        always=frozenset({"metadata"}),
    )


@cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(resources.files(__package__).joinpath("builtin.json").read_bytes())
    return found


_known: dict[str, Type] = {"any": ANY}


def _named(name: str) -> Type:
    """Each type once: some contain themselves, so it is known before its fields are."""
    if name not in _known:
        entry = _table()["types"][name]
        made = _known[name] = Type(
            dict.fromkeys(entry["whole"].split()), always=frozenset(entry.get("always", "").split())
        )
        made.fields.update((key, _of(value)) for key, value in entry["fields"].items())
    return _known[name]


def _of(entry: Any) -> Type | None:
    if isinstance(entry, str):
        return _named(entry)
    if entry == 0:
        return None
    if "map" in entry:
        return Type(values=_of(entry["map"]))
    return _list(_of(entry["list"]), tuple(entry["keys"]), entry.get("defaults", {}))


def _list(items: Type | None, keys: tuple[str, ...], defaults: Mapping[str, Any]) -> Type:
    return Type(is_map=False, keys=tuple(sorted(keys)), items=items, defaults=defaults)


def _schema(schema: Mapping[str, Any]) -> Type | None:
    if schema.get("type") == "array":
        return _schema_list(schema)
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") is True
    if schema.get("type") != "object":
        return ANY if open_ended and "type" not in schema else None
    if schema.get("x-kubernetes-map-type") == "atomic":
        return None
    fields = {key: _schema(child) for key, child in (schema.get("properties") or {}).items()}
    if schema.get("x-kubernetes-embedded-resource") is True:
        fields |= {"apiVersion": None, "kind": None, "metadata": _named("meta.v1.ObjectMeta")}
    extra = schema.get("additionalProperties")
    return Type(fields, values=_schema(extra) if isinstance(extra, Mapping) else ANY if open_ended else None)


def _schema_list(schema: Mapping[str, Any]) -> Type | None:
    kind, items = schema.get("x-kubernetes-list-type"), schema["items"]
    if kind == "set":
        return _list(None, (), {})
    if kind != "map":
        return None
    keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    properties = items.get("properties") or {}
    defaults = {key: properties[key]["default"] for key in keys if "default" in properties.get(key, {})}
    return _list(_schema(items), keys, defaults)
