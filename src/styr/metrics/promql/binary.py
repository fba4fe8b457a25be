"""Binary operators: arithmetic, comparisons, sets. Called by `evaluate`; joins are `matching`'s, histograms
`binary_histograms`'."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import gomath
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.promql import binary_histograms, matching
from styr.metrics.promql.ast import COMPARISONS, SET_OPERATORS, BinaryExpr, VectorMatching
from styr.metrics.promql.query import Query
from styr.metrics.promql.values import Flags, Floats, Matrix, concat, merge_same, own, without_names

Ints = NDArray[np.int64]
Cells = dict[int, dict[int, Histogram]]
ARITHMETIC = frozenset({"+", "-", "*", "/", "%", "^", "atan2"})
"""They change what a series means: its name goes."""


_COMPARE: dict[str, Callable[[Floats, Floats], Flags]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


def _two(angle: bool, left: Floats, right: Floats) -> Floats:
    one, two = (np.ascontiguousarray(each) for each in np.broadcast_arrays(left, right))
    out = np.empty(one.shape)
    gomath.apply_two(angle, one.reshape(-1), two.reshape(-1), out.reshape(-1))
    return out


def compute(op: str, left: Floats, right: Floats) -> Floats:
    """Of floats; comparisons give the left value."""
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case "%":
            return np.fmod(left, right)
        case "^":
            return _two(False, left, right)
        case "atan2":
            return _two(True, left, right)
        case _:
            return left


def holds(op: str, left: Floats, right: Floats) -> Flags:
    """Whether the comparison is true; arithmetic always is, trimming floats never."""
    if op in _COMPARE:
        return np.asarray(_COMPARE[op](left, right), np.bool_)
    return np.full(np.broadcast(left, right).shape, op in ARITHMETIC)


def scalars(op: str, left: Floats, right: Floats) -> Floats:
    return holds(op, left, right).astype(np.float64) if op in COMPARISONS else compute(op, left, right)


def vector_scalar(query: Query, expr: BinaryExpr, vector: Matrix, scalar: Floats, swapped: bool) -> Matrix:
    """`swapped`: the scalar stands on the left."""
    op = expr.op
    other = np.broadcast_to(scalar, vector.v.shape)
    left, right = (other, vector.v) if swapped else (vector.v, other)
    keep = holds(op, left, right)
    v = vector.v if op in COMPARISONS else compute(op, left, right)
    histograms: Cells = {}
    floats = vector.ok
    if vector.histograms:
        floats = vector.floats()
        scalar_side: tuple[Floats, Cells] = (other, {})
        vector_side = (vector.v, vector.histograms)
        one, two = (scalar_side, vector_side) if swapped else (vector_side, scalar_side)
        cells, valid, kept = binary_histograms.apply(query, expr, vector.ok & ~floats, one, two)
        histograms = cells if not expr.return_bool else {}
    if op not in COMPARISONS and op not in ARITHMETIC and floats.any():
        binary_histograms.incompatible(query, expr, "float", "float")
    if expr.return_bool:
        v, ok = keep.astype(np.float64), floats
    else:
        ok = floats & keep
    if vector.histograms:
        if expr.return_bool:
            v = np.where(valid, kept, v)
            ok = ok | valid
        else:
            ok = ok | (valid & kept)
    drops = op in ARITHMETIC or expr.return_bool
    result = Matrix(vector.frame, np.ascontiguousarray(v), ok, histograms, vector.drop).only(ok)
    if not drops:
        return result
    return renamed(query, result)


def renamed(query: Query, matrix: Matrix) -> Matrix:
    """The metric name goes, now or when the query is done."""
    if query.features.delayed_name_removal:
        return Matrix(matrix.frame, matrix.v, matrix.ok, matrix.histograms, np.ones(matrix.size, np.bool_))
    return merge_same(matrix.labelled(without_names(matrix.frame)))


def sets(query: Query, expr: BinaryExpr, left: Matrix, right: Matrix) -> Matrix:
    rule = expr.matching or VectorMatching()
    a, b = left.labelled(own(left.frame, query.symbols)), right.labelled(own(right.frame, query.symbols))
    of_left, of_right, count = matching.signatures(a.frame, b.frame, rule)
    if expr.op == "or":
        there = matching.presence(of_left, count, a.ok)[of_right]
        return merged(query, concat([a, b.only(~there)]))
    there = matching.presence(of_right, count, b.ok)[of_left]
    return a.only(there if expr.op == "and" else ~there)


def merged(query: Query, matrix: Matrix) -> Matrix:
    """With delayed name removal an instant vector may have the same labels twice, until the end."""
    if query.features.delayed_name_removal and matrix.steps == 1:
        return matrix
    return merge_same(matrix)


def vectors(query: Query, expr: BinaryExpr, left: Matrix, right: Matrix) -> Matrix:
    if expr.op in SET_OPERATORS:
        return sets(query, expr, left, right)
    rule = expr.matching or VectorMatching()
    a, b = left.labelled(own(left.frame, query.symbols)), right.labelled(own(right.frame, query.symbols))
    swapped = rule.card == "one-to-many"
    many, one = (b, a) if swapped else (a, b)
    signs = matching.signatures(many.frame, one.frame, rule)
    pairs = matching.join(query, many, one, signs, rule, "left" if swapped else "right")
    of_many = matching.operand(many, pairs.many, rule.fill_left)
    of_one = matching.operand(one, pairs.one, rule.fill_right)
    query.hold(2 * len(pairs.many) * many.steps)
    one_cells, many_cells = _cells(one, pairs.one), _cells(many, pairs.many)
    sides = ((of_one, one_cells), (of_many, many_cells)) if swapped else ((of_many, many_cells), (of_one, one_cells))
    drop_name = expr.op in ARITHMETIC or (expr.return_bool and not query.features.delayed_name_removal)
    frame = matching.result_frame(many.frame, one.frame, pairs, rule, drop_name)
    result = _combine(query, expr, pairs, sides, frame, rule)
    query.release(2 * len(pairs.many) * many.steps)
    return merged(query, result)


def _cells(matrix: Matrix, rows: Ints) -> Cells:
    if not matrix.histograms:
        return {}
    return {new: matrix.histograms[old] for new, old in enumerate(rows.tolist()) if old in matrix.histograms}


def _combine(
    query: Query,
    expr: BinaryExpr,
    pairs: matching.Join,
    sides: tuple[tuple[Floats, Cells], tuple[Floats, Cells]],
    frame: LabelFrame,
    rule: VectorMatching,
) -> Matrix:
    (left, left_cells), (right, right_cells) = sides
    v, keep, ok = compute(expr.op, left, right), holds(expr.op, left, right), pairs.ok
    histograms: Cells = {}
    if left_cells or right_cells:
        mask = _mask(left_cells, ok.shape) | _mask(right_cells, ok.shape)
        cells, valid, kept = binary_histograms.apply(query, expr, ok & mask, sides[0], sides[1])
        ok = (ok & ~mask) | valid
        keep = np.where(mask, kept, keep)
        histograms = {} if expr.return_bool else cells
    trims = expr.op in ("</", ">/")
    if trims:
        plain = ok & ~(_mask(left_cells, ok.shape) | _mask(right_cells, ok.shape))
        if plain.any():
            binary_histograms.incompatible(query, expr, "float", "float")
        ok = ok & ~plain
    matching.refuse_ambiguous(pairs, ok, frame, rule)
    drop = None
    if query.features.delayed_name_removal:
        drop = np.full(len(pairs.many), expr.return_bool)
    if expr.return_bool:
        return Matrix(frame, keep.astype(np.float64), ok, {}, drop).alive()
    return Matrix(frame, np.ascontiguousarray(v), ok, histograms, drop).only(ok & keep)


def _mask(cells: Cells, shape: tuple[int, ...]) -> Flags:
    mask = np.zeros(shape, np.bool_)
    for row, found in cells.items():
        mask[row, list(found)] = True
    return mask
