"""`series`, `labels`, `label/NAME/values`. Called by `api`; calls the storage's querier."""

from __future__ import annotations

from typing import TypeVar

from styr.kinds.transport import Response
from styr.metrics.model.errors import BadData
from styr.metrics.web import reply
from styr.metrics.web.call import Call
from styr.metrics.web.forms import invalid

TRUNCATED = "results truncated due to limit"
T = TypeVar("T")


async def series(call: Call) -> Response:
    """The label sets that the selectors find."""
    if not call.form.all("match[]"):
        raise BadData("no match[] parameter provided")
    limit = call.form.limit()
    start, end = call.range()
    try:
        sets = call.matcher_sets()
    except BadData as error:
        raise invalid("match[]", str(error)) from None
    querier = call.querier
    found = await call.work(lambda _: querier.series(sets, start, end))
    kept, warnings = cut(found, limit)
    return reply.data([dict(labels) for labels in kept], warnings)


async def labels(call: Call) -> Response:
    """All label names."""
    limit = call.form.limit()
    start, end = call.range()
    sets, querier = call.matcher_sets(), call.querier
    return reply.data(*cut(await call.work(lambda _: querier.label_names(sets, start, end)), limit))


async def label_values(call: Call) -> Response:
    """All values of one label."""
    name = unescape(call.path) if call.path.startswith("U__") else call.path
    if not name:
        raise BadData('invalid label name: ""')
    limit = call.form.limit()
    start, end = call.range()
    sets, querier = call.matcher_sets(), call.querier
    return reply.data(*cut(await call.work(lambda _: querier.label_values(name, sets, start, end)), limit))


def cut(found: list[T], limit: int) -> tuple[list[T], list[str]]:
    """(what is shown, warnings)."""
    return (found[:limit], [TRUNCATED]) if limit and len(found) > limit else (found, [])


def unescape(name: str) -> str:
    """Prometheus' "values" escaping of UTF-8 names in URLs: `U__` first, `__` for `_`, `_HEX_` for any other character. What
    does not follow it is a name as it stands."""
    out, at, text = [], 0, name[3:]
    while at < len(text):
        if text[at] != "_":
            out.append(text[at])
            at += 1
        elif text[at : at + 2] == "__":
            out.append("_")
            at += 2
        else:
            stop = text.find("_", at + 1)
            try:
                out.append(chr(int(text[at + 1 : stop], 16)) if 0 < stop - at <= 7 else "\ud800")
                out[-1].encode()
            except (ValueError, UnicodeEncodeError, OverflowError):
                return name
            at = stop + 1
    return "".join(out)
