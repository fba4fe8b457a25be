"""OTLP: translation of names, attributes and every kind of point, also compared with a real Prometheus' receiver."""

from __future__ import annotations

import json
import math
import time
import urllib.request
from pathlib import Path
from random import Random
from typing import Any

import pytest

from styr.kit.clock import SystemClock
from styr.metrics.model.errors import BadData
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import make
from styr.metrics.model.samples import STALE_BITS, Metadata
from styr.metrics.remote.otlp import OtlpReceiver, Settings, Strategy
from styr.metrics.remote.otlp.names import label_name, metric_name, unit_name
from styr.metrics.remote.otlp.receiver import Answer
from tests.metrics.remote.fakes import FakeAppender
from tests.metrics.remote.protos import otlp
from tests.metrics.web.fakes import NOW, FixedClock
from tests.metrics.web.peer import ask, ours
from tests.peers.prometheus import beside, prometheus

PROTOBUF, JSON = {"content-type": "application/x-protobuf"}, {"content-type": "application/json"}
T = int(NOW) * 1000


def attributes(target: Any, **values: Any) -> None:
    for key, value in values.items():
        made = target.add(key=key.replace("__", "."))
        kind = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}[type(value)]
        setattr(made.value, kind, value)


def export(t: int = T) -> Any:
    """A request with everything in it; `t` in ms."""
    request = otlp.Export()
    resource = request.resource_metrics.add()
    attributes(
        resource.resource.attributes,
        service__name="shop",
        service__namespace="eu",
        service__instance__id="i-1",
        host__name="h",
        os__type="linux",
    )
    scope = resource.scope_metrics.add(scope=otlp.Scope(name="lib", version="1.2"))
    ns = t * 1_000_000

    def metric(name: str, kind: str, unit: str = "", **settings: Any) -> Any:
        made = scope.metrics.add(name=name, unit=unit, description=f"About {name}.")
        inner = getattr(made, kind)
        inner.SetInParent()
        for key, value in settings.items():
            setattr(inner, key, value)
        return inner.data_points

    point = metric("room.temperature", "gauge", "Cel").add(time_unix_nano=ns, as_double=21.5)
    attributes(point.attributes, room="a", floor=3, open=True, height=2.5)
    metric("share", "gauge", "1").add(time_unix_nano=ns, as_int=-7)
    point = metric("http.requests", "sum", "{request}", aggregation_temporality=2, is_monotonic=True).add(
        time_unix_nano=ns, as_int=5
    )
    exemplar = point.exemplars.add(time_unix_nano=ns, as_double=0.5, trace_id=bytes(range(16)), span_id=bytes(range(8)))
    attributes(exemplar.filtered_attributes, user="x")
    metric("queue.size", "sum", "By", aggregation_temporality=2).add(time_unix_nano=ns, as_double=1e6)
    metric("speed", "gauge", "m/s").add(time_unix_nano=ns, as_double=3.0)
    metric("gone", "gauge").add(time_unix_nano=ns, flags=1)
    point = metric("latency", "histogram", "s", aggregation_temporality=2).add(time_unix_nano=ns, count=6, sum=3.5)
    point.bucket_counts.extend([1, 2, 3])
    point.explicit_bounds.extend([0.1, 2.5])
    point = metric("size", "exponential_histogram", "By", aggregation_temporality=2).add(time_unix_nano=ns)
    point.count, point.sum, point.scale, point.zero_count = 12, 30.0, 3, 2
    point.positive.offset = 4
    point.positive.bucket_counts.extend([1, 2, 0, 0, 0, 0, 3])
    point.negative.offset = -3
    point.negative.bucket_counts.extend([4])
    point = metric("fine", "exponential_histogram", "", aggregation_temporality=2).add(time_unix_nano=ns)
    point.count, point.scale = 6, 10
    point.positive.bucket_counts.extend([1, 2, 3])
    point = metric("gc", "summary", "ms").add(time_unix_nano=ns, count=4, sum=8.0)
    point.quantile_values.add(quantile=0.5, value=1.5)
    point.quantile_values.add(quantile=0.99, value=3.0)
    return request


