"""A short notation for the shapes of built-in kinds: each function returns a structural schema, as a CRD would carry it.

Called by the other files of this package; compiled by `api.schema` on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Shape = dict[str, Any]

TEXT: Shape = {"type": "string"}
WHOLE: Shape = {"type": "integer", "format": "int64"}
COUNT: Shape = {"type": "integer", "format": "int32", "minimum": 0}
PORT: Shape = {"type": "integer", "minimum": 1, "maximum": 65535}
FLAG: Shape = {"type": "boolean"}
ANY: Shape = {"x-kubernetes-preserve-unknown-fields": True}
BAG: Shape = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def struct(required: tuple[str, ...] = (), /, **fields: Shape) -> Shape:
    """An object with these fields and no others."""
    shape: Shape = {"type": "object", "properties": fields}
    return shape | {"required": list(required)} if required else shape


def table(values: Shape) -> Shape:
    """A map from names to values."""
    return {"type": "object", "additionalProperties": values}


def many(items: Shape, *, least: int = 0) -> Shape:
    shape: Shape = {"type": "array", "items": items}
    return shape | {"minItems": least} if least else shape


def one_of(*words: str, default: str | None = None) -> Shape:
    shape: Shape = {"type": "string", "enum": list(words)}
    return shape if default is None else shape | {"default": default}


def default(shape: Shape, value: Any) -> Shape:
    return shape | {"default": value}


def whole(least: int, most: int | None = None, default: int | None = None) -> Shape:
    shape: Shape = {"type": "integer", "minimum": least}
    if most is not None:
        shape["maximum"] = most
    return shape if default is None else shape | {"default": default}


def fields(names: str, shape: Shape = ANY) -> dict[str, Shape]:
    """Known fields that are kept but not looked into."""
    return dict.fromkeys(names.split(), shape)


def root(**parts: Shape) -> Shape:
    """A whole kind: `spec=...`, `status=...`, or what it has at its top."""
    needed = ("spec",) if "spec" in parts and "default" not in parts["spec"] else ()
    return struct(needed, **parts)


LABEL_SELECTOR = struct(
    matchLabels=table(TEXT),
    matchExpressions=many(
        struct(
            ("key", "operator"),
            key=TEXT,
            operator=one_of("In", "NotIn", "Exists", "DoesNotExist"),
            values=many(TEXT),
        )
    ),
)

TEMPLATE_METADATA = struct(
    labels=table(TEXT), annotations=table(TEXT), **fields("name namespace generateName finalizers creationTimestamp")
)


def get(obj: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, None where there is none."""
    value: Any = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
