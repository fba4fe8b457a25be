"""Data points as samples, native histograms and exemplars. Called by `receiver`; calls `attributes`, `names`. Pure.

As Prometheus' receiver: gauges and sums as they are; histograms as classic ones (or with custom buckets, by a setting);
exponential histograms as native ones; summaries with quantiles. Sums and histograms must be cumulative: deltas are refused,
since adding them up needs a memory that outlives this process.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from styr.metrics.kernels import fmt
from styr.metrics.model.errors import BadData
from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram, Span
from styr.metrics.model.labels import METRIC_NAME, Labels, make
from styr.metrics.model.samples import STALE_BITS, Exemplar, Metadata
from styr.metrics.remote.histograms import MAX_SCHEMA, MIN_SCHEMA, checked, indexes_to_spans
from styr.metrics.remote.otlp.attributes import Source, pairs
from styr.metrics.remote.otlp.messages import CUMULATIVE
from styr.metrics.remote.otlp.names import Settings, metric_name, unit_name
from styr.metrics.remote.proto import Message

STALE = struct.unpack("<d", struct.pack("<q", STALE_BITS))[0]
NO_RECORDED_VALUE = 1
"""Flag: the series has ended."""
ZERO_THRESHOLD = 1e-128
"""Of native histograms made from exponential ones; OTLP's own threshold is not read, as Prometheus does not read it."""
MAX_EXEMPLAR = 128
"""Characters of an exemplar's labels, OpenMetrics' limit."""
TARGET_INFO_EVERY = 150_000
"""Milliseconds between samples of `target_info`: half of the lookback, so that it is found at every time."""
MAX_TARGET_INFO = 600
"""A day of them."""


@dataclass(slots=True)
class Batch:
    """What a request comes to. Samples as three lists of the same length; a value's payload is kept by `stale`."""

    labels: list[Labels] = field(default_factory=list)
    t: list[int] = field(default_factory=list)
    v: list[float] = field(default_factory=list)
    stale: list[int] = field(default_factory=list)
    histograms: list[tuple[Labels, int, Histogram]] = field(default_factory=list)
    exemplars: list[tuple[Labels, Exemplar]] = field(default_factory=list)
    metadata: dict[str, Metadata] = field(default_factory=dict)
    rejected: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, labels: Labels, t: int, value: float, stale: bool = False) -> None:
        if stale:
            self.stale.append(len(self.v))
        self.labels.append(labels)
        self.t.append(t)
        self.v.append(value)

    def refuse(self, points: int, reason: str) -> None:
        self.rejected += points
        if len(self.errors) < 10:
            self.errors.append(reason)


def translate(request: Message, settings: Settings) -> Batch:
    """All of a request. What cannot be translated is counted, the rest goes in."""
    batch = Batch()
    for resource in request["resource_metrics"]:
        try:
            source = Source(resource.get("resource", {}).get("attributes", ()), settings)
        except BadData as error:
            batch.refuse(0, str(error))
            continue
        times: list[int] = []
        for scope in resource["scope_metrics"]:
            source.enter(scope.get("scope", {}), scope.get("schema_url", ""))
            for metric in scope["metrics"]:
                _metric(batch, source, metric, settings, times)
        info = source.target_info()
        if info and times:
            for t in info_times(min(times), max(times)):
                batch.add(info, t, 1.0)
            batch.metadata["target_info"] = Metadata("gauge", "Target metadata", "")
    return batch


def info_times(first: int, last: int) -> list[int]:
    """When `target_info` has samples: from the first point's time on, every now and then, and at the last's. At most
    `MAX_TARGET_INFO`, the newest: two points far apart would otherwise make any number of them."""
    first = max(first, last - MAX_TARGET_INFO * TARGET_INFO_EVERY)
    return [*range(first, last, TARGET_INFO_EVERY), last]


def _metric(batch: Batch, source: Source, metric: Message, settings: Settings, times: list[int]) -> None:
    name = metric.get("name", "")
    kind = next((each for each in _KINDS if each in metric), "")
    points = metric[kind]["data_points"] if kind else []
    try:
        if not points:
            raise BadData(f"metric {name!r} has no data points of a kind that is known")
        if kind not in ("gauge", "summary") and metric[kind].get("aggregation_temporality", 0) != CUMULATIVE:
            raise BadData(f"metric {name!r} is not cumulative; delta temporality is not taken")
        kind_of_name = "gauge" if kind == "gauge" else "counter" if metric.get("sum", {}).get("is_monotonic") else ""
        full = metric_name(name, metric.get("unit", ""), kind_of_name, settings)
    except BadData as error:
        batch.refuse(len(points), str(error))
        return
    batch.metadata[full] = Metadata(
        _type(kind, kind_of_name), metric.get("description", ""), unit_name(metric.get("unit", ""))
    )
    for point in points:
        try:
            t = point.get("time_unix_nano", 0) // 1_000_000
            _KINDS[kind](batch, source.labels(point["attributes"]), full, t, point, settings)
            times.append(t)
        except BadData as error:
            batch.refuse(1, f"{name}: {error}")


def _type(kind: str, name: str) -> str:
    if kind == "sum":
        return "counter" if name == "counter" else "gauge"
    return "histogram" if kind == "exponential_histogram" else kind


def _is_stale(point: Message) -> bool:
    return bool(point.get("flags", 0) & NO_RECORDED_VALUE)


def _named(base: dict[str, str], name: str, *more: tuple[str, str]) -> Labels:
    return make({**base, METRIC_NAME: name, **dict(more)})


