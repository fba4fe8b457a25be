"""The messages of OTLP metrics: opentelemetry-proto `metrics/v1/metrics.proto`, `common/v1/common.proto`,
`resource/v1/resource.proto` and `collector/metrics/v1/metrics_service.proto`, from protobuf and from JSON to the same plain
dicts. Called by `receiver`; pure.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from styr.metrics.remote.proto import (
    BOOL,
    BYTES,
    DOUBLE,
    FIXED64,
    INT,
    MAX_DEPTH,
    SFIXED64,
    SINT,
    STRING,
    UINT,
    Field,
    Kind,
    Malformed,
    Message,
    Table,
    decode,
)

ANY: Table = {
    1: Field("string_value", STRING),
    2: Field("bool_value", BOOL),
    3: Field("int_value", INT),
    4: Field("double_value", DOUBLE),
    5: Field("array_value", lambda: ARRAY),
    6: Field("kvlist_value", lambda: PAIRS),
    7: Field("bytes_value", BYTES),
}
ARRAY: Table = {1: Field("values", lambda: ANY, True)}
PAIR: Table = {1: Field("key", STRING), 2: Field("value", lambda: ANY)}
PAIRS: Table = {1: Field("values", lambda: PAIR, True)}
EXEMPLAR: Table = {
    2: Field("time_unix_nano", FIXED64),
    3: Field("as_double", DOUBLE),
    4: Field("span_id", BYTES),
    5: Field("trace_id", BYTES),
    6: Field("as_int", SFIXED64),
    7: Field("filtered_attributes", lambda: PAIR, True),
}
NUMBER: Table = {
    3: Field("time_unix_nano", FIXED64),
    4: Field("as_double", DOUBLE),
    5: Field("exemplars", lambda: EXEMPLAR, True),
    6: Field("as_int", SFIXED64),
    7: Field("attributes", lambda: PAIR, True),
    8: Field("flags", UINT),
}
HISTOGRAM_POINT: Table = {
    3: Field("time_unix_nano", FIXED64),
    4: Field("count", FIXED64),
    5: Field("sum", DOUBLE),
    6: Field("bucket_counts", FIXED64, True),
    7: Field("explicit_bounds", DOUBLE, True),
    8: Field("exemplars", lambda: EXEMPLAR, True),
    9: Field("attributes", lambda: PAIR, True),
    10: Field("flags", UINT),
}
BUCKETS: Table = {1: Field("offset", SINT), 2: Field("bucket_counts", UINT, True)}
EXPONENTIAL_POINT: Table = {
    1: Field("attributes", lambda: PAIR, True),
    3: Field("time_unix_nano", FIXED64),
    4: Field("count", FIXED64),
    5: Field("sum", DOUBLE),
    6: Field("scale", SINT),
    7: Field("zero_count", FIXED64),
    8: Field("positive", lambda: BUCKETS),
    9: Field("negative", lambda: BUCKETS),
    10: Field("flags", UINT),
    11: Field("exemplars", lambda: EXEMPLAR, True),
}
QUANTILE: Table = {1: Field("quantile", DOUBLE), 2: Field("value", DOUBLE)}
SUMMARY_POINT: Table = {
    3: Field("time_unix_nano", FIXED64),
    4: Field("count", FIXED64),
    5: Field("sum", DOUBLE),
    6: Field("quantile_values", lambda: QUANTILE, True),
    7: Field("attributes", lambda: PAIR, True),
    8: Field("flags", UINT),
}
GAUGE: Table = {1: Field("data_points", lambda: NUMBER, True)}
SUM: Table = {
    1: Field("data_points", lambda: NUMBER, True),
    2: Field("aggregation_temporality", UINT),
    3: Field("is_monotonic", BOOL),
}
HISTOGRAM: Table = {
    1: Field("data_points", lambda: HISTOGRAM_POINT, True),
    2: Field("aggregation_temporality", UINT),
}
EXPONENTIAL: Table = {
    1: Field("data_points", lambda: EXPONENTIAL_POINT, True),
    2: Field("aggregation_temporality", UINT),
}
SUMMARY: Table = {1: Field("data_points", lambda: SUMMARY_POINT, True)}
METRIC: Table = {
    1: Field("name", STRING),
    2: Field("description", STRING),
    3: Field("unit", STRING),
    5: Field("gauge", lambda: GAUGE),
    7: Field("sum", lambda: SUM),
    9: Field("histogram", lambda: HISTOGRAM),
    10: Field("exponential_histogram", lambda: EXPONENTIAL),
    11: Field("summary", lambda: SUMMARY),
}
SCOPE: Table = {
    1: Field("name", STRING),
    2: Field("version", STRING),
    3: Field("attributes", lambda: PAIR, True),
}
SCOPE_METRICS: Table = {
    1: Field("scope", lambda: SCOPE),
    2: Field("metrics", lambda: METRIC, True),
    3: Field("schema_url", STRING),
}
RESOURCE: Table = {1: Field("attributes", lambda: PAIR, True)}
RESOURCE_METRICS: Table = {
    1: Field("resource", lambda: RESOURCE),
    2: Field("scope_metrics", lambda: SCOPE_METRICS, True),
    3: Field("schema_url", STRING),
}
REQUEST: Table = {1: Field("resource_metrics", lambda: RESOURCE_METRICS, True)}
PARTIAL: Table = {1: Field("rejected_data_points", INT), 2: Field("error_message", STRING)}
RESPONSE: Table = {1: Field("partial_success", lambda: PARTIAL)}

CUMULATIVE = 2
"""AggregationTemporality; 1 is delta."""
_TEMPORALITIES = {
    "AGGREGATION_TEMPORALITY_UNSPECIFIED": 0,
    "AGGREGATION_TEMPORALITY_DELTA": 1,
    "AGGREGATION_TEMPORALITY_CUMULATIVE": CUMULATIVE,
}


def from_protobuf(body: bytes) -> Message:
    """Raises Malformed."""
    return decode(body, REQUEST)


def from_json(body: bytes) -> Message:
    """The JSON form: lowerCamelCase, 64-bit numbers as strings, ids in hex. Raises Malformed."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(f"the body is no JSON: {error}") from None
    return _message(found, REQUEST, 0)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _message(found: Any, table: Table, depth: int) -> Message:
    if not isinstance(found, Mapping):
        raise Malformed(f"there is a {type(found).__name__} where an object belongs")
    if depth > MAX_DEPTH:
        raise Malformed(f"messages nest deeper than {MAX_DEPTH}")
    out: Message = {}
    for field in table.values():
        value = found.get(_camel(field.name))
        if value is None:
            value = found.get(field.name)
        if field.repeated:
            if value is not None and not isinstance(value, list):
                raise Malformed(f"{_camel(field.name)} is no array")
            out[field.name] = [_value(each, field, depth) for each in value or ()]
        elif value is not None:
            out[field.name] = _value(value, field, depth)
    return out


