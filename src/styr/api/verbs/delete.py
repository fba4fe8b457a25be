"""DELETE of one object or of a collection: preconditions, grace, finalizers, propagation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from styr.api import media, options
from styr.api.builtin import types
from styr.api.call import Call, answer, respond
from styr.api.store.commit import Txn
from styr.api.store.records import ObjectKey, Record
from styr.api.verbs import admit, change
from styr.api.verbs.list import read_filter, select
from styr.kinds.errors import BadRequest, Forbidden
from styr.kinds.resources import NAMESPACE, POD, Object
from styr.kinds.transport import Response
from styr.kit.clock import rfc3339

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
KEPT = frozenset({"default", "kube-system", "kube-public"})
"""Namespaces that cannot be deleted."""
LEAST_GRACE = 1
"""Seconds that less than none means."""
_KIND = "DeleteOptions"


@dataclass(frozen=True, slots=True)
class Options:
    """DeleteOptions. `grace` is seconds, None for the object's own."""

    grace: int | None = None
    uid: str = ""
    version: str = ""
    propagation: str = ""
    dry_run: bool = False

    def told(self) -> Object:
        """As an AdmissionReview has them."""
        conditions = {"uid": self.uid, "resourceVersion": self.version}
        found: Object = {
            "kind": "DeleteOptions",
            "apiVersion": "meta.k8s.io/v1",
            "gracePeriodSeconds": self.grace,
            "preconditions": {key: value for key, value in conditions.items() if value},
            "propagationPolicy": self.propagation,
            "dryRun": ["All"] if self.dry_run else [],
        }
        return {key: value for key, value in found.items() if value or value == 0}


def read_options(call: Call) -> Options:
    """From the body, then from the query. Raises BadRequest."""
    body: Any = {}
    if call.body.strip():
        body = media.decode(call.body, call.content_type)
    if not isinstance(body, dict | None):
        raise BadRequest("the body of a delete must be DeleteOptions")
    body = body or {}
    if (kind := body.get("kind") or _KIND) != _KIND:
        raise BadRequest(f'no kind "{kind}" is registered for version "{body.get("apiVersion")}" of a delete')
    try:
        types.read(body, types.find("meta.k8s.io/v1", _KIND), sparse=True)
    except BadRequest as error:
        raise BadRequest(error.message) from None
    return parse_options(call, body)


def parse_options(call: Call, body: Object) -> Options:
    """DeleteOptions, and what the query says beside them. Raises BadRequest, Invalid."""
    conditions = body.get("preconditions") or {}
    grace = body.get("gracePeriodSeconds")
    if grace is None:
        grace = call.number("gracePeriodSeconds", below_zero=True)
    if grace is not None and grace >= 1 << 31:
        raise BadRequest(f"DeleteOptions: gracePeriodSeconds: {grace} is too long")
    given = body if "propagationPolicy" in body or "orphanDependents" in body else dict(call.request.query)
    propagation, orphans = given.get("propagationPolicy") or "", given.get("orphanDependents")
    dry_runs = body.get("dryRun") or options.dry_runs(call.request)
    options.check_delete(propagation, orphans=orphans is not None, dry_runs=dry_runs)
    if orphans is True or (orphans and call.flag("orphanDependents")):
        propagation = "Orphan"
    dry_run = call.dry_run or bool(dry_runs)
    grace = grace if grace is None or grace >= 0 else LEAST_GRACE
    uid, version = str(conditions.get("uid") or ""), str(conditions.get("resourceVersion") or "")
    return Options(grace, uid, version, propagation, dry_run)


RETURNED = frozenset(
    (
        *("persistentvolumeclaims", "persistentvolumes", "pods", "podtemplates", "resourcequotas", "serviceaccounts"),
        *("services", "csidrivers.storage.k8s.io", "csinodes.storage.k8s.io", "storageclasses.storage.k8s.io"),
        *(
            "volumeattachments.storage.k8s.io",
            "volumeattributesclasses.storage.k8s.io",
            "deviceclasses.resource.k8s.io",
        ),
        *("resourceclaims.resource.k8s.io", "resourceclaimtemplates.resource.k8s.io", "resourceslices.resource.k8s.io"),
    )
)
"""Kinds of which a deletion gives the object, not a Status, as Kubernetes' OpenAPI has it."""


async def delete(call: Call) -> Response:
    """Removes it: 200 with a Status when it is gone (of some kinds the object), with the object when something still holds
    it."""
    options = read_options(call)

    def take(txn: Txn) -> tuple[Record, bool]:
        old = txn.get(call.key)
        if old is None:
            raise call.not_found()
        return perform(call, txn, call.key, old, options)

    record, gone = await admit.write(call, take)
    if gone and call.served.key not in RETURNED:
        return respond(call, msgspec.json.encode(_success(call, record)))
    return await answer(call, record)


