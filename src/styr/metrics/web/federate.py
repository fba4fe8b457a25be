"""`/federate`: the newest sample of each selected series, as text that another Prometheus scrapes. Called by `api`.

Native histograms are left out, as Prometheus leaves them out of text; those with custom bounds become classic ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from styr.kinds.transport import Response
from styr.metrics.model.histogram import CUSTOM_BUCKETS, GAUGE, Histogram
from styr.metrics.model.labels import METRIC_NAME, Labels, is_legacy_label_name, is_legacy_metric_name
from styr.metrics.model.matchers import Matcher
from styr.metrics.model.samples import STALE_BITS, Querier
from styr.metrics.promql.annotations import go_float
from styr.metrics.promql.histograms.layout import indexes
from styr.metrics.web.call import Call
from styr.metrics.web.parts import Limits

LOOKBACK = 300_000
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"

Newest = tuple[Labels, int, float, Histogram | None]


async def federate(call: Call) -> Response:
    """Text format 0.0.4."""
    sets = [call.engine.matchers(text) for text in call.form.all("match[]")]
    now = int(call.parts.clock.time() * 1000)
    querier, outer = call.querier, call.parts.status.external_labels
    body = await call.work(lambda limits: page(newest(querier, sets, now, limits), outer))
    return Response(200, body, {"content-type": CONTENT_TYPE})


def newest(querier: Querier, sets: Sequence[Sequence[Matcher]], now: int, limits: Limits) -> list[Newest]:
    """The last sample of each series within the lookback; series that have ended are left out."""
    found: dict[Labels, Newest] = {}
    for matchers in sets:
        selection = querier.select(matchers, now - LOOKBACK, now)
        for batch in selection.batches():
            bits = batch.v.view(np.int64)
            for i in np.flatnonzero(np.diff(batch.offsets) > 0).tolist():
                last = int(batch.offsets[i + 1]) - 1
                histogram = batch.histograms.get(last)
                if histogram is None and bits[last] == STALE_BITS:
                    continue
                if histogram is not None and _stale(histogram):
                    continue
                labels = selection.frame.labels(batch.first + i)
                found[labels] = (labels, int(batch.t[last]), float(batch.v[last]), histogram)
            if limits.canceled.is_set():
                return []
    return sorted(found.values(), key=lambda row: (dict(row[0]).get(METRIC_NAME, ""), row[0]))


def _stale(histogram: Histogram) -> bool:
    return bool(np.float64(histogram.sum).view(np.int64) == STALE_BITS)


def page(rows: Sequence[Newest], outer: Mapping[str, str]) -> bytes:
    """The whole text. `outer` are the external labels; an `instance` that is not there becomes empty, which tells the reader to
    keep it so."""
    extra = {"instance": "", **outer}
    lines: list[str] = []
    family = ("", "")
    for labels, t, value, histogram in rows:
        if histogram is not None and histogram.schema != CUSTOM_BUCKETS:
            continue
        name = dict(labels).get(METRIC_NAME, "")
        if not name:
            continue
        kind = (
            "untyped"
            if histogram is None
            else "gaugehistogram"
            if histogram.counter_reset_hint == GAUGE
            else "histogram"
        )
        if family != (name, kind):
            family = (name, kind)
            lines.append(f"# TYPE {_metric(name)} {kind}")
        pairs = [(key, text) for key, text in labels if key != METRIC_NAME]
        pairs += [(key, text) for key, text in sorted(extra.items()) if key not in dict(pairs)]
        if histogram is None:
            lines.append(f"{_metric(name)}{_braces(pairs)} {go_float(value)} {t}")
        else:
            lines.extend(f"{line} {t}" for line in _classic(name, pairs, histogram))
    return "".join(line + "\n" for line in lines).encode()


def _classic(name: str, pairs: list[tuple[str, str]], histogram: Histogram) -> Iterator[str]:
    buckets = histogram.positive_buckets
    counts = dict(zip(indexes(histogram.positive_spans, len(buckets)), buckets, strict=True))
    total = 0.0
    for i, bound in enumerate([*histogram.custom_values, math.inf]):
        total += counts.get(i, 0.0)
        count = histogram.count if bound == math.inf else total
        yield f"{_metric(name)}_bucket{_braces([*pairs, ('le', go_float(bound))])} {go_float(count)}"
    yield f"{_metric(name)}_sum{_braces(pairs)} {go_float(histogram.sum)}"
    yield f"{_metric(name)}_count{_braces(pairs)} {go_float(histogram.count)}"


def _braces(pairs: Sequence[tuple[str, str]]) -> str:
    if not pairs:
        return ""
    return "{" + ",".join(f'{_label(key)}="{_escaped(text)}"' for key, text in pairs) + "}"


def _metric(name: str) -> str:
    return name if is_legacy_metric_name(name) else _underscored(name, ":")


def _label(name: str) -> str:
    return name if is_legacy_label_name(name) else _underscored(name, "")


def _underscored(name: str, more: str) -> str:
    """Characters that text format 0.0.4 does not have become `_`."""
    text = "".join(char if char.isascii() and (char.isalnum() or char in "_" + more) else "_" for char in name)
    return "_" + text if text[:1].isdigit() else text


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
