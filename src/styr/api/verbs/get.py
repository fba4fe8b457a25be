"""GET of one object."""

from __future__ import annotations

from styr.api.call import Call, respond
from styr.api.verbs.revisions import check_not_future, parse_version
from styr.kinds.transport import Response


async def get(call: Call) -> Response:
    """The stored bytes, or the form that was asked for."""
    check_not_future(call, parse_version(call.request.param("resourceVersion"), "resourceVersion"))
    record = call.core.store.get(call.key)
    if record is None:
        raise call.not_found()
    (record,) = await call.ready([record])
    return respond(call, call.outward(record))
