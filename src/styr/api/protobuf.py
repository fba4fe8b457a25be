"""Kubernetes' protobuf envelope, for the few requests that clients send in nothing else: the reviews of `kubectl auth`.

Called by `reviews`. Pure. Format: 4 bytes `k8s\\0`, then `runtime.Unknown` (apimachinery), whose `raw` is the message.
Field numbers: k8s.io/api/authorization/v1 and authentication/v1, generated.proto. Never encodes: clients read JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from styr.kinds.errors import BadRequest, UnsupportedMedia

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"

Message = dict[int, tuple[str, "Message | None"]]
"""Field number -> (JSON name, the message in it; None: a string)."""

_ACCESS: Message = {
    2: (
        "spec",
        {
            1: (
                "resourceAttributes",
                {
                    1: ("namespace", None),
                    2: ("verb", None),
                    3: ("group", None),
                    4: ("version", None),
                    5: ("resource", None),
                    6: ("subresource", None),
                    7: ("name", None),
                },
            ),
            2: ("nonResourceAttributes", {1: ("path", None), 2: ("verb", None)}),
        },
    )
}
_KINDS: dict[str, Message] = {
    "SelfSubjectAccessReview": _ACCESS,
    "SelfSubjectRulesReview": {2: ("spec", {1: ("namespace", None)})},
    "SelfSubjectReview": {},
}
_TYPE_META: Message = {1: ("apiVersion", None), 2: ("kind", None)}


def decode(data: bytes) -> dict[str, Any]:
    """The object in an envelope. Raises `BadRequest` for damaged bytes, `UnsupportedMedia` for another kind."""
    if not data.startswith(MAGIC):
        raise BadRequest("the body is not Kubernetes protobuf: it does not start with k8s\\0")
    raw, meta = b"", {}
    for number, value in _fields(data[len(MAGIC) :]):
        if number == 1:
            meta = _message(value, _TYPE_META)
        elif number == 2:
            raw = value
    kind = meta.get("kind", "")
    if kind not in _KINDS:
        raise UnsupportedMedia(f"protobuf bodies of kind {kind!r} are not supported: send application/json")
    return {**meta, **_message(raw, _KINDS[kind])}


def _message(data: bytes, shape: Message) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        if number in shape:
            name, inner = shape[number]
            try:
                found[name] = _message(value, inner) if inner is not None else value.decode()
            except UnicodeDecodeError:
                raise BadRequest(f"the protobuf body is damaged: {name} is not UTF-8") from None
    return found


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a message; numbers are skipped."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == 0:
            _, position = _varint(data, position)
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
        elif kind == 2:
            size, position = _varint(data, position)
            if position + size > len(data):
                raise BadRequest("the protobuf body is cut off")
            yield tag >> 3, data[position : position + size]
            position += size
        else:
            raise BadRequest("the protobuf body is damaged: unknown wire type")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise BadRequest("the protobuf body is damaged: a number does not end")
