"""What expressions evaluate to: a matrix [series x steps], a scalar per step, a string. Called by every evaluating file. Pure.

An instant vector over T steps is a `Matrix` of T columns; an instant query has one. Arrays of a matrix are not changed by
whoever did not make it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.errors import ExecutionError
from styr.metrics.model.frame import LabelFrame, Symbols
from styr.metrics.model.histogram import Histogram

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

CELL_BYTES = 9
"""Of one place in a matrix: a float and a flag."""
METADATA_LABELS = ("__name__", "__type__", "__unit__")
"""They go when a function changes what the series means."""
SAME_LABELSET = "vector cannot contain metrics with the same labelset"


@dataclass(slots=True)
class Matrix:
    """`v` and `ok` are [series, steps]; where `ok` is false there is no sample. `histograms[row][step]` is the sample where
    it is a histogram (`ok` is true there, `v` means nothing). `drop` marks the series whose name goes when the query is
    done."""

    frame: LabelFrame
    v: Floats
    ok: Flags
    histograms: dict[int, dict[int, Histogram]] = field(default_factory=dict)
    drop: Flags | None = None

    @classmethod
    def empty(cls, steps: int, symbols: Symbols | None = None) -> Matrix:
        return cls(LabelFrame(symbols or Symbols(), 0), np.zeros((0, steps)), np.zeros((0, steps), np.bool_))

    @property
    def size(self) -> int:
        return self.frame.size

    @property
    def steps(self) -> int:
        return int(self.v.shape[1])

    @property
    def weight(self) -> int:
        """In samples of 16 bytes, as limits count: samples, histograms by the memory they take, and no less than the arrays."""
        samples = int(self.ok.sum())
        for row in self.histograms.values():
            samples += sum(histogram_size(h) - 1 for h in row.values())
        return max(samples, self.ok.size * CELL_BYTES // 16)

    def dropping(self) -> Flags:
        return np.zeros(self.size, np.bool_) if self.drop is None else self.drop

    def histogram_mask(self) -> Flags:
        mask = np.zeros(self.ok.shape, np.bool_)
        for row, found in self.histograms.items():
            for step in found:
                mask[row, step] = True
        return mask

    def floats(self) -> Flags:
        """Where there is a sample that is a float."""
        return self.ok & ~self.histogram_mask() if self.histograms else self.ok

    def take(self, rows: Ints) -> Matrix:
        """Some rows, in that order; one may come more than once."""
        histograms = {}
        if self.histograms:
            histograms = {new: self.histograms[old] for new, old in enumerate(rows.tolist()) if old in self.histograms}
        drop = None if self.drop is None else self.drop[rows]
        return Matrix(self.frame.take(rows), self.v[rows], self.ok[rows], histograms, drop)

    def alive(self) -> Matrix:
        """Without the series that have no sample at any step."""
        if self.ok.size and self.ok.all():
            return self
        any_ok = self.ok.any(axis=1)
        return self if any_ok.all() else self.take(np.flatnonzero(any_ok))

    def only(self, ok: Flags) -> Matrix:
        """With samples taken out where `ok` is false."""
        ok = ok & self.ok
        histograms = {}
        for row, found in self.histograms.items():
            kept = {step: h for step, h in found.items() if ok[row, step]}
            if kept:
                histograms[row] = kept
        return Matrix(self.frame, self.v, ok, histograms, self.drop).alive()

    def labelled(self, frame: LabelFrame) -> Matrix:
        return Matrix(frame, self.v, self.ok, self.histograms, self.drop)


def histogram_size(h: Histogram) -> int:
    """What a histogram counts for in limits: Prometheus takes its size in memory by 16 bytes, the size of a float sample."""
    spans = len(h.positive_spans) + len(h.negative_spans)
    buckets = len(h.positive_buckets) + len(h.negative_buckets) + len(h.custom_values)
    return (8 + 4 + 4 + 8 * 4 + 24 * 5 + 8 * spans + 8 * buckets + 8) // 16


Value = Matrix | Floats | str
"""Vector, scalar per step, string."""


def concat(parts: list[Matrix]) -> Matrix:
    """Rows of several matrices whose frames have the same symbols."""
    if len(parts) == 1:
        return parts[0]
    names = sorted({name for part in parts for name in part.frame.columns})
    columns = {name: np.concatenate([part.frame.column(name) for part in parts]) for name in names}
    histograms: dict[int, dict[int, Histogram]] = {}
    at = 0
    for part in parts:
        histograms.update({at + row: found for row, found in part.histograms.items()})
        at += part.size
    frame = LabelFrame(parts[0].frame.symbols, at, columns)
    drop = None
    if any(part.drop is not None for part in parts):
        drop = np.concatenate([part.dropping() for part in parts])
    return Matrix(frame, np.concatenate([p.v for p in parts]), np.concatenate([p.ok for p in parts]), histograms, drop)


def merge_same(matrix: Matrix) -> Matrix:
    """Series with the same labels become one, as long as they do not have samples at the same step."""
    if matrix.size < 2:
        return matrix
    group, first = group_rows(matrix.frame)
    if len(first) == matrix.size:
        return matrix
    if (count_rows(group, len(first), matrix.ok) > 1).any():
        raise ExecutionError(SAME_LABELSET)
    merged = matrix.take(first)
    v, ok = merged.v.copy(), merged.ok.copy()
    histograms: dict[int, dict[int, Histogram]] = {}
    for row in range(matrix.size):
        to, there = int(group[row]), matrix.ok[row]
        v[to][there] = matrix.v[row][there]
        ok[to] |= there
        if row in matrix.histograms:
            histograms.setdefault(to, {}).update(matrix.histograms[row])
    return Matrix(merged.frame, v, ok, histograms, merged.drop)


def count_rows(group: Ints, size: int, ok: Flags) -> NDArray[np.int32]:
    """[groups, steps]: how many rows of each group have a sample."""
    count = np.zeros((size, ok.shape[1]), np.int32)
    order = np.argsort(group, kind="stable")
    present, starts = np.unique(group[order], return_index=True)
    if len(present) == len(group):
        count[group] = ok
    elif len(group):
        count[present] = np.add.reduceat(ok[order], starts, axis=0, dtype=np.int32)
    return count


def refuse_same(frame: LabelFrame) -> None:
    """Raises ExecutionError when two rows have the same labels."""
    if frame.size > 1 and len(group_rows(frame)[1]) != frame.size:
        raise ExecutionError(SAME_LABELSET)


_MOST_KEYS = 1 << 62
_FEW = 1 << 22


def group_rows(frame: LabelFrame, names: list[str] | None = None) -> tuple[Ints, Ints]:
    """`LabelFrame.group`, without sorting where it can be avoided: (group of each row, first row of each group), in the order
    of first rows."""
    wanted = list(frame.columns) if names is None else [name for name in names if name in frame.columns]
    key = np.zeros(frame.size, np.int64)
    size = 1
    for name in wanted:
        column = frame.columns[name]
        low = int(column.min(initial=0)) if frame.size else 0
        width = int(column.max(initial=0)) - low + 1
        if width == 1 and low == 0:
            continue
        if size * width >= _MOST_KEYS:
            key = np.unique(key, return_inverse=True)[1].reshape(-1).astype(np.int64)
            size = int(key.max(initial=0)) + 1
        key = key * width + (column - low)
        size *= width
    return _first_rows(key, size)


def _first_rows(key: Ints, size: int) -> tuple[Ints, Ints]:
    rows = len(key)
    if size <= max(_FEW, 4 * rows):
        first = np.full(size, rows, np.int64)
        first[key[::-1]] = np.arange(rows - 1, -1, -1)
        found = np.sort(first[first < rows])
        rank = np.empty(rows + 1, np.int64)
        rank[found] = np.arange(len(found))
        return rank[first[key]], found
    _, firsts, group = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(firsts, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[group.reshape(-1)], firsts[order]


def own(frame: LabelFrame, symbols: Symbols) -> LabelFrame:
    """The same label sets with their strings in `symbols`, which the query may add to; a storage's own symbols it may not."""
    if frame.symbols is symbols:
        return frame
    strings = frame.symbols.strings
    columns = {}
    for name, column in frame.columns.items():
        used = np.zeros(int(column.max(initial=0)) + 1, np.bool_)
        used[column] = True
        ids = np.flatnonzero(used)
        translate = np.zeros(len(used), np.int32)
        translate[ids] = [symbols.id(strings[i]) for i in ids.tolist()]
        columns[name] = translate[column]
    return LabelFrame(symbols, frame.size, columns)


def without_names(frame: LabelFrame) -> LabelFrame:
    return frame.drop(*METADATA_LABELS)
