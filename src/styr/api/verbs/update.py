"""PUT of an object, or of its status."""

from __future__ import annotations

from styr.api.call import Call, answer
from styr.api.store.commit import Txn
from styr.api.store.records import Record
from styr.api.verbs import admit, change, create
from styr.kinds.errors import BadRequest, Cause
from styr.kinds.resources import Object
from styr.kinds.transport import Response


async def update(call: Call) -> Response:
    """Replaces it and returns it: 200, or 201 when this created it, which some kinds allow. Without resourceVersion it is
    unconditional for some kinds, refused for the others."""
    new = change.read_object(call)
    if new["metadata"].get("name", call.name) != call.name:
        raise BadRequest(
            f"the name of the object ({new['metadata']['name']}) does not match the name on the URL ({call.name})"
        )
    dry_run = call.dry_run

    def replace(txn: Txn) -> tuple[Record, int]:
        old = txn.get(call.key)
        if old is None:
            return _create(call, txn, call.fresh(new), dry_run=dry_run), 201
        if not new["metadata"].get("resourceVersion") and not call.served.strategy.allows_blind_update:
            raise call.invalid([_BLIND])
        return change.revise(call, txn, call.key, old, call.fresh(new), dry_run=dry_run), 200

    record, status = await admit.write(call, replace)
    return await answer(call, record, status)


_BLIND: Cause = {
    "reason": "FieldValueInvalid",
    "field": "metadata.resourceVersion",
    "message": "Invalid value: 0x0: must be specified for an update",
}


def _create(call: Call, txn: Txn, new: Object, *, dry_run: bool) -> Record:
    if call.subresource or not call.served.strategy.creates_on_update:
        raise call.not_found()
    if uid := new["metadata"].get("uid"):
        raise call.conflict(f"Precondition failed: UID in precondition: {uid}, UID in object meta: ")
    create.check_may(call)
    new["metadata"]["name"] = call.name
    create.prepare(call, new)
    return create.insert(call, txn, new, dry_run=dry_run)
