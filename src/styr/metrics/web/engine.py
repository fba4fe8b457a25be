"""PromQL as the API sees it: `promql.engine` behind `parts.Engine`. Called by `process`, which makes one; pure but for the
call.

The engine's matrices are [series x steps] with gaps; answers are points of series, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from styr.kit.clock import Clock
from styr.metrics.model.errors import BadData
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.matchers import Matcher
from styr.metrics.promql import engine as promql
from styr.metrics.promql.ast import VectorSelector
from styr.metrics.promql.printer import pretty, printed
from styr.metrics.promql.values import Matrix
from styr.metrics.web.json import seconds
from styr.metrics.web.parts import Limits, Points, Result


class PromqlEngine:
    """`parts.Engine`."""

    def __init__(self, engine: promql.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def instant(self, query: str, t: int, limits: Limits, /) -> Result:
        found = self._engine.instant(query, t, **self._held(limits))
        return self._result(query, found, limits)

    def range(self, query: str, start: int, end: int, step: int, limits: Limits, /) -> Result:
        found = self._engine.range(query, start, end, step, **self._held(limits))
        return self._result(query, found, limits)

    def _held(self, limits: Limits) -> dict[str, Any]:
        left = max(0.001, limits.deadline - self._clock.monotonic())
        return {"lookback": limits.lookback, "timeout": left, "canceled": limits.canceled.is_set}

    def _result(self, query: str, found: promql.Result, limits: Limits) -> Result:
        warnings, infos = found.notes.texts(query)
        stats = statistics(found.stats, per_step=limits.stats == "all")
        return Result(found.kind, points_of(found), found.text, warnings, infos, stats)

    def parse(self, query: str, /) -> Any:
        return self._engine.parse(query)

    def pretty(self, query: str, /) -> str:
        return pretty(self._engine.parse(query))

    def text(self, tree: Any, /) -> str:
        return printed(tree)

    def matchers(self, selector: str, /) -> Sequence[Matcher]:
        """Raises BadData."""
        tree = self._engine.parse(selector)
        if not isinstance(tree, VectorSelector) or tree.offset or tree.timestamp is not None or tree.at:
            raise BadData(f"{selector!r} is no series selector")
        return tree.matchers


def points_of(found: promql.Result) -> Points:
    """Of any kind of result."""
    if found.raw is not None:
        raw = found.raw
        return Points(raw.frame, raw.offsets, raw.t, raw.v, raw.histograms)
    if found.matrix is not None:
        return _dense(found.matrix, found.times)
    values = found.values[:1] if found.kind == "scalar" else np.zeros(1)
    return Points(LabelFrame.of([()]), np.array([0, 1], np.int64), found.times[:1], values)


def _dense(matrix: Matrix, times: np.ndarray[Any, np.dtype[np.int64]]) -> Points:
    ok = matrix.ok
    if len(times) == 1 and not matrix.histograms and ok.all():
        offsets = np.arange(matrix.size + 1, dtype=np.int64)
        return Points(matrix.frame, offsets, np.full(matrix.size, times[0]), matrix.v[:, 0])
    offsets = np.zeros(matrix.size + 1, np.int64)
    np.cumsum(ok.sum(axis=1), out=offsets[1:])
    if ok.all():
        t, v = np.tile(times, matrix.size), matrix.v.reshape(-1)
    else:
        _, steps = np.nonzero(ok)
        t, v = times[steps], matrix.v[ok]
    histograms = {}
    for row, found in matrix.histograms.items():
        places = offsets[row] + np.cumsum(ok[row]) - 1
        histograms.update({int(places[step]): histogram for step, histogram in found.items() if ok[row, step]})
    return Points(matrix.frame, offsets, t, v, histograms)


def statistics(stats: promql.Stats, *, per_step: bool) -> Mapping[str, Any]:
    """Prometheus' names."""
    samples: dict[str, Any] = {
        "totalQueryableSamples": int(stats.samples.total),
        "peakSamples": int(stats.samples.peak),
    }
    if per_step:
        pairs = zip(stats.times.tolist(), stats.samples.per_step.tolist(), strict=False)
        samples["totalQueryableSamplesPerStep"] = [[seconds(t), count] for t, count in pairs]
    return {
        "timings": {
            "evalTotalTime": stats.total,
            "resultSortTime": stats.sort,
            "queryPreparationTime": stats.parse,
            "innerEvalTime": stats.evaluate,
            "execQueueTime": 0.0,
            "execTotalTime": stats.total,
        },
        "samples": samples,
    }
