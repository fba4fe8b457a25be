"""The hooks that make one kind differ from another. Called by the verbs; every hook works on the object in place.

Order at a create: `prune`, `shape_faults`, `default`, `prepare_create`, `validate`, then within the write path `admit`. At an
update: the same with `prepare_update` and `update_faults`; at one of the status with `prepare_status` and
`status_faults`. The hooks that prepare may run twice. At a read nothing: what is stored is what goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import chain, islice
from typing import Any

from styr.api import metadata
from styr.api.builtin import types
from styr.api.builtin.tables import Kind
from styr.api.faults import meta, names
from styr.api.faults.causes import Faults
from styr.api.faults.names import Check
from styr.api.schema import MAX_CAUSES, Schema, compile_schema
from styr.api.store.commit import Txn
from styr.api.strategies.shapes import Shape, get
from styr.kinds.errors import BadRequest, Cause
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
    metadata.name and metadata.namespace."""

    shape: Shape | None = None
    selectable: tuple[str, ...] = ()
    counts_generation = False
    """Does `generation` count changes? Of all but metadata and status."""
    allows_blind_update = True
    """May a PUT leave resourceVersion out?"""
    creates_on_update = False
    name_is_path_segment = False
    """RBAC names may be anything that fits a path; other names are DNS subdomains."""

    @cached_property
    def schema(self) -> Schema | None:
        return compile_schema(self.shape) if self.shape is not None else None

    def unknown_fields(self, obj: Object, *, sparse: bool = False) -> list[str]:
        return self.schema.unknown_fields(obj) if self.schema else []

    def prune(self, obj: Object) -> None:
        if self.schema:
            self.schema.prune(obj)

    def prepare_create(self, obj: Object) -> None: ...

    def prepare_update(self, new: Object, old: Object) -> None: ...

    def prepare_status(self, new: Object, old: Object) -> None: ...

    def shape_faults(self, obj: Object, old: Object | None = None) -> list[Cause]:
        """Fills in the defaults of the shape, then checks it. The hooks below may rely on the types that it names. `old` is
        what an update, of whatever part, replaces."""
        if not self.schema:
            return []
        self.schema.default(obj)
        return self.schema.validate(obj)

    def metadata_faults(self, obj: Object) -> list[Cause]:
        return metadata.faults(obj, path_name=self.name_is_path_segment)

    def default(self, obj: Object) -> None: ...

    def validate(self, obj: Object) -> list[Cause]:
        """Every fault of a new object, at most `MAX_CAUSES`."""
        return []

    def validate_update(self, new: Object, old: Object) -> list[Cause]:
        """What a change may not do, for an object that is valid in itself."""
        return []

    def update_faults(self, new: Object, old: Object) -> list[Cause]:
        """Every fault of a changed object."""
        return self.validate(new) or self.validate_update(new, old)

    def status_faults(self, new: Object, old: Object) -> list[Cause]:
        """Every fault of an object whose status was written."""
        return self.validate(new)

    def part_faults(self, part: str, new: Object, old: Object) -> list[Cause]:
        """Every fault of an object of which another subresource changed a part."""
        return self.validate(new)

    def rule_faults(self, new: Object, old: Object | None, warnings: list[str]) -> list[Cause]:
        """By rules that a user wrote; `old` as in `shape_faults`. Adds to `warnings` what is not refused."""
        return []

    def admit(self, new: Object, old: Object | None, txn: Txn) -> None:
        """In the write path: may look at other objects, may fill in (addresses). Raises ApiError."""

    def deleted(self, obj: Object, txn: Txn) -> None:
        """In the write path of its final removal."""

    @cached_property
    def getters(self) -> dict[str, Callable[[Mapping[str, Any]], str]]:
        """Selectable field -> its value as text."""
        return {path: getter(path) for path in ("metadata.name", "metadata.namespace", *self.selectable)}


