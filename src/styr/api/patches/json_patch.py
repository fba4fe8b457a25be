"""JSON patch, RFC 6902, with Kubernetes' limits. Pure.

A patch that is no patch is BadRequest; one that does not fit the document (a missing path, a failed `test`) is Invalid,
as with the real server. All or nothing: the document that was handed in is never changed.
"""

from __future__ import annotations

import copy
from typing import Any, NoReturn

import msgspec

from styr.kinds.errors import BadRequest, Invalid, TooLarge

MAX_OPERATIONS = 10_000
MAX_COPIED = 3 << 20
"""Bytes that `copy` operations may add in one patch."""

_OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")


def apply(document: Any, patch: Any) -> Any:
    """The patched document."""
    if not isinstance(patch, list):
        raise BadRequest("a JSON patch must be a list of operations")
    if len(patch) > MAX_OPERATIONS:
        raise TooLarge(f"the allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(patch)}")
    holder = {"": copy.deepcopy(document)}
    copied = 0
    for index, operation in enumerate(patch):
        copied += _apply(holder, operation, index)
        if copied > MAX_COPIED:
            raise TooLarge(f"the copy operations of this patch add more than {MAX_COPIED} bytes")
    return holder[""]


def _apply(holder: dict[str, Any], operation: Any, index: int) -> int:
    if not isinstance(operation, dict) or operation.get("op") not in _OPERATIONS:
        raise BadRequest(f"operation {index} of the JSON patch: op must be one of {', '.join(_OPERATIONS)}")
    op: str = operation["op"]
    path = _pointer(operation.get("path"), index)
    if op in ("add", "replace", "test"):
        if "value" not in operation:
            raise BadRequest(f"operation {index} of the JSON patch: {op} needs a value")
        value = operation["value"]
        if op == "test":
            if not same(_get(holder, path, index), value):
                _fail(index, f"testing path {operation['path']} failed")
        elif op == "add":
            _add(holder, path, copy.deepcopy(value), index)
        else:
            _get(holder, path, index)
            _set(holder, path, copy.deepcopy(value))
        return 0
    if op == "remove":
        _remove(holder, path, index)
        return 0
    source = _pointer(operation.get("from"), index)
    value = _get(holder, source, index)
    if op == "copy":
        _add(holder, path, copy.deepcopy(value), index)
        return len(msgspec.json.encode(value))
    if path[: len(source)] == source and path != source:
        _fail(index, "cannot move a value into itself")
    _remove(holder, source, index)
    _add(holder, path, value, index)
    return 0


def same(one: Any, two: Any) -> bool:
    """Equality as JSON has it: 1 equals 1.0, but true is not 1."""
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(value, two[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    return bool(one == two)


def _pointer(text: Any, index: int) -> list[str]:
    """The steps of a JSON pointer (RFC 6901), below the holder's "" key."""
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise BadRequest(f"operation {index} of the JSON patch: {text!r} is not a JSON pointer")
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")]


def _get(holder: Any, path: list[str], index: int) -> Any:
    value = holder
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list):
            value = value[_position(step, len(value) - 1, index)]
        else:
            _fail(index, f"there is nothing at {'/'.join(path)}")
    return value


def _set(holder: Any, path: list[str], value: Any) -> None:
    parent = _get(holder, path[:-1], 0)
    parent[int(path[-1]) if isinstance(parent, list) else path[-1]] = value


def _add(holder: Any, path: list[str], value: Any, index: int) -> None:
    parent = _get(holder, path[:-1], index)
    if isinstance(parent, dict):
        parent[path[-1]] = value
    elif isinstance(parent, list):
        position = len(parent) if path[-1] == "-" else _position(path[-1], len(parent), index)
        parent.insert(position, value)
    else:
        _fail(index, f"the parent of {'/'.join(path)} is neither an object nor a list")


def _remove(holder: Any, path: list[str], index: int) -> None:
    _get(holder, path, index)
    if len(path) == 1:
        _fail(index, "the whole document cannot be removed")
    parent = _get(holder, path[:-1], index)
    del parent[int(path[-1]) if isinstance(parent, list) else path[-1]]


def _position(step: str, last: int, index: int) -> int:
    if not (step.isascii() and step.isdigit()) or (step[0] == "0" and step != "0") or len(step) > 9 or int(step) > last:
        _fail(index, f"{step!r} is not a position of that list")
    return int(step)


def _fail(index: int, message: str) -> NoReturn:
    raise Invalid(f"the server rejected our request due to an error in our request: operation {index}: {message}")
