"""`write`, `otlp/v1/metrics`, `read`: what other programs push, and fetch. Called by `api`; calls `remote`."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator

from styr.kinds.transport import Response
from styr.metrics.remote.otlp import OtlpReceiver
from styr.metrics.remote.read import RemoteRead
from styr.metrics.remote.write import Answer, WriteReceiver
from styr.metrics.web.call import Call

TEXT = "text/plain; charset=utf-8"


def response(answer: Answer) -> Response:
    headers = {**({"content-type": TEXT} if answer.text else {}), **answer.headers}
    return Response(answer.status, answer.text.encode(), headers)


class Receivers:
    """The receivers of one process: they remember series between requests. Made when the storage is ready."""

    def __init__(self, write: WriteReceiver, otlp: OtlpReceiver, read: RemoteRead) -> None:
        self._write, self._otlp, self._read = write, otlp, read

    async def write(self, call: Call) -> Response:
        """Remote write 1.0 and 2.0."""
        return response(await self._write(call.request.headers, call.body))

    async def otlp(self, call: Call) -> Response:
        """OTLP metrics over HTTP."""
        answer = await self._otlp(call.request.headers, call.body)
        return Response(answer.status, answer.body, {"content-type": answer.content_type})

    async def read(self, call: Call) -> Response:
        """Remote read: samples, or chunks in a stream. The stream stops when its reader goes."""
        querier = call.querier
        canceled = threading.Event()
        answer = await call.work(lambda limits: self._read(querier, call.body, canceled.is_set))
        if answer.rest is None:
            return Response(answer.status, answer.body, answer.headers)
        return Response(answer.status, _stream(call, answer.body, answer.rest, canceled), answer.headers)


async def _stream(call: Call, first: bytes, rest: Iterator[bytes], canceled: threading.Event) -> AsyncIterator[bytes]:
    try:
        yield first
        more = True
        while more:
            piece, more = await call.gate.pieces(rest)
            yield piece
    finally:
        canceled.set()
