"""What Grafana's Prometheus data source asks, replayed over HTTP with its own headers, and what it reads of the answers.

Requests as pkg/promlib (query, health) and the packages of grafana-prometheus (language provider, metric find) send them: times
as decimals, POST forms by default, resource calls with `limit`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest_asyncio

from styr.serving import http
from styr.serving.authn import ADMIN, Authenticator
from tests.metrics.web.peer import START, make_block, ours

BASIC = "Basic " + base64.b64encode(b"grafana:tok").decode()
SPAN = {"start": str(START), "end": str(START + 3600)}


class Grafana:
    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"

    async def send(self, method: str, path: str, fields: dict[str, str] | list[tuple[str, str]], **headers: str) -> Any:
        return await asyncio.to_thread(self._send, method, path, fields, headers)

    def _send(self, method: str, path: str, fields: Any, headers: dict[str, str]) -> Any:
        body = urlencode(fields)
        given = {"User-Agent": "Grafana/12.0.0", "Accept-Encoding": "gzip", "Authorization": BASIC, **headers}
        if method == "POST":
            given["Content-Type"] = "application/x-www-form-urlencoded"
            request = urllib.request.Request(self.base + path, body.encode(), given, method="POST")
        else:
            request = urllib.request.Request(f"{self.base}{path}?{body}", None, given)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert answer.headers["content-type"] == "application/json"
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    async def data(self, method: str, path: str, fields: Any) -> Any:
        status, answer = await self.send(method, path, fields)
        assert (status, answer["status"]) == (200, "success"), answer
        return answer["data"]


@pytest_asyncio.fixture
async def grafana(tmp_path: Path) -> AsyncIterator[Grafana]:
    make_block(tmp_path / "data")
    async with ours(tmp_path / "data") as api:
        server = await http.serve(
            api,
            tls=None,
            authenticate=Authenticator({"tok": ADMIN}),
            streaming_prefixes=("/api", "/federate", "/metrics"),
        )
        try:
            yield Grafana(server.port)
        finally:
            await server.close()


async def test_save_and_test(grafana: Grafana) -> None:
    found = await grafana.data("POST", "/api/v1/query", {"query": "1+1", "time": "4"})
    assert found == {"resultType": "scalar", "result": [4, "2"]}
    version = (await grafana.data("GET", "/api/v1/status/buildinfo", {}))["version"]
    assert tuple(map(int, version.split("."))) >= (2, 24, 0)


async def test_a_wrong_password_is_told_as_such(grafana: Grafana) -> None:
    status, _ = await grafana.send("POST", "/api/v1/query", {"query": "1+1"}, Authorization="Basic eDp5")
    assert status == 401


async def test_a_panel(grafana: Grafana) -> None:
    form = {
        "query": 'sum(rate(requests_total{job=~"api|web"}[1m0s])) by (instance)',
        "start": f"{START}.000",
        "end": f"{START + 3600}.000",
        "step": "15",
        "timeout": "60s",
    }
    for method in ("POST", "GET"):
        found = await grafana.data(method, "/api/v1/query_range", form)
        assert found["resultType"] == "matrix"
        assert sorted(series["metric"]["instance"] for series in found["result"]) == ["a:1", "b:1", "c:1"]
        for series in found["result"]:
            assert all(isinstance(t, (int, float)) and isinstance(v, str) for t, v in series["values"])
    found = await grafana.data("POST", "/api/v1/query", {"query": "up", "time": f"{START + 1800}.123"})
    assert len(found["result"]) == 3
    form = {"query": "histogram_quantile(0.95, sum(rate(latency_bucket[5m])) by (le))", **SPAN}
    assert await grafana.data("POST", "/api/v1/query_exemplars", form) == []


async def test_an_error_in_a_panel_is_shown(grafana: Grafana) -> None:
    status, answer = await grafana.send("POST", "/api/v1/query_range", {"query": "sum(", **SPAN, "step": "15"})
    assert (status, answer["status"], answer["errorType"]) == (400, "error", "bad_data")
    assert 'invalid parameter "query": 1:5: parse error' in answer["error"]


async def test_the_query_builder(grafana: Grafana) -> None:
    limits = {**SPAN, "limit": "40000"}
    assert await grafana.data("GET", "/api/v1/metadata", {"limit": "40000"}) == {}
    names = await grafana.data("GET", "/api/v1/label/__name__/values", limits)
    assert {"up", "requests_total", "with.dots"} <= set(names)
    assert "job" in await grafana.data("POST", "/api/v1/labels", [*limits.items(), ("match[]", '{__name__="up"}')])
    assert "job" in await grafana.data("GET", "/api/v1/labels", limits)
    fields = [*limits.items(), ("match[]", '{__name__="up",job="api"}')]
    assert await grafana.data("GET", "/api/v1/label/instance/values", fields) == ["a:1", "b:1", "c:1"]
    escaped = await grafana.data("GET", "/api/v1/label/U__label_20_name/values", limits)
    assert escaped == ['ä€\n"\\']
    series = await grafana.data("POST", "/api/v1/series", [*limits.items(), ("match[]", "up")])
    assert {"__name__": "up", "instance": "a:1", "job": "api"} in series
    assert await grafana.data("GET", "/api/v1/format_query", {"query": "sum  (up)"}) == "sum(up)"
    assert (await grafana.data("POST", "/api/v1/parse_query", {"query": "up"}))["type"] == "vectorSelector"


async def test_template_variables(grafana: Grafana) -> None:
    series = await grafana.data("GET", "/api/v1/series", [*SPAN.items(), ("match[]", 'requests_total{code="200"}')])
    assert {each["instance"] for each in series} == {"a:1", "b:1", "c:1"}
    found = await grafana.data("POST", "/api/v1/query", {"query": "query_result", "time": str(START)})
    assert found["result"] == []


async def test_the_alerting_pages(grafana: Grafana) -> None:
    assert await grafana.data("GET", "/api/v1/rules", {}) == {"groups": []}
    assert await grafana.data("GET", "/api/v1/rules", {"type": "alert", "limit_alerts": "16"}) == {"groups": []}
    assert await grafana.data("GET", "/api/v1/alerts", {}) == {"alerts": []}
