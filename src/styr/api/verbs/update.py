"""PUT of an object, or of its status."""

from __future__ import annotations

from styr.api.call import Call, answer
from styr.api.store.commit import Txn
from styr.api.store.records import Record
from styr.api.verbs import admit, change
from styr.kinds.errors import BadRequest
from styr.kinds.transport import Response


async def update(call: Call) -> Response:
    """Replaces it and returns it. Without resourceVersion it is unconditional for built-in kinds, refused for others."""
    new = change.read_object(call)
    if not new["metadata"].get("resourceVersion") and not call.served.strategy.allows_blind_update:
        raise call.invalid(
            [
                {
                    "reason": "FieldValueInvalid",
                    "field": "metadata.resourceVersion",
                    "message": "Invalid value: 0x0: must be specified for an update",
                }
            ]
        )
    if new["metadata"].get("name", call.name) != call.name:
        raise BadRequest(
            f"the name of the object ({new['metadata']['name']}) does not match the name on the URL ({call.name})"
        )
    dry_run = call.dry_run

    def replace(txn: Txn) -> Record:
        old = txn.get(call.key)
        if old is None:
            raise call.not_found()
        return change.revise(call, txn, call.key, old, call.fresh(new), dry_run=dry_run)

    return await answer(call, await admit.write(call, replace))
