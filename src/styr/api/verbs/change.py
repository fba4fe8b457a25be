"""What every write has in common: reading the body, judging the new object, carrying over what the server owns.

Called by create, update, patch, delete and the subresources. `revise` runs within the store's write path.
"""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from styr.api import fields, media, metadata, options
from styr.api.apply.managed import Entry, same_but_time
from styr.api.call import Call
from styr.api.store.commit import Txn
from styr.api.store.records import ObjectKey, Record
from styr.api.strategies import parts
from styr.api.verbs import owners
from styr.kinds.errors import BadRequest, Cause
from styr.kinds.resources import Object

_SERVERS_OWN = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "generation",
    "generateName",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_STATUS = ("status", "approval")
"""Subresources that write the status, and nothing else but some metadata."""
_FREE_ON_STATUS = ("labels", "annotations")


def read_object(call: Call) -> Object:
    """The object in the body, of the kind and namespace that the path names. Raises BadRequest and its like."""
    options.check(call.request)
    mode = options.field_validation(call.request)
    obj = media.decode_object(call.body, call.content_type, protobuf=not call.served.custom)
    # In protobuf, what nobody knows has no name.
    silent = mode == "Ignore" or media.is_protobuf(call.content_type)
    repeated = [] if silent else fields.repeats(call.body, obj)
    odd = check_kind(call, obj)
    if not silent:
        _check_fields(call, obj, odd, repeated, strict=mode == "Strict")
    return obj


def check_kind(call: Call, obj: Object) -> list[str]:
    """Fills in kind and apiVersion where they are missing; refuses others, and another namespace. Returns the paths of metadata
    that nobody knows, which is gone."""
    resource = call.served.resource
    for field, wanted in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        found = obj.setdefault(field, wanted)
        if found != wanted:
            raise BadRequest(
                f"the {field} in the data ({found}) does not match the expected {field} ({wanted}) of this path"
            )
    meta = obj["metadata"]
    if not isinstance(meta, dict):
        raise BadRequest("the object provided is malformed: metadata must be an object")
    odd = fields.take_unknown_metadata(obj)
    metadata.tidy(obj)
    if not resource.namespaced:
        meta.pop("namespace", None)
    elif meta.setdefault("namespace", call.namespace) != call.namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    return odd


def _check_fields(call: Call, obj: Object, odd: list[str], repeated: list[str], *, strict: bool) -> None:
    """fieldValidation of a whole body: Strict refuses unknown and doubled fields, Warn tells them. `odd` are those of
    metadata."""
    found = fields.faults(call.body, _unknown(call, obj, odd), repeated, custom=call.served.custom)
    if found and strict:
        resource = call.served.resource
        raise BadRequest(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"{fields.strict_error(found)}"
        )
    call.warnings += found


def check_patched(call: Call, new: Object, odd: list[str], repeated: list[str], patch: Any = None) -> None:
    """fieldValidation of what a patch made; `repeated` is said of the patch itself, and `patch` is a strategic one."""
    mode = options.field_validation(call.request)
    if mode == "Ignore":
        return
    shown = ""
    if mode == "Strict":
        shown = fields.as_go_map(patch) if patch is not None else msgspec.json.encode(new).decode()
    found = [*repeated, *(f'unknown field "{path}"' for path in _unknown(call, new, odd))][: fields.MOST]
    if found and mode == "Strict":
        raise fields.patch_fault(shown, found)
    call.warnings += found


def _unknown(call: Call, obj: Object, odd: list[str]) -> list[str]:
    """Paths of unknown fields: of metadata, then the others, as Kubernetes orders those of custom kinds."""
    found = call.served.strategy.unknown_fields(obj)
    return odd + (sorted(found, key=lambda path: (".metadata." in path, path)) if call.served.custom else found)


def complete(call: Call, obj: Object, before: Object | None = None) -> None:
    """Prunes and defaults in place. Raises Invalid with every cause for an object of the wrong shape. `before` is what an
    update replaces."""
    strategy = call.served.strategy
    strategy.prune(obj)
    causes: list[Cause] = [*strategy.shape_faults(obj, before), *strategy.metadata_faults(obj)]
    if causes:
        raise call.invalid(causes)
    strategy.default(obj)


def check(call: Call, obj: Object, before: Object | None) -> None:
    """The rules of the kind, for a complete object. Raises Invalid with every cause."""
    strategy = call.served.strategy
    if before is None:
        causes = strategy.validate(obj)
    elif call.subresource == "":
        causes = strategy.update_faults(obj, before)
    elif call.subresource == "status":
        causes = strategy.status_faults(obj, before)
    else:
        causes = strategy.part_faults(call.subresource, obj, before)
    if not causes:
        causes = strategy.rule_faults(obj, before, call.warnings)
    if causes:
        raise call.invalid(causes)


