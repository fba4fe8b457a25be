"""PromQL as rules ask it: `Evaluate` over `promql.engine`. Called by `unittest`; whoever assembles the engine may use it
too."""

from __future__ import annotations

from typing import Any

from styr.metrics.model.errors import BadData
from styr.metrics.promql.engine import Engine
from styr.metrics.rules.evaluate import Evaluate, Vector


def evaluate(engine: Engine) -> Evaluate:
    """Instant vectors, and scalars as one element without labels; other results raise BadData."""

    def ask(expr: Any, t: int, /) -> Vector:
        found = engine.instant(expr, t)
        if found.kind == "scalar":
            return [((), float(found.values[0]))]
        matrix = found.matrix
        if found.kind != "vector" or matrix is None:
            raise BadData("rule result is not a vector or scalar")
        values = matrix.v[:, 0].tolist()
        return [
            (labels, matrix.histograms[row][0] if row in matrix.histograms else values[row])
            for row, labels in enumerate(matrix.frame.all_labels())
            if matrix.ok[row, 0]
        ]

    return ask
