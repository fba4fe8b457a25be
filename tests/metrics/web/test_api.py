"""Endpoint by endpoint over fakes: shapes, parameters, errors, and what a client that goes away leaves behind."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from urllib.parse import urlencode

import pytest

from styr.kinds.transport import Request
from styr.metrics.model.errors import ExecutionError, QueryTimeout, StorageError, TooMuch
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import make
from styr.metrics.web import query as queries
from styr.metrics.web.forms import MAX_TIME, MIN_TIME
from styr.metrics.web.parts import Limits, Result
from tests.metrics.web.fakes import DOWN, NOW, UP, World, body_of, points

VECTOR = Result("vector", points({UP: [(1000, 1.0)], DOWN: [(1000, float("nan"))]}))
MATRIX = Result("matrix", points({UP: [(0, 1.0), (1500, 0.1)], DOWN: [(0, float("-inf"))]}))


async def test_an_instant_query() -> None:
    world = World()
    world.engine.answers["up"] = VECTOR
    assert await world.data("query", query="up") == {
        "resultType": "vector",
        "result": [
            {"metric": {"__name__": "up", "instance": "a:1", "job": "api"}, "value": [1, "1"]},
            {"metric": {"__name__": "up", "instance": "b:1", "job": "api"}, "value": [1, "NaN"]},
        ],
    }
    assert world.engine.asked[0][:3] == ("instant", "up", int(NOW * 1000))


async def test_a_range_query_by_get_and_post() -> None:
    world = World()
    world.engine.answers["up"] = MATRIX
    fields = {"query": "up", "start": "0", "end": "1.5", "step": "500ms"}
    got = await world.data("query_range", **fields)
    assert got["result"][0]["values"] == [[0, "1"], [1.5, "0.1"]]
    assert got["result"][1]["values"] == [[0, "-Inf"]]
    form = {"content-type": "application/x-www-form-urlencoded"}
    post = Request("POST", "/api/v1/query_range", [], form, urlencode(fields).encode())
    assert (await world.send(post))[1]["data"] == got
    assert world.engine.asked[0][:5] == world.engine.asked[1][:5] == ("range", "up", 0, 1500, 500)


async def test_scalar_string_empty_and_histograms() -> None:
    world = World()
    world.engine.answers["1"] = Result("scalar", points({(): [(1500, 1e21)]}))
    world.engine.answers['"x"'] = Result("string", points({(): [(1500, 0.0)]}), 'a "quote"')
    world.engine.answers["up"] = Result("vector", points({}))
    assert await world.data("query", query="1") == {"resultType": "scalar", "result": [1.5, "1000000000000000000000"]}
    assert await world.data("query", query='"x"') == {"resultType": "string", "result": [1.5, 'a "quote"']}
    assert await world.data("query", query="up") == {"resultType": "vector", "result": []}
    histogram = Histogram(0, 0.001, 1, 4, 5.5, [(0, 2)], [1, 1], [(1, 1)], [1])
    world.engine.answers["h"] = Result("matrix", points({UP: [(0, histogram), (1000, 2.0)], DOWN: [(0, 1.0)]}))
    first, second = (await world.data("query", query="h"))["result"]
    assert first["values"] == [[1, "2"]]
    assert first["histograms"] == [
        [
            0,
            {
                "count": "4",
                "sum": "5.5",
                "buckets": [
                    [1, "-2", "-1", "1"],
                    [3, "-0.001", "0.001", "1"],
                    [0, "0.5", "1", "1"],
                    [0, "1", "2", "1"],
                ],
            },
        ]
    ]
    assert "histograms" not in second
    world.engine.answers["v"] = Result("vector", points({UP: [(0, histogram)]}))
    assert "histogram" in (await world.data("query", query="v"))["result"][0]


async def test_limit_warnings_infos_and_stats() -> None:
    world = World()
    world.engine.answers["up"] = Result("vector", VECTOR.points, "", ["w"], ["i"], {"timings": {}})
    status, answer = await world.get("query", query="up", limit="1", stats="all")
    assert status == 200
    assert len(answer["data"]["result"]) == 1
    assert (answer["warnings"], answer["infos"]) == (["w", "results truncated due to limit"], ["i"])
    assert answer["data"]["stats"] == {"timings": {}}
    limits: Limits = world.engine.asked[0][3]
    assert limits.stats == "all"
    assert "stats" not in await world.data("query", query="up")
    _, answer = await world.get("query", query="up", stats="yes")
    assert "deprecated" in answer["warnings"][-1]


async def test_timeout_and_lookback_reach_the_engine() -> None:
    world = World()
    world.engine.answers["up"] = VECTOR
    await world.data("query", query="up", timeout="5s", lookback_delta="1m30s")
    limits: Limits = world.engine.asked[0][3]
    assert (limits.deadline, limits.lookback) == (5.0, 90_000)
    await world.data("query", query="up", timeout="1h")
    assert world.engine.asked[1][3].deadline == world.gate.timeout


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        ("query", {"query": "up", "time": "x"}, 'invalid parameter "time"'),
        ("query", {"query": "up("}, 'invalid parameter "query"'),
        ("query", {"query": ""}, 'invalid parameter "query"'),
        ("query", {"query": "up", "limit": "-1"}, 'invalid parameter "limit"'),
        ("query", {"query": "up", "timeout": "x"}, 'invalid parameter "timeout"'),
        ("query", {"query": "up", "lookback_delta": "-"}, 'invalid parameter "lookback_delta"'),
        ("query_range", {"query": "up"}, 'invalid parameter "start"'),
        ("query_range", {"query": "up", "start": "0"}, 'invalid parameter "end"'),
        ("query_range", {"query": "up", "start": "2", "end": "1", "step": "1"}, 'invalid parameter "end"'),
        ("query_range", {"query": "up", "start": "0", "end": "1"}, 'invalid parameter "step"'),
        ("query_range", {"query": "up", "start": "0", "end": "1", "step": "0"}, "zero or negative"),
        ("query_range", {"query": "up", "start": "0", "end": "1", "step": "-5"}, "zero or negative"),
        ("query_range", {"query": "up", "start": "0", "end": "20000", "step": "1"}, "11,000 points"),
        ("query_range", {"query": "up", "start": "NaN", "end": "1", "step": "1"}, "NaN"),
        ("query_range", {"query": "up", "start": "1e300", "end": "1", "step": "1"}, "outside of all time"),
        ("series", {}, "no match[] parameter"),
        ("series", {"match[]": "{"}, 'invalid parameter "match[]"'),
        ("series", {"match[]": '{a=~".*"}'}, "non-empty matcher"),
        ("series", {"match[]": "up", "start": "2", "end": "1"}, "before start"),
        ("labels", {"match[]": "1+1"}, "selector"),
        ("labels", {"limit": "x"}, 'invalid parameter "limit"'),
        ("metadata", {"limit": "x"}, "limit must be a number"),
        ("rules", {"type": "x"}, 'invalid parameter "type"'),
        ("rules", {"exclude_alerts": "maybe"}, 'invalid parameter "exclude_alerts"'),
        ("rules", {"group_next_token": "x"}, "group_limit"),
        ("rules", {"group_limit": "1", "group_next_token": "x"}, "were rule groups changed"),
        ("rules", {"group_limit": "0"}, "greater than 0"),
        ("status/tsdb", {"limit": "0"}, "positive"),
        ("status/tsdb", {"limit": "99999"}, "must not exceed"),
        ("targets/relabel_steps", {}, "scrapePool"),
        ("targets/relabel_steps", {"scrapePool": "api", "labels": "{"}, "error parsing labels"),
        ("targets/relabel_steps", {"scrapePool": "x", "labels": "{}"}, "no scrape pool"),
        ("parse_query", {"query": "("}, 'invalid parameter "query"'),
        ("query_exemplars", {"query": "up", "start": "x"}, 'invalid parameter "start"'),
    ],
)
async def test_bad_parameters_are_named(name: str, fields: dict[str, str], told: str) -> None:
    world = World()
    world.engine.answers["up"] = VECTOR
    status, answer = await world.get(name, **fields)
    assert (status, answer["status"], answer["errorType"]) == (400, "error", "bad_data")
    assert told in answer["error"]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (ExecutionError("x"), 422, "execution"),
        (TooMuch("x"), 422, "execution"),
        (QueryTimeout("x"), 503, "timeout"),
        (StorageError("x"), 500, "internal"),
        (ValueError("secret"), 500, "internal"),
    ],
)
async def test_errors_have_their_status(error: Exception, status: int, kind: str) -> None:
    world = World()
    world.engine.answers["up"] = error
    got, answer = await world.get("query", query="up")
    assert (got, answer["errorType"]) == (status, kind)
    assert "secret" not in answer["error"]


async def test_series_labels_and_values() -> None:
    world = World()
    assert await world.data("series", ("match[]", "up"), ("match[]", '{job="web"}')) == [
        {"__name__": "go.gc", "job": "web"},
        dict(UP),
        dict(DOWN),
    ]
    assert await world.data("labels") == ["__name__", "instance", "job"]
    assert await world.data("labels", ("match[]", '{job="web"}')) == ["__name__", "job"]
    assert await world.data("label/__name__/values") == ["go.gc", "up"]
    assert await world.data("label/U______name____/values") == ["go.gc", "up"]
    status, answer = await world.get("label/instance/values", limit="1")
    assert (status, answer["data"], answer["warnings"]) == (200, ["a:1"], ["results truncated due to limit"])


async def test_targets_and_metadata() -> None:
    world = World()
    found = await world.data("targets")
    assert found["activeTargets"][0] == {
        "discoveredLabels": {"__address__": "a:1"},
        "labels": {"instance": "a:1", "job": "api"},
        "scrapePool": "api",
        "scrapeUrl": "http://a:1/metrics",
        "globalUrl": "http://a:1/metrics",
        "lastError": "",
        "lastScrape": "2023-11-14T22:13:20.5Z",
        "lastScrapeDuration": 0.25,
        "health": "up",
        "scrapeInterval": "15s",
        "scrapeTimeout": "10s",
    }
    assert found["droppedTargets"] == [{"discoveredLabels": {"__address__": "c:1"}, "scrapePool": "web"}]
    assert found["droppedTargetCounts"] == {"web": 1, "api": 0}
    assert (await world.data("targets", state="active"))["droppedTargets"] == []
    assert (await world.data("targets", scrapePool="none"))["activeTargets"] == []
    assert await world.data("scrape_pools") == {"scrapePools": ["api", "web"]}
    assert await world.data("metadata", metric="up") == {"up": [{"type": "gauge", "help": "Is it up?", "unit": ""}]}
    assert set(await world.data("metadata")) == {"up", "go", "pushed_total"}
    assert len(await world.data("metadata", limit="1")) == 1
    rows = await world.data("targets/metadata", metric="up", match_target='{job="api"}')
    assert rows == [{"target": {"instance": "a:1", "job": "api"}, "type": "gauge", "help": "Is it up?", "unit": ""}]
    assert await world.data("targets/metadata", match_target='{job="x"}') == []
    steps = await world.data("targets/relabel_steps", scrapePool="api", labels='{"a":"b"}')
    assert steps == {"steps": [{"rule": {"action": "keep"}, "output": {"a": "b"}, "keep": True}]}


async def test_rules_and_alerts() -> None:
    world = World()
    groups = (await world.data("rules"))["groups"]
    assert [group["name"] for group in groups] == ["one", "two"]
    alerting, recording = groups[0]["rules"]
    assert (alerting["type"], alerting["state"], alerting["duration"]) == ("alerting", "inactive", 60)
    assert (recording["type"], recording["lastError"], "lastError" in alerting) == ("recording", "broken", False)
    assert [len(g["rules"]) for g in (await world.data("rules", type="alert"))["groups"]] == [1]
    assert not (await world.data("rules", exclude_alerts="true"))["groups"][0]["rules"][0]["alerts"]
    assert len((await world.data("rules", ("file[]", "b.yml")))["groups"]) == 1
    assert len((await world.data("rules", ("rule_name[]", "Down")))["groups"]) == 1
    assert len((await world.data("rules", ("match[]", '{severity="page"}')))["groups"]) == 1
    page = await world.data("rules", group_limit="1")
    assert [group["name"] for group in page["groups"]] == ["one"]
    page = await world.data("rules", group_limit="1", group_next_token=page["groupNextToken"])
    assert [group["name"] for group in page["groups"]] == ["two"]
    assert "groupNextToken" not in page
    assert await world.data("alerts") == {"alerts": []}
    assert (await world.data("alertmanagers"))["activeAlertmanagers"] == [{"url": "http://am:9093/api/v2/alerts"}]


async def test_status() -> None:
    world = World()
    assert await world.data("status/config") == {"yaml": "global: {}\n"}
    assert await world.data("status/flags") == {"data-dir": "x"}
    assert (await world.data("status/buildinfo"))["version"] == "3.14.0"
    assert (await world.data("status/runtimeinfo"))["storageRetention"] == "15d"
    assert (await world.data("status/tsdb"))["headStats"]["numSeries"] == 2
    assert (await world.data("status/tsdb/blocks"))["blocks"] == [{"ulid": "01X"}]
    assert await world.data("status/walreplay") == {"min": 1, "max": 3, "current": 2}
    assert (await world.data("features"))["promql"]["at_modifier"] is True
    assert await world.data("notifications") == []
    names = [family["name"] for family in await world.data("status/self_metrics", metric_name_pattern="styr_http.*")]
    assert "styr_http_requests" in names


async def test_exemplars_and_trees() -> None:
    world = World()
    assert await world.data("query_exemplars", query="up") == [
        {
            "seriesLabels": dict(UP),
            "exemplars": [{"labels": {"trace_id": "abc"}, "value": "1.5", "timestamp": 1_700_000_000.123}],
        }
    ]
    assert await world.get("query_exemplars", query="1") == (204, None)
    assert await world.data("format_query", query="up") == "pretty up"
    tree = await world.data("parse_query", query='sum by (job) (rate(up{job="a"}[5m] offset 1m)) > bool 1')
    assert (tree["type"], tree["op"], tree["bool"]) == ("binaryExpr", ">", True)
    selector = tree["lhs"]["expr"]["args"][0]
    assert (selector["type"], selector["range"], selector["offset"]) == ("matrixSelector", 300_000, 60_000)
    assert {"name": "job", "value": "a", "type": "="} in selector["matchers"]
    assert tree["rhs"] == {"type": "numberLiteral", "val": "1"}
    assert tree["lhs"]["grouping"] == ["job"]


async def test_admin() -> None:
    world = World()
    delete = Request("POST", "/api/v1/admin/tsdb/delete_series", [("match[]", "up"), ("start", "1")])
    assert (await world.send(delete))[0] == 204
    assert world.storage.deleted == [(('__name__="up"',), 1000, MAX_TIME)]
    assert (await world.send(Request("PUT", "/api/v1/admin/tsdb/clean_tombstones")))[0] == 204
    snapshot = Request("POST", "/api/v1/admin/tsdb/snapshot", [("skip_head", "true")])
    assert (await world.send(snapshot))[1]["data"] == {"name": "snapshot-True"}
    assert (await world.api(Request("GET", "/api/v1/admin/tsdb/snapshot"))).status == 405


async def test_before_the_storage_is_ready() -> None:
    world = World()
    parts = world.parts
    parts.engine = parts.querier = parts.admin = parts.targets = parts.rules = None
    for name in ("query", "labels", "targets", "rules", "metadata", "status/tsdb"):
        status, answer = await world.get(name, query="up")
        assert (status, answer["errorType"]) == (503, "unavailable"), name
    assert await world.data("status/walreplay") == {"min": 0, "max": 0, "current": 0}
    assert (await world.api(Request("GET", "/-/healthy"))).status == 200
    assert (await world.api(Request("GET", "/-/ready"))).status == 503
    assert (await world.api(Request("POST", "/api/v1/write"))).status == 503


async def test_unknown_paths_methods_and_own_metrics() -> None:
    world = World()
    assert (await world.api(Request("GET", "/"))).status == 404
    assert (await world.api(Request("GET", "/api/v1/nothing"))).status == 404
    assert (await world.api(Request("POST", "/api/v1/targets"))).status == 405
    text = await body_of(await world.api(Request("GET", "/metrics")))
    assert b'styr_http_requests_total{code="404",handler="unknown"} 2.0' in text


async def test_a_huge_body_is_refused_before_it_is_whole() -> None:
    taken = 0

    async def endless():  # type: ignore[no-untyped-def]
        nonlocal taken
        while True:
            taken += 1 << 20
            yield bytes(1 << 20)

    world = World()
    status, answer = await world.send(Request("POST", "/api/v1/query", [], {}, endless()))
    assert (status, answer["errorType"]) == (400, "bad_data")
    assert taken < 40 << 20


async def test_a_client_that_goes_cancels_its_query(tmp_path: Path) -> None:
    world = World(tmp_path)
    started, ended = threading.Event(), threading.Event()

    def slow(limits: Limits) -> Result:
        started.set()
        assert limits.canceled.wait(30)
        ended.set()
        return VECTOR

    world.engine.answers["up"] = slow
    task = asyncio.create_task(world.get("query", query="up"))
    await asyncio.to_thread(started.wait, 30)
    assert b'"query":"up"' in (tmp_path / "queries.active").read_bytes()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 30)
    assert b'"query":"up"' not in (tmp_path / "queries.active").read_bytes()
    line = json.loads((tmp_path / "query.log").read_text())
    assert (line["params"]["query"], line["error"]) == ("up", "canceled")


async def test_the_place_of_an_abandoned_query_is_free_only_when_its_thread_is_back() -> None:
    world = World(concurrency=1)
    started, go = threading.Event(), threading.Event()

    def stubborn(_limits: Limits) -> Result:
        started.set()
        assert go.wait(30)
        return VECTOR

    world.engine.answers["up"] = stubborn
    task = asyncio.create_task(world.get("query", query="up"))
    await asyncio.to_thread(started.wait, 30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    status, answer = await world.get("query", query="down", timeout="0.01")
    assert (status, answer["errorType"]) == (503, "timeout")
    go.set()
    world.engine.answers["down"] = VECTOR
    assert (await world.get("query", query="down"))[0] == 200


async def test_a_query_whose_time_is_up_is_answered_before_its_thread_is_back() -> None:
    world = World(concurrency=1)
    go, told = threading.Event(), threading.Event()

    def stubborn(limits: Limits) -> Result:
        if limits.canceled.wait(30):
            told.set()
        assert go.wait(30)
        return VECTOR

    world.engine.answers["up"] = stubborn
    status, answer = await world.get("query", query="up", timeout="0.01")
    assert (status, answer["errorType"]) == (503, "timeout")
    assert "in expression evaluation" in answer["error"]
    assert await asyncio.to_thread(told.wait, 30)
    assert world.gate.running == 1
    go.set()
    world.engine.answers["up"] = VECTOR
    assert (await world.get("query", query="up"))[0] == 200


async def test_queries_at_once_have_a_thread_each_and_later_ones_take_those() -> None:
    world = World(concurrency=3)
    together = threading.Barrier(3)
    names: list[str] = []

    def meeting(_limits: Limits) -> Result:
        names.append(threading.current_thread().name)
        together.wait(30)
        return VECTOR

    world.engine.answers["up"] = meeting
    for _ in range(3):
        answers = await asyncio.gather(*(world.get("query", query="up") for _ in range(3)))
        assert [status for status, _ in answers] == [200] * 3
    assert len(set(names)) == 3
    assert world.gate.running == 0
    world.api.close()


async def test_what_ran_at_a_crash_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path)
    world.log.began("sum(up)", (0, 0, 0))
    World(tmp_path)
    assert "sum(up)" in caplog.text


async def test_large_answers_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "WHOLE", 1000)
    monkeypatch.setattr("styr.metrics.web.json.PIECE", 500)
    world = World()
    many = {make({"__name__": "m", "i": str(i)}): [(t, t / 3) for t in range(20)] for i in range(100)}
    world.engine.answers["m"] = Result("matrix", points(many))
    response = await world.api(Request("GET", "/api/v1/query", [("query", "m")]))
    assert not isinstance(response.body, bytes)
    found = json.loads(await body_of(response))["data"]["result"]
    assert len(found) == 100
    assert found[7]["values"][3] == [0.003, "1"]


async def test_times_default_to_all_of_time() -> None:
    world = World()
    seen = []
    world.storage.label_names = lambda sets, start, end: seen.append((start, end)) or []  # type: ignore[method-assign,func-returns-value,assignment]
    assert await world.data("labels") == []
    assert seen == [(MIN_TIME, MAX_TIME)]
