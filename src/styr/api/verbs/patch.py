"""PATCH of an object, or of its status: JSON patch, merge patch, strategic merge patch; `apply` has the fourth.

The patch is applied in the write path to the newest state, so it never conflicts with another writer unless it names a
resourceVersion itself.
"""

from __future__ import annotations

from typing import Any

from styr.api import bodies, fields, options
from styr.api.call import Call, answer
from styr.api.patches import json_patch, merge, strategic
from styr.api.store.commit import Txn
from styr.api.store.records import Record
from styr.api.strategies.base import BuiltinStrategy, Strategy
from styr.api.verbs import admit, change
from styr.api.verbs import apply as applying
from styr.kinds.errors import BadRequest, UnsupportedMedia
from styr.kinds.resources import Object
from styr.kinds.transport import Response

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


async def patch(call: Call) -> Response:
    """Changes a part of an object and returns the whole."""
    kind = patch_type(call)
    if kind == applying.TYPE:
        return await applying.apply(call)
    options.check(call.request)
    document = bodies.decode(call.body)
    asked = options.field_validation(call.request)
    repeated = [] if asked == "Ignore" else fields.patch_repeats(call.body, document)
    dry_run = call.dry_run

    def amend(txn: Txn) -> Record:
        old = txn.get(call.key)
        if old is None:
            raise call.not_found()
        new = apply(kind, call.present(old), call.fresh(document), call.served.strategy)
        odd = change.check_kind(call, new)
        change.check_patched(call, new, odd, repeated, document if kind == STRATEGIC else None)
        return change.revise(call, txn, call.key, old, new, dry_run=dry_run)

    return await answer(call, await admit.write(call, amend))


def patch_type(call: Call) -> str:
    """The media type of the patch. Raises UnsupportedMedia, naming what this kind takes."""
    kind = call.content_type.split(";")[0].strip().lower()
    known = (JSON, MERGE, *(() if call.served.custom else (STRATEGIC,)), applying.TYPE)
    if kind not in known:
        raise UnsupportedMedia(
            f"the body of the request was in an unknown format ({kind}) - accepted media types include: {', '.join(known)}"
        )
    return kind


def apply(kind: str, current: Object, document: Any, strategy: Strategy) -> Object:
    """The patched object. `current` may be changed."""
    if kind == JSON:
        result = _json_patch(current, document)
    elif not isinstance(document, dict):
        raise BadRequest("the patch must be a JSON object")
    elif kind == STRATEGIC and isinstance(strategy, BuiltinStrategy):
        result = strategic.apply(current, document, strategy.type)
    else:
        result = merge.apply(current, document)
    if not isinstance(result, dict) or not isinstance(result.get("metadata"), dict):
        raise BadRequest("the patch would leave no object with metadata")
    bodies.check_depth(result)
    return result


def _json_patch(current: Object, document: Any) -> Any:
    try:
        return json_patch.apply(current, document)
    except RecursionError:
        raise BadRequest("the patch copies values into themselves, too deep to follow") from None
