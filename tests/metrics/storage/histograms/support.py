"""Sequences of histograms that make every decision of the encoder come up, and a Prometheus that stores them."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cramjam

from styr.metrics.model.histogram import CUSTOM_BUCKETS, GAUGE, RESET, UNKNOWN, Histogram
from styr.metrics.model.labels import Labels
from styr.metrics.storage.histograms.bitstream import float_of
from styr.metrics.storage.histograms.layout import spans_of
from tests.peers.prometheus import prometheus

STALE = float_of(0x7FF0000000000002)
BASE = 1_699_999_200_000
"""A multiple of two hours."""

Sequence_ = list[tuple[int, Histogram]]


def histogram(
    positive: dict[int, float],
    negative: dict[int, float] | None = None,
    *,
    zero: float = 0.0,
    schema: int = 3,
    threshold: float = 2**-128,
    total: float = 0.0,
    hint: int = UNKNOWN,
    integer: bool = True,
    custom: Sequence[float] = (),
) -> Histogram:
    """Of counts by bucket index."""
    below = negative or {}
    return Histogram(
        schema,
        threshold,
        zero,
        sum(positive.values()) + sum(below.values()) + zero,
        total,
        list(spans_of(sorted(positive))),
        [float(positive[i]) for i in sorted(positive)],
        list(spans_of(sorted(below))),
        [float(below[i]) for i in sorted(below)],
        list(custom),
        hint,
        integer,
    )


def stale(integer: bool = True) -> Histogram:
    return Histogram(sum=STALE, integer=integer)


def sequences(integer: bool) -> dict[str, list[Histogram]]:
    """By name. None is so long that a chunk would be cut for its size."""
    kind = {"integer": integer}
    step = 1.0 if integer else 1.25
    h = lambda positive, negative=None, **more: histogram(  # noqa: E731
        {i: n * step for i, n in positive.items()},
        {i: n * step for i, n in (negative or {}).items()},
        **{**kind, **more},
    )
    bounds = (0.005, 0.01, 1.0, 33554.43, 33554.431, 1e9)
    return {
        "steady": [h({0: k, 1: 2 * k}, {2: k}, zero=k * step, total=k * 1.5) for k in range(1, 9)],
        "more buckets": [h({0: k, 5: k}) for k in (1, 2)]
        + [h({-2: 1, 0: k, 3: 1, 5: k, 9: k}, {1: 1}) for k in (3, 4)],
        "empty buckets go": [h({0: 1, 2: 0, 4: 3}), h({0: 2, 4: 3}), h({0: 2, 3: 7, 4: 3}), h({0: 3, 4: 4})],
        "both ways at once": [h({0: 1, 2: 0}, {5: 0}), h({0: 1, 7: 2}, {1: 1}), h({0: 2, 2: 1, 7: 2}, {1: 1, 5: 1})],
        "count goes back": [h({0: 5}), h({0: 4}), h({0: 6})],
        "a bucket goes back": [h({0: 5, 1: 1}), h({0: 4, 1: 9}), h({0: 6, 1: 9})],
        "a bucket is gone": [h({0: 5, 1: 1}), h({0: 9}), h({0: 10})],
        "the zero bucket goes back": [h({0: 5}, zero=3.0), h({0: 9}, zero=2.0)],
        "told of a reset": [h({0: 1}), h({0: 2}, hint=RESET), h({0: 3})],
        "schema": [h({0: 1}), h({0: 2}, schema=4), h({0: 1}, schema=4), h({0: 3}, schema=-4)],
        "threshold": [h({0: 1}), h({0: 2}, threshold=0.001), h({0: 3}, threshold=0.0), h({0: 4}, threshold=2.0)],
        "odd thresholds": [h({0: 1}, threshold=t) for t in (2**-243, 2**-244, 1024.0, 2048.0, 0.3)],
        "stale": [h({0: 1}), stale(**kind), stale(**kind), h({0: 2}), h({0: 3}), stale(**kind)],
        "stale first": [stale(**kind), h({0: 2}), h({0: 3})],
        "gauge": [h({0: n, i: 1}, {-i: n}, hint=GAUGE) for n, i in ((3, 1), (1, 5), (2, 2), (9, 1))],
        "gauge stale": [h({0: 3}, hint=GAUGE), replace(stale(**kind), counter_reset_hint=GAUGE), h({0: 1}, hint=GAUGE)],
        "gauge and counter": [h({0: 3}, hint=GAUGE), h({0: 4}), h({0: 5}), h({0: 4}, hint=GAUGE), h({0: 9})],
        "gauge schema": [h({0: 3}, hint=GAUGE), h({0: 3}, hint=GAUGE, schema=1)],
        "custom": [h({0: k, 3: k}, schema=CUSTOM_BUCKETS, threshold=0.0, custom=bounds) for k in (1, 2, 5)],
        "other custom": [
            h({0: k}, schema=CUSTOM_BUCKETS, threshold=0.0, custom=c)
            for k, c in ((1, bounds), (2, (1.0,)), (3, (1.0,)))
        ],
        "big numbers": [h({0: n, 1: n}, zero=n, total=n * 1e290) for n in (2.0**20, 2.0**40, 2.0**50)],
        "odd sums": [h({0: k}, total=t) for k, t in enumerate((0.0, -0.0, float("inf"), float("nan"), 1e-300, -5.0))],
    }


def series_of(integer: bool, irregular: int) -> dict[str, Sequence_]:
    """The sequences with times; `irregular` seeds what the steps vary by. All end with one that begins a chunk of its own:
    Prometheus encodes the newest chunk of a series anew for a snapshot, and forgets its flags."""
    choose = random.Random(irregular)
    made: dict[str, Sequence_] = {}
    for name, histograms in sequences(integer).items():
        t = BASE
        made[name] = []
        for each in [*histograms, histogram({0: 1}, schema=-2, threshold=7.0, integer=integer)]:
            t += 15_000 + (choose.choice([0, 1, -40, 900, 60_000]) if irregular else 0)
            made[name].append((t, each))
    return made


# --- Prometheus -------------------------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _number(field: int, data: bytes) -> bytes:
    return _varint(field << 3) + data


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _doubles(field: int, values: Sequence[float]) -> bytes:
    return _bytes(field, b"".join(struct.pack("<d", v) for v in values)) if values else b""


def _deltas(field: int, counts: Sequence[float]) -> bytes:
    deltas = [int(b) - int(a) for a, b in zip([0.0, *counts], counts, strict=False)]
    return _bytes(field, b"".join(map(_zigzag, deltas))) if deltas else b""


def _message(t: int, h: Histogram) -> bytes:
    """prometheus.Histogram of remote write 1.0."""
    spans = {8: h.negative_spans, 11: h.positive_spans}
    body = _double(3, h.sum) + _number(4, _zigzag(h.schema)) + _double(5, h.zero_threshold)
    for field, each in spans.items():
        for offset, length in each:
            body += _bytes(field, _number(1, _zigzag(offset)) + _number(2, _varint(length)))
    if h.integer:
        body += _number(1, _varint(int(h.count))) + _number(6, _varint(int(h.zero_count)))
        body += _deltas(9, h.negative_buckets) + _deltas(12, h.positive_buckets)
    else:
        body += _double(2, h.count) + _double(7, h.zero_count)
        body += _doubles(10, h.negative_buckets) + _doubles(13, h.positive_buckets)
    return body + _number(14, _varint(h.counter_reset_hint)) + _number(15, _varint(t)) + _doubles(16, h.custom_values)


def write_request(series: dict[Labels, Sequence_]) -> bytes:
    request = b""
    for labels, samples in series.items():
        body = b"".join(_bytes(1, _bytes(1, name.encode()) + _bytes(2, value.encode())) for name, value in labels)
        body += b"".join(_bytes(4, _message(t, h)) for t, h in samples)
        request += _bytes(1, body)
    return bytes(cramjam.snappy.compress_raw(request))


def stored(directory: Path, series: dict[Labels, Sequence_]) -> Path:
    """Lets Prometheus store the series; returns the folder with the block that it made of them."""
    with prometheus(directory / "data", "--web.enable-remote-write-receiver", "--web.enable-admin-api") as peer:
        for k in range(max(map(len, series.values()))):
            row = {labels: samples[k : k + 1] for labels, samples in series.items() if k < len(samples)}
            peer.remote_write(write_request(row))
        name = peer.ask("admin/tsdb/snapshot", method="POST")[1]["data"]["name"]
        return directory / "data" / "snapshots" / name
