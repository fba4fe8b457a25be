"""What the store keeps: keys, records, changes. Pure data; called by everything in `store` and by the verbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from styr.kinds.resources import Object

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]


class ObjectKey(NamedTuple):
    """`resource` is the group resource (`pods`, `deployments.apps`); `namespace` is "" for cluster objects."""

    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.resource}/{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ObjectKey:
        resource, namespace, name = text.split("/", 2)
        return cls(resource, namespace, name)


class _Labels(msgspec.Struct):
    labels: dict[str, str] | None = None


class _Labelled(msgspec.Struct):
    metadata: _Labels


_decode_labels = msgspec.json.Decoder(_Labelled).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Record:
    """One version of an object: the bytes that go out, resourceVersion inside. Immutable; `labels` is decoded once."""

    __slots__ = ("_fields", "_labels", "data", "revision")

    def __init__(self, revision: int, data: bytes) -> None:
        self.revision = revision
        self.data = data
        self._labels: dict[str, str] | None = None
        self._fields: dict[str, str] | None = None

    def decode(self) -> Object:
        """A fresh object that the caller may change."""
        obj: Object = _decode(self.data)
        return obj

    @property
    def labels(self) -> dict[str, str]:
        if self._labels is None:
            self._labels = _decode_labels(self.data).metadata.labels or {}
        return self._labels

    def field(self, path: str, getter: Callable[[Object], str]) -> str:
        """The value of a selectable field, kept for the record's life."""
        if self._fields is None:
            self._fields = {}
        if path not in self._fields:
            self._fields[path] = getter(self.decode())
        return self._fields[path]


def encode(obj: Object, revision: int) -> Record:
    """The record of an object. Writes `metadata.resourceVersion` into `obj`."""
    obj["metadata"]["resourceVersion"] = str(revision)
    return Record(revision, _encode(obj))


def restamp(record: Record, revision: int) -> Record:
    """The same object with another resourceVersion: what a DELETED event carries."""
    return encode(record.decode(), revision)


@dataclass(frozen=True, slots=True)
class Change:
    """One step of one object. `old` is None for a create, `new` is None for a delete. `last` is what a DELETED event
    shows: the old object with the revision of its deletion."""

    revision: int
    key: ObjectKey
    old: Record | None
    new: Record | None
    last: Record | None = None

    @property
    def shown(self) -> Record:
        """What a watcher that sees everything is shown."""
        record = self.new or self.last
        assert record is not None
        return record

    @property
    def type(self) -> EventType:
        if self.new is None:
            return "DELETED"
        return "ADDED" if self.old is None else "MODIFIED"

    @property
    def size(self) -> int:
        return len(self.shown.data) + (len(self.old.data) if self.old else 0)


def change_of(revision: int, key: ObjectKey, old: Record | None, new: Record | None) -> Change:
    last = restamp(old, revision) if new is None and old is not None else None
    return Change(revision, key, old, new, last)