async def delete_collection(call: Call) -> Response:
    """Removes all that the selectors match, each as `delete` would, and returns the list of them."""
    options = read_options(call)
    limit = call.number("limit")
    matched = select(call.core.store.view(call.served.store_key), read_filter(call))
    removed: list[bytes] = []
    places = [place for place, _ in islice(matched, limit or None)]
    # A few at a time, so that no other writer waits for a large collection.
    step = 1 if call.waits else 64
    for start in range(0, len(places), step):
        part = places[start : start + step]

        def take(txn: Txn, part: list[tuple[str, str]] = part) -> list[Record]:
            done = []
            for place in part:
                key = ObjectKey(call.served.store_key, *place)
                if (old := txn.get(key)) is not None:
                    done.append(perform(call, txn, key, old, options)[0])
            return done

        done = await call.ready(await admit.write(call, take))
        removed += [call.outward(record) for record in done]
    head = {"resourceVersion": str(call.core.store.revision)}
    start_of_list = msgspec.json.encode(
        {"kind": call.served.list_kind, "apiVersion": call.served.resource.api_version, "metadata": head}
    )
    return respond(call, start_of_list[:-1] + b',"items":[' + b",".join(removed) + b"]}")


def perform(
    call: Call, txn: Txn, key: ObjectKey, old: Record, options: Options, *, admitted: bool = False
) -> tuple[Record, bool]:
    """In the write path. Returns the object as it then is, and whether it is gone. `admitted`: the caller has asked."""
    obj = old.decode()
    meta = obj["metadata"]
    call.name = key.name
    call.namespace = key.namespace
    check_preconditions(call, meta, options)
    if not admitted:
        _admit(call, txn, old, options)
    grace = _grace(call, obj, options)
    finalizers = _finalizers(meta.get("finalizers") or [], options.propagation)
    held = bool(finalizers) or grace > 0 or (_is_namespace(call) and bool(obj.get("spec", {}).get("finalizers")))
    if not held:
        if options.dry_run:
            return old, True
        return change.remove(call, txn, key), True
    if "deletionTimestamp" in meta:
        unchanged = finalizers == (meta.get("finalizers") or [])
        if unchanged and grace >= meta.get("deletionGracePeriodSeconds", 0):
            return old, False
    elif call.served.strategy.counts_generation:
        meta["generation"] = meta.get("generation", 0) + 1
    _mark(call, obj, grace, finalizers)
    return change.settle(call, txn, key, obj, dry_run=options.dry_run), False


def _admit(call: Call, txn: Txn, old: Record, options: Options) -> None:
    stage = call.core.chain.stage("DELETE", call.served, call.subresource)
    if stage is None:
        return
    attributes = call.attributes("DELETE", None, call.present(old), dry_run=options.dry_run, given=options.told())
    stage.mutate(attributes, txn)
    stage.validate(attributes, txn)


def _mark(call: Call, obj: Object, grace: int, finalizers: list[str]) -> None:
    meta = obj["metadata"]
    if "deletionTimestamp" not in meta or grace < meta.get("deletionGracePeriodSeconds", 0):
        meta["deletionTimestamp"] = rfc3339(call.core.clock.time() + grace)
        meta["deletionGracePeriodSeconds"] = grace
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    if _is_namespace(call):
        obj["status"] = (obj.get("status") or {}) | {"phase": "Terminating"}


def check_preconditions(call: Call, meta: dict[str, Any], options: Options) -> None:
    if options.uid and options.uid != meta["uid"]:
        raise call.conflict(
            f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {meta['uid']}"
        )
    if options.version and options.version != meta["resourceVersion"]:
        raise call.conflict(
            f"Precondition failed: ResourceVersion in precondition: {options.version}, "
            f"ResourceVersion in object meta: {meta['resourceVersion']}"
        )
    if _is_namespace(call) and meta["name"] in KEPT:
        raise Forbidden(
            f'namespaces "{meta["name"]}" is forbidden: this namespace may not be deleted',
            details={"name": meta["name"], "kind": "namespaces"},
        )


def _is_namespace(call: Call) -> bool:
    return call.served.resource == NAMESPACE


def _grace(call: Call, obj: Object, options: Options) -> int:
    """Seconds. Only pods have time to end, and only those that a node runs; it can be shortened, never prolonged."""
    if call.served.resource != POD:
        return 0
    spec, status = obj.get("spec", {}), obj.get("status", {})
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    wanted = options.grace if options.grace is not None else int(spec.get("terminationGracePeriodSeconds", 30))
    known: int | None = obj["metadata"].get("deletionGracePeriodSeconds")
    if known is None:
        return wanted
    return min(known, wanted if options.grace is not None else known)


def _finalizers(known: list[str], propagation: str) -> list[str]:
    if not propagation:
        return known
    kept = [name for name in known if name not in (FOREGROUND, ORPHAN)]
    added = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(propagation, [])
    return [*kept, *added]


def _success(call: Call, record: Record) -> Object:
    resource = call.served.resource
    details = {"name": call.name, "group": resource.group, "kind": resource.plural}
    details["uid"] = record.decode()["metadata"]["uid"]
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }
