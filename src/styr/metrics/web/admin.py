"""`admin/tsdb/...`: deletes, cleaning, snapshots. Called by `api`; calls the storage. Whoever holds the token may."""

from __future__ import annotations

from styr.kinds.transport import Response
from styr.metrics.model.errors import BadData
from styr.metrics.web import reply
from styr.metrics.web.call import Call
from styr.metrics.web.forms import invalid


async def delete_series(call: Call) -> Response:
    """Marks the samples of the selected series as deleted."""
    if not call.form.all("match[]"):
        raise BadData("no match[] parameter provided")
    start, end = call.range()
    try:
        sets = [call.engine.matchers(text) for text in call.form.all("match[]")]
    except BadData as error:
        raise invalid("match[]", str(error)) from None
    admin = call.admin
    for matchers in sets:
        await call.work(lambda _, each=matchers: admin.delete(each, start, end))  # type: ignore[misc]
    return reply.nothing()


async def clean_tombstones(call: Call) -> Response:
    """Rewrites the blocks without what was deleted."""
    admin = call.admin
    await call.work(lambda _: admin.clean_tombstones())
    return reply.nothing()


async def snapshot(call: Call) -> Response:
    """Copies everything into `snapshots/NAME`; files that never change are linked."""
    skip = call.form.flag("skip_head")
    admin = call.admin
    return reply.data({"name": await call.work(lambda _: admin.snapshot(skip))})