def revise(
    call: Call,
    txn: Txn,
    key: ObjectKey,
    old: Record,
    new: Object,
    *,
    dry_run: bool = False,
    entries: list[Entry] | None = None,
    admitted: bool = False,
) -> Record:
    """Replaces an object by its next version, all rules applied: conflicts, what the endpoint may touch, generation, no-op,
    finalizers, admission (unless the caller has `admitted` it, in the form of its subresource), who owns what (`entries`,
    when an apply has found that out). Takes `new` over. Returns the record as it then is (the last one, when this removed
    it)."""
    before = call.present(old)
    if not call.served.custom:  # stored by an older version, it may lack what this one always has
        call.served.strategy.prune(before)
        call.served.strategy.default(before)
    known, sent = owners.take(before) or [], owners.take(new)
    _check_identity(call, before, new)
    _carry_over(call, before, new)
    new["apiVersion"] = call.served.resource.api_version
    _check_finalizers(call, before, new)
    _make_ready(call, before, new)
    stage = None if admitted else call.core.chain.stage("UPDATE", call.served, call.subresource)
    if stage is not None:
        attributes = call.attributes(
            "UPDATE", new, before, dry_run=dry_run, managed=known, complete=lambda obj: complete(call, obj, before)
        )
        stage.mutate(attributes, txn)
        if attributes.touched:
            _carry_over(call, before, new)
            _check_finalizers(call, before, new)
            _make_ready(call, before, new)
    check(call, new, before)
    if call.subresource in parts.PARTS and (causes := list(parts.faults(call.subresource, new, before))):
        raise call.invalid(causes)
    call.check_rights(new, before)
    if stage is not None:
        stage.validate(attributes, txn)
    call.served.strategy.admit(new, before, txn)
    new["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
    if entries is None:
        entries = owners.track(call, before, new, sent, known)
    if new == before and (entries == known or same_but_time(entries, known)) and _is_stored_as_today(call, old):
        return old
    if _counts(call, new) != _counts(call, before):
        new["metadata"]["generation"] = before["metadata"].get("generation", 0) + 1
    owners.put(new, entries)
    return settle(call, txn, key, call.to_store(new), dry_run=dry_run)


def _is_stored_as_today(call: Call, old: Record) -> bool:
    """An update that changes nothing still brings an object to the version that is stored now."""
    return not call.served.custom or old.decode()["apiVersion"] == call.served.stored_as


def _make_ready(call: Call, before: Object, new: Object) -> None:
    complete(call, new, before)
    if call.subresource == "":
        call.served.strategy.prepare_update(new, before)
    elif call.subresource == "status":
        call.served.strategy.prepare_status(new, before)


def settle(call: Call, txn: Txn, key: ObjectKey, obj: Object, *, dry_run: bool = False) -> Record:
    """Stores the object, or removes it when nothing holds it any more."""
    if dry_run:
        return Record(txn.revision, msgspec.json.encode(obj))
    record = txn.put(key, obj)
    if is_free(obj):
        remove(call, txn, key)
    return record


def remove(call: Call, txn: Txn, key: ObjectKey) -> Record:
    record = txn.get(key)
    assert record is not None
    call.served.strategy.deleted(record.decode(), txn)
    return txn.delete(key)


def is_free(obj: Object) -> bool:
    """Asked to go, and nothing keeps it: no finalizer, no grace left, no content of a namespace."""
    meta = obj["metadata"]
    held = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds")
    if obj["kind"] == "Namespace" and obj["apiVersion"] == "v1":
        held = held or obj.get("spec", {}).get("finalizers")
    return "deletionTimestamp" in meta and not held


def _check_identity(call: Call, before: Object, new: Object) -> None:
    meta, known = new["metadata"], before["metadata"]
    if meta.get("name", call.name) != call.name:
        raise BadRequest(f"the name of the object ({meta['name']}) does not match the name on the URL ({call.name})")
    if meta.get("uid", known["uid"]) != known["uid"]:
        raise call.conflict(
            f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {known['uid']}"
        )
    version = meta.get("resourceVersion", "")
    if version not in ("", "0") and version != known["resourceVersion"]:
        if not (isinstance(version, str) and version.isascii() and version.isdigit()):
            raise call.invalid([_cause("metadata.resourceVersion", f"Invalid value: {version!r}")])
        raise call.conflict()


def _carry_over(call: Call, before: Object, new: Object) -> None:
    meta, known = new["metadata"], before["metadata"]
    for field in _SERVERS_OWN:
        if field in known:
            meta[field] = copy.copy(known[field])
        else:
            meta.pop(field, None)
    for field in ("labels", "annotations", "finalizers", "ownerReferences"):
        if not meta.get(field) and field not in known:
            meta.pop(field, None)
    if call.subresource in parts.PARTS:
        parts.keep(call.subresource, new, before)
        return
    if not call.served.resource.status:
        return
    if call.subresource in _STATUS:
        kept = copy.deepcopy(before)
        kept["status"] = new.get("status")
        for field in _FREE_ON_STATUS:
            if meta.get(field):
                kept["metadata"][field] = meta[field]
        if kept["status"] is None:
            del kept["status"]
        new.clear()
        new.update(kept)
    elif "status" in before:
        new["status"] = before["status"]
    else:
        new.pop("status", None)


def _check_finalizers(call: Call, before: Object, new: Object) -> None:
    if "deletionTimestamp" not in before["metadata"]:
        return
    known = before["metadata"].get("finalizers") or []
    wanted = new["metadata"].get("finalizers") or []
    if isinstance(wanted, list) and (added := [name for name in wanted if name not in known]):
        message = f"Forbidden: no new finalizers can be added if the object is being deleted, found new: {added}"
        raise call.invalid([_cause("metadata.finalizers", message, "FieldValueForbidden")])


def _cause(field: str, message: str, reason: str = "FieldValueInvalid") -> Cause:
    return {"reason": reason, "field": field, "message": message}


def _counts(call: Call, obj: Object) -> Any:
    """The part of an object whose changes `generation` counts."""
    if not call.served.strategy.counts_generation:
        return None
    left_out = ("metadata", "status") if call.served.resource.status else ("metadata",)
    return {key: value for key, value in obj.items() if key not in left_out}
