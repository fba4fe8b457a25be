"""The hooks that make one kind differ from another. Called by the verbs; every hook works on the object in place.

Order at a create: `prepare_create`, `default`, `validate`, then within the write path `admit`. At an update:
`prepare_update`, `default`, `validate`, `validate_update`, `admit`. At a read nothing: what is stored is what goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from styr.api.schema import Schema, compile_schema
from styr.api.store.commit import Txn
from styr.api.strategies.shapes import Shape, get
from styr.kinds.errors import Cause
from styr.kinds.resources import Object


def invalid(field: str, message: str, reason: str = "FieldValueInvalid") -> Cause:
    return {"reason": reason, "field": field, "message": message}


def required(field: str, message: str = "") -> Cause:
    return invalid(field, f"Required value{': ' + message if message else ''}", "FieldValueRequired")


def immutable(field: str) -> Cause:
    return invalid(field, "Invalid value: field is immutable")


def forbidden(field: str, message: str) -> Cause:
    return invalid(field, f"Forbidden: {message}", "FieldValueForbidden")


class Strategy:
    """The plain kind: shape-checked, no defaults of its own. `selectable` are the field selectors beside
    metadata.name and metadata.namespace; `spec_fields` are what `generation` counts, None meaning all but metadata
    and status."""

    shape: Shape | None = None
    selectable: tuple[str, ...] = ()
    counts_generation = False
    subresources: frozenset[str] = frozenset()
    allows_blind_update = True
    """May a PUT leave resourceVersion out?"""
    name_is_path_segment = False
    """RBAC names may be anything that fits a path; other names are DNS subdomains."""

    @cached_property
    def schema(self) -> Schema | None:
        return compile_schema(self.shape) if self.shape is not None else None

    def unknown_fields(self, obj: Object) -> list[str]:
        return self.schema.unknown_fields(obj) if self.schema else []

    def prune(self, obj: Object) -> None:
        if self.schema:
            self.schema.prune(obj)

    def prepare_create(self, obj: Object) -> None: ...

    def prepare_update(self, new: Object, old: Object) -> None: ...

    def shape_faults(self, obj: Object) -> list[Cause]:
        """Fills in the defaults of the shape, then checks it. The hooks below may rely on the types that it names."""
        if not self.schema:
            return []
        self.schema.default(obj)
        return self.schema.validate(obj)

    def default(self, obj: Object) -> None: ...

    def validate(self, obj: Object) -> list[Cause]:
        return []

    def validate_update(self, new: Object, old: Object) -> list[Cause]:
        return []

    def admit(self, new: Object, old: Object | None, txn: Txn) -> None:
        """In the write path: may look at other objects, may fill in (addresses). Raises ApiError."""

    def deleted(self, obj: Object, txn: Txn) -> None:
        """In the write path of its final removal."""

    def getters(self) -> dict[str, Callable[[Mapping[str, Any]], str]]:
        """Selectable field -> its value as text."""
        return {path: getter(path) for path in ("metadata.name", "metadata.namespace", *self.selectable)}


def getter(path: str) -> Callable[[Mapping[str, Any]], str]:
    def read(obj: Mapping[str, Any]) -> str:
        value = get(obj, path)
        if isinstance(value, bool):
            return "true" if value else "false"
        return "" if value is None else str(value)

    return read
