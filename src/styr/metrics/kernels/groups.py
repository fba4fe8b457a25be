"""Aggregation of many series to few, for all steps at once. Called by `promql.aggregate` and `promql.classic`.

Row i of `v` [series, steps] belongs to group `group[i]`; `ok` says where there is a value. States are [groups, steps] arrays
that the caller keeps from batch to batch, since rows come in batches. Operations are in Prometheus' order (promql/engine.go).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.jit import kernel
from styr.metrics.kernels.windows import add, quantile

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SUM, AVG, MIN, MAX, COUNT, STDVAR = range(6)
"""Operations of `accumulate`."""

TOLERANCE = 1e-12
"""Relative differences between buckets that are taken for rounding errors."""


@kernel()
def _average(x: float, g: int, k: int, a: Floats, b: Floats, c: Floats, count: Floats) -> None:
    """`a` is the sum, or the mean when `c` is set because the sum would overflow; `b` is the compensation."""
    count[g, k] += 1
    n = count[g, k]
    if c[g, k] == 0.0:
        total, rest = add(x, a[g, k], b[g, k])
        if not np.isinf(total):
            a[g, k], b[g, k] = total, rest
            return
        c[g, k] = 1.0
        a[g, k] /= n - 1
        b[g, k] /= n - 1
    q = (n - 1) / n
    a[g, k], b[g, k] = add(x / n, q * a[g, k], q * b[g, k])


@kernel()
def _first(op: int, x: float, g: int, k: int, a: Floats, b: Floats) -> None:
    if op == STDVAR:
        a[g, k] = np.nan if np.isnan(x) or np.isinf(x) else 0.0
        b[g, k] = x
    else:
        a[g, k] = x


@kernel("void(i8, f8[:, ::1], b1[:, ::1], i8[::1], f8[:, ::1], f8[:, ::1], f8[:, ::1], f8[:, ::1])")
def accumulate(op: int, v: Floats, ok: Flags, group: Ints, a: Floats, b: Floats, c: Floats, count: Floats) -> None:
    """Adds rows to the states `a`, `b`, `c` and `count`, all zero at first; `finish` reads the results out of them."""
    for s in range(len(group)):
        g = group[s]
        if op == COUNT:
            _count_row(ok, s, count, g)
        elif op == SUM:
            _sum_row(v, ok, s, g, a, b, count)
        else:
            _any_row(op, v, ok, s, g, a, b, c, count)


@kernel()
def _count_row(ok: Flags, s: int, count: Floats, g: int) -> None:
    for k in range(ok.shape[1]):
        count[g, k] += np.float64(ok[s, k])


@kernel()
def _sum_row(v: Floats, ok: Flags, s: int, g: int, a: Floats, b: Floats, count: Floats) -> None:
    for k in range(v.shape[1]):
        if not ok[s, k]:
            continue
        if count[g, k] == 0:
            a[g, k] = v[s, k]
        else:
            a[g, k], b[g, k] = add(v[s, k], a[g, k], b[g, k])
        count[g, k] += 1


@kernel()
def _any_row(op: int, v: Floats, ok: Flags, s: int, g: int, a: Floats, b: Floats, c: Floats, count: Floats) -> None:
    for k in range(v.shape[1]):
        if not ok[s, k]:
            continue
        x = v[s, k]
        if count[g, k] == 0:
            count[g, k] = 1
            _first(op, x, g, k, a, b)
        elif op == AVG:
            _average(x, g, k, a, b, c, count)
        else:
            _more(op, x, g, k, a, b, count)


@kernel()
def _more(op: int, x: float, g: int, k: int, a: Floats, b: Floats, count: Floats) -> None:
    count[g, k] += 1
    if op == MIN:
        if a[g, k] > x or np.isnan(a[g, k]):
            a[g, k] = x
    elif op == MAX:
        if a[g, k] < x or np.isnan(a[g, k]):
            a[g, k] = x
    elif op == STDVAR:
        delta = x - b[g, k]
        b[g, k] += delta / count[g, k]
        a[g, k] += delta * (x - b[g, k])


@kernel("void(f8[::1], f8[:, ::1], b1[:, ::1], i8[::1], i8[::1], f8[:, ::1], b1[:, ::1])")
def group_quantile(q: Floats, v: Floats, ok: Flags, rows: Ints, offsets: Ints, out: Floats, out_ok: Flags) -> None:
    """The `q[k]` quantile of each group; group g is `rows[offsets[g]:offsets[g + 1]]`."""
    most = 0
    for g in range(len(offsets) - 1):
        most = max(most, offsets[g + 1] - offsets[g])
    scratch = np.empty(most, np.float64)
    for g in range(len(offsets) - 1):
        for k in range(v.shape[1]):
            n = 0
            for i in range(offsets[g], offsets[g + 1]):
                if ok[rows[i], k]:
                    scratch[n] = v[rows[i], k]
                    n += 1
            if n:
                out[g, k], out_ok[g, k] = quantile(q[k], scratch[:n]), True


@kernel()
def _below(x: float, y: float, largest: bool) -> bool:
    """The order of the heap: what goes first. NaN goes before all."""
    if np.isnan(x):
        return True
    return x < y if largest else x > y


@kernel()
def _sift_down(heap: Ints, n: int, v: Floats, k: int, largest: bool) -> None:
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            return
        if child + 1 < n and _below(v[heap[child + 1], k], v[heap[child], k], largest):
            child += 1
        if not _below(v[heap[child], k], v[heap[i], k], largest):
            return
        heap[i], heap[child] = heap[child], heap[i]
        i = child


@kernel()
def _sift_up(heap: Ints, n: int, v: Floats, k: int, largest: bool) -> None:
    j = n - 1
    while j > 0:
        i = (j - 1) // 2
        if not _below(v[heap[j], k], v[heap[i], k], largest):
            return
        heap[i], heap[j] = heap[j], heap[i]
        j = i


@kernel("i8(f8[:, ::1], b1[:, ::1], i8[::1], i8, i8, b1, i8[::1])")
def best(v: Floats, ok: Flags, rows: Ints, k: int, most: int, largest: bool, heap: Ints) -> int:
    """The `most` largest (smallest) of column k among `rows`, to `heap`; returns how many. As Go's container/heap, so that of
    equals the same ones are chosen."""
    n = 0
    for i in range(len(rows)):
        row = rows[i]
        if not ok[row, k]:
            continue
        x = v[row, k]
        if n < most:
            heap[n] = row
            n += 1
            _sift_up(heap, n, v, k, largest)
            continue
        top = v[heap[0], k]
        if (top < x if largest else top > x) or (np.isnan(top) and not np.isnan(x)):
            heap[0] = row
            _sift_down(heap, n, v, k, largest)
    return n


@kernel("void(f8[:, ::1], b1[:, ::1], i8[::1], i8[::1], i8[::1], b1, b1[:, ::1])")
def keep_best(v: Floats, ok: Flags, rows: Ints, offsets: Ints, most: Ints, largest: bool, out: Flags) -> None:
    """topk and bottomk over a range: marks in `out` what is kept, `most[k]` of each group at step k."""
    heap = np.empty(len(rows) + 1, np.int64)
    for g in range(len(offsets) - 1):
        members = rows[offsets[g] : offsets[g + 1]]
        for k in range(v.shape[1]):
            if most[k] < 1:
                continue
            n = best(v, ok, members, k, min(most[k], len(members)), largest, heap)
            for i in range(n):
                out[heap[i], k] = True


@kernel()
def _close(a: float, b: float) -> bool:
    """Equal but for rounding errors."""
    if np.isnan(a) and np.isnan(b):
        return True
    if a == b:
        return True
    both, difference = abs(a) + abs(b), abs(a - b)
    if a == 0 or b == 0 or both < 2.2250738585072014e-308:
        return difference < TOLERANCE * 2.2250738585072014e-308
    return difference / min(both, 1.7976931348623157e308) < TOLERANCE


@kernel()
def gather(v: Floats, ok: Flags, members: Ints, bound: Floats, k: int, uppers: Floats, counts: Floats) -> int:
    """The buckets of one histogram at one step, those with equal bounds merged. `members` are sorted by bound."""
    n = 0
    for i in range(len(members)):
        row = members[i]
        if not ok[row, k]:
            continue
        if n and uppers[n - 1] == bound[row]:
            counts[n - 1] += v[row, k]
        else:
            uppers[n], counts[n] = bound[row], v[row, k]
            n += 1
    return n


@kernel()
def _monotonic(uppers: Floats, counts: Floats, n: int, g: int, k: int, forced: Floats) -> None:
    """Makes counts rise; what had to be forced (not only rounded) goes to `forced[g, k]`: lowest bound, highest, difference."""
    before = counts[0]
    for i in range(1, n):
        now = counts[i]
        if now == before:
            continue
        if _close(before, now):
            counts[i] = before
        elif now < before:
            counts[i] = before
            forced[g, k, 0] = min(forced[g, k, 0], uppers[i])
            forced[g, k, 1] = max(forced[g, k, 1], uppers[i])
            forced[g, k, 2] = max(forced[g, k, 2], before - now)
        else:
            before = now


@kernel()
def _bucket_quantile(q: float, uppers: Floats, counts: Floats, n: int) -> float:
    if n < 2 or counts[n - 1] == 0:
        return np.nan
    rank = q * counts[n - 1]
    low, high = 0, n - 1
    while low < high:
        middle = (low + high) // 2
        if counts[middle] >= rank:
            high = middle
        else:
            low = middle + 1
    if low == n - 1:
        return float(uppers[n - 2])
    if low == 0 and uppers[0] <= 0:
        return float(uppers[0])
    start, count = 0.0, counts[low]
    if low > 0:
        start = uppers[low - 1]
        count -= counts[low - 1]
        rank -= counts[low - 1]
    return float(start + (uppers[low] - start) * (rank / count))


@kernel(
    "void(f8[::1], f8[:, ::1], b1[:, ::1], i8[::1], i8[::1], f8[::1], f8[:, ::1], b1[:, ::1], f8[:, :, ::1])",
)
def bucket_quantile(
    q: Floats,
    v: Floats,
    ok: Flags,
    rows: Ints,
    offsets: Ints,
    bound: Floats,
    out: Floats,
    out_ok: Flags,
    forced: Floats,
) -> None:
    """histogram_quantile of classic histograms: group g has the buckets `rows[offsets[g]:offsets[g + 1]]`, sorted by `bound`.
    `forced` [groups, steps, 3] starts as (inf, -inf, 0)."""
    uppers, counts = np.empty(len(rows) + 1, np.float64), np.empty(len(rows) + 1, np.float64)
    for g in range(len(offsets) - 1):
        members = rows[offsets[g] : offsets[g + 1]]
        for k in range(v.shape[1]):
            n = gather(v, ok, members, bound, k, uppers, counts)
            if n == 0:
                continue
            out_ok[g, k] = True
            if np.isnan(q[k]):
                out[g, k] = np.nan
            elif q[k] < 0:
                out[g, k] = -np.inf
            elif q[k] > 1:
                out[g, k] = np.inf
            elif not (np.isinf(uppers[n - 1]) and uppers[n - 1] > 0):
                out[g, k] = np.nan
            else:
                _monotonic(uppers, counts, n, g, k, forced)
                out[g, k] = _bucket_quantile(q[k], uppers, counts, n)


@kernel()
def _interpolate(x: float, rank: float, count: float, lower: float, upper: float) -> float:
    if np.isinf(lower):
        return count
    return rank + (count - rank) * (x - lower) / (upper - lower)


@kernel()
def _bucket_fraction(lower: float, upper: float, uppers: Floats, counts: Floats, n: int) -> float:  # noqa: C901
    total = counts[n - 1]
    if total == 0 or np.isnan(lower) or np.isnan(upper):
        return np.nan
    if lower >= upper:
        return 0.0
    rank, lower_rank, upper_rank = 0.0, 0.0, 0.0
    lower_set, upper_set = False, False
    start = 0.0 if uppers[0] > 0 else -np.inf
    for i in range(n):
        if i > 0:
            start = uppers[i - 1]
        end = uppers[i]
        if not lower_set and start >= lower:
            lower_rank, lower_set = rank, True
        if not upper_set and start >= upper:
            upper_rank, upper_set = rank, True
        if lower_set and upper_set:
            break
        if not lower_set and start < lower and end > lower:
            lower_rank, lower_set = _interpolate(lower, rank, counts[i], start, end), True
        if not upper_set and start < upper and end > upper:
            upper_rank, upper_set = _interpolate(upper, rank, counts[i], start, end), True
        if lower_set and upper_set:
            break
        rank = counts[i]
    if not lower_set or lower_rank > total:
        lower_rank = total
    if not upper_set or upper_rank > total:
        upper_rank = total
    return float((upper_rank - lower_rank) / total)


@kernel("void(f8[::1], f8[::1], f8[:, ::1], b1[:, ::1], i8[::1], i8[::1], f8[::1], f8[:, ::1], b1[:, ::1])")
def bucket_fraction(
    lower: Floats,
    upper: Floats,
    v: Floats,
    ok: Flags,
    rows: Ints,
    offsets: Ints,
    bound: Floats,
    out: Floats,
    out_ok: Flags,
) -> None:
    """histogram_fraction of classic histograms, grouped as for `bucket_quantile`."""
    uppers, counts = np.empty(len(rows) + 1, np.float64), np.empty(len(rows) + 1, np.float64)
    for g in range(len(offsets) - 1):
        members = rows[offsets[g] : offsets[g + 1]]
        for k in range(v.shape[1]):
            n = gather(v, ok, members, bound, k, uppers, counts)
            if n == 0:
                continue
            out_ok[g, k] = True
            if not (np.isinf(uppers[n - 1]) and uppers[n - 1] > 0):
                out[g, k] = np.nan
            else:
                out[g, k] = _bucket_fraction(lower[k], upper[k], uppers, counts, n)
