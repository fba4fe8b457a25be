"""The evaluated arguments of one call, at every step. Made by `functions` for whoever computes the call. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.promql.ast import Call
from styr.metrics.promql.query import Query
from styr.metrics.promql.values import Floats, Matrix, Value

Ints = NDArray[np.int64]


class Arguments:
    """Of one call: the values of its arguments at every step."""

    def __init__(self, query: Query, expr: Call, values: list[Value], times: Ints, step: int) -> None:
        self.query, self.expr, self.values, self.times, self.step = query, expr, values, times, step

    @property
    def name(self) -> str:
        return self.expr.function.name

    def vector(self, i: int) -> Matrix:
        value = self.values[i]
        if not isinstance(value, Matrix):
            raise TypeError(f"argument {i} of {self.name} is no vector")
        return value

    def scalar(self, i: int) -> Floats:
        value = self.values[i]
        if isinstance(value, Matrix | str):
            raise TypeError(f"argument {i} of {self.name} is no scalar")
        return value

    def string(self, i: int) -> str:
        value = self.values[i]
        if not isinstance(value, str):
            raise TypeError(f"argument {i} of {self.name} is no string")
        return value

    def where(self, i: int) -> tuple[int, int]:
        return self.expr.args[i].start, self.expr.args[i].end
