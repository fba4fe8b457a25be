"""Records of native histograms in the write-ahead log, in Prometheus' bytes (tsdb/record/record.go). Called by `head` and
`recovery`; calls `records`. Pure. Decoders raise Corrupt.
"""

from __future__ import annotations

from collections.abc import Sequence

from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram, Span
from styr.metrics.storage.records import (
    CUSTOM_HISTOGRAMS,
    FLOAT_HISTOGRAMS_2,
    HISTOGRAMS,
    HISTOGRAMS_2,
    Reader,
    Writer,
    skip_start,
)

RefHistogram = tuple[int, int, Histogram]
"""(reference, time, histogram)."""


def histograms(items: Sequence[RefHistogram]) -> list[bytes]:
    """One record for each kind of histogram that is among them."""
    kinds: dict[int, list[RefHistogram]] = {}
    for item in items:
        custom = item[2].schema == CUSTOM_BUCKETS
        whole = CUSTOM_HISTOGRAMS if custom else HISTOGRAMS
        kinds.setdefault(whole if item[2].integer else whole + 1, []).append(item)
    return [_histograms(kind, each) for kind, each in sorted(kinds.items())]


def _histograms(kind: int, items: Sequence[RefHistogram]) -> bytes:
    writer = Writer(kind)
    ref, t, _ = items[0]
    writer.u64(ref)
    writer.u64(t)
    for each, time, histogram in items:
        writer.varint(each - ref)
        writer.varint(time - t)
        _histogram(writer, histogram)
    return bytes(writer.out)


def _histogram(writer: Writer, h: Histogram) -> None:
    writer.out.append(h.counter_reset_hint)
    writer.varint(h.schema)
    writer.f64(h.zero_threshold)
    if h.integer:
        writer.uvarint(int(h.zero_count))
        writer.uvarint(int(h.count))
    else:
        writer.f64(h.zero_count)
        writer.f64(h.count)
    writer.f64(h.sum)
    for spans in (h.positive_spans, h.negative_spans):
        writer.uvarint(len(spans))
        for offset, length in spans:
            writer.varint(offset)
            writer.uvarint(length)
    for buckets in (h.positive_buckets, h.negative_buckets):
        writer.uvarint(len(buckets))
        before = 0
        for bucket in buckets:
            if h.integer:
                writer.varint(int(bucket) - before)
                before = int(bucket)
            else:
                writer.f64(bucket)
    if h.schema == CUSTOM_BUCKETS:
        writer.uvarint(len(h.custom_values))
        for bound in h.custom_values:
            writer.f64(bound)


def read_histograms(data: bytes) -> list[RefHistogram]:
    """Of any of the six kinds; start timestamps are dropped."""
    integer = data[0] in (HISTOGRAMS, CUSTOM_HISTOGRAMS, HISTOGRAMS_2)
    reader = Reader(data)
    found: list[RefHistogram] = []
    if not reader.more():
        return found
    if data[0] in (HISTOGRAMS_2, FLOAT_HISTOGRAMS_2):
        return _read_histograms_2(reader, integer)
    ref, t = reader.u64(), reader.i64()
    while reader.more():
        each, time = ref + reader.varint(), t + reader.varint()
        found.append((each, time, _read_histogram(reader, integer)))
    return found


def _read_histograms_2(reader: Reader, integer: bool) -> list[RefHistogram]:
    ref, t = reader.varint(), reader.varint()
    reader.varint()
    found = [(ref, t, _read_histogram(reader, integer))]
    while reader.more():
        ref, time = ref + reader.varint(), t + reader.varint()
        skip_start(reader)
        found.append((ref, time, _read_histogram(reader, integer)))
    return found


def _read_histogram(reader: Reader, integer: bool) -> Histogram:
    h = Histogram(
        integer=integer, counter_reset_hint=reader.byte(), schema=reader.varint(), zero_threshold=reader.f64()
    )
    if integer:
        h.zero_count, h.count = float(reader.uvarint()), float(reader.uvarint())
    else:
        h.zero_count, h.count = reader.f64(), reader.f64()
    h.sum = reader.f64()
    h.positive_spans, h.negative_spans = _read_spans(reader), _read_spans(reader)
    h.positive_buckets, h.negative_buckets = _read_buckets(reader, integer), _read_buckets(reader, integer)
    if h.schema == CUSTOM_BUCKETS:
        h.custom_values = [reader.f64() for _ in range(reader.count(8))]
    return h


def _read_spans(reader: Reader) -> list[Span]:
    return [(reader.varint(), reader.uvarint()) for _ in range(reader.count(2))]


def _read_buckets(reader: Reader, integer: bool) -> list[float]:
    if not integer:
        return [reader.f64() for _ in range(reader.count(8))]
    value, buckets = 0, []
    for _ in range(reader.count(1)):
        value += reader.varint()
        buckets.append(float(value))
    return buckets
