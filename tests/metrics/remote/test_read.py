"""Remote read: samples and chunks for Google's protobuf library, and for a real Prometheus that asks us."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import pytest

from styr.metrics.kernels.crc import crc32c
from styr.metrics.kernels.xor import xor_decode
from styr.metrics.model.labels import Labels
from styr.metrics.remote.read import RemoteRead
from styr.serving import http
from styr.serving.authn import ADMIN
from tests.metrics.remote.protos import v1
from tests.metrics.web.peer import START, make_block, ours, samples
from tests.peers.prometheus import beside, prometheus


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


def question(*matchers: tuple[int, str, str], accept: tuple[int, ...] = ()) -> bytes:
    request = v1.ReadRequest()
    query = request.queries.add(start_timestamp_ms=START * 1000, end_timestamp_ms=(START + 3600) * 1000)
    for kind, name, value in matchers:
        query.matchers.add(type=kind, name=name, value=value)
    request.accepted_response_types.extend(accept)
    return snappy(request.SerializeToString())


def wanted(name: str) -> dict[Labels, list[tuple[int, float]]]:
    found: dict[Labels, list[tuple[int, float]]] = {}
    for labels, t, value in samples():
        if dict(labels)["__name__"] == name and t <= (START + 3600) * 1000:
            found.setdefault(labels, []).append((t, value))
    return found


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("read") / "data"
    make_block(made)
    return made


async def ask(folder: Path, body: bytes, **external: str) -> Any:
    async with ours(folder) as api:
        assert api.parts.querier is not None
        answer = RemoteRead(external)(api.parts.querier, body, never)
        answer.body += b"".join(answer.rest or ())
        return answer


async def test_samples(folder: Path) -> None:
    answer = await ask(folder, question((0, "__name__", "temp"), (2, "instance", "a.*|b.*")), site="x")
    assert answer.headers == {"content-type": "application/x-protobuf", "content-encoding": "snappy"}
    response = v1.ReadResponse.FromString(bytes(cramjam.snappy.decompress_raw(answer.body)))
    series = response.results[0].timeseries
    assert [{each.name: each.value for each in one.labels}["site"] for one in series] == ["x", "x"]
    for one in series:
        labels = tuple((each.name, each.value) for each in one.labels if each.name != "site")
        assert [(s.timestamp, s.value) for s in one.samples] == wanted("temp")[labels]


def frames(body: bytes) -> Iterator[Any]:
    at = 0
    while at < len(body):
        size = shift = 0
        while True:
            size |= (body[at] & 127) << shift
            shift += 7
            at += 1
            if body[at - 1] < 128:
                break
        (checksum,) = struct.unpack(">I", body[at : at + 4])
        data = body[at + 4 : at + 4 + size]
        assert int(crc32c(np.frombuffer(data, np.uint8), 0, size)) == checksum
        at += 4 + size
        yield v1.ChunkedReadResponse.FromString(data)


async def test_chunks(folder: Path) -> None:
    answer = await ask(folder, question((0, "__name__", "requests_total"), accept=(1, 0)))
    assert "ChunkedReadResponse" in answer.headers["content-type"]
    found: dict[Labels, list[tuple[int, float]]] = {}
    for frame in frames(answer.body):
        series = frame.chunked_series[0]
        labels = tuple((each.name, each.value) for each in series.labels)
        for chunk in series.chunks:
            assert chunk.type == 1
            data = np.frombuffer(chunk.data + bytes(16), np.uint8)
            t, v = np.zeros(200, np.int64), np.zeros(200, np.int64)
            count = int(xor_decode(data, 0, len(chunk.data), t, v, 0))
            assert (chunk.min_time_ms, chunk.max_time_ms) == (t[0], t[count - 1])
            found.setdefault(labels, []).extend(
                zip(t[:count].tolist(), v[:count].view(np.float64).tolist(), strict=True)
            )
    assert found == wanted("requests_total")


async def test_external_labels_mean_ourselves(folder: Path) -> None:
    body = question((0, "__name__", "up"), (0, "site", "x"))
    response = await ask(folder, body, site="x")
    assert (
        len(v1.ReadResponse.FromString(bytes(cramjam.snappy.decompress_raw(response.body))).results[0].timeseries) == 3
    )
    response = await ask(folder, body, site="y")
    assert not v1.ReadResponse.FromString(bytes(cramjam.snappy.decompress_raw(response.body))).results[0].timeseries


async def test_bad_requests(folder: Path) -> None:
    body = question((0, "__name__", "up"))
    bad = [body[:size] for size in range(len(body))]
    bad += [question((9, "a", "b")), question((2, "a", "(")), question((0, "a", "b"), accept=(7,)), b"\xff" * 40]
    async with ours(folder) as api:
        assert api.parts.querier is not None
        for each in bad:
            assert RemoteRead({})(api.parts.querier, each, never).status == 400
        assert RemoteRead({}, limit=10)(api.parts.querier, body, never).status == 400


async def test_a_reader_that_goes_ends_the_stream(folder: Path) -> None:
    gone = False
    async with ours(folder) as api:
        assert api.parts.querier is not None
        answer = RemoteRead({})(api.parts.querier, question((2, "__name__", ".+"), accept=(1,)), lambda: gone)
        assert answer.rest is not None
        assert next(answer.rest)
        gone = True
        assert len(list(answer.rest)) < 60


CONFIG = """
remote_read: [{url: "http://127.0.0.1:%d/api/v1/read", read_recent: true}]
"""


@pytest.mark.needs("prometheus")
@pytest.mark.parametrize("name", ["temp", "special", "latency_bucket"])
async def test_a_real_prometheus_reads_from_us(folder: Path, tmp_path: Path, name: str) -> None:
    async with ours(folder) as api:
        server = await http.serve(
            api, tls=None, authenticate=lambda _headers, _certificate: ADMIN, streaming_prefixes=("/api",)
        )
        try:
            async with beside(prometheus(tmp_path / "reader", config=CONFIG % server.port)) as peer:
                pairs = [("query", f"{name}[1h]"), ("time", str(START + 3600))]
                status, answer = await asyncio.to_thread(peer.ask, "query", pairs)
        finally:
            await server.close()
    assert status == 200, answer
    found = {tuple(series["metric"].items()): series["values"] for series in answer["data"]["result"]}
    assert found.keys() == wanted(name).keys()
    for labels, values in wanted(name).items():
        shown = [[t, value] for t, value in values if t > START * 1000]
        assert [round(t * 1000) for t, _ in found[labels]] == [t for t, _ in shown]
        for (_, text), (_, value) in zip(found[labels], shown, strict=True):
            assert np.float64(text).view(np.int64) == np.float64(value).view(np.int64) or text == "NaN"
