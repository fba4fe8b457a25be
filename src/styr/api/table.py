"""What form the client asked for, and the server-side forms: Table and PartialObjectMetadata (meta.k8s.io v1, v1beta1).

Called by the get, list and watch verbs: `negotiate` once per request, `render` for every object or list that does not go
out as stored. Calls `columns` and `jsonpath`. Pure: `now` is handed in. Never answers a version that was not asked for:
a client given another silently finds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import lru_cache

from styr.api.accept import REFUSAL, YAML, media_ranges
from styr.api.columns.printers import Printer, printer
from styr.kinds.errors import BadRequest, NotAcceptable
from styr.kinds.resources import Object, Resource

GROUP = "meta.k8s.io"


class Form(Enum):
    """How objects go out: as stored, as a Table, or their metadata alone, in a version of meta.k8s.io."""

    OBJECT = ("", "")
    TABLE = ("Table", "v1")
    PARTIAL = ("PartialObjectMetadata", "v1")
    PARTIAL_LIST = ("PartialObjectMetadataList", "v1")
    OLD_TABLE = ("Table", "v1beta1")
    OLD_PARTIAL = ("PartialObjectMetadata", "v1beta1")
    OLD_PARTIAL_LIST = ("PartialObjectMetadataList", "v1beta1")

    @property
    def is_table(self) -> bool:
        return self in (Form.TABLE, Form.OLD_TABLE)

    @property
    def api_version(self) -> str:
        return f"{GROUP}/{self.value[1]}"

    def empty(self, metadata: Object) -> Object:
        """The object of a bookmark."""
        partial = {"kind": "PartialObjectMetadata", "apiVersion": self.api_version, "metadata": metadata}
        if not self.is_table:
            return partial
        own = {"resourceVersion": metadata["resourceVersion"]}
        return {
            "kind": "Table",
            "apiVersion": self.api_version,
            "metadata": own,
            "columnDefinitions": [],
            "rows": [{"cells": [], "object": partial}],
        }


_FORMS: dict[tuple[str, str], Form] = {form.value: form for form in Form if form is not Form.OBJECT}


@lru_cache(maxsize=256)
def negotiate(accept: str, verb: str = "watch") -> Form:
    """The form for an Accept header ("" means anything). Raises `NotAcceptable` naming what there is, or saying that a list was
    asked for where there is one object, or the other way round."""
    for media, parameters in media_ranges(accept or "*/*"):
        if media == YAML and verb != "watch":
            return Form.OBJECT
        if media not in ("application/json", "*/*", "application/*"):
            continue
        asked = parameters.get("as", "")
        if not asked:
            return Form.OBJECT
        form = _FORMS.get((asked, parameters.get("v", "")))
        if form is not None and parameters.get("g") == GROUP:
            if verb == "list" and asked == "PartialObjectMetadata":
                raise NotAcceptable(f"you requested {asked}, but the requested object is a list")
            if verb not in ("list", "watch") and asked == "PartialObjectMetadataList":
                raise NotAcceptable(f"you requested {asked}, but the requested object is not a list")
            return form
    raise NotAcceptable(REFUSAL)


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
    leaves out the column definitions: in a watch only the first event carries them. A Status passes unchanged. Raises
    BadRequest for another `include_object`."""
    if form is Form.OBJECT or (obj.get("kind") == "Status" and obj.get("apiVersion") == "v1"):
        return obj
    items = obj.get("items")
    if form.is_table:
        if include_object not in _INCLUDED:
            raise BadRequest(
                f'Unable to convert to Table as requested: includeObject: Invalid value: "{include_object[:40]}": must be '
                "'Metadata', 'Object', 'None', or empty"
            )
        shown = printer(resource, printer_columns)
        rows = items if isinstance(items, list) else [obj]
        if shown.order:
            rows = sorted(rows, key=shown.order)
        return {
            "kind": "Table",
            "apiVersion": form.api_version,
            "metadata": _list_metadata(obj),
            "columnDefinitions": shown.definitions if headers else [],
            "rows": [_row(item, shown, now, include_object, form) for item in rows],
        }
    if isinstance(items, list):
        return {
            "kind": "PartialObjectMetadataList",
            "apiVersion": form.api_version,
            "metadata": obj.get("metadata") or {},
            "items": [_partial(item, form) for item in items],
        }
    return _partial(obj, form)


_INCLUDED = ("", "Metadata", "Object", "None")


def _partial(obj: Object, form: Form) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": form.api_version, "metadata": obj.get("metadata") or {}}


def _list_metadata(obj: Object) -> Object:
    metadata = obj.get("metadata") or {}
    return {key: metadata[key] for key in ("resourceVersion", "continue", "remainingItemCount") if key in metadata}


def _row(item: Object, shown: Printer, now: float, include_object: str, form: Form) -> Object:
    row: Object = {"cells": shown.cells(item, now)}
    if shown.conditions and (conditions := shown.conditions(item)):
        row["conditions"] = conditions
    if include_object == "None":
        row["object"] = None
    else:
        row["object"] = item if include_object == "Object" else _partial(item, form)
    return row
