"""kubectl's way from client-side apply to server-side apply: the annotation that the former left says which fields were its.

Called by the write verbs in place of `managed.apply`. Calls `managed` and `typed`. Only for the manager `kubectl`; whoever uses
another name is not meant. The rule is Kubernetes' own (apimachinery, `managedfields`, last applied).
"""

from __future__ import annotations

from typing import Any

import msgspec

from styr.api.apply import managed, typed
from styr.api.apply.fieldset import Set, difference
from styr.api.apply.managed import Conflicts, Entry, Write
from styr.api.apply.types import Type
from styr.kinds.resources import Object

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
MANAGER = "kubectl"


def apply(
    live: Object, config: Object, entries: list[Entry], write: Write, type: Type, *, force: bool
) -> tuple[Object, list[Entry]]:
    """As `managed.apply`. Conflicts about fields that are as the annotation has them are none: they were kubectl's before. The
    annotation, where there is one, then holds what was applied now."""
    if write.manager != MANAGER or not (last := _annotations(live).get(ANNOTATION)):
        return managed.apply(live, config, entries, write, type, force=force)
    try:
        merged, kept = managed.apply(live, config, entries, write, type, force=force)
    except Conflicts as conflicts:
        theirs = _others(conflicts, _unchanged(live, last, write.api_version, type))
        if theirs:
            raise Conflicts(theirs) from None
        merged, kept = managed.apply(live, config, entries, write, type, force=True)
    if ANNOTATION in _annotations(merged):
        metadata = merged["metadata"]
        merged = {
            **merged,
            "metadata": {**metadata, "annotations": {**metadata["annotations"], ANNOTATION: _text(config)}},
        }
    return merged, kept


def _others(conflicts: Conflicts, allowed: Set) -> list[tuple[Entry, Set]]:
    return [(entry, left) for entry, clash in conflicts.found if (left := difference(clash, allowed))]


def _unchanged(live: Object, last: str, api_version: str, type: Type) -> Set:
    """The fields of the annotation that are still so in the object; none when it cannot be read."""
    try:
        applied = msgspec.json.decode(last)
        if not isinstance(applied, dict) or applied.get("apiVersion") != api_version:
            return {}
        typed.check(applied, type)
        found = typed.compare(applied, live, type)
    except (msgspec.DecodeError, typed.Malformed):
        return {}
    changed = (found.modified, found.added, found.removed)
    owned = typed.fields(applied, type)
    for each in changed:
        owned = difference(owned, each)
    return owned


def _annotations(obj: Object) -> dict[str, Any]:
    found = (obj.get("metadata") or {}).get("annotations")
    return found if isinstance(found, dict) else {}


def _text(config: Object) -> str:
    """As kubectl writes it: without the annotation itself, keys in order, a line end."""
    metadata = dict(config["metadata"])
    if ANNOTATION in _annotations(config):
        metadata["annotations"] = {key: value for key, value in metadata["annotations"].items() if key != ANNOTATION}
    return msgspec.json.encode({**config, "metadata": metadata}, order="sorted").decode() + "\n"