def _value(value: Any, field: Field, depth: int) -> Any:
    kind = field.kind
    if not isinstance(kind, Kind):
        return _message(value, kind(), depth + 1)
    try:
        return _SCALARS[id(kind)](value, field.name)
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise Malformed(f"{_camel(field.name)} cannot be {value!r:.60}") from None


def _integer(value: Any, name: str) -> int:
    if name == "aggregation_temporality" and isinstance(value, str) and value in _TEMPORALITIES:
        return _TEMPORALITIES[value]
    number = int(value)
    if isinstance(value, bool) or (isinstance(value, float) and value != number) or not -(2**63) <= number < 2**64:
        raise ValueError
    return number


def _text(value: Any, _name: str) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()
    return value


def _bytes(value: Any, name: str) -> bytes:
    return bytes.fromhex(value) if name in ("trace_id", "span_id") else base64.b64decode(value, validate=True)


def _boolean(value: Any, _name: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _double(value: Any, _name: str) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


_SCALARS: dict[int, Callable[[Any, str], Any]] = {
    id(STRING): _text,
    id(BYTES): _bytes,
    id(BOOL): _boolean,
    id(DOUBLE): _double,
    **{id(kind): _integer for kind in (INT, UINT, SINT, FIXED64, SFIXED64)},
}
