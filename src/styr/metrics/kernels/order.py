"""Sorting label sets that are rows of value ids, as Prometheus sorts them. Called by `storage.select`.

Rows have a column for each label name, the names sorted; 0 means that the label is not there. Label sets compare pair by pair,
name before value: at the first column that differs, a row without that label comes later, unless it has no further label, for
then it is a beginning of the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.bits import Int
from styr.metrics.kernels.jit import kernel

Ints = NDArray[np.int64]
Ids = NDArray[np.int32]


@kernel()
def has_more(ids: Ids, row: Int, column: Int) -> Int:
    for c in range(column, ids.shape[1]):  # noqa: SIM110  # numba compiles no generator expression
        if ids[row, c]:
            return True
    return False


@kernel()
def compare(ids: Ids, rank: Ids, a: Int, b: Int) -> Int:
    """Below 0 when row a sorts before row b, 0 when they are equal."""
    for c in range(ids.shape[1]):
        x, y = ids[a, c], ids[b, c]
        if x == y:
            continue
        if x == 0:
            return 1 if has_more(ids, a, c + 1) else -1
        if y == 0:
            return -1 if has_more(ids, b, c + 1) else 1
        return np.int64(rank[x]) - np.int64(rank[y])
    return 0


@kernel()
def merge_runs(ids: Ids, rank: Ids, source: Ints, target: Ints, low: Int, middle: Int, high: Int) -> None:
    """Two sorted neighbours to one; equal rows keep their order."""
    if low < middle < high and compare(ids, rank, source[middle - 1], source[middle]) <= 0:
        target[low:high] = source[low:high]
        return
    i, j = low, middle
    for k in range(low, high):
        if i < middle and (j >= high or compare(ids, rank, source[i], source[j]) <= 0):
            target[k] = source[i]
            i += 1
        else:
            target[k] = source[j]
            j += 1


@kernel("i8[::1](i4[:, ::1], i4[::1])")
def order_rows(ids: Ids, rank: Ids) -> Ints:
    """The rows in order; `rank[id]` is the place of a string among the sorted strings. Merge sort that takes the sorted runs it
    finds, so that a few sorted sets behind each other cost a few passes."""
    n = len(ids)
    order, other = np.arange(n), np.empty(n, np.int64)
    runs = np.empty(n + 1, np.int64)
    count = 0
    for i in range(n):
        if i == 0 or compare(ids, rank, i - 1, i) > 0:
            runs[count] = i
            count += 1
    runs[count] = n
    while count > 1:
        half = 0
        for r in range(0, count, 2):
            low, middle, high = runs[r], runs[r + 1], runs[min(r + 2, count)]
            merge_runs(ids, rank, order, other, low, middle, high)
            runs[half] = low
            half += 1
        runs[half] = n
        count = half
        order, other = other, order
    return order


@kernel("i8(i4[:, ::1], i4[::1], i8[::1], i8[::1])")
def number_rows(ids: Ids, rank: Ids, order: Ints, number: Ints) -> Int:
    """`number[k]`: which distinct label set `order[k]` is, counted in that order. Returns how many there are."""
    count = 0
    for k in range(len(order)):
        if k and compare(ids, rank, order[k - 1], order[k]) != 0:
            count += 1
        number[k] = count
    return count + 1 if len(order) else 0
