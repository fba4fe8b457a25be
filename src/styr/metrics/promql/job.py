"""One call of a function over ranges, made by `ranges` for whoever computes it: `mixed`, `extended`, the kernels. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styr.metrics.promql.ast import Call
from styr.metrics.promql.query import Query
from styr.metrics.promql.selectors import RangeSource
from styr.metrics.promql.values import Floats

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Job:
    """One call over one source. `times` are the steps, `args` the values of the other arguments at each step."""

    query: Query
    call: Call
    source: RangeSource
    times: Ints
    args: list[Floats]
    tally: Ints
    """Gets the samples of each step's windows added."""
    position: tuple[int, int]
    """Of the range vector argument, for annotations."""

    @property
    def name(self) -> str:
        return self.call.function.name