class World:
    def __init__(self, **settings: Any) -> None:
        self.appender = FakeAppender()
        self.receiver = OtlpReceiver(self.appender, FixedClock(), Settings(**settings))

    async def send(self, request: Any) -> Answer:
        return await self.receiver(PROTOBUF, request.SerializeToString())

    def values(self) -> dict[str, float]:
        return {dict(labels)["__name__"]: value for labels, _, value in self.appender.samples}


async def test_every_kind_of_point() -> None:
    world = World()
    answer = await world.send(export())
    assert (answer.status, answer.body, answer.content_type) == (200, b"", "application/x-protobuf")
    common = {"job": "eu/shop", "instance": "i-1"}
    room = make(
        {"__name__": "room_temperature_celsius", "room": "a", "floor": "3", "open": "true", "height": "2.5", **common}
    )
    assert (room, T, 21.5) in world.appender.samples
    values = world.values()
    assert values["share_ratio"] == -7
    assert values["http_requests_total"] == 5
    assert values["queue_size_bytes"] == 1e6
    assert values["speed_meters_per_second"] == 3
    assert math.isnan(values["gone"])
    assert STALE_BITS in world.appender.bits
    buckets = {
        dict(labels)["le"]: v
        for labels, _, v in world.appender.samples
        if ("__name__", "latency_seconds_bucket") in labels
    }
    assert buckets == {"0.1": 1, "2.5": 3, "+Inf": 6}
    assert (values["latency_seconds_sum"], values["latency_seconds_count"]) == (3.5, 6)
    quantiles = {dict(labels)["quantile"]: v for labels, _, v in world.appender.samples if "quantile" in dict(labels)}
    assert quantiles == {"0.5": 1.5, "0.99": 3.0}
    info = next(labels for labels, _, _ in world.appender.samples if ("__name__", "target_info") in labels)
    assert info == make({"__name__": "target_info", "host_name": "h", "os_type": "linux", **common})
    sizes = {dict(labels)["__name__"]: histogram for labels, _, histogram in world.appender.histograms}
    assert sizes["size_bytes"] == Histogram(
        3, 1e-128, 2, 12, 30.0, [(5, 2), (4, 1)], [1, 2, 3], [(-2, 1)], [4], [], 0, True
    )
    assert (sizes["fine"].schema, sizes["fine"].positive_buckets) == (8, [6])
    assert world.appender.exemplars[0][1].labels == make(
        {"trace_id": bytes(range(16)).hex(), "span_id": bytes(range(8)).hex(), "user": "x"}
    )
    assert world.appender.metadata["http_requests_total"] == Metadata("counter", "About http.requests.", "")
    assert world.appender.metadata["queue_size_bytes"] == Metadata("gauge", "About queue.size.", "bytes")
    assert world.appender.commits == 1


async def test_json_says_the_same_as_protobuf() -> None:
    text = {
        "resourceMetrics": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                "scopeMetrics": [
                    {
                        "metrics": [
                            {
                                "name": "n",
                                "sum": {
                                    "aggregationTemporality": "AGGREGATION_TEMPORALITY_CUMULATIVE",
                                    "isMonotonic": True,
                                    "dataPoints": [
                                        {
                                            "timeUnixNano": str(T * 1_000_000),
                                            "asInt": "5",
                                            "attributes": [
                                                {
                                                    "key": "list",
                                                    "value": {"arrayValue": {"values": [{"intValue": "1"}]}},
                                                }
                                            ],
                                            "exemplars": [{"asDouble": 1.5, "traceId": "0a0b", "timeUnixNano": "5"}],
                                        }
                                    ],
                                },
                            },
                            {
                                "name": "g",
                                "gauge": {"dataPoints": [{"timeUnixNano": T * 1_000_000, "asDouble": "NaN"}]},
                            },
                        ]
                    }
                ],
            }
        ],
        "unknown": 1,
    }
    world = World()
    answer = await world.receiver(JSON, json.dumps(text).encode())
    assert (answer.status, answer.body) == (200, b"{}")
    assert (make({"__name__": "n_total", "job": "shop", "list": "[1]"}), T, 5.0) in world.appender.samples
    assert world.appender.exemplars[0][1].labels == (("trace_id", "0a0b"),)


