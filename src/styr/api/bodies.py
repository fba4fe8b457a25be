"""JSON bodies: bytes to objects, with every malformed one refused in words. Called by `media` and the write verbs. Pure."""

from __future__ import annotations

import json
from typing import Any

import msgspec

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


def check_depth(value: Any) -> None:
    """The same limit for what a patch made of an object. Raises BadRequest."""
    try:
        deep = _depth(msgspec.json.encode(value)) > MAX_DEPTH
    except RecursionError:
        deep = True
    if deep:
        raise BadRequest(f"the patch would nest the object deeper than {MAX_DEPTH} levels")


def duplicates(raw: bytes) -> list[str]:
    """Names of keys that stand twice in one object. `raw` must have passed `decode`."""
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
