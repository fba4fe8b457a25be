"""Bodies in protobuf, for the tests: built from the same table that the parser reads them by."""

from __future__ import annotations

from typing import Any

from styr.metrics.exposition.protobuf import message_class


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def family(name: str, kind: int, *metrics: dict[str, Any], **more: Any) -> bytes:
    """One delimited MetricFamily; a metric is its fields, `labels` a dict."""
    made = message_class("MetricFamily")(name=name, type=kind, **more)
    for metric in metrics:
        fields = dict(metric)
        labels = [{"name": key, "value": value} for key, value in fields.pop("labels", {}).items()]
        made.metric.append(message_class("Metric")(label=labels, **fields))
    data = made.SerializeToString()
    return varint(len(data)) + bytes(data)


COUNTER, GAUGE, SUMMARY, UNTYPED, HISTOGRAM, GAUGE_HISTOGRAM = range(6)

STAMP = {"seconds": 5, "nanos": 6_900_000}
EXEMPLAR = {"label": [{"name": "trace", "value": "t"}], "value": 0.5, "timestamp": STAMP}
UNTIMED = {"label": [{"name": "trace", "value": "u"}], "value": 0.7}
INF = float("inf")

NATIVE = {
    "sample_count": 12,
    "sample_sum": 18.5,
    "schema": 1,
    "zero_threshold": 0.001,
    "zero_count": 2,
    "positive_span": [{"offset": 0, "length": 2}, {"offset": 1, "length": 2}],
    "positive_delta": [1, 1, -1, 0],
    "negative_span": [{"offset": -1, "length": 3}],
    "negative_delta": [1, 0, 2],
    "exemplars": [EXEMPLAR, UNTIMED],
}
CLASSIC = {
    "sample_count": 6,
    "sample_sum": 7.5,
    "bucket": [
        {"cumulative_count": 1, "upper_bound": 0.5, "exemplar": EXEMPLAR},
        {"cumulative_count": 4, "upper_bound": 1.0, "exemplar": UNTIMED},
        {"cumulative_count": 4, "upper_bound": 2.5},
    ],
    "start_timestamp": STAMP,
}
FLOATS = {
    "sample_count_float": 5.5,
    "sample_sum": 2.0,
    "schema": -1,
    "positive_span": [{"offset": 3, "length": 3}],
    "positive_count": [1.5, 0.0, 4.0],
}
EMPTY = {"positive_span": [{"offset": 0, "length": 0}]}

BODIES = [
    b"",
    family(
        "c_total",
        COUNTER,
        {"counter": {"value": 1.5, "exemplar": EXEMPLAR}},
        {"labels": {"x": "1"}, "counter": {"value": 2}},
    ),
    family("g.x", GAUGE, {"labels": {"l.l": "é"}, "gauge": {"value": -3}}, help="h", unit="u"),
    family(
        "u", UNTYPED, {"untyped": {"value": 4}}, {"labels": {"t": "1"}, "timestamp_ms": 1000, "untyped": {"value": 5}}
    ),
    family(
        "s",
        SUMMARY,
        {
            "summary": {
                "sample_count": 3,
                "sample_sum": 2.5,
                "quantile": [{"quantile": 0.5, "value": 1}, {"quantile": 1, "value": 2}],
            }
        },
        {"labels": {"x": "1"}, "summary": {"sample_count": 1, "sample_sum": 1}},
    ),
    family("h", HISTOGRAM, {"histogram": CLASSIC}, {"labels": {"x": "1"}, "histogram": CLASSIC}),
    family("gh", GAUGE_HISTOGRAM, {"histogram": CLASSIC}),
    family("n", HISTOGRAM, {"histogram": NATIVE}, {"labels": {"x": "1"}, "histogram": NATIVE}),
    family("gn", GAUGE_HISTOGRAM, {"histogram": NATIVE}),
    family("b", HISTOGRAM, {"histogram": {**NATIVE, "bucket": CLASSIC["bucket"]}}),
    family("f", HISTOGRAM, {"histogram": FLOATS}),
    family("e", HISTOGRAM, {"histogram": EMPTY}),
    family("i", HISTOGRAM, {"histogram": {**CLASSIC, "bucket": [{"cumulative_count": 6, "upper_bound": INF}]}}),
    family("w", HISTOGRAM, {"histogram": {**NATIVE, "positive_delta": [1]}}),
    family("d", GAUGE, {"labels": {"x": "1"}, "gauge": {"value": 1}}, {"labels": {"x": "1"}, "gauge": {"value": 2}}),
    family("nothing", GAUGE) + family("after", GAUGE, {"gauge": {"value": 1}}),
    family("", GAUGE, {"gauge": {"value": 1}}),
    family("k", 9, {"gauge": {"value": 1}}),
    family("ok", GAUGE, {"gauge": {"value": 1}}) + b"\x05abc",
    family("ok", GAUGE, {"gauge": {"value": 1}}) + b"\x03\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff",
]

TEXTS = [
    b'# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="2"} 4\nh_bucket{le="+Inf"} 6\nh_sum 4\nh_count 6\na 1\n',
    b'# TYPE h histogram\nh_bucket{x="1",le="1"} 1\nh_count{x="1"} 1\nh_bucket{x="2",le="1"} 1.5\nh_count{x="2"} 2\n',
    b'# TYPE h histogram\nh_bucket{le="1"} 5\nh_bucket{le="2"} 4\nh_count 6\n# TYPE g gauge\ng 1\n',
    b"# TYPE h histogram\nh_sum 4\nh_count 6\nh_other 6\n",
    b'# TYPE h histogram\nh_bucket{le="x"} 1\nh_bucket 3\nh_count 6\n',
    b'# TYPE h histogram\nh_bucket{le="+Inf"} 7\nh_count 6\n',
    b'# TYPE h histogram\nh_count 6\nh_bucket{le="4"} 3\nh_bucket{le="2"} 1\nh_bucket{le="3"} 1\nh_bucket{le="3"} 2\n',
    b'# TYPE h histogram\nh_bucket{le="1"} 0\nh_bucket{le="2"} 0\nh_bucket{le="3"} 0\nh_bucket{le="4"} 9\nh_count 9\n'
    b"h_sum NaN\n",
    b'# TYPE h gauge\nh_bucket{le="1"} 1\nh_count 1\n',
]
