"""Which series of two sides belong together, and what the result's labels are. Called by `binary`. Pure.

A join is a list of pairs of rows (many side, one side); -1 stands for a fill value. A pair's samples count only where its
mask is set, so rows that follow each other in time under one signature are simply several pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.errors import ExecutionError
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.labels import Labels, set_text
from styr.metrics.promql.ast import VectorMatching
from styr.metrics.promql.query import Query
from styr.metrics.promql.values import METADATA_LABELS, Flags, Floats, Matrix, count_rows, group_rows

Ints = NDArray[np.int64]


def signatures(left: LabelFrame, right: LabelFrame, matching: VectorMatching) -> tuple[Ints, Ints, int]:
    """Equal numbers for rows whose matching labels agree: (of the left rows, of the right rows, how many there are)."""
    names = {*left.columns, *right.columns}
    if matching.on:
        names &= set(matching.labels)
    else:
        names -= {*matching.labels, "__name__"}
    columns = {name: np.concatenate([left.column(name), right.column(name)]) for name in sorted(names)}
    group, first = group_rows(LabelFrame(left.symbols, left.size + right.size, columns))
    return group[: left.size], group[left.size :], len(first)


def presence(signature: Ints, count: int, ok: Flags) -> Flags:
    """[signatures, steps]: whether any row of the signature has a sample."""
    return count_rows(signature, count, ok) > 0


@dataclass(slots=True)
class Join:
    """Pairs of rows of `many` and `one`, -1 where a fill value stands in, and where each pair has samples."""

    many: Ints
    one: Ints
    ok: Flags
    signature: Ints


def join(
    query: Query, many: Matrix, one: Matrix, signs: tuple[Ints, Ints, int], matching: VectorMatching, one_side: str
) -> Join:
    """Raises ExecutionError when the one side is not unique. `one_side`: left or right, as written in the query."""
    of_many, of_one, count = signs
    active: Flags = np.asarray(many.ok.any(axis=0))
    if matching.fill_left is not None or matching.fill_right is not None:
        active = active | one.ok.any(axis=0)
    _refuse_duplicates(one, of_one, count, active, matching, one_side)
    held = int(np.bincount(of_one, minlength=count)[of_many].sum()) * many.steps if len(of_many) else 0
    query.hold(held)
    left, right = _pairs(of_many, of_one, count)
    ok = many.ok[left] & one.ok[right]
    query.release(held)
    joins = [(left, right, ok)]
    if matching.fill_right is not None:
        missing = many.ok & ~presence(of_one, count, one.ok)[of_many]
        rows = np.flatnonzero(missing.any(axis=1))
        joins.append((rows, np.full(len(rows), -1, np.int64), missing[rows]))
    if matching.fill_left is not None:
        missing = one.ok & ~_matched(of_many, count, many, matching, joins[0])[of_one]
        rows = np.flatnonzero(missing.any(axis=1))
        joins.append((np.full(len(rows), -1, np.int64), rows, missing[rows]))
    lefts, rights = np.concatenate([j[0] for j in joins]), np.concatenate([j[1] for j in joins])
    signature = np.where(lefts >= 0, of_many[lefts] if len(of_many) else -1, of_one[rights] if len(of_one) else -1)
    return Join(lefts, rights, np.concatenate([j[2] for j in joins]), signature)


def _matched(
    of_many: Ints, count: int, many: Matrix, matching: VectorMatching, plain: tuple[Ints, Ints, Flags]
) -> Flags:
    """Signatures that the many side has already been joined on, at each step."""
    if matching.fill_right is not None:
        return presence(of_many, count, many.ok)
    return presence(of_many[plain[0]], count, plain[2])


def _pairs(of_many: Ints, of_one: Ints, count: int) -> tuple[Ints, Ints]:
    order = np.argsort(of_one, kind="stable")
    sizes = np.bincount(of_one, minlength=count)
    starts = np.cumsum(sizes) - sizes
    each = sizes[of_many] if len(of_many) else np.zeros(0, np.int64)
    left = np.repeat(np.arange(len(of_many)), each)
    within = np.arange(len(left)) - np.repeat(np.cumsum(each) - each, each)
    return left, order[starts[of_many[left]] + within].astype(np.int64)


def _refuse_duplicates(
    one: Matrix, of_one: Ints, count: int, active: Flags, matching: VectorMatching, side: str
) -> None:
    if len(of_one) == len(np.unique(of_one)):
        return
    twice = (count_rows(of_one, count, one.ok) > 1) & active
    if not twice.any():
        return
    step = int(np.flatnonzero(twice.any(axis=0))[0])
    taken: dict[int, int] = {}
    for row in np.flatnonzero(one.ok[:, step]).tolist():
        sign = int(of_one[row])
        if sign in taken:
            labels, other = one.frame.labels(row), one.frame.labels(taken[sign])
            group, both = set_text(matched_labels(labels, matching)), f"{set_text(labels)}, {set_text(other)}"
            raise ExecutionError(
                f"found duplicate series for the match group {group} on the {side} hand-side of the operation: [{both}];"
                "many-to-many matching not allowed: matching labels must be unique on one side"
            )
        taken[sign] = row


def matched_labels(labels: Labels, matching: VectorMatching) -> Labels:
    if matching.on:
        return tuple(pair for pair in labels if pair[0] in matching.labels)
    return tuple(pair for pair in labels if pair[0] not in matching.labels and pair[0] != "__name__")


def result_frame(
    many: LabelFrame, one: LabelFrame, pairs: Join, matching: VectorMatching, drop_name: bool
) -> LabelFrame:
    """Labels of the many side, those of `include` from the one side; of one-to-one pairs only those that matched."""
    columns = {name: column[pairs.many] for name, column in many.columns.items()} if many.size else {}
    others = {name: column[pairs.one] for name, column in one.columns.items()} if one.size else {}
    filled_many, filled_one = pairs.many < 0, pairs.one < 0
    if filled_many.any():
        _match_only(columns, others, filled_many, matching)
    if filled_one.any():
        _match_only(others, dict(columns), filled_one, matching)
    for name in METADATA_LABELS if drop_name else ():
        columns.pop(name, None)
    if matching.card == "one-to-one":
        kept = set(matching.labels)
        columns = {name: column for name, column in columns.items() if (name in kept) == matching.on}
    empty = np.zeros(len(pairs.many), np.int32)
    for name in matching.include:
        columns[name] = others.get(name, empty)
    return LabelFrame(many.symbols, len(pairs.many), columns)


def _match_only(
    columns: dict[str, NDArray[np.int32]], other: dict[str, NDArray[np.int32]], rows: Flags, matching: VectorMatching
) -> None:
    """Where a fill value stands in, its labels are those of the other side that take part in the matching."""
    for name in {*columns, *other}:
        matches = name in matching.labels if matching.on else name not in matching.labels and name != "__name__"
        size = len(rows)
        mine = columns.get(name, np.zeros(size, np.int32)).copy()
        mine[rows] = other[name][rows] if matches and name in other else 0
        columns[name] = mine


def refuse_ambiguous(pairs: Join, ok: Flags, frame: LabelFrame, matching: VectorMatching) -> None:
    """Raises ExecutionError when two pairs of one signature would give the same series at one step."""
    if matching.card == "one-to-one":
        group = pairs.signature
        message = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
    else:
        with_sign = frame.replace("\xff", pairs.signature.astype(np.int32))
        group, _ = group_rows(with_sign)
        message = "multiple matches for labels: grouping labels must ensure unique matches"
    if not len(group) or len(np.unique(group)) == len(group):
        return
    if (count_rows(group, int(group.max()) + 1, ok) > 1).any():
        raise ExecutionError(message)


def operand(matrix: Matrix, rows: Ints, fill: float | None) -> Floats:
    """The values of one side of each pair."""
    if not matrix.size:
        return np.full((len(rows), matrix.steps), fill if fill is not None else 0.0)
    values = matrix.v[rows]
    if fill is not None:
        values[rows < 0] = fill
    return values
