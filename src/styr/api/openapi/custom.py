"""How a custom kind is published: its schema in v3, the same brought down to v2, its list, its paths.

Called by `documents` for every served version of a CustomResourceDefinition, and for kinds that the table of built-in ones
lacks. Pure. The rules are those of Kubernetes' apiextensions-apiserver (pkg/controller/openapi); the texts and paths come from
how the real server published a definition of our own, with other names in their places.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from styr.api.openapi.builtin import Custom
from styr.api.openapi.convert import Json, definition_v2
from styr.kinds.resources import Resource

_GENERIC = ("type", "title", "description", "nullable", "default")
_FLAGS = ("preserve-unknown-fields", "embedded-resource", "int-or-string")
_EXTENSIONS = ("list-map-keys", "list-type", "map-type", "validations")
_FALSY_STAYS = ("default", "maximum", "minimum", "multipleOf")
_VALUES = (
    *("format", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength", "pattern"),
    *("maxItems", "minItems", "uniqueItems", "multipleOf", "enum", "maxProperties", "minProperties", "required"),
)
_JUNCTORS = ("allOf", "anyOf", "oneOf")
_EITHER = [{"type": "integer"}, {"type": "string"}]
_EXTENSION = "x-kubernetes-"
KIND = "x-kubernetes-group-version-kind"


def definition_name(resource: Resource) -> str:
    """`dev.styr.v1alpha1.App`: the name of a custom kind in the documents."""
    return f"{'.'.join(reversed(resource.group.split('.')))}.{resource.version}.{resource.kind}"


def definitions(
    pattern: Custom,
    resource: Resource,
    list_kind: str,
    schema: Mapping[str, Any] | None,
    selectable: Iterable[str],
    *,
    v3: bool,
) -> dict[str, Json]:
    """The definitions of a kind and of its list, by name. `schema` is structural; None is any object."""
    extra: Json = {}
    if paths := [{"fieldPath": path} for path in selectable]:
        extra["x-kubernetes-selectable-fields"] = paths
    gvk = {"group": resource.group, "version": resource.version}
    name = definition_name(resource)
    listed = _renamed(pattern.list, resource, list_kind) | {KIND: [gvk | {"kind": list_kind}], **extra}
    one = _whole(pattern, schema, v3) | {KIND: [gvk | {"kind": resource.kind}], **extra}
    list_name = f"{name.rpartition('.')[0]}.{list_kind}"
    return {name: one, list_name: listed if v3 else definition_v2(listed)}


def paths(pattern: Custom, resource: Resource, list_kind: str) -> dict[str, Json]:
    """The paths of a kind in the form of v2, with every subresource a custom kind can have."""
    word = "/qqplural" if resource.namespaced else "/qqclusters"
    found = {path: item for path, item in pattern.paths.items() if word in path}
    return _renamed(found, resource, list_kind)


_WORDS = re.compile(
    r"dev\.styr\.qqgroup\.qqversion|QqgroupStyrDevQqversion|qqgroupStyrDev_qqversion|qqgroup\.styr\.dev|qqversion"
    r"|(?:Qqkind|Qqcluster)List|(?:\ba )?(?:Qqkind|Qqcluster)|qqplural|qqclusters"
)


def _renamed(pattern: Json, resource: Resource, list_kind: str) -> Json:
    trimmed = resource.group.removesuffix(".k8s.io")
    plural = resource.kind.endswith("s") and not resource.kind.endswith("ss")
    article = "" if plural else "an " if resource.kind[0].lower() in "aeiou" else "a "
    words = {
        "dev.styr.qqgroup.qqversion": definition_name(resource).rpartition(".")[0],
        "QqgroupStyrDevQqversion": _identifier(trimmed, True) + _identifier(resource.version, True),
        "qqgroupStyrDev_qqversion": f"{_identifier(trimmed, False)}_{_identifier(resource.version, False)}",
        "qqgroup.styr.dev": resource.group,
        "qqversion": resource.version,
        "qqplural": resource.plural,
        "qqclusters": resource.plural,
        "QqkindList": list_kind,
        "QqclusterList": list_kind,
    }

    def put(found: re.Match[str]) -> str:
        word = found[0]
        return words.get(word) or (article if word.startswith("a ") else "") + resource.kind

    made: Json = json.loads(_WORDS.sub(put, json.dumps(pattern)))
    return made


def _identifier(text: str, capital: bool) -> str:
    """Letters and digits alone; what follows anything else is a capital (apiserver's ToValidOperationID)."""
    made = ""
    for index, char in enumerate(text):
        if char.isalpha() or char == "_" or (index and char.isdigit()):
            made += char.upper() if capital else char
            capital = False
        else:
            capital = True
    return made


# --- schemas -------------------------------------------------------------------------------------------------------


def _whole(pattern: Custom, schema: Mapping[str, Any] | None, v3: bool) -> Json:
    if schema is None:
        return {"type": "object"}
    made = publish(schema)
    if not v3:
        if made.get(f"{_EXTENSION}preserve-unknown-fields"):
            return {"type": "object"}
        made = downgrade(made)
    kind, embedded = (
        part if v3 else {name: definition_v2(child) for name, child in part.items()}
        for part in (pattern.kind, pattern.embedded)
    )
    made["properties"] = made.get("properties", {}) | kind
    _embed(made, embedded, v3)
    return made


def _embed(schema: Any, embedded: Json, v3: bool) -> None:
    """Every embedded resource has the three fields of one; not in v2 where unknown fields are kept: kubectl would refuse
    them there."""
    if not isinstance(schema, dict):
        return
    for child in schema.get("properties", {}).values():
        _embed(child, embedded, v3)
    _embed(schema.get("items"), embedded, v3)
    _embed(schema.get("additionalProperties"), embedded, v3)
    if schema.get(f"{_EXTENSION}embedded-resource") and (v3 or not schema.get(f"{_EXTENSION}preserve-unknown-fields")):
        schema["properties"] = schema.get("properties", {}) | embedded
        required = schema.get("required", [])
        schema["required"] = [*required, *(name for name in ("kind", "apiVersion") if name not in required)]


def publish(schema: Mapping[str, Any]) -> Json:
    """A structural schema as v3 shows it: what is known of it, without what says nothing."""
    made = _values(schema)
    for key in ("items", "additionalProperties"):
        child = schema.get(key)
        if isinstance(child, Mapping):
            made[key] = publish(child)
        elif isinstance(child, bool):
            made[key] = child
    if schema.get("properties"):
        made["properties"] = {name: publish(child) for name, child in schema["properties"].items()}
    if made.get(f"{_EXTENSION}int-or-string"):
        _unfold(made)
    return made


def _values(schema: Mapping[str, Any]) -> Json:
    made = {
        key: schema[key]
        for key in (*_GENERIC, *_VALUES)
        if key in schema
        and (schema[key] or (key in _FALSY_STAYS and schema[key] is not None) or _is_count(key, schema))
    }
    for word in _FLAGS:
        if schema.get(_EXTENSION + word) is True:
            made[_EXTENSION + word] = True
    for word in _EXTENSIONS:
        if schema.get(_EXTENSION + word):
            made[_EXTENSION + word] = schema[_EXTENSION + word]
    for word in _JUNCTORS:
        if schema.get(word):
            made[word] = [_nested(part) for part in schema[word]]
    if "not" in schema and isinstance(schema["not"], Mapping):
        made["not"] = _nested(schema["not"])
    return made


def _is_count(key: str, schema: Mapping[str, Any]) -> bool:
    return key.startswith(("min", "max")) and schema[key] == 0


def _nested(schema: Mapping[str, Any]) -> Json:
    """Inside a junctor."""
    made = _values(schema)
    if isinstance(schema.get("items"), Mapping):
        made["items"] = _nested(schema["items"])
    if "properties" in schema:
        made["properties"] = {name: _nested(child) for name, child in schema["properties"].items()}
    return made


def _unfold(made: Json) -> None:
    """An int-or-string says so in words that every reader of OpenAPI knows."""
    first = (made.get("allOf") or [{}])[0]
    if made.get("anyOf") == _EITHER or first.get("anyOf") == _EITHER:
        return
    if "anyOf" in made:
        made["allOf"] = [{"anyOf": _EITHER}, *made.get("allOf", ())]
    else:
        made["anyOf"] = _EITHER


def downgrade(schema: Json) -> Json:
    """What v2 (and kubectl's reading of it) can say of a published schema."""
    gone = ("allOf", "anyOf", "oneOf", "not", "default", "nullable")
    made = {key: value for key, value in schema.items() if key not in gone}
    keeps = made.get(f"{_EXTENSION}preserve-unknown-fields") is True
    if schema.get("nullable") or keeps:
        made.pop("items", None)
        made.pop("properties", None)
    kind = made.get("type")
    if schema.get("nullable") or (kind == "array" and "items" not in made) or (keeps and kind == "object"):
        made.pop("type", None)
    _loosen(made)
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), dict):
            made[key] = downgrade(made[key])
    if "properties" in made:
        made["properties"] = {name: downgrade(child) for name, child in made["properties"].items()}
    return made


def _loosen(made: Json) -> None:
    """What may be null need not be there."""
    nullable = {name for name, child in made.get("properties", {}).items() if child.get("nullable")}
    values = made.get("additionalProperties")
    if isinstance(values, dict) and values.get("nullable"):
        made.pop("required", None)
    elif "required" in made:
        made["required"] = [name for name in made["required"] if name not in nullable]
        if not made["required"]:
            del made["required"]
