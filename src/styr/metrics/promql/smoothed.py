"""Instant selectors with `smoothed`. Called by `evaluate`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.promql.ast import VectorSelector
from styr.metrics.promql.query import Query
from styr.metrics.promql.values import Matrix


def instant(query: Query, expr: VectorSelector, times: NDArray[np.int64]) -> Matrix:
    raise NotImplementedError
