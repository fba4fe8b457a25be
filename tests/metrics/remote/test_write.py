"""Remote write 1.0 and 2.0: what a compliant receiver must do, and what a hostile sender must not achieve."""

from __future__ import annotations

import math
import struct
from random import Random
from typing import Any

import cramjam
import pytest

from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels, make
from styr.metrics.model.samples import STALE_BITS, Exemplar, Metadata
from styr.metrics.remote.write import Answer, WriteReceiver
from tests.metrics.remote.fakes import FakeAppender
from tests.metrics.remote.protos import v1, v2
from tests.metrics.web.fakes import NOW, FixedClock

T = int(NOW * 1000)
V1 = {
    "content-type": "application/x-protobuf",
    "content-encoding": "snappy",
    "x-prometheus-remote-write-version": "0.1.0",
}
V2 = {**V1, "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
UP = {"__name__": "up", "job": "api"}


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


class World:
    def __init__(self) -> None:
        self.appender = FakeAppender()
        self.receiver = WriteReceiver(self.appender, FixedClock(), Random(1))

    async def v1(self, request: Any, **headers: str) -> Answer:
        return await self.receiver({**V1, **headers}, snappy(request.SerializeToString()))

    async def v2(self, request: Any, **headers: str) -> Answer:
        return await self.receiver({**V2, **headers}, snappy(request.SerializeToString()))


def request1(*series: tuple[dict[str, str], list[tuple[int, float]]]) -> Any:
    out = v1.WriteRequest()
    for labels, samples in series:
        made = out.timeseries.add()
        for name, value in labels.items():
            made.labels.add(name=name, value=value)
        for t, value in samples:
            made.samples.add(value=value, timestamp=t)
    return out


class Symbols:
    def __init__(self, request: Any) -> None:
        self.request = request
        request.symbols.append("")

    def __call__(self, *texts: str) -> list[int]:
        for text in texts:
            if text not in self.request.symbols:
                self.request.symbols.append(text)
        known = list(self.request.symbols)
        return [known.index(text) for text in texts]


def request2(*series: tuple[dict[str, str], list[tuple[int, float]]]) -> Any:
    out = v2.Request()
    symbols = Symbols(out)
    for labels, samples in series:
        made = out.timeseries.add()
        made.labels_refs.extend(symbols(*[text for pair in labels.items() for text in pair]))
        for t, value in samples:
            made.samples.add(value=value, timestamp=t, start_timestamp=t - 1000)
    return out


def written(answer: Answer) -> list[int]:
    names = ("samples", "histograms", "exemplars")
    return [int(answer.headers[f"x-prometheus-remote-write-{name}-written"]) for name in names]


async def test_samples_arrive_in_both_versions() -> None:
    many = [({"__name__": "m", "i": str(i), "job": "é"}, [(T, i / 3), (T + 1, math.inf)]) for i in range(300)]
    for version in (1, 2):
        world = World()
        answer = await (world.v1(request1(*many)) if version == 1 else world.v2(request2(*many)))
        assert (answer.status, answer.text) == (204, "")
        assert len(world.appender.samples) == 600
        assert (make(many[7][0]), T, 7 / 3) in world.appender.samples
        assert world.appender.commits == 1
        if version == 2:
            assert written(answer) == [600, 0, 0]
        else:
            assert answer.headers == {}


async def test_repeated_series_are_not_resolved_again_until_the_generation_moves() -> None:
    world = World()
    for step in range(5):
        await world.v1(request1((UP, [(T + step, 1.0)])))
        await world.v2(request2((UP, [(T + step, 1.0)])))
    assert world.appender.resolved == 1
    world.appender.generation += 1
    await world.v1(request1((UP, [(T + 10, 1.0)])))
    assert world.appender.resolved == 2


async def test_thousands_of_series_survive_the_tables_growth() -> None:
    world = World()
    for first in range(0, 5000, 1000):
        await world.v1(
            request1(*[({"__name__": "m", "i": str(i)}, [(T, float(i))]) for i in range(first, first + 1000)])
        )
    assert world.appender.resolved == 5000
    world.appender.samples.clear()
    await world.v2(request2(*[({"__name__": "m", "i": str(i)}, [(T + 1, float(i))]) for i in range(5000)]))
    assert world.appender.resolved == 5000
    assert all(dict(labels)["i"] == str(int(value)) for labels, _, value in world.appender.samples)


async def test_a_series_twice_in_one_request_is_one() -> None:
    world = World()
    await world.v1(request1((UP, [(T, 1.0)]), (UP, [(T + 1, 2.0)])))
    assert len(world.appender.series) == 1
    assert [t for _, t, _ in world.appender.samples] == [T, T + 1]


async def test_staleness_markers_keep_their_bits() -> None:
    world = World()
    stale = struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0]
    body = request1((UP, [(T, stale)])).SerializeToString()
    position = body.index(b"\x09") + 1
    body = body[:position] + struct.pack("<Q", STALE_BITS) + body[position + 8 :]
    await world.receiver(V1, snappy(body))
    assert world.appender.bits == [STALE_BITS]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/x-protobuf", 204),
        ("application/x-protobuf;proto=prometheus.WriteRequest", 204),
        ("application/x-protobuf; proto=prometheus.WriteRequest", 204),
        ("", 204),
        ("application/x-protobuf;proto=unknown.Message", 415),
        ("application/x-protobuf;proto", 415),
        ("application/json", 415),
        ("text/plain", 415),
    ],
)
async def test_content_types(content_type: str, status: int) -> None:
    answer = await World().v1(request1((UP, [(T, 1.0)])), **{"content-type": content_type})
    assert answer.status == status


