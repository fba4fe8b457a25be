"""Answers as JSON bytes, exactly as Prometheus shapes them. Called by the endpoints; calls `kernels.fmt` and msgspec. Pure.

Plain data goes through msgspec. Query results are written by hand: points by a compiled kernel, label sets from fragments that
are made once for each distinct value, all of it in pieces of about `PIECE` points, so that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from styr.metrics.kernels import fmt
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels
from styr.metrics.model.samples import Times, Values
from styr.metrics.promql.histograms.text import json_buckets
from styr.metrics.web.parts import Points, Result

PIECE = 500_000
MAX_ANNOTATIONS = 10
"""Warnings, and as many infos, in one answer; then only their number."""

COPIED = 65_536
"""Bytes up to which a copy is cheaper than many views."""
Fragment = bytes | memoryview

encode = msgspec.json.encode


def labels(found: Labels) -> dict[str, str]:
    return dict(found)


def go_time(seconds: float) -> str:
    """RFC 3339 with up to nine decimals, without trailing zeros; 0 is Go's zero time."""
    if not seconds:
        return "0001-01-01T00:00:00Z"
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return text + "Z"


def number(value: float) -> str:
    """A float as the API prints it."""
    return _text(value, 0)


def plain_number(value: float) -> str:
    """The same, never with an exponent: scalars, and numbers in trees."""
    return _text(value, 1)


def _text(value: float, plain: int) -> str:
    out, ends = np.zeros(fmt.PLAIN_WIDTH, np.uint8), np.zeros(1, np.int64)
    size = fmt.floats(np.array([value], np.float64).view(np.int64), plain, out, ends)
    return out[:size].tobytes().decode()


def seconds(t: int) -> float:
    """Milliseconds as the number of seconds that JSON shows."""
    return t // 1000 if t % 1000 == 0 else t / 1000


def success(data: bytes, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> bytes:
    return b'{"status":"success","data":' + data + tail(warnings, infos)


def tail(warnings: Sequence[str], infos: Sequence[str]) -> bytes:
    out = b""
    for name, texts in ((b"warnings", warnings), (b"infos", infos)):
        if texts:
            out += b',"' + name + b'":' + encode(list(texts))
    return out + b"}"


def failure(kind: str, message: str) -> bytes:
    return encode({"status": "error", "errorType": kind, "error": message})


def query_result(result: Result, stats: Mapping[str, Any] | None = None) -> Iterator[bytes]:
    """The whole answer of `query` and `query_range`, in pieces."""
    head = b'{"status":"success","data":{"resultType":"' + result.type.encode() + b'","result":'
    ahead: list[Fragment]
    if result.type in ("scalar", "string"):
        ahead = [head, _single(result)]
    else:
        ahead = [head + b"["]
        for piece in _series(result):
            if len(ahead) > 1:
                yield b"".join(ahead)
                ahead = [b","]
            ahead += piece
        ahead.append(b"]")
    if stats is not None:
        ahead.append(b',"stats":' + encode(stats))
    ahead.append(b"}" + tail(result.warnings, result.infos))
    yield b"".join(ahead)


def _single(result: Result) -> bytes:
    text = result.text if result.type == "string" else plain_number(float(result.points.v[0]))
    return encode([seconds(int(result.points.t[0])), text])


def _series(result: Result) -> Iterator[list[Fragment]]:
    """Series with commas between them, as fragments that are joined once; no list is empty. A series without points has no
    place in an answer."""
    points = result.points
    metrics = metric_objects(points.frame)
    key = b',"values":[' if result.type == "matrix" else b',"value":'
    end = b"]}," if result.type == "matrix" else b"},"
    for first, last in _pieces(points.offsets):
        if points.histograms:
            objects = [_mixed(result.type, points, metrics[row], row) for row in range(first, last)]
            found: list[Fragment] = [part for each in objects if each for part in (each, b",")]
        else:
            offsets = points.offsets[first : last + 1]
            low, high = int(offsets[0]), int(offsets[-1])
            texts = _texts(points.t[low:high], points.v[low:high], offsets - low)
            pairs = zip(metrics[first:last], texts, strict=True)
            found = [part for metric, text in pairs if text for part in (metric, key, text, end)]
        if found:
            found[-1] = found[-1][:-1]  # The comma behind the last.
            yield found


def _pieces(offsets: Any) -> Iterator[tuple[int, int]]:
    """(first, last) series of pieces of about `PIECE` points."""
    first, count = 0, len(offsets) - 1
    while first < count:
        last = int(np.searchsorted(offsets, offsets[first] + PIECE, "right")) - 1
        last = min(count, max(first + 1, last))
        yield first, last
        first = last


def _texts(t: Times, v: Values, offsets: Any) -> list[Fragment]:
    """`[t,"v"],[t,"v"]` of each series; views of one buffer."""
    out = np.empty(fmt.POINT_WIDTH * len(t) + fmt.POINT_WIDTH, np.uint8)
    ends = np.zeros(len(offsets) - 1, np.int64)
    bits = np.ascontiguousarray(v, np.float64).view(np.int64)
    size = fmt.points(np.ascontiguousarray(t), bits, np.ascontiguousarray(offsets), out, ends)
    raw = out.data[:size] if size > COPIED else out[:size].tobytes()
    stops = ends.tolist()
    return [raw[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]


def _mixed(kind: str, points: Points, metric: bytes, row: int) -> bytes:
    """A series that may have histograms: floats first, then histograms, as Prometheus groups them."""
    low, high = int(points.offsets[row]), int(points.offsets[row + 1])
    where = [i for i in range(low, high) if i in points.histograms]
    floats = [i for i in range(low, high) if i not in points.histograms]
    texts = _texts(points.t[floats], points.v[floats], np.array([0, len(floats)], np.int64))[0]
    pairs = [b"[" + encode(seconds(int(points.t[i]))) + b"," + histogram(points.histograms[i]) + b"]" for i in where]
    if not texts and not pairs:
        return b""
    if kind == "vector":
        return metric + (b',"value":' + bytes(texts) if texts else b',"histogram":' + pairs[0]) + b"}"
    out = metric
    if texts:
        out += b',"values":[' + bytes(texts) + b"]"
    if pairs:
        out += b',"histograms":[' + b",".join(pairs) + b"]"
    return out + b"}"


def histogram(found: Histogram) -> bytes:
    """`count`, `sum` and the buckets that are not empty, each as [boundary rule, lower, upper, count]."""
    rows = json_buckets(found)
    out: dict[str, Any] = {"count": number(found.count), "sum": number(found.sum)}
    if rows:
        out["buckets"] = [[rule, number(low), number(high), number(count)] for rule, low, high, count in rows]
    return encode(out)


def metric_objects(frame: LabelFrame) -> list[bytes]:
    """`{"metric":{...}` of each series, without the closing brace of the outer object."""
    if frame.texts is None:
        frame.texts = _metric_objects(frame)
    return frame.texts


def _metric_objects(frame: LabelFrame) -> list[bytes]:
    strings = frame.symbols.strings
    columns: list[list[bytes]] = []
    for name, column in sorted(frame.columns.items()):
        head = encode(name) + b":"
        ids = column.tolist()
        fragments = {i: head + encode(strings[i]) if i else b"" for i in set(ids)}
        columns.append([fragments[i] for i in ids])
    if not columns:
        return [b'{"metric":{}'] * frame.size
    return [b'{"metric":{' + b",".join(filter(None, parts)) + b"}" for parts in zip(*columns, strict=True)]
