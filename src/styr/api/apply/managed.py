"""`metadata.managedFields`: what every write leaves there, and what an apply may change.

Called by the write verbs, within the write path. Calls `typed` and `fieldset`. Never reads the store: the live object, the
time and the name of the manager are handed in. The rules are Kubernetes' own (apimachinery, `managedfields`): an entry per
manager, operation, version and subresource; what an update changes leaves everybody else's entry; an apply owns what it
names, conflicts with whoever owns what it would change, and takes away what it named before and nobody else does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from styr.api.apply import fieldset, typed
from styr.api.apply.fieldset import LEAF, Set, difference, intersection, recursive_difference, union
from styr.api.apply.types import Type
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

MAX_UPDATERS = 10
"""Entries of updates; with more, the oldest become one."""
_ANCIENT, _BEFORE = "ancient-changes", "before-first-apply"
_NOBODYS = frozenset(
    {
        "clusterName",
        "creationTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""Fields of metadata that no entry names; neither does one name apiVersion, kind and metadata itself."""
_NEVER_OWNED: Set = {
    "f:apiVersion": LEAF,
    "f:kind": LEAF,
    "f:metadata": {".": LEAF, **{f"f:{name}": LEAF for name in _NOBODYS}},
}
Entry = dict[str, Any]
"""One `ManagedFieldsEntry`, as it stands in the object."""


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes, and where. `ignored` are the fields that the endpoint does not take from a writer."""

    manager: str
    api_version: str
    time: str
    subresource: str = ""
    operation: str = "Update"
    ignored: Set = field(default_factory=dict)

    def entry(self, owned: Set, time: str) -> Entry:
        found = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": owned,
        }
        return found | ({"subresource": self.subresource} if self.subresource else {})

    def is_of(self, entry: Entry) -> bool:
        version = "" if self.operation == "Apply" else self.api_version
        return _identity(entry) == (self.manager, self.operation, version, self.subresource)

    def owned(self, found: Set) -> Set:
        return recursive_difference(found, self.ignored) if self.ignored else found


class Conflicts(Exception):
    """Other managers own what an apply would change. The message is Kubernetes' own; `causes` name each field; `found` are the
    entries and what of each."""

    def __init__(self, found: list[tuple[Entry, Set]]) -> None:
        self.found = found
        self.causes: list[Cause] = []
        lines, last = [], ""
        for entry, owned in sorted(found, key=lambda pair: _identity(pair[0])):
            who = _describe(entry)
            for path in fieldset.paths(owned):
                where = fieldset.describe(path)
                self.causes.append(
                    {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": where}
                )
                lines += [f"conflicts with {who}:"] if who != last else []
                lines.append(f"- {where}")
                last = who
        if len(self.causes) == 1:
            cause = self.causes[0]
            super().__init__(f"Apply failed with 1 conflict: {cause['message']}: {cause['field']}")
        else:
            super().__init__(f"Apply failed with {len(self.causes)} conflicts: " + "\n".join(lines))


def _describe(entry: Entry) -> str:
    text = f'"{entry["manager"]}"'
    if entry.get("subresource"):
        text += f' with subresource "{entry["subresource"]}"'
    return text if entry["operation"] == "Apply" else f"{text} using {entry['apiVersion']}"


def _identity(entry: Entry) -> tuple[str, str, str, str]:
    """Of an applier the version does not count: it has one entry for good."""
    version = "" if entry["operation"] == "Apply" else entry["apiVersion"]
    return entry["manager"], entry["operation"], version, entry.get("subresource", "")


# --- what a client may say of them ---------------------------------------------------------------------------------


def sent(entries: Any, known: list[Entry]) -> list[Entry]:
    """The entries to start from: those that a client sent on the main endpoint, none when it clears them by [] or [{}],
    the known ones when it sent none or some that cannot be read."""
    if entries is None or entries is known:
        return known
    if entries in ([], [{}]):
        return []
    try:
        return list(_read(entries)) or known
    except ValueError:
        return known


def _read(entries: Any) -> Iterator[Entry]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("managedFields must be a list of objects")
    for entry in entries:
        texts = {key: entry.get(key) or "" for key in ("manager", "operation", "apiVersion", "subresource")}
        texts |= {"fieldsType": entry.get("fieldsType"), "time": entry.get("time") or ""}
        if not all(isinstance(text, str) for text in texts.values()) or not texts["apiVersion"]:
            raise ValueError("managedFields: every entry has an apiVersion and a fieldsType")
        if texts["operation"] not in ("Apply", "Update") or texts["fieldsType"] != "FieldsV1":
            raise ValueError("managedFields: operation must be Apply or Update, fieldsType FieldsV1")
        read = Write(texts["manager"], texts["apiVersion"], "", texts["subresource"], texts["operation"])
        yield read.entry(fieldset.ordered(fieldset.parse(entry.get("fieldsV1") or {})), texts["time"])


# --- the two operations --------------------------------------------------------------------------------------------


def update(live: Object, new: Object, entries: list[Entry], write: Write, type: Type) -> list[Entry]:
    """The entries after `live` ({} at a create) became `new` by an update. An object that nobody has tracked so far is not
    tracked from the middle on. An object that its type cannot read is left without entries."""
    if live and not entries:
        return []
    try:
        found = typed.compare(_ownable(live), _ownable(new), type)
    except typed.Malformed:
        return []
    changed = write.owned(union(found.modified, found.added))
    removed = write.owned(found.removed)
    others = _without(entries, changed, removed)
    if not changed:
        return others
    if not others:
        return [write.entry(fieldset.ordered(changed), write.time)]
    before = next((entry for entry in others if write.is_of(entry)), None)
    kept = [entry for entry in others if entry is not before]
    owned = union(changed, before["fieldsV1"]) if before else changed
    return _sorted(_capped([*kept, write.entry(fieldset.ordered(owned), write.time)]))


def apply(
    live: Object, config: Object, entries: list[Entry], write: Write, type: Type, *, force: bool
) -> tuple[Object, list[Entry]]:
    """The object with the configuration applied, and its entries. Raises Conflicts, typed.Malformed."""
    typed.check(config, type)
    if live and not entries:
        first = replace(write, manager=_BEFORE, operation="Update")
        entries = update({}, live, [], first, type)
    others = [entry for entry in entries if not write.is_of(entry)]
    before = next((entry for entry in entries if write.is_of(entry)), None)
    mine = write.owned(typed.fields(config, type))
    merged = typed.merge(live, config, type)
    if before:
        everybody = mine
        for entry in others:
            everybody = union(everybody, entry["fieldsV1"])
        merged = _give_up(merged, before["fieldsV1"], everybody, type)
    found = typed.compare(live, merged, type)
    merged = _without_emptied(merged, live)
    changed, removed = write.owned(union(found.modified, found.added)), write.owned(found.removed)
    clashes = [(entry, clash) for entry in others if (clash := intersection(entry["fieldsV1"], changed))]
    if clashes and not force:
        raise Conflicts(clashes)
    kept = _without(others, changed, removed)
    owned = difference(mine, _NEVER_OWNED)
    if owned:
        time = before["time"] if before and merged == live else write.time
        kept.append(write.entry(fieldset.ordered(owned), time))
    return merged, _sorted(kept)


def same_but_time(one: list[Entry], two: list[Entry]) -> bool:
    return [{**entry, "time": ""} for entry in one] == [{**entry, "time": ""} for entry in two]


def _give_up(merged: Object, last: Set, everybody: Set, type: Type) -> Object:
    """Without what this applier named before, unless it or anybody else owns it, or it hangs below nobody's item."""
    last = typed.with_named(last, type)
    pruned = typed.remove(merged, last, type) or {}
    all_fields = typed.with_named(typed.fields(merged, type), type)
    left = union(typed.with_named(typed.fields(pruned, type), type), typed.with_named(everybody, type))
    pruned = typed.remove(merged, difference(all_fields, left), type) or {}
    left = typed.with_named(typed.fields(pruned, type), type)
    kept: Object = typed.remove(merged, intersection(difference(all_fields, left), last), type) or {}
    return kept


