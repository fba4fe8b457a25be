"""count_values: how often each value occurs. Called by `evaluate`."""

from __future__ import annotations

import numpy as np

from styr.metrics.model.errors import ExecutionError
from styr.metrics.model.labels import quote
from styr.metrics.promql.ast import AggregateExpr
from styr.metrics.promql.histograms_seam import histogram_text
from styr.metrics.promql.lexer import is_utf8
from styr.metrics.promql.query import Query
from styr.metrics.promql.texts import plain_float
from styr.metrics.promql.values import Matrix, group_rows, own


def count(query: Query, expr: AggregateExpr, name: str, matrix: Matrix) -> Matrix:
    """Series with the label `name` set to the value. Values are written as Go writes them."""
    if not name or not is_utf8(name):
        raise ExecutionError(f"invalid label name {quote(name)}")
    floats = matrix.floats()
    rows, steps = np.nonzero(floats)
    values = matrix.v[rows, steps] if len(rows) else np.zeros(0)
    distinct, where = np.unique(values.view(np.int64), return_inverse=True)
    ids = np.array([query.symbols.id(plain_float(v)) for v in distinct.view(np.float64).tolist()], np.int32)
    column = ids[where.reshape(-1)] if len(rows) else np.zeros(0, np.int32)
    for row, found in matrix.histograms.items():
        for step, histogram in found.items():
            rows, steps = np.append(rows, row), np.append(steps, step)
            column = np.append(column, np.int32(query.symbols.id(histogram_text(histogram))))
    frame = own(matrix.frame, query.symbols).take(rows).replace(name, column)
    kept = frame.drop(*expr.grouping, "__name__") if expr.without else frame.keep((*expr.grouping, name))
    group, first = group_rows(kept)
    query.hold(len(first) * matrix.steps)
    out = np.zeros((len(first), matrix.steps))
    np.add.at(out, (group, steps), 1.0)
    query.release(matrix.weight)
    return Matrix(kept.take(first), out, out > 0)
