"""JSON bodies: bytes to objects, with every malformed one refused in words. Called by `media` and the write verbs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
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


def is_json(raw: bytes) -> bool:
    """Not YAML, in a place that takes both."""
    return raw.lstrip()[:1] in (b"{", b"[")


def decode_config(raw: bytes, *, doubled: bool = False) -> Object:
    """An applied configuration: JSON, or one document of YAML. `doubled`: a key of YAML may stand twice, and the last one
    counts. Raises BadRequest, TooLarge."""
    return as_object(decode(raw if is_json(raw) else _from_yaml(raw, _Lenient if doubled else _Loader)))


def decode_yaml(raw: bytes) -> Any:
    """One document of YAML, as its JSON. The last of equal keys counts. Raises BadRequest, TooLarge."""
    return decode(raw if is_json(raw) else _from_yaml(raw, _Lenient))


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


class _Lenient(_Loader):
    """The same, for bodies whose doubled keys are told apart: the last one counts."""


def _last(loader: Any, node: yaml.MappingNode) -> Any:
    found: dict[str, Any] = {}
    for name, value in node.value:
        key = loader.construct_object(name, deep=True)
        if not isinstance(key, str | int):
            raise yaml.YAMLError(f"the key {key!r} is no text")
        name_of = str(key).lower() if isinstance(key, bool) else str(key)
        found[name_of] = loader.construct_object(value, deep=True)
    return found


_Lenient.add_constructor("tag:yaml.org,2002:map", _last)


def yaml_repeats(raw: bytes) -> list[str]:
    """`line 7: key "foo" already set in map` for each key that stands again, in the order of the document. `raw` must have
    passed `decode_yaml` or `decode_config`."""
    try:
        return list(_repeated(yaml.compose(raw, _Lenient)))
    except yaml.YAMLError:  # JSON that is no YAML: with tabs
        return []


def _repeated(node: Any) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for name, value in node.value:
            if name.value in seen:
                yield f'line {name.start_mark.line + 1}: key "{name.value}" already set in map'
            seen.add(name.value)
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated(value)


def _from_yaml(raw: bytes, loader: type[_Loader]) -> bytes:
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
        return msgspec.json.encode(yaml.load(raw, loader))  # noqa: S506 - a SafeLoader
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
