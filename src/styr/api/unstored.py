"""Bodies of built-in kinds that are stored nowhere: a review, a Scale, an Eviction, a Binding, a request for a token.

Called by the reviews and by the verbs of subresources. Calls `media` for the body, `builtin.types` for what Go makes of it, and
`fields` for fieldValidation. Pure.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import msgspec

from styr.api import fields, media, options
from styr.api.builtin import types
from styr.kinds.errors import BadRequest
from styr.kinds.resources import Object
from styr.kinds.transport import Request

SCALE = ("autoscaling/v1", "Scale")


def read(request: Request, raw: bytes, versions: Sequence[str], kind: str, warnings: list[str]) -> Object:
    """One object as Go reads it: what is empty is left out. Of its `versions` the first is the usual one, and tells its fields.
    `warnings` gets what fieldValidation only tells. Raises BadRequest for another kind, for values of a wrong type, and for
    what fieldValidation refuses, in Go's words."""
    content_type = request.headers.get("content-type", "")
    mode = options.field_validation(request)
    obj = media.decode_object(raw, content_type)
    silent = mode == "Ignore" or media.is_protobuf(content_type)
    repeated = [] if silent else fields.repeats(raw, obj)
    for field, wanted in (("apiVersion", versions), ("kind", (kind,))):
        found = obj.setdefault(field, wanted[0])
        if found not in wanted:
            raise BadRequest(
                f"the {field} in the data ({found}) does not match the expected {field} ({wanted[0]}) of this path"
            )
    try:
        unknown = types.read(obj, types.find(versions[0], kind))
    except BadRequest as error:
        raise _refused(obj, error.message) from None
    faults = [] if silent else fields.faults(raw, unknown, repeated, custom=False)
    if faults and mode == "Strict":
        raise _refused(obj, fields.strict_error(faults))
    warnings += faults
    return obj


def check_patched(request: Request, new: Object, repeated: list[str], patch: Any) -> list[str]:
    """What a patch made of a Scale loses its unknown fields. Returns what fieldValidation tells of them and of the patch, which
    is a strategic one, or None. Raises Invalid, BadRequest."""
    mode = options.field_validation(request)
    shown = msgspec.json.encode(new).decode() if patch is None else fields.as_go_map(patch)
    unknown = types.read(new, types.find(*SCALE))
    faults = [*repeated, *(f'unknown field "{path}"' for path in unknown)][: fields.MOST]
    if faults and mode == "Strict":
        raise fields.patch_fault(shown, faults)
    return [] if mode == "Ignore" else faults


def unknown_to_scale(config: Object) -> list[str]:
    """Paths of the fields of an applied Scale that it cannot have."""
    return types.read(copy.deepcopy(config), types.find(*SCALE), sparse=True)


def _refused(obj: Object, why: str) -> BadRequest:
    version, kind = obj["apiVersion"].rpartition("/")[2], obj["kind"]
    return BadRequest(f'{kind} in version "{version}" cannot be handled as a {kind}: {why}')