@pytest.mark.parametrize(("encoding", "status"), [("snappy", 204), ("zstd", 415), ("gzip", 415), ("", 204)])
async def test_content_encodings(encoding: str, status: int) -> None:
    answer = await World().v1(request1((UP, [(T, 1.0)])), **{"content-encoding": encoding})
    assert answer.status == status


@pytest.mark.parametrize(
    "labels",
    [
        {"job": "no name"},
        {"__name__": ""},
        {"__name__": "m", "": "empty name"},
        {},
    ],
)
async def test_wrong_labels_are_refused_and_the_rest_written(labels: dict[str, str]) -> None:
    world = World()
    answer = await world.v2(request2((labels, [(T, 1.0)]), (UP, [(T, 2.0)])))
    assert answer.status == 400
    assert written(answer) == [1, 0, 0]
    assert "series 0" in answer.text
    assert [value for _, _, value in world.appender.samples] == [2.0]
    world = World()
    answer = await world.v1(request1((labels, [(T, 1.0)]), (UP, [(T, 2.0)])))
    assert answer.status == 400
    assert len(world.appender.samples) == 1


async def test_a_label_name_twice_is_refused_and_empty_values_are_no_labels() -> None:
    world = World()
    request = request1((UP, [(T, 1.0)]), ({**UP, "empty": ""}, [(T, 2.0)]))
    request.timeseries[0].labels.add(name="job", value="again")
    assert (await world.v1(request)).status == 400
    assert world.appender.samples == [(make(UP), T, 2.0)]


@pytest.mark.parametrize("refs", [[1, 99], [1, 2, 3], [2**32 - 1, 0], [1]])
async def test_references_to_nothing_are_refused(refs: list[int]) -> None:
    world = World()
    request = request2((UP, [(T, 1.0)]))
    bad = request.timeseries.add()
    bad.labels_refs.extend(refs)
    bad.samples.add(value=1.0, timestamp=T)
    answer = await world.v2(request)
    assert answer.status == 400
    assert written(answer) == [1, 0, 0]


async def test_partial_write_of_samples_out_of_order_or_ahead() -> None:
    world = World()
    await world.v2(request2((UP, [(T, 1.0)])))
    answer = await world.v2(request2((UP, [(T - 1, 2.0), (T + 1, 3.0), (T + 3_600_000, 4.0)])))
    assert answer.status == 400
    assert written(answer) == [1, 0, 0]
    assert "out of order" in answer.text
    assert "too far in the future" in answer.text
    assert 'up{job="api"}' in answer.text


async def test_many_complaints_are_counted_not_listed() -> None:
    world = World()
    answer = await world.v2(request2(*[({"x": str(i)}, [(T, 1.0)]) for i in range(50)]))
    assert len(answer.text.splitlines()) == 11
    assert "and 40 more" in answer.text


async def test_version_2_wants_a_sample_in_each_series() -> None:
    world = World()
    answer = await world.v2(request2((UP, []), ({"__name__": "m"}, [(T, 1.0)])))
    assert answer.status == 400
    assert "neither a sample nor a histogram" in answer.text
    assert written(answer) == [1, 0, 0]
    assert (await world.v1(request1((UP, [])))).status == 204


def fill(histogram: Any, **fields: Any) -> None:
    for name, value in fields.items():
        if name.endswith("_spans"):
            for offset, length in value:
                getattr(histogram, name).add(offset=offset, length=length)
        elif isinstance(value, list):
            getattr(histogram, name).extend(value)
        else:
            setattr(histogram, name, value)