def _number(batch: Batch, base: dict[str, str], name: str, t: int, point: Message, _settings: Settings) -> None:
    labels = _named(base, name)
    value = point["as_double"] if "as_double" in point else float(point.get("as_int", 0))
    batch.add(labels, t, value, _is_stale(point))
    batch.exemplars.extend((labels, each) for each in exemplars(point["exemplars"]))


def _classic(batch: Batch, base: dict[str, str], name: str, t: int, point: Message, settings: Settings) -> None:
    if settings.custom_buckets:
        _custom(batch, base, name, t, point)
        return
    stale, count = _is_stale(point), float(point.get("count", 0))
    if "sum" in point:
        batch.add(_named(base, name + "_sum"), t, point["sum"], stale)
    batch.add(_named(base, name + "_count"), t, count, stale)
    found = sorted(exemplars(point["exemplars"]), key=lambda each: each.value)
    totals = accumulate(map(float, point["bucket_counts"]))
    bounds = point["explicit_bounds"][: len(point["bucket_counts"])]
    rows = [(bound, plain(bound), total) for bound, total in zip(bounds, totals, strict=False)]
    for bound, text, total in [*rows, (float("inf"), "+Inf", count)]:
        labels = _named(base, name + "_bucket", ("le", text))
        batch.add(labels, t, total, stale)
        while found and found[0].value <= bound:
            batch.exemplars.append((labels, found.pop(0)))


def _custom(batch: Batch, base: dict[str, str], name: str, t: int, point: Message) -> None:
    counts = point["bucket_counts"]
    spans, buckets = indexes_to_spans({i: float(count) for i, count in enumerate(counts) if count})
    _native(
        batch, base, name, t, point, Histogram(CUSTOM_BUCKETS, custom_values=point["explicit_bounds"]), (spans, buckets)
    )


def _exponential(batch: Batch, base: dict[str, str], name: str, t: int, point: Message, _settings: Settings) -> None:
    scale = point.get("scale", 0)
    if scale < MIN_SCHEMA:
        raise BadData(f"the scale {scale} is below {MIN_SCHEMA}: no native histogram is that coarse")
    shift = max(0, scale - MAX_SCHEMA)
    found = Histogram(min(scale, MAX_SCHEMA), ZERO_THRESHOLD, float(point.get("zero_count", 0)))
    found.negative_spans, found.negative_buckets = _dense(point.get("negative", {}), shift)
    _native(batch, base, name, t, point, found, _dense(point.get("positive", {}), shift))


def _native(
    batch: Batch,
    base: dict[str, str],
    name: str,
    t: int,
    point: Message,
    found: Histogram,
    positive: tuple[list[Span], list[float]],
) -> None:
    labels = _named(base, name)
    found.positive_spans, found.positive_buckets = positive
    found.integer = True
    found.sum, found.count = point.get("sum", 0.0), float(point.get("count", 0))
    if _is_stale(point):
        found = Histogram(found.schema, sum=STALE, integer=True, custom_values=found.custom_values)
    batch.histograms.append((labels, t, checked(found)))
    batch.exemplars.extend((labels, each) for each in exemplars(point["exemplars"]))


def _dense(buckets: Message, shift: int) -> tuple[list[Span], list[float]]:
    """OTLP's bucket i covers (base**i, base**(i+1)], Prometheus' (base**(i-1), base**i]; `shift` halves the resolution that
    often."""
    offset = buckets.get("offset", 0)
    merged: dict[int, float] = {}
    for i, count in enumerate(buckets.get("bucket_counts", ())):
        if count:
            index = ((offset + i) >> shift) + 1
            merged[index] = merged.get(index, 0.0) + float(count)
    return indexes_to_spans(merged)


def _summary(batch: Batch, base: dict[str, str], name: str, t: int, point: Message, _settings: Settings) -> None:
    stale = _is_stale(point)
    batch.add(_named(base, name + "_sum"), t, point.get("sum", 0.0), stale)
    batch.add(_named(base, name + "_count"), t, float(point.get("count", 0)), stale)
    for each in point["quantile_values"]:
        labels = _named(base, name, ("quantile", plain(each.get("quantile", 0.0))))
        batch.add(labels, t, each.get("value", 0.0), stale)


def exemplars(found: Sequence[Message]) -> Iterator[Exemplar]:
    """Trace and span ids as labels, the other attributes when they fit."""
    for each in found:
        ids = {name: each[name].hex() for name in ("trace_id", "span_id") if any(each.get(name, b""))}
        rest = pairs(each["filtered_attributes"])
        size = sum(len(name) + len(value) for name, value in [*ids.items(), *rest.items()])
        labels = make({**rest, **ids} if size <= MAX_EXEMPLAR else ids)
        value = each["as_double"] if "as_double" in each else float(each.get("as_int", 0))
        yield Exemplar(labels, value, each.get("time_unix_nano", 0) // 1_000_000)


def plain(value: float) -> str:
    """A bound or quantile as a label value: shortest, never with an exponent."""
    out, ends = np.zeros(fmt.PLAIN_WIDTH, np.uint8), np.zeros(1, np.int64)
    size = fmt.floats(np.array([value], np.float64).view(np.int64), 1, out, ends)
    return out[:size].tobytes().decode()


_KINDS: dict[str, Callable[[Batch, dict[str, str], str, int, Any, Settings], None]] = {
    "gauge": _number,
    "sum": _number,
    "histogram": _classic,
    "exponential_histogram": _exponential,
    "summary": _summary,
}
