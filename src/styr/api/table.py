"""What form the client asked for, and the server-side forms: Table and PartialObjectMetadata (meta.k8s.io/v1).

Called by the get, list and watch verbs: `negotiate` once per request, `render` for every object or list that does not go
out as stored. Calls `columns` and `jsonpath`. Pure: `now` is handed in. Never answers a version that was not asked for:
a client given another silently finds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

from styr.api import columns
from styr.api.accept import media_ranges
from styr.kinds.errors import NotAcceptable
from styr.kinds.resources import Object, Resource

GROUP = "meta.k8s.io"


class Form(Enum):
    """How objects go out: as stored, as a Table, or their metadata alone."""

    OBJECT = "Object"
    TABLE = "Table"
    PARTIAL = "PartialObjectMetadata"


@lru_cache(maxsize=256)
def negotiate(accept: str) -> Form:
    """The form for an Accept header ("" means anything). Raises `NotAcceptable` naming what there is."""
    for media, parameters in media_ranges(accept or "*/*"):
        if media not in ("application/json", "*/*", "application/*"):
            continue
        asked = parameters.get("as", "")
        if not asked:
            return Form.OBJECT
        if parameters.get("g") == GROUP and parameters.get("v") == "v1":
            if asked == "Table":
                return Form.TABLE
            if asked in ("PartialObjectMetadata", "PartialObjectMetadataList"):
                return Form.PARTIAL
    raise NotAcceptable("only the following media types are accepted: application/json")


def render(
    obj: Object,
    form: Form,
    resource: Resource,
    *,
    now: float,
    printer_columns: Sequence[Object] | None = None,
    include_object: str = "Metadata",
    headers: bool = True,
) -> Object:
    """An object, or a list (recognised by `items`), in the form asked for.

    `now` is seconds since 1970, for ages. `printer_columns` are a CRD version's `additionalPrinterColumns`.
    `include_object` is the query parameter `includeObject`: "None", "Metadata" (also for "") or "Object". `headers=False`
    leaves out the column definitions: in a watch only the first event carries them. A Status passes unchanged."""
    if form is Form.OBJECT or (obj.get("kind") == "Status" and obj.get("apiVersion") == "v1"):
        return obj
    items = obj.get("items")
    whole = isinstance(items, list)
    if form is Form.PARTIAL:
        if whole:
            return {
                "kind": "PartialObjectMetadataList",
                "apiVersion": f"{GROUP}/v1",
                "metadata": obj.get("metadata") or {},
                "items": [partial(item) for item in items or ()],
            }
        return partial(obj)
    return _table(
        obj, items if isinstance(items, list) else [obj], resource, now, printer_columns, include_object, headers
    )


def partial(obj: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": f"{GROUP}/v1", "metadata": obj.get("metadata") or {}}


def _table(
    obj: Object,
    items: list[Any],
    resource: Resource,
    now: float,
    printer_columns: Sequence[Object] | None,
    include_object: str,
    headers: bool,
) -> Object:
    printer = columns.printer(resource, printer_columns)
    table: Object = {"kind": "Table", "apiVersion": f"{GROUP}/v1", "metadata": _list_metadata(obj)}
    table["columnDefinitions"] = printer.definitions if headers else []
    table["rows"] = [_row(item, printer.cells(item, now), include_object) for item in items]
    return table


def _list_metadata(obj: Object) -> Object:
    metadata = obj.get("metadata") or {}
    return {key: metadata[key] for key in ("resourceVersion", "continue", "remainingItemCount") if key in metadata}


def _row(item: Object, cells: list[Any], include_object: str) -> Object:
    row: Object = {"cells": cells}
    if include_object == "Object":
        row["object"] = item
    elif include_object != "None":
        row["object"] = partial(item)
    return row