class BuiltinStrategy(Strategy):
    """A kind of Kubernetes' own, its rules from the generated table."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.selectable = kind.selectable
        self.counts_generation = kind.counts_generation
        self.allows_blind_update = kind.allows_blind_update
        self.creates_on_update = kind.creates_on_update

    @cached_property
    def type(self) -> types.Type:
        """Raises KeyError for a kind whose type is not published."""
        return types.find(self.stored_version, self.kind.resource.kind)

    @property
    def stored_version(self) -> str:
        resource = self.kind.resource
        return f"{resource.group}/{self.kind.storage}" if self.kind.storage else resource.api_version

    @cached_property
    def getters(self) -> dict[str, Callable[[Mapping[str, Any]], str]]:
        paths = ("metadata.name", "metadata.namespace", *self.selectable)
        return {path: getter(path, self._zero(path)) for path in paths}

    def _zero(self, path: str) -> str:
        """What a field that is left out counts as."""
        made = self.type
        *steps, last = path.split(".")
        for step in steps:
            found = made.fields.get(step)
            if found is None or found.type is None:
                return ""
            made = types.ready(found.type)
        kind = made.fields[last].kind if last in made.fields else ""
        return {"bool": "false", "int32": "0", "int64": "0"}.get(kind, "")


class TypedStrategy(BuiltinStrategy):
    """Its objects are read as Go reads them, defaulted by the tables, and refused by its rules."""

    name_check: Check = staticmethod(names.dns_subdomain)

    def unknown_fields(self, obj: Object, *, sparse: bool = False) -> list[str]:
        """Reads it, so that they are gone from it; `sparse`: nothing is added. Raises BadRequest for a wrong type."""
        meta = obj.get("metadata")
        clears = isinstance(meta, dict) and meta.get("managedFields") == []
        try:
            found = types.read(obj, self.type, sparse=sparse)
        except BadRequest as error:
            resource = self.kind.resource
            raise BadRequest(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {error.message}'
            ) from None
        if clears:  # which says something, unlike other empty lists
            obj["metadata"]["managedFields"] = []
        return found

    def prune(self, obj: Object) -> None:
        self.unknown_fields(obj)

    def prepare_create(self, obj: Object) -> None:
        """A new object has no status yet."""
        if self.kind.resource.status:
            obj["status"] = self.empty_status()

    def empty_status(self) -> Object:
        """As Go writes it."""
        found: Object = {}
        status = self.type.fields["status"].type
        if status is not None:
            types.Reading().struct(found, status, "")
        return found

    def shape_faults(self, obj: Object, old: Object | None = None) -> list[Cause]:
        return []

    def metadata_faults(self, obj: Object) -> list[Cause]:
        """They are among the rules."""
        return []

    def default(self, obj: Object) -> None:
        types.fill(obj, self.type, f"{self.stored_version}/{self.kind.resource.kind}")

    def validate(self, obj: Object) -> list[Cause]:
        head = meta.faults(obj, namespaced=self.kind.resource.namespaced, name=self.name_check)
        return _all(head, self.rules(obj))

    def update_faults(self, new: Object, old: Object) -> list[Cause]:
        return _all(meta.update_faults(new, old), self.update_rules(new, old))

    def status_faults(self, new: Object, old: Object) -> list[Cause]:
        return _all(meta.update_faults(new, old), self.status_rules(new, old))

    def rules(self, obj: Object) -> Faults:
        """What a new object must hold to, beside its metadata."""
        yield from ()

    def update_rules(self, new: Object, old: Object) -> Faults:
        """What a changed object must hold to, its unchanged parts included."""
        yield from self.rules(new)

    def status_rules(self, new: Object, old: Object) -> Faults:
        yield from ()


def _all(*parts: Faults) -> list[Cause]:
    return list(islice(chain(*parts), MAX_CAUSES))


def getter(path: str, absent: str = "") -> Callable[[Mapping[str, Any]], str]:
    def read(obj: Mapping[str, Any]) -> str:
        value = get(obj, path)
        if isinstance(value, bool):
            return "true" if value else "false"
        return absent if value is None else str(value)

    return read
