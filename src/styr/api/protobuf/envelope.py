"""A request body in Kubernetes' protobuf, as the object that it is in JSON. Called by `media`. Never encodes: every client
reads JSON.

Format (apimachinery, `runtime.Unknown`): 4 bytes `k8s\\0`, then field 1 the type (apiVersion, kind) and field 2 the message.
"""

from __future__ import annotations

from styr.api import bodies
from styr.api.protobuf import shapes
from styr.api.protobuf.reader import Reader
from styr.api.protobuf.wire import damaged
from styr.kinds.errors import BadRequest, TooLarge, UnsupportedMedia
from styr.kinds.resources import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"


def decode(data: bytes) -> Object:
    """The object in an envelope, with apiVersion and kind. Raises BadRequest for damaged bytes, UnsupportedMedia for a kind
    without a protobuf form, TooLarge."""
    if len(data) > bodies.MAX_BODY:
        raise TooLarge(f"Request entity too large: limit is {bodies.MAX_BODY} bytes")
    if not data.startswith(MAGIC):
        raise BadRequest("the body is not Kubernetes protobuf: it does not start with k8s\\0")
    try:
        return _decode(Reader(data))
    except IndexError:
        raise damaged("it is cut off") from None
    except UnicodeDecodeError:
        raise damaged("a string in it is not UTF-8") from None


def _decode(reader: Reader) -> Object:
    words, raw = {1: "", 2: ""}, (0, 0)
    for number, _, bounds in reader.parts(len(MAGIC), len(reader.data)):
        if number == 1:
            words |= {field: reader.text(inner) for field, _, inner in reader.parts(*bounds) if field in words}
        elif number == 2:
            raw = bounds
    api_version, kind = words[1], words[2]
    if not kind or not api_version:
        raise BadRequest("the protobuf body does not say its apiVersion and kind")
    shape = shapes.find(api_version, kind)
    if shape is None:
        raise UnsupportedMedia(
            f"protobuf bodies of kind {kind!r} in {api_version!r} are not supported: send application/json"
        )
    return reader.message(*raw, shape, {"apiVersion": api_version, "kind": kind}, 1)
