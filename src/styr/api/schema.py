"""Structural schemas of CustomResourceDefinitions, compiled to closures: prune, default, validate, name unknown fields.

Called by the registry (once per served version of a CRD) and by the write verbs (per object). Calls `validations`.
Never reads the store; `x-kubernetes-validations` are for `rules`. Format: "Extend the Kubernetes API with
CustomResourceDefinitions", section "Specifying a structural schema".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from styr.api.metadata import FIELDS
from styr.api.validations import (
    SchemaError,
    Validate,
    all_of,
    combine,
    join,
    list_check,
    negate,
    type_check,
    typed,
    values_check,
    walker,
)
from styr.kinds.errors import Cause

MAX_DEPTH = 64
"""Levels of nesting in a schema; objects are only walked as deep as their schema goes."""
MAX_CAUSES = 64
"""Causes reported for one object: a hostile list of a million wrong items gets a bounded answer."""
MAX_NODES = 50_000
"""Schema nodes in one version of a CRD."""

_TYPES = ("object", "array", "string", "integer", "number", "boolean")
_FORBIDDEN = ("$ref", "definitions", "dependencies", "deprecated", "discriminator", "id", "patternProperties", "xml")
_LOGICAL = ("allOf", "anyOf", "oneOf")
_OUTSIDE_ONLY = ("default", "additionalProperties", "nullable", "description", "title")
_IMPLICIT = ("apiVersion", "kind", "metadata")


Change = Callable[[Any], None]
Unknown = Callable[[Any, str, list[str]], None]


class _Node(NamedTuple):
    """What one schema node does to one value. None: nothing to do below here."""

    prune: Change | None
    default: Change | None
    validate: Validate | None
    unknown: Unknown | None


@dataclass(frozen=True, slots=True)
class Schema:
    """One compiled version."""

    _node: _Node

    def prune(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Removes, in place, the fields that the schema does not name; returns the same object."""
        if self._node.prune:
            self._node.prune(obj)
        return obj

    def default(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Fills in defaults in place. A null where none is allowed becomes the default, or is dropped."""
        if self._node.default:
            self._node.default(obj)
        return obj

    def validate(self, obj: dict[str, Any], keep: Callable[[Cause], bool] | None = None) -> list[Cause]:
        """Every fault found, at most `MAX_CAUSES`; empty when the object is valid. Only those that `keep` holds for count."""
        causes: list[Cause] = []

        def report(reason: str, field: str, message: str) -> None:
            cause: Cause = {"reason": reason, "field": field, "message": message}
            if keep is None or keep(cause):
                causes.append(cause)
            if len(causes) >= MAX_CAUSES:
                raise _Enough

        if self._node.validate:
            with suppress(_Enough):
                self._node.validate(obj, "", report)
        return causes

    def unknown_fields(self, obj: dict[str, Any]) -> list[str]:
        """Paths of the fields that `prune` would remove, such as `spec.ports[0].prot`."""
        found: list[str] = []
        if self._node.unknown:
            self._node.unknown(obj, "", found)
        return found


class _Enough(Exception):
    """A signal, not an error: no more causes are wanted."""


def compile_schema(schema: Mapping[str, Any]) -> Schema:
    """Compiles `openAPIV3Schema` of a CRD version. Raises `SchemaError` when it is not structural, or too large."""
    compiler = _Compiler()
    if not isinstance(schema, Mapping):
        raise SchemaError("", "must be an object")
    if schema.get("type") != "object":
        raise SchemaError("type", 'must be "object" at the root')
    compiler.check_metadata(schema)
    return Schema(compiler.node(schema, "", 0, embedded=True))


def has_rules(schema: Any) -> bool:
    """Are there `x-kubernetes-validations` anywhere in it?"""
    todo = [schema]
    while todo:
        found = todo.pop()
        if not isinstance(found, Mapping):
            continue
        if found.get("x-kubernetes-validations"):
            return True
        todo += [found.get("items"), found.get("additionalProperties"), *(found.get("properties") or {}).values()]
        todo += found.get("allOf") or ()
    return False


class _Compiler:
    """Walks a schema once. Counts nodes, so that a huge one is refused before it costs."""

    def __init__(self) -> None:
        self.nodes = 0

    def check_metadata(self, schema: Mapping[str, Any]) -> None:
        found = _mapping(schema, "properties", "").get("metadata")
        if isinstance(found, Mapping) and set(_mapping(found, "properties", "")) - {"name", "generateName"}:
            raise SchemaError("properties[metadata]", "may only restrict metadata.name and metadata.generateName")

    def node(self, schema: Any, path: str, depth: int, *, embedded: bool = False) -> _Node:
        """A node of the structural part: it has a type, and may default."""
        self._count(schema, path, depth)
        _check_structure(schema, path)
        inner = schema.get("x-kubernetes-embedded-resource") is True
        embedded = embedded or inner
        children = self._properties(schema, path, depth, skip=_IMPLICIT if embedded else ())
        extra = schema.get("additionalProperties")
        values = self.node(extra, join(path, "additionalProperties"), depth + 1) if isinstance(extra, Mapping) else None
        items = self.node(schema["items"], join(path, "items"), depth + 1) if "items" in schema else None
        keep = schema.get("x-kubernetes-preserve-unknown-fields") is True or extra is True
        known = frozenset(children) | (frozenset(_IMPLICIT) if embedded else frozenset())
        open_ended = keep or values is not None or schema.get("type") != "object"
        node = _Node(
            _pruner(children, values, items, None if open_ended else known, inner),
            _defaulter(schema, children, values, items),
            self._validator(schema, path, depth, children, values, items),
            _namer(children, values, items, None if open_ended else known, inner),
        )
        if "default" in schema:
            _check_default(schema["default"], node, join(path, "default"))
        return node

    def _properties(self, schema: Mapping[str, Any], path: str, depth: int, skip: tuple[str, ...]) -> dict[str, _Node]:
        return {
            key: self.node(child, join(path, f"properties[{key}]"), depth + 1)
            for key, child in _mapping(schema, "properties", path).items()
            if key not in skip
        }

    def _count(self, schema: Any, path: str, depth: int) -> None:
        self.nodes += 1
        if not isinstance(schema, Mapping):
            raise SchemaError(path, "must be an object")
        if depth > MAX_DEPTH:
            raise SchemaError(path, f"nested deeper than {MAX_DEPTH} levels")
        if self.nodes > MAX_NODES:
            raise SchemaError(path, f"the schema has more than {MAX_NODES} nodes")

    def _validator(
        self,
        schema: Mapping[str, Any],
        path: str,
        depth: int,
        children: Mapping[str, _Node],
        values: _Node | None,
        items: _Node | None,
    ) -> Validate | None:
        checks = [check for check in (values_check(schema, path), list_check(schema, path)) if check]
        checks += self._logical(schema, path, depth, schema)
        below = {key: node.validate for key, node in children.items() if node.validate}
        walk = walker(below, values.validate if values else None, items.validate if items else None)
        if walk:
            checks.append(walk)
        return typed(schema, checks)

    def _logical(self, schema: Mapping[str, Any], path: str, depth: int, outer: Mapping[str, Any]) -> list[Validate]:
        """allOf, anyOf, oneOf, not: value validations only, and only on fields that `outer` names too."""
        checks: list[Validate] = []
        for word in _LOGICAL:
            if word in schema:
                if not isinstance(schema[word], list):
                    raise SchemaError(join(path, word), "must be a list")
                parts = [
                    self._values(part, join(path, f"{word}[{index}]"), depth + 1, outer)
                    for index, part in enumerate(schema[word])
                ]
                checks.append(combine(word, parts))
        if "not" in schema:
            checks.append(negate(self._values(schema["not"], join(path, "not"), depth + 1, outer)))
        return checks

    def _values(self, schema: Any, path: str, depth: int, outer: Mapping[str, Any]) -> Validate:
        """A node inside a logical junctor: it validates values and says nothing of structure."""
        self._count(schema, path, depth)
        _check_values_only(schema, path, outer)
        outer_properties = _mapping(outer, "properties", path)
        below: dict[str, Validate] = {}
        for key, child in _mapping(schema, "properties", path).items():
            child_path = join(path, f"properties[{key}]")
            if key not in outer_properties and outer.get("x-kubernetes-preserve-unknown-fields") is not True:
                raise SchemaError(child_path, "is validated here but not specified in the structural part")
            below[key] = self._values(child, child_path, depth + 1, outer_properties.get(key, {}))
        items = None
        if "items" in schema:
            items = self._values(schema["items"], join(path, "items"), depth + 1, outer.get("items", {}))
        checks = [check for check in (values_check(schema, path), walker(below, None, items)) if check]
        checks += self._logical(schema, path, depth, outer)
        if "type" in schema:
            checks.insert(0, type_check(schema["type"]))
        return all_of(checks)


def _mapping(schema: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    found = schema.get(key) or {}
    if not isinstance(found, Mapping):
        raise SchemaError(join(path, key), "must be an object")
    return found


def _check_structure(schema: Mapping[str, Any], path: str) -> None:
    for word in _FORBIDDEN:
        if word in schema:
            raise SchemaError(join(path, word), "is not allowed in a structural schema")
    if schema.get("uniqueItems"):
        raise SchemaError(join(path, "uniqueItems"), "may not be true: use x-kubernetes-list-type: set")
    kind = schema.get("type")
    untyped = (
        schema.get("x-kubernetes-int-or-string") is True or schema.get("x-kubernetes-preserve-unknown-fields") is True
    )
    if kind is None and not untyped:
        raise SchemaError(join(path, "type"), "Required value: must not be empty for specified fields")
    if kind is not None and kind not in _TYPES:
        raise SchemaError(join(path, "type"), f"must be one of {', '.join(_TYPES)}, not {kind!r}")
    if kind is not None and schema.get("x-kubernetes-int-or-string") is True:
        raise SchemaError(join(path, "type"), "must be empty when x-kubernetes-int-or-string is true")
    if "additionalProperties" in schema:
        if schema["additionalProperties"] is False:
            raise SchemaError(join(path, "additionalProperties"), "may not be false")
        if schema.get("properties"):
            raise SchemaError(join(path, "additionalProperties"), "and properties are mutually exclusive")
    if kind == "array" and not isinstance(schema.get("items"), Mapping):
        raise SchemaError(join(path, "items"), "Required value: must be specified for an array")


def _check_default(value: Any, node: _Node, path: str) -> None:
    """A default must itself be valid, and name no unknown field."""

    def refuse(_: str, field: str, message: str) -> None:
        raise SchemaError(path, f"{field}: {message}" if field else message)

    unknown: list[str] = []
    if node.unknown:
        node.unknown(value, "", unknown)
    if unknown:
        raise SchemaError(path, f"must not have unknown fields ({', '.join(unknown[:8])})")
    if node.validate:
        node.validate(value, "", refuse)


def _check_values_only(schema: Mapping[str, Any], path: str, outer: Mapping[str, Any]) -> None:
    for word in (*_FORBIDDEN, *_OUTSIDE_ONLY):
        if schema.get(word):
            raise SchemaError(join(path, word), "is not allowed inside allOf, anyOf, oneOf and not")
    if schema.get("type") and outer.get("x-kubernetes-int-or-string") is not True:
        raise SchemaError(join(path, "type"), "must be empty to be structural inside allOf, anyOf, oneOf and not")
    for word in schema:
        if word.startswith("x-kubernetes-") and word != "x-kubernetes-validations":
            raise SchemaError(join(path, word), "is not allowed inside allOf, anyOf, oneOf and not")


# --- prune, default, unknown fields --------------------------------------------------------------------------------


def _pruner(
    children: Mapping[str, _Node],
    values: _Node | None,
    items: _Node | None,
    known: frozenset[str] | None,
    embedded: bool,
) -> Change | None:
    below = {key: node.prune for key, node in children.items() if node.prune}
    each_value, each_item = values and values.prune, items and items.prune
    if known is None and not below and not each_value and not each_item and not embedded:
        return None

    def prune(value: Any) -> None:
        if embedded:
            for key in _unknown_metadata(value):
                del value["metadata"][key]
        if isinstance(value, dict) and known is not None and not value.keys() <= known:
            for key in value.keys() - known:
                del value[key]
        _descend(value, below, each_value, each_item)

    return prune


def _descend(value: Any, below: Mapping[str, Change], each_value: Change | None, each_item: Change | None) -> None:
    """Each change to the children that it is for."""
    if isinstance(value, dict):
        for key, change in below.items():
            if key in value:
                change(value[key])
        if each_value:
            for child in value.values():
                each_value(child)
    elif each_item and isinstance(value, list):
        for child in value:
            each_item(child)


def _unknown_metadata(value: Any) -> list[str]:
    """Of an embedded resource."""
    metadata = value.get("metadata") if isinstance(value, dict) else None
    return [key for key in metadata if key not in FIELDS] if isinstance(metadata, dict) else []


def _namer(
    children: Mapping[str, _Node],
    values: _Node | None,
    items: _Node | None,
    known: frozenset[str] | None,
    embedded: bool,
) -> Unknown | None:
    below = {key: node.unknown for key, node in children.items() if node.unknown}
    each_value, each_item = values and values.unknown, items and items.unknown
    if known is None and not below and not each_value and not each_item and not embedded:
        return None

    def name(value: Any, path: str, found: list[str]) -> None:
        if embedded:
            found.extend(join(path, f"metadata.{key}") for key in _unknown_metadata(value))
        if isinstance(value, dict):
            if known is not None:
                found.extend(join(path, key) for key in value if key not in known)
            for key, visit in below.items():
                if key in value:
                    visit(value[key], join(path, key), found)
            if each_value:
                for key, child in value.items():
                    each_value(child, join(path, key), found)
        elif each_item and isinstance(value, list):
            for index, child in enumerate(value):
                each_item(child, f"{path}[{index}]", found)

    return name


def _fill(value: dict[str, Any], fill: Mapping[str, str], strict: frozenset[str]) -> None:
    for key in [key for key, child in value.items() if child is None and key in strict]:
        del value[key]
    for key, text in fill.items():
        if key not in value:
            value[key] = json.loads(text)


def _defaulter(
    schema: Mapping[str, Any], children: Mapping[str, _Node], values: _Node | None, items: _Node | None
) -> Change | None:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    # Encoded, so that each object gets a copy of its own and a later change in one never shows in another.
    fill = {key: json.dumps(properties[key]["default"]) for key in children if "default" in properties[key]}
    strict = frozenset(key for key in children if properties[key].get("nullable") is not True)
    below = {key: node.default for key, node in children.items() if node.default}
    each_value, each_item = values and values.default, items and items.default
    if not (children or each_value or each_item):
        return None

    def default(value: Any) -> None:
        if isinstance(value, dict):
            _fill(value, fill, strict)
        _descend(value, below, each_value, each_item)

    return default
