"""The published messages for Google's protobuf library, which stands in for the other side: field numbers are written down
here once more, so that a wrong one in the product meets a right one in the test."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

TYPES = {"double": 1, "int64": 3, "uint64": 4, "fixed64": 6, "bool": 8, "string": 9, "bytes": 12, "uint32": 13}
TYPES |= {"sfixed64": 16, "sint32": 17, "sint64": 18}
"""FieldDescriptorProto.Type; anything else is the name of a message."""

_HISTOGRAM = """
    1 uint64 count_int; 2 double count_float; 3 double sum; 4 sint32 schema; 5 double zero_threshold; 6 uint64 zero_count_int;
    7 double zero_count_float; 8 *BucketSpan negative_spans; 9 *sint64 negative_deltas; 10 *double negative_counts;
    11 *BucketSpan positive_spans; 12 *sint64 positive_deltas; 13 *double positive_counts; 14 int64 reset_hint;
    15 int64 timestamp; 16 *double custom_values; 17 int64 start_timestamp"""
_SPAN = "1 sint32 offset; 2 uint32 length"

V1 = {
    "WriteRequest": "1 *TimeSeries timeseries; 3 *MetricMetadata metadata",
    "TimeSeries": "1 *Label labels; 2 *Sample samples; 3 *Exemplar exemplars; 4 *Histogram histograms",
    "Label": "1 string name; 2 string value",
    "Sample": "1 double value; 2 int64 timestamp",
    "Exemplar": "1 *Label labels; 2 double value; 3 int64 timestamp",
    "Histogram": _HISTOGRAM,
    "BucketSpan": _SPAN,
    "MetricMetadata": "1 int64 type; 2 string metric_family_name; 4 string help; 5 string unit",
    "ReadRequest": "1 *Query queries; 2 *int64 accepted_response_types",
    "Query": "1 int64 start_timestamp_ms; 2 int64 end_timestamp_ms; 3 *LabelMatcher matchers",
    "LabelMatcher": "1 int64 type; 2 string name; 3 string value",
    "ReadResponse": "1 *QueryResult results",
    "QueryResult": "1 *TimeSeries timeseries",
    "Chunk": "1 int64 min_time_ms; 2 int64 max_time_ms; 3 int64 type; 4 bytes data",
    "ChunkedSeries": "1 *Label labels; 2 *Chunk chunks",
    "ChunkedReadResponse": "1 *ChunkedSeries chunked_series; 2 int64 query_index",
}
V2 = {
    "Request": "4 *string symbols; 5 *TimeSeries timeseries",
    "TimeSeries": "1 *uint32 labels_refs; 2 *Sample samples; 3 *Histogram histograms; 4 *Exemplar exemplars; "
    "5 Metadata metadata",
    "Sample": "1 double value; 2 int64 timestamp; 3 int64 start_timestamp",
    "Exemplar": "1 *uint32 labels_refs; 2 double value; 3 int64 timestamp",
    "Metadata": "1 int64 type; 3 uint32 help_ref; 4 uint32 unit_ref",
    "Histogram": _HISTOGRAM,
    "BucketSpan": _SPAN,
}
OTLP = {
    "Export": "1 *ResourceMetrics resource_metrics",
    "ResourceMetrics": "1 Resource resource; 2 *ScopeMetrics scope_metrics; 3 string schema_url",
    "Resource": "1 *KeyValue attributes; 2 uint32 dropped_attributes_count",
    "ScopeMetrics": "1 Scope scope; 2 *Metric metrics; 3 string schema_url",
    "Scope": "1 string name; 2 string version; 3 *KeyValue attributes",
    "KeyValue": "1 string key; 2 AnyValue value",
    "AnyValue": "1 string string_value; 2 bool bool_value; 3 int64 int_value; 4 double double_value",
    "Metric": "1 string name; 2 string description; 3 string unit; 5 Gauge gauge; 7 Sum sum; 9 Histogram histogram; "
    "10 ExponentialHistogram exponential_histogram; 11 Summary summary",
    "Gauge": "1 *NumberDataPoint data_points",
    "Sum": "1 *NumberDataPoint data_points; 2 int64 aggregation_temporality; 3 bool is_monotonic",
    "Histogram": "1 *HistogramDataPoint data_points; 2 int64 aggregation_temporality",
    "ExponentialHistogram": "1 *ExponentialHistogramDataPoint data_points; 2 int64 aggregation_temporality",
    "Summary": "1 *SummaryDataPoint data_points",
    "NumberDataPoint": "2 fixed64 start_time_unix_nano; 3 fixed64 time_unix_nano; 4 double as_double; 5 *Exemplar exemplars; "
    "6 sfixed64 as_int; 7 *KeyValue attributes; 8 uint32 flags",
    "HistogramDataPoint": "2 fixed64 start_time_unix_nano; 3 fixed64 time_unix_nano; 4 fixed64 count; 5 double sum; "
    "6 *fixed64 bucket_counts; 7 *double explicit_bounds; 8 *Exemplar exemplars; 9 *KeyValue attributes; 10 uint32 flags",
    "ExponentialHistogramDataPoint": "1 *KeyValue attributes; 3 fixed64 time_unix_nano; 4 fixed64 count; 5 double sum; "
    "6 sint32 scale; 7 fixed64 zero_count; 8 Buckets positive; 9 Buckets negative; 10 uint32 flags; 11 *Exemplar exemplars",
    "Buckets": "1 sint32 offset; 2 *uint64 bucket_counts",
    "SummaryDataPoint": "3 fixed64 time_unix_nano; 4 fixed64 count; 5 double sum; 6 *Quantile quantile_values; "
    "7 *KeyValue attributes; 8 uint32 flags",
    "Quantile": "1 double quantile; 2 double value",
    "Exemplar": "2 fixed64 time_unix_nano; 3 double as_double; 4 bytes span_id; 5 bytes trace_id; 6 sfixed64 as_int; "
    "7 *KeyValue filtered_attributes",
}


def _classes(package: str, messages: dict[str, str]) -> Any:
    """A namespace of message classes. Scalars have presence (`optional`), so that a zero that was set is sent."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    for name, text in messages.items():
        message = file.message_type.add(name=name)
        for part in text.split(";"):
            number, kind, field = part.split()
            many, kind = kind.startswith("*"), kind.removeprefix("*")
            made = message.field.add(name=field, number=int(number), label=3 if many else 1, type=TYPES.get(kind, 11))
            if kind not in TYPES:
                made.type_name = f".{package}.{kind}"
            elif many and kind not in ("string", "bytes"):
                made.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages
    }
    return type(package, (), found)


v1, v2, otlp = _classes("v1", V1), _classes("v2", V2), _classes("otlp", OTLP)
