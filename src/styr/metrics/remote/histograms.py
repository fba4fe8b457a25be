"""Native histograms as remote write and OTLP send them: read, checked, and brought to a resolution that storage has.

Called by `write` and `otlp`. Calls `proto` only. Pure. The message `Histogram` is the same in prometheus `prompb/types.proto`
and `prompb/io/prometheus/write/v2/types.proto`; the rules are those of Prometheus' specification of native histograms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from styr.metrics.model.errors import BadData
from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram, Span
from styr.metrics.remote.proto import DOUBLE, INT, SINT, UINT, Field, Message, Table, decode

MIN_SCHEMA, MAX_SCHEMA, MAX_RESERVED = -4, 8, 52
"""Storage has schemas -4 to 8; those up to 52 are reserved, and come down to 8 by merging buckets."""
MAX_BUCKETS = 1 << 16

SPAN: Table = {1: Field("offset", SINT), 2: Field("length", UINT)}
HISTOGRAM: Table = {
    1: Field("count_int", UINT),
    2: Field("count_float", DOUBLE),
    3: Field("sum", DOUBLE),
    4: Field("schema", SINT),
    5: Field("zero_threshold", DOUBLE),
    6: Field("zero_count_int", UINT),
    7: Field("zero_count_float", DOUBLE),
    8: Field("negative_spans", lambda: SPAN, True),
    9: Field("negative_deltas", SINT, True),
    10: Field("negative_counts", DOUBLE, True),
    11: Field("positive_spans", lambda: SPAN, True),
    12: Field("positive_deltas", SINT, True),
    13: Field("positive_counts", DOUBLE, True),
    14: Field("reset_hint", INT),
    15: Field("timestamp", INT),
    16: Field("custom_values", DOUBLE, True),
}


def read(data: bytes | memoryview) -> tuple[int, Histogram]:
    """(time in ms, histogram). Raises BadData for what is no histogram, or none that adds up."""
    message = decode(data, HISTOGRAM)
    integer = "count_float" not in message
    found = Histogram(
        schema=message.get("schema", 0),
        zero_threshold=message.get("zero_threshold", 0.0),
        zero_count=float(message.get("zero_count_int" if integer else "zero_count_float", 0)),
        count=float(message.get("count_int" if integer else "count_float", 0)),
        sum=message.get("sum", 0.0),
        positive_spans=_spans(message["positive_spans"]),
        positive_buckets=_absolute(message, "positive", integer),
        negative_spans=_spans(message["negative_spans"]),
        negative_buckets=_absolute(message, "negative", integer),
        custom_values=message["custom_values"],
        counter_reset_hint=message.get("reset_hint", 0) & 3,
        integer=integer,
    )
    return message.get("timestamp", 0), checked(found)


def _spans(messages: Sequence[Message]) -> list[Span]:
    return [(each.get("offset", 0), each.get("length", 0)) for each in messages]


def _absolute(message: Message, side: str, integer: bool) -> list[float]:
    if not integer:
        counts: list[float] = message[f"{side}_counts"]
        return counts
    total, out = 0, []
    for delta in message[f"{side}_deltas"]:
        total += delta
        out.append(float(total))
    return out


def checked(histogram: Histogram) -> Histogram:
    """At a schema that storage has. Raises BadData that says what does not fit together."""
    if histogram.schema == CUSTOM_BUCKETS:
        _check_custom(histogram)
    elif not MIN_SCHEMA <= histogram.schema <= MAX_RESERVED:
        raise BadData(f"histogram schema {histogram.schema} is unknown; -4 to 8 and -53 are")
    _check_side("positive", histogram.positive_spans, histogram.positive_buckets)
    _check_side("negative", histogram.negative_spans, histogram.negative_buckets)
    if histogram.zero_count < 0 or histogram.count < 0:
        raise BadData("the histogram has a negative count")
    total = histogram.zero_count + math.fsum(histogram.positive_buckets) + math.fsum(histogram.negative_buckets)
    if histogram.integer and total != histogram.count and not (math.isnan(histogram.sum) and total <= histogram.count):
        raise BadData(
            f"{total:.0f} observations are in the histogram's buckets, but its count is {histogram.count:.0f}"
        )
    return reduced(histogram) if histogram.schema > MAX_SCHEMA else histogram


def _check_custom(histogram: Histogram) -> None:
    bounds = histogram.custom_values
    if any(not math.isfinite(bound) for bound in bounds) or any(a >= b for a, b in pairwise(bounds)):
        raise BadData("custom bounds must be finite and rise")
    if histogram.negative_spans or histogram.negative_buckets or histogram.zero_count or histogram.zero_threshold:
        raise BadData("a histogram with custom bounds has neither negative buckets nor a zero bucket")
    spans = histogram.positive_spans
    if any(offset < 0 for offset, _ in spans) or sum(map(sum, spans)) > len(bounds) + 1:
        raise BadData("the histogram has buckets beyond its custom bounds")


def _check_side(side: str, spans: Sequence[Span], buckets: Sequence[float]) -> None:
    if any(offset < 0 for offset, _ in spans[1:]):
        raise BadData(f"a {side} span begins before the end of the one before it")
    needed = sum(length for _, length in spans)
    if needed != len(buckets):
        raise BadData(f"{side} spans need {needed} buckets, the histogram has {len(buckets)}")
    if needed > MAX_BUCKETS:
        raise BadData(f"the histogram has {needed} {side} buckets; at most {MAX_BUCKETS} are taken")
    if any(not count >= 0 for count in buckets):
        raise BadData(f"a {side} bucket has a negative count")


def reduced(histogram: Histogram) -> Histogram:
    """The same observations at schema 8: 2**(schema - 8) neighbours become one bucket."""
    shift = histogram.schema - MAX_SCHEMA
    positive = _merged(histogram.positive_spans, histogram.positive_buckets, shift)
    negative = _merged(histogram.negative_spans, histogram.negative_buckets, shift)
    histogram.schema = MAX_SCHEMA
    histogram.positive_spans, histogram.positive_buckets = positive
    histogram.negative_spans, histogram.negative_buckets = negative
    return histogram


def _merged(spans: Sequence[Span], buckets: Sequence[float], shift: int) -> tuple[list[Span], list[float]]:
    merged: dict[int, float] = {}
    index, counts = 0, iter(buckets)
    for offset, length in spans:
        index += offset
        for _ in range(length):
            # Bucket i covers up to base**i, so that i = 1 .. 2**shift become 1, not 0 .. 2**shift - 1.
            target = ((index - 1) >> shift) + 1
            merged[target] = merged.get(target, 0.0) + next(counts)
            index += 1
    return indexes_to_spans(merged)


def indexes_to_spans(counts: Mapping[int, float]) -> tuple[list[Span], list[float]]:
    """Of buckets by index, in rising order."""
    out: list[Span] = []
    end = 0
    for index in counts:
        if out and index == end:
            out[-1] = (out[-1][0], out[-1][1] + 1)
        else:
            out.append((index - end if out else index, 1))
        end = index + 1
    return out, list(counts.values())