INTEGER = {
    "count_int": 12,
    "sum": 18.4,
    "schema": 1,
    "zero_threshold": 0.001,
    "zero_count_int": 2,
    "positive_spans": [(0, 2), (1, 2)],
    "positive_deltas": [1, 1, -1, 0],
    "negative_spans": [(0, 2), (1, 2)],
    "negative_deltas": [1, 1, -1, 0],
    "timestamp": T,
    "reset_hint": 2,
}
FLOAT = {
    "count_float": 2.5,
    "sum": 1.0,
    "schema": 0,
    "positive_spans": [(-3, 1)],
    "positive_counts": [2.5],
    "timestamp": T,
}
CUSTOM = {
    "count_int": 3,
    "sum": 1.0,
    "schema": -53,
    "positive_spans": [(0, 3)],
    "positive_deltas": [1, 0, 0],
    "custom_values": [0.1, 1.0],
    "timestamp": T,
}


async def histogram_of(fields: dict[str, Any], version: int) -> tuple[Answer, World]:
    world = World()
    request = request1((UP, [])) if version == 1 else request2((UP, []))
    fill(request.timeseries[0].histograms.add(), **fields)
    return await (world.v1(request) if version == 1 else world.v2(request)), world


@pytest.mark.parametrize("version", [1, 2])
async def test_native_histograms(version: int) -> None:
    answer, world = await histogram_of(INTEGER, version)
    assert answer.status == 204, answer.text
    spans = [(0, 2), (1, 2)]
    want = Histogram(1, 0.001, 2.0, 12.0, 18.4, spans, [1.0, 2.0, 1.0, 1.0], spans, [1.0, 2.0, 1.0, 1.0], [], 2, True)
    assert world.appender.histograms == [(make(UP), T, want)]
    answer, world = await histogram_of(FLOAT, version)
    assert answer.status == 204, answer.text
    assert world.appender.histograms[0][2] == Histogram(0, 0.0, 0.0, 2.5, 1.0, [(-3, 1)], [2.5])
    answer, world = await histogram_of(CUSTOM, version)
    assert answer.status == 204, answer.text
    assert world.appender.histograms[0][2].custom_values == [0.1, 1.0]
    if version == 2:
        assert written(answer) == [0, 1, 0]


async def test_a_finer_schema_comes_down_to_8() -> None:
    fields = {**INTEGER, "schema": 9, "positive_spans": [(1, 4)], "count_int": 12}
    _, world = await histogram_of(fields, 1)
    histogram = world.appender.histograms[0][2]
    assert (histogram.schema, histogram.positive_spans, histogram.positive_buckets) == (8, [(1, 2)], [3.0, 2.0])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"count_int": 13}, "observations are in"),
        ({"positive_deltas": [1, 1]}, "spans need 4 buckets"),
        ({"positive_deltas": [1, -3, 1, 1]}, "negative count"),
        ({"positive_spans": [(0, 2), (-1, 2)]}, "before the end"),
        ({"positive_spans": [(0, 2**31), (1, 2)]}, "spans need"),
        ({"schema": 53}, "schema 53"),
        ({"schema": -5}, "schema -5"),
        ({"timestamp": T + 3_600_000}, "too far in the future"),
    ],
)
async def test_histograms_that_do_not_add_up_are_refused(change: dict[str, Any], told: str) -> None:
    answer, world = await histogram_of({**INTEGER, **change}, 2)
    assert answer.status == 400
    assert told in answer.text
    assert world.appender.histograms == []


@pytest.mark.parametrize("bounds", [[1.0, 0.1], [math.nan, 1.0], [0.1, math.inf], [0.1]])
async def test_custom_bounds_must_fit(bounds: list[float]) -> None:
    answer, _ = await histogram_of({**CUSTOM, "custom_values": bounds}, 1)
    assert answer.status == 400


async def test_exemplars_of_both_versions() -> None:
    want = (make(UP), Exemplar((("trace_id", "abc"),), 1.5, T))
    world = World()
    request = request1((UP, [(T, 1.0)]))
    exemplar = request.timeseries[0].exemplars.add(value=1.5, timestamp=T)
    exemplar.labels.add(name="trace_id", value="abc")
    assert (await world.v1(request)).status == 204
    assert world.appender.exemplars == [want]
    world = World()
    request = request2((UP, [(T, 1.0)]))
    refs = Symbols(request)("trace_id", "abc")
    request.timeseries[0].exemplars.add(value=1.5, timestamp=T).labels_refs.extend(refs)
    answer = await world.v2(request)
    assert world.appender.exemplars == [want]
    assert written(answer) == [1, 0, 1]
    request.timeseries[0].exemplars[0].labels_refs[0] = 99
    answer = await World().v2(request)
    assert answer.status == 400
    assert written(answer) == [1, 0, 0]