@pytest.mark.parametrize(
    ("name", "unit", "kind", "strategy", "made"),
    [
        ("http.server.duration", "s", "", Strategy.UNDERSCORE_WITH, "http_server_duration_seconds"),
        ("http.server.duration", "s", "", Strategy.UNDERSCORE_WITHOUT, "http_server_duration"),
        ("http.server.duration", "s", "", Strategy.UTF8_WITH, "http.server.duration_seconds"),
        ("http.server.duration", "s", "", Strategy.NONE, "http.server.duration"),
        ("requests_total", "1", "counter", Strategy.UNDERSCORE_WITH, "requests_total"),
        ("total.requests", "", "counter", Strategy.UNDERSCORE_WITH, "requests_total"),
        ("requests.total", "", "counter", Strategy.UTF8_WITH, "requests_total"),
        ("disk.seconds", "s", "", Strategy.UNDERSCORE_WITH, "disk_seconds"),
        ("io", "By/s", "", Strategy.UNDERSCORE_WITH, "io_bytes_per_second"),
        ("io", "{packet}/s", "", Strategy.UNDERSCORE_WITH, "io_per_second"),
        ("load", "1", "gauge", Strategy.UNDERSCORE_WITH, "load_ratio"),
        ("load", "1", "gauge", Strategy.UTF8_WITH, "load_ratio"),
        ("5xx", "", "", Strategy.UNDERSCORE_WITH, "_5xx"),
        ("a  b__c", "", "", Strategy.UNDERSCORE_WITH, "a_b_c"),
        ("a__b", "", "", Strategy.UNDERSCORE_WITHOUT, "a__b"),
    ],
)
def test_metric_names(name: str, unit: str, kind: str, strategy: Strategy, made: str) -> None:
    assert metric_name(name, unit, kind, Settings(strategy=strategy)) == made


def test_label_and_unit_names() -> None:
    assert label_name("http.method", Settings()) == "http_method"
    assert label_name("1st", Settings()) == "key_1st"
    assert label_name("_private", Settings()) == "key_private"
    assert label_name("a..b", Settings()) == "a__b"
    assert label_name("a..b", Settings(preserve_underscores=False)) == "a_b"
    assert label_name("http.method", Settings(strategy=Strategy.NONE)) == "http.method"
    assert unit_name("By/s") == "bytes_per_second"
    for bad in ("", "___"):
        with pytest.raises(BadData):
            label_name(bad, Settings())
    with pytest.raises(BadData):
        metric_name("é", "", "", Settings())


async def test_settings_promote_and_keep() -> None:
    world = World(promote=frozenset({"host.name"}), keep_identifying=True, promote_scope=True)
    await world.send(export())
    labels = dict(next(labels for labels, _, _ in world.appender.samples if ("__name__", "share_ratio") in labels))
    assert labels["host_name"] == "h"
    assert (labels["otel_scope_name"], labels["otel_scope_version"]) == ("lib", "1.2")
    info = dict(next(labels for labels, _, _ in world.appender.samples if ("__name__", "target_info") in labels))
    assert info["service_name"] == "shop"
    world = World(custom_buckets=True)
    await world.send(export())
    found = {dict(labels)["__name__"]: histogram for labels, _, histogram in world.appender.histograms}
    assert found["latency_seconds"].custom_values == [0.1, 2.5]


async def test_attributes_that_become_one_label_are_joined() -> None:
    world = World()
    request = export()
    attributes(
        request.resource_metrics[0].scope_metrics[0].metrics[1].gauge.data_points[0].attributes, a__b="1", a_b="2"
    )
    await world.send(request)
    labels = dict(next(labels for labels, _, _ in world.appender.samples if ("__name__", "share_ratio") in labels))
    assert labels["a_b"] == "1;2"


