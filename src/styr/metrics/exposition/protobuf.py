"""The protobuf exposition: length-delimited io.prometheus.client.MetricFamily messages, with native histograms.

Called by `parse`. Messages and field numbers: github.com/prometheus/client_model (metrics.proto) as of Prometheus 3.14, in
`_FIELDS`; the google.protobuf library decodes. What becomes of each message: Prometheus' model/textparse/protobufparse.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from styr.metrics.exposition.classic import Collector, compact
from styr.metrics.exposition.entry import NO_TIME, Exposition, ExpositionError, Family, Sample
from styr.metrics.exposition.numbers import openmetrics_float
from styr.metrics.model.histogram import GAUGE, UNKNOWN, Histogram, Span
from styr.metrics.model.labels import METRIC_NAME, Labels, make
from styr.metrics.model.samples import Exemplar

_FIELDS: dict[str, tuple[tuple[str, int, str], ...]] = {
    "LabelPair": (("name", 1, "string"), ("value", 2, "string")),
    "Timestamp": (("seconds", 1, "int64"), ("nanos", 2, "int32")),
    "Gauge": (("value", 1, "double"),),
    "Counter": (("value", 1, "double"), ("exemplar", 2, "Exemplar"), ("start_timestamp", 3, "Timestamp")),
    "Quantile": (("quantile", 1, "double"), ("value", 2, "double")),
    "Summary": (
        ("sample_count", 1, "uint64"),
        ("sample_sum", 2, "double"),
        ("quantile", 3, "*Quantile"),
        ("start_timestamp", 4, "Timestamp"),
    ),
    "Untyped": (("value", 1, "double"),),
    "Histogram": (
        ("sample_count", 1, "uint64"),
        ("sample_sum", 2, "double"),
        ("bucket", 3, "*Bucket"),
        ("sample_count_float", 4, "double"),
        ("schema", 5, "sint32"),
        ("zero_threshold", 6, "double"),
        ("zero_count", 7, "uint64"),
        ("zero_count_float", 8, "double"),
        ("negative_span", 9, "*BucketSpan"),
        ("negative_delta", 10, "*sint64"),
        ("negative_count", 11, "*double"),
        ("positive_span", 12, "*BucketSpan"),
        ("positive_delta", 13, "*sint64"),
        ("positive_count", 14, "*double"),
        ("start_timestamp", 15, "Timestamp"),
        ("exemplars", 16, "*Exemplar"),
    ),
    "Bucket": (
        ("cumulative_count", 1, "uint64"),
        ("upper_bound", 2, "double"),
        ("exemplar", 3, "Exemplar"),
        ("cumulative_count_float", 4, "double"),
    ),
    "BucketSpan": (("offset", 1, "sint32"), ("length", 2, "uint32")),
    "Exemplar": (("label", 1, "*LabelPair"), ("value", 2, "double"), ("timestamp", 3, "Timestamp")),
    "Metric": (
        ("label", 1, "*LabelPair"),
        ("gauge", 2, "Gauge"),
        ("counter", 3, "Counter"),
        ("summary", 4, "Summary"),
        ("untyped", 5, "Untyped"),
        ("timestamp_ms", 6, "int64"),
        ("histogram", 7, "Histogram"),
    ),
    "MetricFamily": (
        ("name", 1, "string"),
        ("help", 2, "string"),
        ("type", 3, "int32"),
        ("metric", 4, "*Metric"),
        ("unit", 5, "string"),
    ),
}
"""By message: (field, number, type); `*` repeats."""

_KINDS = ("counter", "gauge", "summary", "unknown", "histogram", "gaugehistogram")
"""MetricType by number."""

_MOST_BUCKETS = 1 << 16


def message_class(name: str) -> Any:
    """The class of a message of `_FIELDS`, for decoding and, in tests, for encoding."""
    return _classes()[name]


@cache
def _classes() -> dict[str, Any]:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="styr/exposition.proto", package="styr.exposition", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            made = message.field.add(name=field, number=number)
            made.label = kinds.LABEL_REPEATED if kind.startswith("*") else kinds.LABEL_OPTIONAL
            kind = kind.removeprefix("*")
            if kind in _FIELDS:
                made.type, made.type_name = kinds.TYPE_MESSAGE, f".styr.exposition.{kind}"
            else:
                made.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"styr.exposition.{name}")) for name in _FIELDS
    }


def parse(body: bytes, native: bool, classic: bool, convert: bool) -> Exposition:
    """Every family. `native`: take native histograms; `classic`: their classic parts too; `convert`: make native ones of
    classic ones. Raises ExpositionError."""
    result = Exposition(by_line=False)
    for family in _families(body):
        name = family.name
        if not name:
            raise ExpositionError("invalid metric name: ''")
        if not 0 <= family.type < len(_KINDS):
            raise ExpositionError(f"unknown metric type for metric {name!r}: {family.type}")
        if not family.metric:
            continue
        kind = _KINDS[family.type]
        result.families[name] = Family(kind, family.help, family.unit or None)
        reader = _Reader(name, kind, native, classic, convert)
        for metric in family.metric:
            reader.read(metric, result.samples)
    return result


def _families(body: bytes) -> Iterator[Any]:
    from google.protobuf.message import DecodeError

    decode = message_class("MetricFamily").FromString
    view, at = memoryview(body), 0
    while at < len(view):
        length, at = _length(view, at)
        if length > len(view) - at:
            raise ExpositionError(f"a message of {length} bytes is cut off after {len(view) - at}")
        try:
            yield decode(view[at : at + length])
        except DecodeError as error:
            raise ExpositionError(f"no valid MetricFamily at byte {at}: {error}") from None
        at += length


def _length(view: memoryview, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while at < len(view) and shift < 35:
        byte = view[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ExpositionError("invalid length of a message")


class _Reader:
    """The metrics of one family."""

    def __init__(self, name: str, kind: str, native: bool, classic: bool, convert: bool) -> None:
        self._name, self._kind = name, kind
        self._native, self._classic, self._convert = native, classic, convert

    def read(self, metric: Any, samples: list[Sample]) -> None:
        labels = {pair.name: pair.value for pair in metric.label}
        if len(labels) != len(metric.label) or "" in labels:
            raise ExpositionError(f"metric {self._name!r}: a label name is empty or there twice")
        t = metric.timestamp_ms or None
        if self._kind in ("histogram", "gaugehistogram"):
            self._histogram(metric.histogram, labels, t, samples)
        elif self._kind == "summary":
            self._summary(metric.summary, labels, t, samples)
        else:
            part = {"counter": metric.counter, "gauge": metric.gauge}.get(self._kind, metric.untyped)
            sample = Sample(self._labels(labels, ""), part.value, t)
            if self._kind == "counter":
                sample.exemplars = _exemplars([part.exemplar] if part.HasField("exemplar") else [])
                sample.created = _created(part)
            samples.append(sample)

    def _labels(self, labels: dict[str, str], suffix: str, **more: str) -> Labels:
        return make({**labels, METRIC_NAME: self._name + suffix, **more})

    def _summary(self, summary: Any, labels: dict[str, str], t: int | None, samples: list[Sample]) -> None:
        created = _created(summary)
        samples.append(Sample(self._labels(labels, "_count"), float(summary.sample_count), t, created=created))
        samples.append(Sample(self._labels(labels, "_sum"), summary.sample_sum, t, created=created))
        for each in summary.quantile:
            named = self._labels(labels, "", quantile=openmetrics_float(each.quantile))
            samples.append(Sample(named, each.value, t, created=created))

    def _histogram(self, part: Any, labels: dict[str, str], t: int | None, samples: list[Sample]) -> None:
        created = _created(part)
        if self._native and _is_native(part):
            histogram = _native(part, self._name, self._kind)
            exemplars = _exemplars(part.exemplars or [b.exemplar for b in part.bucket if b.HasField("exemplar")])
            timed = tuple(each for each in exemplars if each.t != NO_TIME)
            samples.append(Sample(self._labels(labels, ""), 0.0, t, histogram, timed, created))
            if self._classic and part.bucket:
                self._series(part, labels, t, created, samples)
            return
        if not self._convert or self._classic:
            self._series(part, labels, t, created, samples)
        if self._convert:
            self._converted(part, labels, t, created, samples)

    def _series(self, part: Any, labels: dict[str, str], t: int | None, created: int, samples: list[Sample]) -> None:
        count = part.sample_count_float or float(part.sample_count)
        samples.append(Sample(self._labels(labels, "_count"), count, t, created=created))
        samples.append(Sample(self._labels(labels, "_sum"), part.sample_sum, t, created=created))
        for bucket in part.bucket:
            named = self._labels(labels, "_bucket", le=openmetrics_float(bucket.upper_bound))
            value = bucket.cumulative_count_float or float(bucket.cumulative_count)
            exemplars = _exemplars([bucket.exemplar] if bucket.HasField("exemplar") else [])
            samples.append(Sample(named, value, t, exemplars=exemplars, created=created))
            if bucket.upper_bound == float("inf"):
                return
        samples.append(Sample(self._labels(labels, "_bucket", le="+Inf"), count, t, created=created))

    def _converted(self, part: Any, labels: dict[str, str], t: int | None, created: int, samples: list[Sample]) -> None:
        collector = Collector()
        collector.total(part.sample_count_float or float(part.sample_count))
        collector.sum = part.sample_sum
        for bucket in part.bucket:
            collector.bucket(bucket.upper_bound, bucket.cumulative_count_float or float(bucket.cumulative_count))
        histogram = collector.histogram()
        if histogram is None:
            raise ExpositionError(f"histogram {self._name!r}: its buckets do not fit together")
        if self._kind == "gaugehistogram":
            histogram.counter_reset_hint = GAUGE
        exemplars = _exemplars([bucket.exemplar for bucket in part.bucket if bucket.HasField("exemplar")])
        timed = tuple(each for each in exemplars if each.t != NO_TIME)
        samples.append(Sample(self._labels(labels, ""), 0.0, t, histogram, timed, created))


def _is_native(part: Any) -> bool:
    return bool(part.positive_span or part.negative_span or part.zero_threshold > 0 or part.zero_count > 0)


def _native(part: Any, name: str, kind: str) -> Histogram:
    floats = part.sample_count_float > 0 or part.zero_count_float > 0
    positive_spans, positive = _side(
        part.positive_span, part.positive_count if floats else part.positive_delta, floats, f"{name!r}: positive"
    )
    negative_spans, negative = _side(
        part.negative_span, part.negative_count if floats else part.negative_delta, floats, f"{name!r}: negative"
    )
    return Histogram(
        schema=part.schema,
        zero_threshold=part.zero_threshold,
        zero_count=part.zero_count_float if floats else float(part.zero_count),
        count=part.sample_count_float if floats else float(part.sample_count),
        sum=part.sample_sum,
        positive_spans=positive_spans,
        positive_buckets=positive,
        negative_spans=negative_spans,
        negative_buckets=negative,
        counter_reset_hint=GAUGE if kind == "gaugehistogram" else UNKNOWN,
        integer=not floats,
    )


def _side(spans: Any, numbers: Any, floats: bool, what: str) -> tuple[list[Span], list[float]]:
    total = sum(span.length for span in spans)
    if total != len(numbers):
        raise ExpositionError(f"histogram {what} side: spans require {total} buckets, have {len(numbers)}")
    if total > _MOST_BUCKETS:
        raise ExpositionError(f"histogram {what} side: {total} buckets; at most {_MOST_BUCKETS}")
    counts: list[float] = list(numbers)
    if not floats:
        value = 0
        for place, delta in enumerate(numbers):
            value += delta
            counts[place] = float(value)
    return compact([(span.offset, span.length) for span in spans], counts, 0)


def _exemplars(found: Any) -> tuple[Exemplar, ...]:
    return tuple(
        Exemplar(
            tuple(sorted((pair.name, pair.value) for pair in each.label)),
            each.value,
            _time(each.timestamp) if each.HasField("timestamp") else NO_TIME,
        )
        for each in found
    )


def _created(part: Any) -> int:
    return _time(part.start_timestamp) if part.HasField("start_timestamp") else 0


def _time(stamp: Any) -> int:
    seconds, nanos = stamp.seconds, stamp.nanos
    return int(seconds * 1000 + int(nanos / 1_000_000))