async def test_metadata_of_both_versions_is_told_once() -> None:
    world = World()
    request = request1((UP, [(T, 1.0)]))
    request.metadata.add(type=1, metric_family_name="requests_total", help="Requests.", unit="")
    await world.v1(request)
    assert world.appender.metadata == {"requests_total": Metadata("counter", "Requests.", "")}
    world = World()
    request = request2(({"__name__": "latency_seconds_bucket", "le": "1"}, [(T, 1.0)]))
    help_ref, unit_ref = Symbols(request)("Latency.", "seconds")
    request.timeseries[0].metadata.type = 3
    request.timeseries[0].metadata.help_ref, request.timeseries[0].metadata.unit_ref = help_ref, unit_ref
    await world.v2(request)
    assert world.appender.metadata == {"latency_seconds": Metadata("histogram", "Latency.", "seconds")}
    world.appender.metadata.clear()
    await world.v2(request)
    assert world.appender.metadata == {}


async def test_a_full_disk_promises_nothing() -> None:
    world = World()
    world.appender.full = True
    answer = await world.v2(request2((UP, [(T, 1.0)])))
    assert answer.status == 503
    assert "x-prometheus-remote-write-samples-written" not in answer.headers


@pytest.mark.parametrize("headers", [V1, V2])
async def test_a_body_cut_anywhere_is_refused_or_a_shorter_request(headers: dict[str, str]) -> None:
    made = request1 if headers is V1 else request2
    whole = made((UP, [(T, 1.0), (T + 1, 2.0)]), ({"__name__": "m", "a": "b" * 200}, [(T, 3.0)]))
    fill(whole.timeseries[0].histograms.add(), **INTEGER)
    body = whole.SerializeToString()
    for size in range(len(body)):
        answer = await World().receiver(headers, snappy(body[:size]))
        assert answer.status in (204, 400), (size, answer)
    compressed = snappy(body)
    for size in range(len(compressed)):
        assert (await World().receiver(headers, compressed[:size])).status == 400, size


@pytest.mark.parametrize("headers", [V1, V2])
async def test_random_bytes_and_flipped_bits_never_break_it(headers: dict[str, str]) -> None:
    random = Random(3)
    made = request1 if headers is V1 else request2
    body = bytearray(made((UP, [(T, 1.0)]), ({"__name__": "m", "a": "b"}, [(T, 3.0)])).SerializeToString())
    receiver = World().receiver
    for _ in range(600):
        damaged = bytearray(body)
        for _ in range(random.randint(1, 4)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        assert (await receiver(headers, snappy(bytes(damaged)))).status in (204, 400)
        assert (await receiver(headers, snappy(random.randbytes(random.randrange(60))))).status in (204, 400)
        assert (await receiver(headers, random.randbytes(random.randrange(60)))).status in (204, 400, 413)


async def test_unknown_fields_are_skipped() -> None:
    world = World()
    body = request1((UP, [(T, 1.0)])).SerializeToString()
    unknown = b"\xf8\x07\x05" + b"\xfa\x07\x03abc" + b"\xfd\x07\x00\x00\x00\x00" + b"\xf9\x07" + bytes(8)
    assert (await world.receiver(V1, snappy(unknown + body + unknown))).status == 204
    assert len(world.appender.samples) == 1


async def test_bombs_are_refused_before_they_go_off() -> None:
    world = World()
    claims = b"\xff\xff\xff\xff\x0f" + b"\x00" * 20
    assert (await world.receiver(V1, claims)).status == 413
    lies = b"\x80\x80\x80\x08" + b"\x00" * 20
    answer = await world.receiver(V1, lies)
    assert (answer.status, "none can hold" in answer.text) == (400, True)
    big = v2.Request()
    big.symbols.extend(["", "__name__", "x" * 1_000_000])
    for _ in range(1000):
        series = big.timeseries.add()
        series.labels_refs.extend([1, 2] * 1)
        series.samples.add(value=1.0, timestamp=T)
    assert (await world.v2(big)).status == 413
    long = v2.Request()
    long.symbols.extend(["", "x" * 10_000])
    long.timeseries.add().labels_refs.extend([1] * 100_000)
    assert (await world.v2(long)).status == 400
    assert world.appender.samples == []


def test_labels_in_any_order_are_one_set() -> None:
    one: Labels = make({"b": "1", "a": "2"})
    assert one == make({"a": "2", "b": "1"})