@pytest.mark.parametrize("kind", ["sum", "histogram", "exponential_histogram"])
async def test_deltas_are_refused_and_counted(kind: str) -> None:
    world = World()
    request = export()
    for metric in request.resource_metrics[0].scope_metrics[0].metrics:
        if metric.HasField(kind):
            getattr(metric, kind).aggregation_temporality = 1
    answer = await world.receiver(JSON | PROTOBUF, request.SerializeToString())
    assert answer.status == 200
    assert b"delta temporality is not taken" in answer.body
    assert "share_ratio" in world.values()


async def test_when_nothing_can_be_taken_it_is_a_bad_request() -> None:
    request = otlp.Export()
    request.resource_metrics.add().scope_metrics.add().metrics.add(name="x").sum.data_points.add(as_int=1)
    answer = await World().send(request)
    assert (answer.status, b"not cumulative" in answer.body) == (400, True)
    assert (await World().send(otlp.Export())).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({**PROTOBUF, "content-encoding": "zstd"}, 415),
        ({"content-type": "application/json; charset=utf-8"}, 200),
    ],
)
async def test_media_types(headers: dict[str, str], status: int) -> None:
    assert (await World().receiver(headers, b"{}")).status == status


async def test_damaged_bodies_are_told_as_such() -> None:
    body = export().SerializeToString()
    random = Random(5)
    for size in range(0, len(body), 7):
        assert (await World().receiver(PROTOBUF, body[:size])).status in (200, 400)
    for _ in range(300):
        damaged = bytearray(body)
        for _ in range(3):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        assert (await World().receiver(PROTOBUF, bytes(damaged))).status in (200, 400)
    deep = b""
    for _ in range(200):
        deep = b"\x2a" + bytes([len(deep) & 127 | 128, len(deep) >> 7]) + deep
    for text in (
        b"[]",
        b"{",
        b'{"resourceMetrics": {}}',
        b"[" * 100_000,
        b'{"resourceMetrics":[{"scopeMetrics":[1]}]}',
    ):
        assert (await World().receiver(JSON, text)).status == 400


async def test_points_far_apart_do_not_make_target_info_without_end() -> None:
    world = World()
    request = export()
    request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points.add(time_unix_nano=1, as_int=1)
    await world.send(request)
    times = [t for labels, t, _ in world.appender.samples if ("__name__", "target_info") in labels]
    assert len(times) == 601
    assert times[-1] == T


async def test_a_full_disk_promises_nothing() -> None:
    world = World()
    world.appender.full = True
    assert (await world.send(export())).status == 503


@pytest.mark.needs("prometheus")
async def test_prometheus_makes_the_same_series_of_the_same_request(tmp_path: Path) -> None:
    now = int(time.time()) * 1000
    body = export(now).SerializeToString()
    expression = [("query", '{__name__=~".+"}'), ("time", str(now // 1000))]
    options = ("--web.enable-otlp-receiver",)
    async with ours(tmp_path / "ours") as api, beside(prometheus(tmp_path / "theirs", *options)) as peer:
        receiver = OtlpReceiver(api.parts.appender, SystemClock(), Settings())  # type: ignore[arg-type]
        answer = await receiver(PROTOBUF, body)
        assert answer.status == 200, answer
        url = f"{peer.url}/api/v1/otlp/v1/metrics"
        request = urllib.request.Request(url, body, PROTOBUF)
        with urllib.request.urlopen(request, timeout=30) as told:
            assert told.status == 200
        mine, theirs = (await ask(api, "query", expression))[1], peer.ask("query", expression)[1]
        key = lambda series: sorted(series["metric"].items())  # noqa: E731
        found, wanted = (sorted(each["data"]["result"], key=key) for each in (mine, theirs))
        assert len(wanted) > 15
        assert found == wanted
