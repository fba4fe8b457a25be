"""What an endpoint gives back, and what an error becomes: status, content type, body. Called by `api` and the endpoints;
pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from styr.kinds.transport import Response
from styr.metrics.model.errors import (
    BadData,
    ExecutionError,
    MetricsError,
    NotFoundError,
    QueryCanceled,
    QueryTimeout,
    Unavailable,
)
from styr.metrics.web import json

JSON = "application/json"
CLIENT_CLOSED = 499
"""nginx' status for a client that has gone."""
_ERRORS: tuple[tuple[type[MetricsError], int, str], ...] = (
    (BadData, 400, "bad_data"),
    (ExecutionError, 422, "execution"),
    (QueryTimeout, 503, "timeout"),
    (QueryCanceled, CLIENT_CLOSED, "canceled"),
    (NotFoundError, 404, "not_found"),
    (Unavailable, 503, "unavailable"),
    (MetricsError, 500, "internal"),
)


def data(found: Any, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> Response:
    """`{"status":"success","data":...}` of plain data."""
    return Response(200, json.success(json.encode(found), warnings, infos), {"content-type": JSON})


def raw(body: bytes | AsyncIterator[bytes]) -> Response:
    """A whole answer that is JSON already."""
    return Response(200, body, {"content-type": JSON})


def nothing() -> Response:
    return Response(204)


def text(status: int, message: str) -> Response:
    return Response(status, message.encode(), {"content-type": "text/plain; charset=utf-8"})


def error(failure: MetricsError) -> Response:
    """By the tree in `model/errors.py`."""
    status, kind = next((status, kind) for known, status, kind in _ERRORS if isinstance(failure, known))
    headers = {"content-type": JSON}
    if isinstance(failure, Unavailable):
        headers["retry-after"] = "1"
    return Response(status, json.failure(kind, str(failure)), headers)


def internal(message: str) -> Response:
    return Response(500, json.failure("internal", message), {"content-type": JSON})
