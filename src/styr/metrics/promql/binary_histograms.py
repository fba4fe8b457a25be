"""Binary operators where a side is a native histogram. Called by `binary`."""

from __future__ import annotations

from styr.metrics.model.histogram import Histogram
from styr.metrics.promql import annotations as notes
from styr.metrics.promql.ast import BinaryExpr
from styr.metrics.promql.query import Query
from styr.metrics.promql.values import Flags, Floats

Cells = dict[int, dict[int, Histogram]]


def incompatible(query: Query, expr: BinaryExpr, left: str, right: str) -> None:
    query.notes.add(notes.incompatible_types(left, expr.op, right, (expr.start, expr.end)))


def apply(
    query: Query, expr: BinaryExpr, where: Flags, one: tuple[Floats, Cells], two: tuple[Floats, Cells]
) -> tuple[Cells, Flags, Flags]:
    """(results that are histograms, where there is a result, where it is kept)."""
    raise NotImplementedError
