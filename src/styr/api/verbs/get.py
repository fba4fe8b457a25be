"""GET of one object."""

from __future__ import annotations

import msgspec

from styr.api.call import Call, respond
from styr.api.table import Form, render
from styr.api.verbs.revisions import check_not_future, parse_version
from styr.kinds.transport import Response


async def get(call: Call) -> Response:
    """The stored bytes, or the form that was asked for."""
    check_not_future(call, parse_version(call.request.param("resourceVersion"), "resourceVersion"))
    record = call.core.store.get(call.key)
    if record is None:
        raise call.not_found()
    (record,) = await call.ready([record])
    if call.form is Form.OBJECT:
        return respond(call, call.outward(record))
    rendered = render(
        call.present(record),
        call.form,
        call.served.resource,
        now=call.core.clock.time(),
        printer_columns=call.served.columns_list(),
        include_object=call.request.param("includeObject"),
    )
    return respond(call, msgspec.json.encode(rendered))
