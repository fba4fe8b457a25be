"""fieldValidation: which fields of a body nobody knows, and which stand there twice, in Kubernetes' own words and order.

Called by the write verbs. Calls `bodies` for what a body holds. Pure. Kubernetes reads built-in kinds field by field, in the
order of the body; custom ones are read whole (so first what stands twice), then pruned. At most `MOST` of them are named.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from styr.api import bodies, metadata
from styr.kinds.errors import Cause, Invalid
from styr.kinds.resources import Object

MOST = 100


def take_unknown_metadata(obj: Object) -> list[str]:
    """The fields of its metadata that no object has; they are gone from it. In no order."""
    meta = obj["metadata"]
    if meta.keys() <= metadata.FIELDS and "ownerReferences" not in meta:
        return []
    found = [key for key in meta if key not in metadata.FIELDS]
    for key in found:
        del meta[key]
    paths = [f"metadata.{key}" for key in found]
    owners = meta.get("ownerReferences")
    for index, owner in enumerate(owners if isinstance(owners, list) else ()):
        if isinstance(owner, dict):
            for key in [key for key in owner if key not in metadata.OWNER_FIELDS]:
                del owner[key]
                paths.append(f"metadata.ownerReferences[{index}].{key}")
    return paths


def repeats(raw: bytes, value: Any) -> list[str]:
    """What stands twice in a body that was read as `value`: `duplicate field "a.b"` of JSON, `line 7: key "b" already set in
    map` of YAML."""
    if not bodies.is_json(raw):
        return bodies.yaml_repeats(raw)[:MOST]
    return list(_walk(raw, frozenset())) if _may_repeat(raw, value) else []


def faults(raw: bytes, unknown: list[str], repeated: list[str], *, custom: bool) -> list[str]:
    """All that is to be said of a body: what stands twice, as `repeats` told it, and the unknown fields, whose paths the
    caller found out."""
    if custom or not unknown or not bodies.is_json(raw):
        return [*repeated, *(f'unknown field "{path}"' for path in unknown)][:MOST]
    found = list(_walk(raw, frozenset(unknown)))
    left = [text for path in unknown if (text := f'unknown field "{path}"') not in found]
    return [*found, *left][:MOST]


def patch_repeats(raw: bytes, value: Any) -> list[str]:
    """What stands twice in a patch, and what the operations of a JSON patch do not know."""
    found = repeats(raw, value)
    if not isinstance(value, list):
        return found
    odd = [
        f'json patch unknown field "[{index}].{key}"'
        for index, operation in enumerate(value)
        if isinstance(operation, dict)
        for key in operation
        if key not in _OPERATION
    ]
    return [*(f"json patch {text}" for text in found), *odd][:MOST]


_OPERATION = ("op", "path", "from", "value")


def strict_error(found: Iterable[str]) -> str:
    """All of them as one error."""
    lines = [text for text in found if text.startswith("line ")]
    others = [text for text in found if not text.startswith("line ")]
    start = ["yaml: unmarshal errors:\n" + "\n".join(f"  {line}" for line in lines)] if lines else []
    return f"strict decoding error: {', '.join([*start, *others])}"


def config_repeats(raw: bytes, value: Any) -> list[str]:
    """Of an applied configuration, which is YAML, also where it is JSON."""
    found = repeats(raw, value)
    return bodies.yaml_repeats(raw)[:MOST] or found if found else []


def _may_repeat(raw: bytes, value: Any) -> bool:
    """Nearly always no, and cheaply so: what was read has as many keys as the body, if no key has a blank behind it."""
    if any(blank in raw for blank in (b" :", b"\t:", b"\n:", b"\r:")):
        return True
    return raw.count(b'":') != msgspec.json.encode(value).count(b'":')


class _Pairs(list[tuple[str, Any]]):
    """An object with every key that it had."""


def _walk(raw: bytes, unknown: frozenset[str]) -> Iterator[str]:
    """Every fault once, in the order of the body. What is below an unknown field is not looked at."""
    seen: set[str] = set()
    for text in _faults(json.loads(raw, object_pairs_hook=_Pairs), "", unknown):
        if text not in seen:
            seen.add(text)
            yield text
            if len(seen) == MOST:
                return


def _faults(value: Any, path: str, unknown: frozenset[str]) -> Iterator[str]:
    if isinstance(value, _Pairs):
        keys: set[str] = set()
        for key, child in value:
            where = f"{path}.{key}" if path else key
            if key in keys:
                yield f'duplicate field "{where}"'
            keys.add(key)
            if where in unknown:
                yield f'unknown field "{where}"'
            else:
                yield from _faults(child, where, unknown)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _faults(child, f"{path}[{index}]", unknown)


def patch_fault(shown: str, found: Iterable[str]) -> Invalid:
    """Why a patched object is refused; `shown` is what the patch made of it, or a strategic patch itself."""
    message = f"Invalid value: {json.dumps(shown, ensure_ascii=False)}: {strict_error(found)}"
    causes: list[Cause] = [{"reason": "FieldValueInvalid", "message": message, "field": "patch"}]
    return Invalid(f' "" is invalid: patch: {message}', details={"causes": causes})


def as_go_map(value: Any) -> str:
    """As Go prints a decoded JSON value."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{as_go_map(child)}' for key, child in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(as_go_map, value))}]"
    if value is None:
        return "<nil>"
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
