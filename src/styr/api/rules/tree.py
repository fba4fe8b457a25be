"""The rules of a schema where they stand in it, and their walk over an object and the one before it. Called by strategies.

A rule that compares (`oldSelf`) is only asked where the old value can be told: fields, entries of maps, items of lists by
their keys. A rule that does not compare is forgiven, with a warning, for a value that an update leaves as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from styr.api.rules.declare import Convert, Declared, declare, escape
from styr.api.rules.ratchet import ROOT, Pair
from styr.api.rules.rule import Budget, Environments, Exhausted, Rule, RuleError, compile_rule
from styr.api.schema import has_rules
from styr.cel.environment import TOTAL
from styr.kinds.errors import Cause

_Schema = Mapping[str, Any]
MAX_CAUSES = 64


@dataclass(frozen=True, slots=True)
class Rules:
    """Of one place in a schema. `broken` are rules that do not compile: a definition that an older version has taken."""

    own: tuple[Rule, ...]
    broken: tuple[str, ...]
    kind: str
    convert: Convert | None
    properties: Mapping[str, Rules]
    values: Rules | None
    items: Rules | None
    parts: tuple[Rules, ...]
    """allOf."""
    keys: tuple[str, ...] | None
    """Those of a list of the type map."""

    def check(self, obj: Any, old: Any = None) -> tuple[list[Cause], list[str]]:
        """Every fault, and warnings about what was forgiven. `old` None for a new object."""
        walk = _Walk()
        try:
            walk.node(self, obj, old, "", ROOT if old is None else Pair(obj, old))
        except Exhausted as end:
            walk.causes.append(end.cause)
        return walk.causes[:MAX_CAUSES], walk.warnings

    def strictly(self, obj: Any, old: Any, path: str) -> list[Cause]:
        """Every fault of a value that stands at `path`: nothing is forgiven."""
        walk = _Walk()
        try:
            walk.node(self, obj, old, path, ROOT)
        except Exhausted as end:
            walk.causes.append(end.cause)
        return walk.causes[:MAX_CAUSES]


class _Walk:
    def __init__(self) -> None:
        self.budget = Budget(TOTAL)
        self.causes: list[Cause] = []
        self.warnings: list[str] = []

    def node(self, rules: Rules, value: Any, old: Any, path: str, pair: Pair) -> None:
        if value is None or len(self.causes) >= MAX_CAUSES:
            return
        if rules.own or rules.broken:
            self.own(rules, value, old, path, pair)
        for part in rules.parts:
            self.node(part, value, old, path, pair.above())
        if isinstance(value, dict):
            self.fields(rules, value, old if isinstance(old, dict) else {}, path, pair)
        elif isinstance(value, list) and rules.items is not None:
            self.items(rules, rules.items, value, old, path, pair)

    def own(self, rules: Rules, value: Any, old: Any, path: str, pair: Pair) -> None:
        convert = rules.convert
        seen = convert(value) if convert else value
        before = convert(old) if convert and old is not None else old
        for text in rules.broken:
            message = f'Invalid value: "{rules.kind}": rule compile error: {text}'
            self.causes.append({"reason": "FieldValueInvalid", "field": path or "<nil>", "message": message})
        for rule in rules.own:
            if rule.compares and old is None and not rule.optional:
                continue
            cause = rule.check(seen, before, value, path, self.budget)
            if cause is None:
                continue
            if not rule.compares and pair.unchanged():
                self.warnings.append(f"{cause['field']}: {cause['message']}")
            else:
                self.causes.append(cause)

    def fields(self, rules: Rules, value: dict[str, Any], old: dict[str, Any], path: str, pair: Pair) -> None:
        for name, below in rules.properties.items():
            if name in value:
                where = f"{path}.{name}" if path else name
                self.node(below, value[name], old.get(name), where, pair.key(name))
        if rules.values is not None:
            for name, child in value.items():
                self.node(rules.values, child, old.get(name), f"{path}[{name}]", pair.key(name))

    def items(self, rules: Rules, below: Rules, value: list[Any], old: Any, path: str, pair: Pair) -> None:
        known = by_keys(old, rules.keys)
        for index, item in enumerate(value):
            before = known.get(identity(item, rules.keys)) if known else None
            self.node(below, item, before, f"{path}[{index}]", pair.item(item, before))


def identity(item: Any, keys: Sequence[str] | None) -> Any:
    """What tells an item of a list of the type map from the others; None when nothing does."""
    if not keys or not isinstance(item, dict) or not all(key in item for key in keys):
        return None
    return tuple((type(item[key]).__name__, str(item[key])) for key in keys)


def by_keys(items: Any, keys: Sequence[str] | None) -> dict[Any, Any]:
    if not keys or not isinstance(items, list):
        return {}
    found: dict[Any, Any] = {}
    for item in items:
        found.setdefault(identity(item, keys), item)
    found.pop(None, None)
    return found


def compile_rules(schema: _Schema, *, root: bool = True) -> Rules | None:
    """The rules of `openAPIV3Schema`, or of a schema inside one; None when it has none."""
    return _compile(schema, schema, "selfType", None, root=root)


def _compile(
    schema: _Schema, shape: _Schema, name: str, declared: Declared | None, *, root: bool = False
) -> Rules | None:
    """`schema` has the rules, `shape` says what the value is: they differ within allOf. `declared` when that is known."""
    if not has_rules(schema):
        return None
    root = root or shape.get("x-kubernetes-embedded-resource") is True
    found = declared or declare(shape, name, root=root)
    own, broken = _own(schema, shape, found, name)
    properties: dict[str, Rules] = {}
    shapes = shape.get("properties") or {}
    for key, child in (schema.get("properties") or {}).items():
        if key not in shapes:
            continue
        escaped = escape(key)
        below = found.fields.get(escaped) if found and escaped else None
        if found is not None and escaped and below is None:
            continue  # nothing is known of its type: rules do not see it
        if made := _compile(child, shapes[key], f"{name}.{escaped}", below):
            properties[key] = made
    element = found.element if found else None
    parts = [
        _compile(part, shape, name, found, root=root) for part in schema.get("allOf") or () if isinstance(part, Mapping)
    ]
    return Rules(
        own,
        broken,
        str(shape.get("type") or ("object" if root else "")),
        found.convert if found else None,
        properties,
        _inner(schema, shape, "additionalProperties", f"{name}.@elem", element),
        _inner(schema, shape, "items", f"{name}.@idx", element),
        tuple(part for part in parts if part is not None),
        tuple(shape.get("x-kubernetes-list-map-keys") or ()) if shape.get("x-kubernetes-list-type") == "map" else None,
    )


def _inner(schema: _Schema, shape: _Schema, word: str, name: str, element: Declared | None) -> Rules | None:
    one, two = schema.get(word), shape.get(word)
    if not isinstance(one, Mapping) or not isinstance(two, Mapping):
        return None
    return _compile(one, two, name, element)


def _own(
    schema: _Schema, shape: _Schema, declared: Declared | None, name: str
) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    listed = schema.get("x-kubernetes-validations") or ()
    if not listed or declared is None:
        return (), ()
    environments = Environments.of(declared, name)
    rules: list[Rule] = []
    broken: list[str] = []
    for entry in listed:
        if not str(entry.get("rule") or "").strip():
            continue
        try:
            rules.append(compile_rule(entry, shape, environments, str(shape.get("type") or "")))
        except RuleError as error:
            broken.append(str(error))
    return tuple(rules), tuple(broken)
