"""`query`, `query_range`, `query_exemplars`, `format_query`, `parse_query`. Called by `api`; calls the engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import numpy as np

from styr.kinds.transport import Response
from styr.metrics.model.errors import BadData, ExecutionError, MetricsError
from styr.metrics.promql.ast import selectors
from styr.metrics.web import json, reply
from styr.metrics.web.call import Call
from styr.metrics.web.forms import invalid
from styr.metrics.web.parts import Limits, Points, Result
from styr.metrics.web.tree import translate

MAX_STEPS = 11_000
"""Points of one series in one answer, Prometheus' limit."""
WHOLE = 4 << 20
"""Bytes up to which an answer is sent in one piece, with its length."""
TRUNCATED = "results truncated due to limit"


async def query(call: Call) -> Response:
    """An instant query."""
    limit = call.form.limit()
    at = call.form.time("time", int(call.parts.clock.time() * 1000))
    text, engine = call.form.text("query"), call.engine
    return await _run(call, lambda given: engine.instant(text, at, given), (at, at, 0), limit)


async def query_range(call: Call) -> Response:
    """A range query."""
    form = call.form
    limit = form.limit()
    start, end = form.time("start"), form.time("end")
    if end < start:
        raise invalid("end", "end timestamp must not be before start time")
    step = int(form.seconds("step") * 1000)
    if step <= 0:
        told = "zero or negative query resolution step widths are not accepted. Try a positive integer"
        raise invalid("step", told)
    if (end - start) // step > MAX_STEPS:
        told = f"exceeded maximum resolution of {MAX_STEPS:,} points per timeseries"
        raise BadData(f"{told}. Try decreasing the query resolution (?step=XX)")
    text, engine = form.text("query"), call.engine
    return await _run(call, lambda given: engine.range(text, start, end, step, given), (start, end, step), limit)


def _limits(call: Call) -> Limits:
    form = call.form
    timeout = form.seconds("timeout") if form.text("timeout") else None
    lookback = 0
    if form.text("lookback_delta"):
        lookback = int(form.seconds("lookback_delta") * 1000)
    return call.gate.limits(timeout, lookback, form.text("stats"))


async def _run(call: Call, work: Callable[[Limits], Result], span: tuple[int, int, int], limit: int) -> Response:
    """Evaluates and writes the answer in one trip to a worker thread; only what is large goes on from there in pieces."""
    text, stats = call.form.text("query"), call.form.text("stats")
    limits = _limits(call)

    def answered(given: Limits) -> tuple[Result, bytes, Iterator[bytes] | None]:
        result = work(given)
        return result, *_begun(_finished(result, stats, limit), bool(stats))

    entry = call.log.began(text, span)
    try:
        result, body, more = await call.gate.run(answered, limits)
    except MetricsError as error:
        call.log.ended(entry, call.request, error=str(error))
        if isinstance(error, BadData):
            raise invalid("query", str(error)) from None
        raise
    except BaseException:
        call.log.ended(entry, call.request, error="canceled")
        raise
    call.log.ended(entry, call.request, stats=result.stats)
    return reply.raw(body if more is None else _rest(call, body, more))


def _finished(result: Result, stats: str, limit: int) -> Result:
    if stats not in ("", "true", "all"):
        told = f'value "{stats}" for parameter "stats" is deprecated and will be rejected, use "true" or "all"'
        result = replace(result, warnings=[*result.warnings, told])
    return truncated(result, limit) if limit else result


def _begun(result: Result, with_stats: bool) -> tuple[bytes, Iterator[bytes] | None]:
    """The answer, whole or its first `WHOLE` bytes with what makes the rest."""
    pieces = json.query_result(result, result.stats if with_stats else None)
    collected, size = [], 0
    for piece in pieces:
        collected.append(piece)
        size += len(piece)
        if size >= WHOLE:
            return b"".join(collected), pieces
    return b"".join(collected), None


async def _rest(call: Call, first: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    more = True
    while more:
        piece, more = await call.gate.pieces(pieces)
        yield piece


def truncated(result: Result, limit: int) -> Result:
    """Its first `limit` series. Those without a point do not count."""
    points = result.points
    if result.type not in ("matrix", "vector") or points.frame.size <= limit:
        return result
    rows = np.flatnonzero(np.diff(points.offsets) > 0)
    if len(rows) <= limit:
        return result
    last = int(rows[limit])
    stop = int(points.offsets[last])
    kept = Points(
        points.frame.take(np.arange(last)),
        points.offsets[: last + 1],
        points.t[:stop],
        points.v[:stop],
        {i: each for i, each in points.histograms.items() if i < stop},
    )
    return replace(result, points=kept, warnings=[*result.warnings, TRUNCATED])


async def query_exemplars(call: Call) -> Response:
    """The exemplars of every series that the expression selects."""
    start, end = call.range()
    found = [each.matchers for each in selectors(call.engine.parse(call.form.text("query")))]
    if not found:
        return reply.nothing()
    admin = call.admin
    rows = await call.work(lambda _: admin.exemplars(found, start, end))
    return reply.data(
        [
            {
                "seriesLabels": dict(labels),
                "exemplars": [
                    {"labels": dict(each.labels), "value": json.number(each.value), "timestamp": json.seconds(each.t)}
                    for each in exemplars
                ],
            }
            for labels, exemplars in rows
        ]
    )


async def format_query(call: Call) -> Response:
    """The expression, laid out for people."""
    try:
        return reply.data(call.engine.pretty(call.form.text("query")))
    except BadData as error:
        raise invalid("query", str(error)) from None


async def parse_query(call: Call) -> Response:
    """The expression as a tree."""
    try:
        return reply.data(translate(call.engine.parse(call.form.text("query"))))
    except BadData as error:
        raise invalid("query", str(error)) from None
    except RecursionError:
        raise ExecutionError(
            "the expression nests too deeply to be shown as a tree; it can still be evaluated"
        ) from None
