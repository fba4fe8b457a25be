"""Parameters of somebody who means harm, against the whole engine: each has an answer, and soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from styr.kinds.transport import Request
from styr.metrics.web.api import ROUTES, Api
from tests.metrics.web.fakes import body_of
from tests.metrics.web.peer import START, ask, make_block, ours

STRANGE = [
    "",
    " ",
    "\0",
    "\ud7ff\U0010ffff",
    "-1",
    "1e999",
    "NaN",
    "Infinity",
    "0x10",
    "1_000",
    "9" * 5000,
    "١٢٣",
    "2023-13-45T99:99:99Z",
    "2023-11-14T22:13:20.123456789123Z",
    "0000-00-00T00:00:00Z",
    "9999-12-31T23:59:59+99:99",
    "-62135596800",
    "9223372036854775807",
    "1h" * 1000,
    "{" * 2000,
    "(" * 20_000,
    "-" * 20_000 + "1",
    "up" + "[5m:1m]" * 500,
    "up" + " + up" * 3000,
    "sum(" * 1000 + "up" + ")" * 1000,
    '{a=~"' + "(a*)*" * 500 + 'b"}',
    '{a=~"(x{1000}){1000}"}',
    '{__name__=~".+"}',
    '"' + "x" * 100_000 + '"',
    "up offset 9223372036854775807ms",
    "up[292277y]",
    "up @ 1e300",
    "vector(1)[1000y:1ms]",
    'count_values("' + "l" * 10_000 + '", up)',
    'label_replace(up, "a", "$1$2$3", "job", "(.*)(.*)(.*)")',
    "topk(1e300, up)",
    "quantile(NaN, up)",
    "round(up, 0)",
    "../../../../etc/passwd",
    "<script>alert(1)</script>",
    "' OR 1=1 --",
]
FIELDS = {
    "query": ("query", "time", "timeout", "lookback_delta", "limit", "stats"),
    "query_range": ("query", "start", "end", "step"),
    "query_exemplars": ("query", "start"),
    "format_query": ("query",),
    "parse_query": ("query",),
    "labels": ("match[]", "start", "limit"),
    "series": ("match[]", "end"),
    "metadata": ("limit", "limit_per_metric", "metric"),
    "targets": ("scrapePool", "state"),
    "targets/metadata": ("match_target", "limit"),
    "targets/relabel_steps": ("labels", "scrapePool"),
    "rules": ("type", "match[]", "group_limit", "group_next_token", "exclude_alerts"),
    "status/tsdb": ("limit",),
    "status/self_metrics": ("metric_name_pattern",),
}
GOOD = {"query": "up", "start": str(START), "end": str(START + 60), "step": "15", "match[]": "up", "labels": "{}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    folder: Path = tmp_path_factory.mktemp("hostile") / "data"
    make_block(folder)
    async with ours(folder) as made:
        yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", FIELDS)
async def test_strange_parameters(api: Api, name: str) -> None:
    for field in FIELDS[name]:
        for value in STRANGE:
            fields = {**GOOD, "timeout": "10", field: value}
            began = time.monotonic()
            status, answer = await ask(api, name, list(fields.items()), "POST" if "POST" in ROUTES[name][0] else "GET")
            took = time.monotonic() - began
            assert status in (200, 204, 400, 422, 503), (field, value[:80], status, str(answer)[:300])
            assert took < 20, (field, value[:80], took)
            if status >= 400:
                assert answer["errorType"] in ("bad_data", "execution", "timeout"), (field, value[:80], answer)
                assert len(answer["error"]) < 200_000


@pytest.mark.asyncio(loop_scope="module")
async def test_strange_paths(api: Api) -> None:
    for value in STRANGE:
        for path in (
            f"/api/v1/label/{value}/values",
            f"/api/v1/{value}",
            f"/{value}",
            f"/api/v1/label/U__{value}_/values",
        ):
            response = await api(Request("GET", path))
            assert response.status in (200, 400, 404, 405), (path[:80], response.status)
            await body_of(response)


@pytest.mark.asyncio(loop_scope="module")
async def test_many_at_once_wait_for_each_other(api: Api) -> None:
    pairs = [("query", "sum(rate(requests_total[5m]))"), ("time", str(START + 1800))]
    found = await asyncio.gather(*(ask(api, "query", pairs) for _ in range(100)))
    assert {status for status, _ in found} == {200}
    assert len({str(answer) for _, answer in found}) == 1
    assert api.gate.running == 0
