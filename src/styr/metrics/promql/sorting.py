"""sort, sort_desc, sort_by_label, sort_by_label_desc. Called by `functions`. Only an instant query shows the order."""

from __future__ import annotations

import re

import numpy as np

from styr.metrics.promql.aggregate import sorted_values
from styr.metrics.promql.values import Matrix

_PIECES = re.compile(r"(\d+|\D+)", re.ASCII)


def by_value(matrix: Matrix, descending: bool) -> Matrix:
    """Floats only, NaN last."""
    floats = Matrix(matrix.frame, matrix.v, matrix.floats(), {}, matrix.drop).alive()
    if floats.steps != 1:
        return floats
    return floats.take(sorted_values(np.arange(floats.size), floats.v[:, 0], descending))


def natural(value: str) -> list[tuple[int, int, str]]:
    """A key that sorts `a2` before `a10`."""
    key = []
    for piece in _PIECES.findall(value):
        if piece[0] in "0123456789":
            key.append((0, int(piece[:300]), piece))
        else:
            key.append((1, 0, piece))
    return key


def by_label(matrix: Matrix, names: list[str], descending: bool) -> Matrix:
    """By the values of some labels, digits as numbers; of equals by all labels."""
    if matrix.steps != 1:
        return matrix
    columns = [[natural(value) for value in matrix.frame.values(name)] for name in names]
    sets = matrix.frame.all_labels()
    rows = sorted(
        range(matrix.size), key=lambda row: ([column[row] for column in columns], sets[row]), reverse=descending
    )
    return matrix.take(np.array(rows, np.int64))
