"""Questions to the metrics process over its HTTP API (Prometheus' v1). Light: no numpy.

Called by `launch` (is it ready?) and, as the `MetricQuery` that `plane` hands over, by the judge's guards. Never retries: who
asks once a second asks again anyway.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from styr.kinds.seams import QueryFailed
from styr.kit import http

TIMEOUT = 5.0
"""Seconds for one answer: a guard that waits longer holds up the judge."""
MAX_ANSWER = 8 << 20

Sample = tuple[Mapping[str, str], float]


class Ask:
    """One metrics process on loopback. `token` is sent as a bearer token."""

    def __init__(self, port: int, token: str, *, timeout: float = TIMEOUT) -> None:
        self.port = port
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._timeout = timeout
        self._pool = http.Pool("127.0.0.1", port, limit=4)

    async def ready(self) -> bool:
        """Has it read its data, and does it answer queries?"""
        try:
            answer = await self._pool.request("GET", "/-/ready", headers=self._headers, timeout=2.0)
        except http.HttpError:
            return False
        return answer.status == 200

    async def query(self, expression: str, /) -> list[Sample]:
        """An instant query, now. Raises `QueryFailed`."""
        headers = {**self._headers, "content-type": "application/x-www-form-urlencoded"}
        body = urlencode({"query": expression, "timeout": f"{self._timeout:g}s"}).encode()
        try:
            answer = await self._pool.request(
                "POST", "/api/v1/query", headers=headers, body=body, timeout=self._timeout, max_body=MAX_ANSWER
            )
        except http.HttpError as error:
            raise QueryFailed(f"the metrics engine does not answer: {error}") from error
        return read_answer(answer.status, answer.body)

    async def close(self) -> None:
        await self._pool.close()


def read_answer(status: int, body: bytes) -> list[Sample]:
    """The vector or scalar of an answer; a string, a matrix or a native histogram has no one number and is refused. Raises
    `QueryFailed`."""
    try:
        answer = json.loads(body)
        if answer["status"] != "success":
            raise QueryFailed(f"the metrics engine refused: {answer.get('error') or status}")
        data = answer["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        if data["resultType"] != "vector":
            raise QueryFailed(f"the expression is a {data['resultType']}, not a number for each series")
        return [_sample(series) for series in data["result"]]
    except QueryFailed:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise QueryFailed(
            f"the metrics engine answered {status} with something else than a result: {error!r}"
        ) from error


def _sample(series: Mapping[str, Any]) -> Sample:
    if "value" not in series:
        raise QueryFailed("the expression is a native histogram: take a number of it, as histogram_quantile does")
    labels = {str(name): str(value) for name, value in series["metric"].items()}
    return labels, float(series["value"][1])