def _without_emptied(value: Any, before: Any) -> Any:
    """A map or list that lost its last part is gone, not null."""
    if value is before or not isinstance(value, dict) or not isinstance(before, dict):
        return value
    kept = ((key, child, before.get(key)) for key, child in value.items())
    return {key: _without_emptied(child, old) for key, child, old in kept if child is not None or not old}


def _ownable(obj: Object) -> Object:
    """What of an object can have an owner at all: most of what a small one holds cannot."""
    found = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
    if isinstance(meta := obj.get("metadata"), dict):
        found["metadata"] = {key: value for key, value in meta.items() if key not in _NOBODYS}
    return found


def _without(entries: list[Entry], changed: Set, removed: Set) -> list[Entry]:
    """The entries after somebody else changed these fields; those that own nothing more are gone."""
    if not changed and not removed:
        return entries
    kept = []
    for entry in entries:
        owned = difference(difference(entry["fieldsV1"], changed), removed)
        if owned:
            kept.append(entry if owned == entry["fieldsV1"] else {**entry, "fieldsV1": fieldset.ordered(owned)})
    return kept


def _capped(entries: list[Entry]) -> list[Entry]:
    """The oldest updates of one version become one entry when there are too many."""
    updates = [entry for entry in entries if entry["operation"] == "Update"]
    if len(updates) <= MAX_UPDATERS:
        return entries
    updates.sort(key=lambda entry: (entry["time"], _identity(entry)))
    kept = list(entries)
    buckets: dict[str, Entry] = {}
    for entry in updates:
        if sum(one["operation"] == "Update" for one in kept) <= MAX_UPDATERS:
            break
        version = entry["apiVersion"]
        first = buckets.get(version)
        if first is None:
            buckets[version] = entry
            continue
        owned = fieldset.ordered(union(first["fieldsV1"], entry["fieldsV1"]))
        bucket = Write(_ANCIENT, version, "").entry(owned, entry["time"])
        kept = [one for one in kept if one is not first and one is not entry] + [bucket]
        buckets[version] = bucket
    return kept


def _sorted(entries: list[Entry]) -> list[Entry]:
    return sorted(
        entries,
        key=lambda e: (e["operation"], e["time"], e["manager"], e["apiVersion"], e.get("subresource", "")),
    )
