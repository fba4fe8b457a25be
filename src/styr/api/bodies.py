"""JSON bodies: bytes to objects, with every malformed one refused in words. Called by `media` and the write verbs. Pure."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import msgspec
import yaml

from styr.kinds.errors import BadRequest, TooLarge
from styr.kinds.resources import Object

MAX_BODY = 3 << 20
MAX_DEPTH = 128
"""Levels of nesting; Kubernetes' own objects stay below 40."""

_decode = msgspec.json.Decoder().decode


def decode(raw: bytes, levels: int = 0) -> Any:
    """Any JSON value, which stands `levels` down in a larger object. Raises BadRequest, TooLarge."""
    if len(raw) > MAX_BODY:
        raise TooLarge(f"Request entity too large: limit is {MAX_BODY} bytes")
    if levels + _depth(raw, MAX_DEPTH - levels) > MAX_DEPTH:
        raise BadRequest(f"the object provided is nested deeper than {MAX_DEPTH} levels")
    try:
        return _decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the object provided is not valid JSON: {error}") from error


def as_object(value: Any) -> Object:
    """A decoded body with its metadata, which may be missing. Raises BadRequest for anything else."""
    if not isinstance(value, dict):
        raise BadRequest("the object provided is not a JSON object")
    metadata = value.get("metadata")
    if metadata is None:
        value["metadata"] = {}
    elif not isinstance(metadata, dict):
        raise BadRequest("the object provided is malformed: metadata must be an object")
    return value


def decode_config(raw: bytes) -> Object:
    """An applied configuration: JSON, or one document of YAML. Raises BadRequest, TooLarge."""
    return as_object(decode(raw if raw.lstrip()[:1] == b"{" else _from_yaml(raw)))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Dates stay texts, as in JSON, and no key stands twice."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _mapping(loader: Any, node: yaml.MappingNode) -> Any:
    found: dict[Any, Any] = {}
    for name, value in node.value:
        key = loader.construct_object(name, deep=True)
        if not isinstance(key, str | int) or str(key) in found:
            raise yaml.YAMLError(f"the key {key!r} is no text, or stands twice in a mapping")
        found[str(key)] = loader.construct_object(value, deep=True)
    return found


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _from_yaml(raw: bytes) -> bytes:
    if len(raw) > MAX_BODY:
        raise TooLarge(f"Request entity too large: limit is {MAX_BODY} bytes")
    depth = 0
    try:
        for event in yaml.parse(raw, _Loader):
            if isinstance(event, yaml.AliasEvent):
                raise BadRequest("the object provided is YAML with aliases: write them out")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise BadRequest(f"the object provided is nested deeper than {MAX_DEPTH} levels")
        return msgspec.json.encode(yaml.load(raw, _Loader))  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise BadRequest(f"the object provided is neither JSON nor YAML: {error}") from error


def check_depth(value: Any) -> None:
    """The same limit for what a patch made of an object. Raises BadRequest."""
    try:
        deep = _depth(msgspec.json.encode(value)) > MAX_DEPTH
    except RecursionError:
        deep = True
    if deep:
        raise BadRequest(f"the patch would nest the object deeper than {MAX_DEPTH} levels")


def duplicates(raw: bytes) -> list[str]:
    """Names of keys that stand twice in one object. `raw` must have passed `decode` (or `decode_config`, which lets none
    pass in YAML)."""
    if raw.lstrip()[:1] not in (b"{", b"["):
        return []
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        seen = set()
        for key, _ in items:
            if key in seen and len(found) < 32:
                found.append(key)
            seen.add(key)

    json.loads(raw, object_pairs_hook=pairs)
    return found


def _depth(raw: bytes, limit: int = MAX_DEPTH) -> int:
    """Levels of nesting, cheaply: most bodies have fewer brackets than the limit. Strings are only looked at when the
    brackets alone could be too deep."""
    if raw.count(b"[") + raw.count(b"{") <= limit:
        return 0
    depth = deepest = 0
    text = escaped = False
    for byte in raw:
        if text:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                text = False
        elif byte == 0x22:
            text = True
        elif byte in (0x5B, 0x7B):
            depth += 1
            if depth > deepest:
                deepest = depth
                if deepest > limit:
                    return deepest
        elif byte in (0x5D, 0x7D):
            depth -= 1
    return deepest
