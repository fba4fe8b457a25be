"""Remote read: what another Prometheus asks this one for, as samples or as chunks in a stream.

Called by `web/write.py` in a worker thread; calls the storage's querier and `kernels`. Messages: prometheus
`prompb/remote.proto`. Chunks are made anew of the samples, 120 in each: so deletes and overlaps need no care here, and a
frame is never half deleted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from styr.metrics.kernels import wire
from styr.metrics.kernels.crc import crc32c
from styr.metrics.kernels.xor import MOST_BYTES_PER_SAMPLE, xor_encode
from styr.metrics.model.errors import BadData, MetricsError, QueryCanceled
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels
from styr.metrics.model.matchers import Matcher, Operator
from styr.metrics.model.samples import Batch, Querier
from styr.metrics.remote.histograms import HISTOGRAM
from styr.metrics.remote.proto import BYTES, INT, STRING, UINT, Field, Message, Table, chunk, decode, encode, varint
from styr.metrics.remote.snappy import compress, decompress
from styr.metrics.storage.chunkset import XOR
from styr.metrics.storage.histograms.encoder import encode as encode_histograms

SAMPLE_LIMIT = 50_000_000
PER_CHUNK = 120
FRAME = 1 << 20
"""Bytes of chunks in one frame, about."""

MATCHER: Table = {1: Field("type", UINT), 2: Field("name", STRING), 3: Field("value", STRING)}
QUERY: Table = {1: Field("start", INT), 2: Field("end", INT), 3: Field("matchers", lambda: MATCHER, True)}
REQUEST: Table = {1: Field("queries", lambda: QUERY, True), 2: Field("accepted", UINT, True)}
LABEL: Table = {1: Field("name", STRING), 2: Field("value", STRING)}
CHUNK: Table = {1: Field("min_time", INT), 2: Field("max_time", INT), 3: Field("type", UINT), 4: Field("data", BYTES)}
SAMPLES, CHUNKS = 0, 1
OPERATORS: tuple[Operator, ...] = ("=", "!=", "=~", "!~")


@dataclass(slots=True)
class Answer:
    """`rest` goes on where `body` ends, frame by frame; each is made when it is asked for, and may raise MetricsError."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    rest: Iterator[bytes] | None = None


class RemoteRead:
    """`external` are the labels that tell this server from others; a question that names them means its own series."""

    def __init__(self, external: Mapping[str, str], *, limit: int = SAMPLE_LIMIT) -> None:
        self._external = dict(external)
        self._limit = limit

    def __call__(self, querier: Querier, body: bytes, canceled: Callable[[], bool]) -> Answer:
        """Never raises for what a client does."""
        try:
            request = decode(memoryview(decompress(body)), REQUEST)
            accepted = request["accepted"] or [SAMPLES]
            kind = next((each for each in accepted if each in (SAMPLES, CHUNKS)), None)
            if kind is None:
                raise BadData(f"none of the response types {accepted} is supported; {SAMPLES} and {CHUNKS} are")
            queries = [(query, self._matchers(query)) for query in request["queries"]]
            if kind == CHUNKS:
                frames = self._frames(querier, queries, canceled)
                first = next(frames, b"")
                media = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
                return Answer(200, first, {"content-type": media}, frames)
            results = [chunk(1, b"".join(self._result(querier, *query, canceled))) for query in queries]
            headers = {"content-type": "application/x-protobuf", "content-encoding": "snappy"}
            return Answer(200, compress(b"".join(results)), headers)
        except QueryCanceled:
            raise
        except BadData as error:
            return Answer(400, f"{error}\n".encode(), {"content-type": "text/plain; charset=utf-8"})
        except MetricsError as error:
            return Answer(500, f"{error}\n".encode(), {"content-type": "text/plain; charset=utf-8"})

    def _matchers(self, query: Message) -> list[Matcher]:
        """Raises BadData."""
        found = []
        for each in query["matchers"]:
            kind, name, value = each.get("type", 0), each.get("name", ""), each.get("value", "")
            if kind >= len(OPERATORS):
                raise BadData(f"matcher type {kind} is unknown")
            ours = kind == 0 and name in self._external and self._external[name] == value
            found.append(Matcher(OPERATORS[kind], name, "" if ours else value))
        return found

    def _series(
        self, querier: Querier, query: Message, matchers: Sequence[Matcher], canceled: Callable[[], bool]
    ) -> Iterator[tuple[bytes, Batch, int, int]]:
        """(labels as field 1, batch, first and last sample in it) of each series that has samples. Raises BadData beyond the
        limit."""
        selection = querier.select(matchers, query.get("start", 0), query.get("end", 0))
        count = 0
        for batch in selection.batches():
            if canceled():
                raise QueryCanceled("the client has gone")
            count += len(batch.t)
            if count > self._limit:
                raise BadData(f"exceeded sample limit ({self._limit})")
            for i, (low, high) in enumerate(itertools.pairwise(batch.offsets.tolist())):
                if high > low:
                    yield self._labels(selection.frame.labels(batch.first + i)), batch, low, high

    def _labels(self, labels: Labels) -> bytes:
        pairs = {**self._external, **dict(labels)}
        return b"".join(chunk(1, encode({"name": n, "value": v}, LABEL)) for n, v in sorted(pairs.items()))

    def _result(
        self, querier: Querier, query: Message, matchers: Sequence[Matcher], canceled: Callable[[], bool]
    ) -> Iterator[bytes]:
        """QueryResult: field 1 for each series."""
        for labels, batch, low, high in self._series(querier, query, matchers, canceled):
            if not batch.histograms:
                yield chunk(1, labels + _samples(batch, low, high))
                continue
            floats = [_samples(batch, i, i + 1) for i in range(low, high) if i not in batch.histograms]
            found = [
                chunk(4, histogram_message(int(batch.t[i]), batch.histograms[i]))
                for i in range(low, high)
                if i in batch.histograms
            ]
            yield chunk(1, labels + b"".join([*floats, *found]))

    def _frames(
        self, querier: Querier, queries: Sequence[tuple[Message, list[Matcher]]], canceled: Callable[[], bool]
    ) -> Iterator[bytes]:
        """Each: length, CRC-32C (big endian), ChunkedReadResponse of one series."""
        for number, (query, matchers) in enumerate(queries):
            for labels, batch, low, high in self._series(querier, query, matchers, canceled):
                held: list[bytes] = []
                for each in _chunks(batch, low, high):
                    held.append(chunk(2, encode(each, CHUNK)))
                    if sum(map(len, held)) > FRAME:
                        yield _frame(labels, held, number)
                        held = []
                if held:
                    yield _frame(labels, held, number)


