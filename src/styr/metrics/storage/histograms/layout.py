"""Which buckets a chunk of histograms has: spans, and what its head says. Called by the codecs here; pure.

All histograms of a chunk have the buckets of its head. Where a histogram's own differ, one of the two is widened by empty ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from styr.metrics.model.errors import Corrupt
from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram, Span
from styr.metrics.storage.histograms.bitstream import Reader, Writer, bits_of, float_of

Spans = tuple[Span, ...]
_OFFSETS = range(-(1 << 31), 1 << 31)


@dataclass(frozen=True, slots=True)
class Layout:
    schema: int
    zero_threshold: float
    positive: Spans
    negative: Spans
    custom_values: tuple[float, ...]

    @classmethod
    def of(cls, h: Histogram) -> Layout:
        return cls(h.schema, h.zero_threshold, tuple(h.positive_spans), tuple(h.negative_spans), tuple(h.custom_values))


def size(spans: Iterable[Span]) -> int:
    """How many buckets."""
    return sum(length for _, length in spans)


def indexes(spans: Iterable[Span]) -> list[int]:
    """Of the buckets, rising."""
    found: list[int] = []
    at = 0
    for offset, length in spans:
        at += offset
        found.extend(range(at, at + length))
        at += length
    return found


def spans_of(buckets: Iterable[int]) -> Spans:
    """The fewest spans that have these rising indexes."""
    spans: list[Span] = []
    after = 0
    for index in buckets:
        if spans and index == after:
            spans[-1] = spans[-1][0], spans[-1][1] + 1
        else:
            spans.append((index - after, 1))
        after = index + 1
    return tuple(spans)


def widen(counts: Sequence[float], old: Spans, new: Spans) -> list[float]:
    """The counts of buckets `old` as those of the buckets `new`, which has all of them."""
    if old == new:
        return list(counts)
    known = dict(zip(indexes(old), counts, strict=True))
    return [known.get(index, 0.0) for index in indexes(new)]


def write(out: Writer, layout: Layout) -> None:
    _write_threshold(out, layout.zero_threshold)
    out.varint(layout.schema)
    for spans in (layout.positive, layout.negative):
        out.uvarint(len(spans))
        for offset, length in spans:
            out.uvarint(length)
            out.varint(offset)
    if layout.schema == CUSTOM_BUCKETS:
        out.uvarint(len(layout.custom_values))
        for bound in layout.custom_values:
            _write_bound(out, bound)


def read(data: Reader) -> Layout:
    """Raises Corrupt; a layout has never more buckets than there are bits left for them."""
    threshold, schema = _read_threshold(data), data.varint()
    positive, negative = _read_spans(data), _read_spans(data)
    bounds = tuple(_read_bound(data) for _ in range(data.uvarint())) if schema == CUSTOM_BUCKETS else ()
    if not -4 <= schema <= 8 and schema != CUSTOM_BUCKETS:
        raise Corrupt(f"a chunk of histograms has schema {schema}; -4 to 8 and -53 can be read")
    if size(positive) + size(negative) > data.left:
        raise Corrupt(f"a chunk of histograms says that it has {size(positive) + size(negative)} buckets")
    return Layout(schema, threshold, positive, negative, bounds)


def _read_spans(data: Reader) -> Spans:
    spans: list[Span] = []
    for _ in range(data.uvarint()):
        length, offset = data.uvarint(), data.varint()
        if length >= 1 << 32 or offset not in _OFFSETS:
            raise Corrupt("a chunk of histograms has a span that is out of range")
        spans.append((offset, length))
    return tuple(spans)


def _write_threshold(out: Writer, threshold: float) -> None:
    """Zero and the powers of two from 2**-243 to 2**10 take a byte, others nine."""
    fraction, exponent = math.frexp(threshold)
    if threshold == 0:
        out.write(0, 8)
    elif fraction == 0.5 and -242 <= exponent <= 11:
        out.write(exponent + 243, 8)
    else:
        out.write(255, 8)
        out.write(bits_of(threshold), 64)


def _read_threshold(data: Reader) -> float:
    code = data.read(8)
    if code == 255:
        return float_of(data.read(64))
    return math.ldexp(0.5, code - 243) if code else 0.0


def _write_bound(out: Writer, bound: float) -> None:
    """Whole thousandths up to 33554.43 are integers, others take 65 bits."""
    thousandths = bound * 1000
    if 0 <= thousandths <= 33554430 and _half_away(thousandths) / 1000 == bound:
        out.uvarint(_half_away(thousandths) + 1)
    else:
        out.write(0, 1)
        out.write(bits_of(bound), 64)


def _half_away(value: float) -> int:
    """Go's math.Round of what is not negative."""
    whole = math.floor(value)
    return whole + (value - whole >= 0.5)


def _read_bound(data: Reader) -> float:
    code = data.uvarint()
    return (code - 1) / 1000 if code else float_of(data.read(64))
