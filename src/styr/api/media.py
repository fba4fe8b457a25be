"""What a request's body holds, by its Content-Type: JSON, YAML or Kubernetes' protobuf. Called by the write verbs
for whole objects (patches are JSON, and read by `bodies`). Pure."""

from __future__ import annotations

from typing import Any

from styr.api import bodies
from styr.api.protobuf import envelope
from styr.kinds.errors import UnsupportedMedia
from styr.kinds.resources import Object

_JSON = ("", "*/*", "application/json")
_YAML = ("application/yaml", "text/yaml", "application/x-yaml")


def is_protobuf(content_type: str) -> bool:
    return _plain(content_type) == envelope.MEDIA_TYPE


def decode(raw: bytes, content_type: str, *, protobuf: bool = True) -> Any:
    """Any value (a missing Content-Type is taken for JSON). `protobuf` False for the objects of
    CustomResourceDefinitions, which have no such form. Raises UnsupportedMedia, BadRequest, TooLarge."""
    if protobuf and is_protobuf(content_type):
        return envelope.decode(raw)
    if _plain(content_type) in _YAML:
        return bodies.decode_yaml(raw)
    if _plain(content_type) not in _JSON:
        accepted = "application/json, application/yaml" + (f", {envelope.MEDIA_TYPE}" if protobuf else "")
        raise UnsupportedMedia(
            f"the body of the request was in an unknown format ({content_type[:100]}) - accepted media types include: "
            f"{accepted}"
        )
    return bodies.decode(raw)


def decode_object(raw: bytes, content_type: str, *, protobuf: bool = True) -> Object:
    """The same, for a body that must be an object. Its metadata is there, if empty."""
    return bodies.as_object(decode(raw, content_type, protobuf=protobuf))


def _plain(content_type: str) -> str:
    return content_type.split(";")[0].strip().lower()
