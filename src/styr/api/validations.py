"""The validations of a schema, each compiled to one closure: types, bounds, patterns, junctors, list types.

Called by `schema`, which walks the structure; calls `formats` and `pattern`. Pure. Messages are Kubernetes' own, because
people search for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from styr.api import formats
from styr.api.pattern import PatternError, compile_pattern
from styr.kit.floats import show_double

Report = Callable[[str, str, str], None]
"""(reason, field path, message)"""
Validate = Callable[[Any, str, Report], None]


class SchemaError(ValueError):
    """A schema that is not structural. `path` is where, as `spec.validation.openAPIV3Schema.properties[spec].type`
    would have it, starting at the schema's own root."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path or '<root>'}: {message}")
        self.path = path
        self.message = message


def join(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    for kind, name in ((dict, "object"), (list, "array"), (str, "string"), (int, "integer")):
        if isinstance(value, kind):
            return name
    return "number"


def _is(kind: str, value: Any) -> bool:
    found = _kind_of(value)
    if kind == "number":
        return found in ("integer", "number")
    if kind == "integer":
        return found == "integer" or (found == "number" and float(value).is_integer())
    return found == kind


def type_check(kind: str) -> Validate:
    def check(value: Any, path: str, report: Report) -> None:
        if not _is(kind, value):
            _report_type(kind, value, path, report)

    return check


def _report_type(kind: str, value: Any, path: str, report: Report) -> None:
    found = _kind_of(value)
    report(
        "FieldValueTypeInvalid",
        path,
        f'Invalid value: "{found}": {path or "<root>"} in body must be of type {kind}: "{found}"',
    )


def typed(schema: Mapping[str, Any], checks: list[Validate]) -> Validate | None:
    """The type first: a value of another type gets one message, not ten."""
    kind, nullable = schema.get("type"), schema.get("nullable") is True
    either = schema.get("x-kubernetes-int-or-string") is True
    if kind is None and not either and not checks:
        return None
    null = _enum(schema, "") if nullable else None

    def validate(value: Any, path: str, report: Report) -> None:
        if value is None and nullable:
            if null is not None:
                null(value, path, report)
            return
        if either and not (_is("integer", value) or isinstance(value, str)):
            _report_type("integer or string", value, path, report)
        elif kind is not None and not _is(kind, value):
            _report_type(kind, value, path, report)
        else:
            for check in checks:
                check(value, path, report)

    return validate


def walker(below: Mapping[str, Validate], each_value: Validate | None, each_item: Validate | None) -> Validate | None:
    if not (below or each_value or each_item):
        return None

    def walk(value: Any, path: str, report: Report) -> None:
        if isinstance(value, dict):
            for key, check in below.items():
                if key in value:
                    check(value[key], join(path, key), report)
            if each_value:
                for key, child in value.items():
                    each_value(child, join(path, key), report)
        elif each_item and isinstance(value, list):
            for index, child in enumerate(value):
                each_item(child, f"{path}[{index}]", report)

    return walk


def all_of(checks: Iterable[Validate]) -> Validate:
    checks = tuple(checks)

    def every(value: Any, path: str, report: Report) -> None:
        for check in checks:
            check(value, path, report)

    return every


def _passes(check: Validate, value: Any, path: str) -> bool:
    def refuse(*_: str) -> None:
        raise _Refused

    try:
        check(value, path, refuse)
    except _Refused:
        return False
    return True


class _Refused(Exception):
    """A signal: this value does not pass."""


def combine(word: str, parts: list[Validate]) -> Validate:
    if word == "allOf":
        return all_of(parts)
    exactly_one = word == "oneOf"
    text = (
        "must validate one and only one schema (oneOf)" if exactly_one else "must validate at least one schema (anyOf)"
    )

    def check(value: Any, path: str, report: Report) -> None:
        met = sum(_passes(part, value, path) for part in parts)
        if met == 0 or (exactly_one and met > 1):
            report("FieldValueInvalid", path, f"Invalid value: {_show(value)}: {path or '<root>'} {text}")

    return check


def negate(part: Validate) -> Validate:
    def check(value: Any, path: str, report: Report) -> None:
        if _passes(part, value, path):
            report(
                "FieldValueInvalid",
                path,
                f"Invalid value: {_show(value)}: {path or '<root>'} must not validate the schema (not)",
            )

    return check


def _show(value: Any) -> str:
    """A value in a message: short, and never a whole object."""
    if isinstance(value, (dict, list)):
        return f'"{_kind_of(value)}"'
    text = show_double(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 128 else text[:125] + '..."'


def list_check(schema: Mapping[str, Any], path: str) -> Validate | None:
    """x-kubernetes-list-type: uniqueness of the items of a set, or of the keys of a map."""
    kind = schema.get("x-kubernetes-list-type", "atomic")
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    if kind not in ("atomic", "set", "map"):
        raise SchemaError(join(path, "x-kubernetes-list-type"), f"must be atomic, set or map, not {kind!r}")
    if kind == "map" and not (isinstance(keys, list) and keys and all(isinstance(key, str) for key in keys)):
        raise SchemaError(join(path, "x-kubernetes-list-map-keys"), "Required value: must name the keys of the map")
    if kind == "atomic":
        return None
    defaults = {
        key: child["default"]
        for key, child in ((schema.get("items") or {}).get("properties") or {}).items()
        if isinstance(child, Mapping) and "default" in child
    }

    def identity(item: Any) -> str:
        if kind == "map" and isinstance(item, dict):
            item = [item.get(key, defaults.get(key)) for key in keys]
        return json.dumps(item, sort_keys=True)

    def check(value: Any, path: str, report: Report) -> None:
        if not isinstance(value, list):
            return
        seen: set[str] = set()
        for index, item in enumerate(value):
            mark = identity(item)
            if mark in seen:
                report("FieldValueDuplicate", f"{path}[{index}]", f"Duplicate value: {mark[:128]}")
            seen.add(mark)

    return check


def values_check(schema: Mapping[str, Any], path: str) -> Validate | None:
    """The validations of one value: enum, bounds, lengths, pattern, format, required."""
    checks = [check for check in (build(schema, path) for build in _BUILDERS) if check]
    if not checks:
        return None
    return checks[0] if len(checks) == 1 else all_of(checks)


def _enum(schema: Mapping[str, Any], path: str) -> Validate | None:
    if "enum" not in schema:
        return None
    values = schema["enum"]
    if not isinstance(values, list):
        raise SchemaError(join(path, "enum"), "must be a list")
    allowed = frozenset(json.dumps(value, sort_keys=True) for value in values)
    shown = ", ".join(_show(value) for value in values[:32]) + (", ..." if len(values) > 32 else "")

    def check(value: Any, path: str, report: Report) -> None:
        if json.dumps(value, sort_keys=True) not in allowed:
            report("FieldValueNotSupported", path, f"Unsupported value: {_show(value)}: supported values: {shown}")

    return check


def _number(schema: Mapping[str, Any], path: str, word: str, kind: type | tuple[type, ...] = (int, float)) -> Any:
    found = schema.get(word)
    if found is not None and (isinstance(found, bool) or not isinstance(found, kind)):
        raise SchemaError(join(path, word), "must be a number")
    return found


def _bounds(schema: Mapping[str, Any], path: str) -> Validate | None:
    low, high = _number(schema, path, "minimum"), _number(schema, path, "maximum")
    step = _number(schema, path, "multipleOf")
    above, below = schema.get("exclusiveMinimum") is True, schema.get("exclusiveMaximum") is True
    if low is None and high is None and not step:
        return None

    def check(value: Any, path: str, report: Report) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return
        text = ""
        if low is not None and (value < low or (above and value == low)):
            text = f"should be greater than {'' if above else 'or equal to '}{low}"
        elif high is not None and (value > high or (below and value == high)):
            text = f"should be less than {'' if below else 'or equal to '}{high}"
        elif step and value % step != 0:
            text = f"should be a multiple of {step}"
        if text:
            report("FieldValueInvalid", path, f"Invalid value: {_show(value)}: {path or '<root>'} in body {text}")

    return check


def _lengths(schema: Mapping[str, Any], path: str) -> Validate | None:
    limits = {
        kind: (_number(schema, path, low, int), _number(schema, path, high, int), unit)
        for kind, low, high, unit in (
            (str, "minLength", "maxLength", "chars long"),
            (list, "minItems", "maxItems", "items"),
            (dict, "minProperties", "maxProperties", "properties"),
        )
        if low in schema or high in schema
    }
    if not limits:
        return None

    def check(value: Any, path: str, report: Report) -> None:
        low, high, unit = limits.get(type(value), (None, None, ""))
        if low is not None and len(value) < low:
            verb = "be" if isinstance(value, str) else "have"
            report(
                "FieldValueInvalid",
                path,
                f"Invalid value: {_show(value)}: {path} in body should {verb} at least {low} {unit}",
            )
        elif high is not None and len(value) > high:
            if isinstance(value, str):
                report("FieldValueTooLong", path, f"Too long: may not be more than {high} bytes")
            else:
                report("FieldValueTooMany", path, f"Too many: {len(value)}: must have at most {high} items")

    return check


def _pattern(schema: Mapping[str, Any], path: str) -> Validate | None:
    text = schema.get("pattern")
    if not text:
        return None
    if not isinstance(text, str):
        raise SchemaError(join(path, "pattern"), "must be a string")
    try:
        search = compile_pattern(text)
    except PatternError as error:
        raise SchemaError(join(path, "pattern"), str(error)) from None

    def check(value: Any, path: str, report: Report) -> None:
        if isinstance(value, str) and not search(value):
            report("FieldValueInvalid", path, f"Invalid value: {_show(value)}: {path} in body should match '{text}'")

    return check


def _format(schema: Mapping[str, Any], path: str) -> Validate | None:
    name = schema.get("format")
    holds = formats.CHECKS.get(name) if isinstance(name, str) else None
    if holds is None:
        return None

    def check(value: Any, path: str, report: Report) -> None:
        if not holds(value):
            report(
                "FieldValueTypeInvalid",
                path,
                f"Invalid value: {_show(value)}: {path} in body must be of type {name}: {_show(value)}",
            )

    return check


def _required(schema: Mapping[str, Any], path: str) -> Validate | None:
    names = schema.get("required")
    if not names:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SchemaError(join(path, "required"), "must be a list of names")

    def check(value: Any, path: str, report: Report) -> None:
        if isinstance(value, dict):
            for name in names:
                if name not in value:
                    report("FieldValueRequired", join(path, name), "Required value")

    return check


_BUILDERS: tuple[Callable[[Mapping[str, Any], str], Validate | None], ...] = (
    _required,
    _enum,
    _bounds,
    _lengths,
    _pattern,
    _format,
)
