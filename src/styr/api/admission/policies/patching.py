"""What a mutation makes of an object: an apply configuration laid over it, or a JSON patch. Called by `mutating`."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from styr.api.admission.policies.compiled import Mutation
from styr.api.admission.session import Session
from styr.api.apply import typed
from styr.api.apply.types import Type
from styr.api.expressions.compiler import Made
from styr.api.patches import json_patch
from styr.api.registry import ServedResource
from styr.cel.library.conversions import to_string
from styr.cel.values import BoolKey, Duration, Optional, Timestamp, kind_of
from styr.kinds.errors import ApiError, Invalid
from styr.kinds.resources import Object

_NO_JSON = "JSONPath valueExpression evaluated to a type that could not marshal to JSON"


class PatchError(Exception):
    """A mutation that does not fit its object. `str()` is Kubernetes' text."""


def patched(mutation: Mutation, session: Session, served: ServedResource) -> Object:
    """The new object. Raises PatchError, ExpressionError, OutOfBudget."""
    found = mutation.expression.value(session)
    obj: Object = session.value("object")
    return _json(found, obj) if mutation.patches else _applied(found, obj, served)


def _applied(found: Made, obj: Object, served: ServedResource) -> Object:
    _check_names(found, "Object")
    config = plain(found) | {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}
    kind = served.type()
    try:
        typed.check(config, kind)
        wholes = list(_wholes(config, kind, ""))
        if wholes:
            text = f"invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {', '.join(wholes)}"
            raise PatchError(f"error applying patch: {text}")
        merged: Object = typed.merge(obj, config, kind)
    except typed.Malformed as error:
        raise PatchError(f"error applying patch: failed to convert patch object to typed object: {error}") from None
    return merged


def _wholes(value: Any, kind: Type | None, path: str) -> Iterator[str]:
    """What a configuration would replace as a whole: what it leaves out would be lost."""
    if isinstance(value, dict):
        if kind is None or not kind.is_map:
            yield path
            return
        for key, child in value.items():
            yield from _wholes(child, kind.fields.get(key, kind.values), f"{path}.{key}")
    elif isinstance(value, list):
        if kind is None or kind.keys is None:
            yield path
            return
        for index, child in enumerate(value):
            if isinstance(child, (dict, list)):
                yield from _wholes(child, kind.items, f"{path}[{index}]")


def _check_names(value: Any, path: str) -> None:
    """`Object.spec{...}` may only stand where the spec is."""
    if isinstance(value, Made):
        if value.type_name != path:
            text = f'unexpected type name "{value.type_name}", expected "{path}"'
            raise PatchError(f"type mismatch: {text}, which matches field name path from root Object type")
        for key, child in value.values.items():
            _check_names(child, f"{path}.{key}")
    elif isinstance(value, list):
        for child in value:
            _check_names(child, path)
    elif isinstance(value, dict):
        for child in value.values():
            _check_names(child, path)


def _json(found: list[Made], obj: Object) -> Object:
    operations = []
    for patch in found:
        operation = {key: patch.values[key] for key in ("op", "path", "from") if patch.values.get(key)}
        operation = {"path": "", **operation}
        if "value" in patch.values:
            value = patch.values["value"]
            if isinstance(value, Made):
                _check_names(value, value.type_name)
            operation["value"] = plain(value)
        operations.append(operation)
    try:
        made = json_patch.apply(obj, operations)
    except Invalid as error:
        if "testing path" in error.message:
            return obj  # a test that fails means that nothing is to be done
        raise PatchError(f"JSON Patch: {error.message}") from None
    except (ApiError, RecursionError) as error:
        raise PatchError(f"JSON Patch: {error}") from None
    if not isinstance(made, dict) or not isinstance(made.get("metadata"), dict):
        raise PatchError("JSON Patch: no object with metadata is left")
    return made


def plain(value: Any) -> Any:
    """A value of an expression as JSON. Raises PatchError for one that has no form there."""
    if value is None or isinstance(value, (bool, str, float)):
        return value
    if isinstance(value, (Duration, Timestamp)):
        return to_string(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Made):
        return {key: plain(child) for key, child in value.values.items()}
    if isinstance(value, dict):
        return {_key(key): plain(child) for key, child in value.items()}
    if isinstance(value, Optional) and value.present:
        return plain(value.value)
    raise PatchError(f"{_NO_JSON}: unsupported conversion from '{kind_of(value)}'")


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    kind = "bool" if isinstance(key, BoolKey) else kind_of(key)
    raise PatchError(f"{_NO_JSON}: unsupported type conversion from '{kind}' to string")
