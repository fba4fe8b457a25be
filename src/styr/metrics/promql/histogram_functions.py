"""histogram_count, _sum, _avg, _stddev, _stdvar: a float of each native histogram. Called by `functions`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from styr.metrics.model.histogram import Histogram
from styr.metrics.promql import histograms_seam
from styr.metrics.promql.arguments import Arguments
from styr.metrics.promql.binary import renamed
from styr.metrics.promql.values import Matrix

_OF: dict[str, Callable[[Histogram], float]] = {
    "histogram_count": lambda h: h.count,
    "histogram_sum": lambda h: h.sum,
    "histogram_avg": histograms_seam.average,
    "histogram_stddev": histograms_seam.deviation,
    "histogram_stdvar": histograms_seam.variance,
}


def apply(args: Arguments) -> Matrix:
    matrix, of = args.vector(0), _OF[args.name]
    v, ok = np.zeros(matrix.ok.shape), np.zeros(matrix.ok.shape, np.bool_)
    for row, found in matrix.histograms.items():
        for step, histogram in found.items():
            v[row, step], ok[row, step] = of(histogram), True
    return renamed(args.query, Matrix(matrix.frame, v, ok, {}, matrix.drop).alive())
