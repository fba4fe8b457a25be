"""Binary operators where a side is a native histogram. Called by `binary`; computes with `histograms`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from styr.metrics.model.histogram import GAUGE, Histogram
from styr.metrics.promql import annotations as texts
from styr.metrics.promql.annotations import ADDITION, SUBTRACTION, Note
from styr.metrics.promql.ast import BinaryExpr
from styr.metrics.promql.histograms import arithmetic, trim
from styr.metrics.promql.query import Query
from styr.metrics.promql.values import Flags, Floats

Cells = dict[int, dict[int, Histogram]]


def incompatible(query: Query, expr: BinaryExpr, left: str, right: str) -> None:
    query.notes.add(texts.incompatible_types(left, expr.op, right, (expr.start, expr.end)))


@dataclass(frozen=True, slots=True)
class Answer:
    """Of one pair: `valid` when there is a result, `kept` when a comparison holds, `note` when something is odd."""

    histogram: Histogram | None = None
    valid: bool = False
    kept: bool = True
    note: Note | None = None


def apply(
    query: Query, expr: BinaryExpr, where: Flags, one: tuple[Floats, Cells], two: tuple[Floats, Cells]
) -> tuple[Cells, Flags, Flags]:
    """(results that are histograms, where there is a result, where it is kept). Of each step, only what was odd last is told,
    as Prometheus does."""
    cells: Cells = {}
    valid, kept = np.zeros(where.shape, np.bool_), np.zeros(where.shape, np.bool_)
    last: dict[int, Note] = {}
    for row, step in np.argwhere(where).tolist():
        left, right = one[1].get(row, {}).get(step), two[1].get(row, {}).get(step)
        answer = _answer(expr, left, right, float(one[0][row, step]), float(two[0][row, step]))
        valid[row, step], kept[row, step] = answer.valid, answer.kept
        if answer.note is not None:
            last[step] = answer.note
        if answer.valid and answer.kept and answer.histogram is not None:
            cells.setdefault(row, {})[step] = answer.histogram
    for step in sorted(last):
        query.notes.add(last[step])
    return cells, valid, kept


def _answer(expr: BinaryExpr, left: Histogram | None, right: Histogram | None, a: float, b: float) -> Answer:
    op = expr.op
    if left is not None and right is not None:
        if op in ("+", "-"):
            return _sum(expr, left, right)
        if op in ("==", "!="):
            return Answer(left, valid=True, kept=arithmetic.equal(left, right) == (op == "=="))
    elif left is not None:
        if op in ("*", "/"):
            made = arithmetic.scaled(left, b) if op == "*" else arithmetic.divided(left, b)
            return Answer(made, valid=True)
        if op in ("</", ">/"):
            return Answer(trim.trimmed(left, b, op == "</"), valid=True)
    elif right is not None and op == "*":
        return Answer(arithmetic.scaled(right, a), valid=True)
    kinds = ["float" if side is None else "histogram" for side in (left, right)]
    return Answer(note=texts.incompatible_types(kinds[0], op, kinds[1], (expr.start, expr.end)))


def _sum(expr: BinaryExpr, left: Histogram, right: Histogram) -> Answer:
    """There is no result when one side says that it was reset and the other that it was not."""
    position = expr.start, expr.end
    subtracting = expr.op == "-"
    try:
        made, outcome = arithmetic.subtract(left, right) if subtracting else arithmetic.add(left, right)
    except arithmetic.IncompatibleSchemas:
        return Answer(note=texts.incompatible_bucket_layout(expr.op, position))
    operation = SUBTRACTION if subtracting else ADDITION
    if outcome.collision:
        return Answer(note=texts.counter_reset_collision(position, operation))
    note = texts.mismatched_custom_buckets(position, operation) if outcome.reconciled else None
    return Answer(replace(made, counter_reset_hint=GAUGE) if subtracting else made, valid=True, note=note)