def _frame(labels: bytes, chunks: Sequence[bytes], query: int) -> bytes:
    body = chunk(1, labels + b"".join(chunks)) + (b"\x10" + varint(query) if query else b"")
    checksum = crc32c(np.frombuffer(body, np.uint8), 0, len(body))
    return varint(len(body)) + int(checksum).to_bytes(4, "big") + body


def _samples(batch: Batch, low: int, high: int) -> bytes:
    out = np.empty(22 * (high - low), np.uint8)
    size = wire.write_samples(batch.t, batch.v.view(np.int64), low, high, out)
    return out[:size].tobytes()


def _chunks(batch: Batch, low: int, high: int) -> Iterator[Message]:
    """Runs of floats and runs of histograms, at most `PER_CHUNK` samples each."""
    bits = batch.v.view(np.int64)
    at = low
    while at < high:
        if batch.histograms and at in batch.histograms:
            stop = at + 1
            while stop < min(high, at + PER_CHUNK) and stop in batch.histograms:
                stop += 1
            yield from _histogram_chunks(batch, at, stop)
        else:
            stop = min(high, at + PER_CHUNK)
            if batch.histograms:
                stop = next((i for i in range(at, stop) if i in batch.histograms), stop)
            out = np.zeros(MOST_BYTES_PER_SAMPLE * (stop - at) + 32, np.uint8)
            size = xor_encode(batch.t, bits, at, stop, out, 0)
            yield _chunk(int(batch.t[at]), int(batch.t[stop - 1]), XOR, out[:size].tobytes())
        at = stop


def _histogram_chunks(batch: Batch, low: int, high: int) -> Iterator[Message]:
    times = batch.t[low:high].tolist()
    for each in encode_histograms(times, [batch.histograms[i] for i in range(low, high)]):
        yield _chunk(each.mint, each.maxt, each.encoding, each.data())


def _chunk(low: int, high: int, encoding: int, data: bytes) -> Message:
    return {"min_time": low, "max_time": high, "type": encoding, "data": data}


def histogram_message(t: int, found: Histogram) -> bytes:
    """A histogram as remote write and remote read carry it."""
    message: dict[str, Any] = {
        "sum": found.sum,
        "schema": found.schema,
        "zero_threshold": found.zero_threshold,
        "reset_hint": found.counter_reset_hint,
        "timestamp": t,
        "custom_values": found.custom_values,
    }
    suffix = "int" if found.integer else "float"
    as_number = int if found.integer else float
    message[f"count_{suffix}"] = as_number(found.count)
    message[f"zero_count_{suffix}"] = as_number(found.zero_count)
    for side, spans, buckets in (
        ("negative", found.negative_spans, found.negative_buckets),
        ("positive", found.positive_spans, found.positive_buckets),
    ):
        message[f"{side}_spans"] = [{"offset": offset, "length": length} for offset, length in spans]
        if found.integer:
            deltas = [int(b - a) for a, b in itertools.pairwise([0.0, *buckets])]
            message[f"{side}_deltas"] = deltas
        else:
            message[f"{side}_counts"] = buckets
    return encode(message, HISTOGRAM)
