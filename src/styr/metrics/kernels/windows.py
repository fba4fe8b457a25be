"""Functions over ranges of samples, for all steps of many series at once. Called by `promql.ranges` and `promql.selectors`.

Series i of a batch has the samples `offsets[i]:offsets[i + 1]` of `t` (ms, rising) and `v`, without staleness markers except
for `instant`. The window of step k is (`ends[k] - span`, `ends[k]`], open on the left; `ends` never falls. A result goes to
`out[i, k]`, and `ok[i, k]` says that there is one. `counts[k]` gets the samples of all windows of step k added.

Operations are in the order of Prometheus 3.14 (promql/functions.go), so that results agree bit for bit: sums are Neumaier's,
and nothing is reordered. Window bounds are computed once for consecutive series that were scraped at the same times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels.jit import kernel

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

STALE = 0x7FF0000000000002

COUNT, PRESENT, FIRST, LAST, SUM, AVG, MIN, MAX, STDVAR, STDDEV, CHANGES, RESETS = range(12)
FIRST_TIME, LAST_TIME, MIN_TIME, MAX_TIME = range(12, 16)
"""Operations of `over_time`."""


@kernel()
def add(value: float, total: float, rest: float) -> tuple[float, float]:
    """Neumaier's compensated sum: (total, rest) with `value` added."""
    new = total + value
    if np.isinf(new):
        return new, 0.0
    if abs(total) >= abs(value):
        return new, rest + ((total - new) + value)
    return new, rest + ((value - new) + total)


@kernel()
def same_times(t: Ints, one: int, other: int, count: int) -> bool:
    for i in range(count):  # noqa: SIM110  # numba has no generators in all()
        if t[one + i] != t[other + i]:
            return False
    return True


@kernel()
def bounds(t: Ints, first: int, last: int, ends: Ints, span: int, lo: Ints, hi: Ints) -> None:
    """Window k holds the samples `first + lo[k] .. first + hi[k] - 1`."""
    i, j = first, first
    for k in range(len(ends)):
        while j < last and t[j] <= ends[k]:
            j += 1
        while i < j and t[i] <= ends[k] - span:
            i += 1
        lo[k], hi[k] = i - first, j - first


@kernel()
def windows(offsets: Ints, t: Ints, series: int, shared: int, ends: Ints, span: int, lo: Ints, hi: Ints) -> int:
    """Fills `lo` and `hi` for a series, unless those of series `shared` (-1: none) fit. Returns the series they are of."""
    first, last = offsets[series], offsets[series + 1]
    if shared >= 0:
        start = offsets[shared]
        if offsets[shared + 1] - start == last - first and same_times(t, start, first, last - first):
            return shared
    bounds(t, first, last, ends, span, lo, hi)
    return series


@kernel()
def longest(offsets: Ints) -> int:
    most = 0
    for i in range(len(offsets) - 1):
        most = max(most, offsets[i + 1] - offsets[i])
    return most


@kernel("void(i8[::1], i8[::1], i8[::1], i8[::1], i8, i8[:, ::1], b1[:, ::1], i8[:, ::1])")
def instant(offsets: Ints, t: Ints, v: Ints, ends: Ints, span: int, out: Ints, ok: Flags, when: Ints) -> None:
    """The newest sample of each window, none when that is a staleness marker. `v` and `out` are bits. `when` gets its time,
    unless it has no rows."""
    for s in range(len(offsets) - 1):
        first, last = offsets[s], offsets[s + 1]
        j = first
        for k in range(len(ends)):
            while j < last and t[j] <= ends[k]:
                j += 1
            if j > first and t[j - 1] > ends[k] - span and v[j - 1] != STALE:
                out[s, k], ok[s, k] = v[j - 1], True
                if len(when):
                    when[s, k] = t[j - 1]


@kernel()
def extrapolate(
    change: float, start: float, first_t: int, last_t: int, intervals: int, end: int, span: int, counter: bool
) -> float:
    """`change` between the first and the last sample, scaled to the whole window; `start` is the first sample's value."""
    to_start = np.float64(first_t - (end - span)) / 1000
    to_end = np.float64(end - last_t) / 1000
    sampled = np.float64(last_t - first_t) / 1000
    average = sampled / intervals
    threshold = average * 1.1
    if to_start >= threshold:
        to_start = average / 2
    if counter and change > 0 and start >= 0:
        to_zero = sampled * (start / change)
        if to_zero < to_start:
            to_start = to_zero
    if to_end >= threshold:
        to_end = average / 2
    if sampled != 0:
        return (sampled + to_start + to_end) / sampled
    return 1.0


@kernel()
def find_resets(v: Floats, first: int, last: int, resets: Ints) -> int:
    """Where a sample is smaller than the one before; returns how often."""
    found = 0
    for i in range(first + 1, last):
        if v[i] < v[i - 1]:
            resets[found] = i - first
            found += 1
    return found


@kernel("void(i8[::1], i8[::1], f8[::1], i8[::1], i8, b1, b1, f8[:, ::1], b1[:, ::1], i8[::1])")
def rate(
    offsets: Ints,
    t: Ints,
    v: Floats,
    ends: Ints,
    span: int,
    counter: bool,
    per_second: bool,
    out: Floats,
    ok: Flags,
    counts: Ints,
) -> None:
    """rate (counter, per second), increase (counter), delta."""
    steps = len(ends)
    lo, hi = np.empty(steps, np.int64), np.empty(steps, np.int64)
    resets = np.empty(longest(offsets) + 1, np.int64)
    seconds = np.float64(span) / 1000
    shared = -1
    for s in range(len(offsets) - 1):
        first = offsets[s]
        shared = windows(offsets, t, s, shared, ends, span, lo, hi)
        found = find_resets(v, first, offsets[s + 1], resets) if counter else 0
        next_reset = 0
        for k in range(steps):
            a, b = lo[k], hi[k] - 1
            counts[k] += b + 1 - a
            if b <= a:
                continue
            change = v[first + b] - v[first + a]
            while next_reset < found and resets[next_reset] <= a:
                next_reset += 1
            r = next_reset
            while r < found and resets[r] <= b:
                change += v[first + resets[r] - 1]
                r += 1
            factor = extrapolate(change, v[first + a], t[first + a], t[first + b], b - a, ends[k], span, counter)
            if per_second:
                factor /= seconds
            out[s, k], ok[s, k] = change * factor, True


@kernel("void(i8[::1], i8[::1], f8[::1], i8[::1], i8, b1, f8[:, ::1], b1[:, ::1], i8[::1])")
def instant_rate(
    offsets: Ints, t: Ints, v: Floats, ends: Ints, span: int, counter: bool, out: Floats, ok: Flags, counts: Ints
) -> None:
    """irate (counter) and idelta: of the last two samples."""
    lo, hi = np.empty(len(ends), np.int64), np.empty(len(ends), np.int64)
    shared = -1
    for s in range(len(offsets) - 1):
        first = offsets[s]
        shared = windows(offsets, t, s, shared, ends, span, lo, hi)
        for k in range(len(ends)):
            counts[k] += hi[k] - lo[k]
            if hi[k] - lo[k] < 2:
                continue
            last = first + hi[k] - 1
            change = v[last]
            if not counter or not v[last] < v[last - 1]:
                change = v[last] - v[last - 1]
            if counter:
                change /= np.float64(t[last] - t[last - 1]) / 1000
            out[s, k], ok[s, k] = change, True


@kernel()
def _sum(v: Floats, a: int, b: int) -> float:
    total, rest = 0.0, 0.0
    for i in range(a, b):
        total, rest = add(v[i], total, rest)
    if np.isinf(total):
        return total
    return total + rest


@kernel()
def _average(v: Floats, a: int, b: int) -> float:
    """A direct mean as long as the sum does not overflow, an incremental one from there on."""
    total, rest, mean, count = v[a], 0.0, 0.0, 1.0
    incremental = False
    for i in range(a + 1, b):
        count = np.float64(i - a + 1)
        if not incremental:
            new, new_rest = add(v[i], total, rest)
            if not np.isinf(new):
                total, rest = new, new_rest
                continue
            incremental = True
            mean = total / (count - 1)
            rest /= count - 1
        q = (count - 1) / count
        mean, rest = add(v[i] / count, q * mean, q * rest)
    if incremental:
        return mean + rest
    return float(total / count + rest / count)


@kernel()
def _extreme(v: Floats, a: int, b: int, greatest: bool) -> float:
    found = v[a]
    for i in range(a, b):
        if np.isnan(found) or (v[i] > found if greatest else v[i] < found):
            found = v[i]
    return float(found)


@kernel()
def _extreme_at(v: Floats, a: int, b: int, greatest: bool) -> int:
    """Of equals the last."""
    at = a
    for i in range(a, b):
        if np.isnan(v[at]) or (v[i] >= v[at] if greatest else v[i] <= v[at]):
            at = i
    return at


@kernel()
def _variance(v: Floats, a: int, b: int) -> float:
    count, mean, mean_rest, square, square_rest = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(a, b):
        count += 1
        delta = v[i] - (mean + mean_rest)
        mean, mean_rest = add(delta / count, mean, mean_rest)
        square, square_rest = add(delta * (v[i] - (mean + mean_rest)), square, square_rest)
    return (square + square_rest) / count


@kernel()
def _changes(v: Floats, a: int, b: int) -> float:
    found = 0
    for i in range(a + 1, b):
        if v[i] != v[i - 1] and not (np.isnan(v[i]) and np.isnan(v[i - 1])):
            found += 1
    return np.float64(found)


@kernel()
def _resets(v: Floats, a: int, b: int) -> float:
    found = 0
    for i in range(a + 1, b):
        if v[i] < v[i - 1]:
            found += 1
    return np.float64(found)


@kernel()
def _time_of(op: int, t: Ints, v: Floats, a: int, b: int) -> float:
    if op == FIRST_TIME:
        at = a
    elif op == LAST_TIME:
        at = b - 1
    else:
        at = _extreme_at(v, a, b, op == MAX_TIME)
    return np.float64(t[at]) / 1000


@kernel()
def _reduce(op: int, t: Ints, v: Floats, a: int, b: int) -> float:  # a table
    if op == COUNT:
        return float(b - a)
    if op == PRESENT:
        return 1.0
    if op == FIRST:
        return float(v[a])
    if op == LAST:
        return float(v[b - 1])
    if op == SUM:
        return _sum(v, a, b)
    if op == AVG:
        return _average(v, a, b)
    if op in (MIN, MAX):
        return _extreme(v, a, b, op == MAX)
    if op == STDVAR:
        return _variance(v, a, b)
    if op == STDDEV:
        return float(np.sqrt(_variance(v, a, b)))
    if op == CHANGES:
        return _changes(v, a, b)
    if op == RESETS:
        return _resets(v, a, b)
    return _time_of(op, t, v, a, b)


@kernel("void(i8[::1], i8[::1], f8[::1], i8[::1], i8, i8, f8[:, ::1], b1[:, ::1], i8[::1])")
def over_time(
    offsets: Ints, t: Ints, v: Floats, ends: Ints, span: int, op: int, out: Floats, ok: Flags, counts: Ints
) -> None:
    """The functions of one window's samples without parameters; `op` is one of the constants above."""
    lo, hi = np.empty(len(ends), np.int64), np.empty(len(ends), np.int64)
    shared = -1
    for s in range(len(offsets) - 1):
        first = offsets[s]
        shared = windows(offsets, t, s, shared, ends, span, lo, hi)
        for k in range(len(ends)):
            if hi[k] > lo[k]:
                counts[k] += hi[k] - lo[k]
                out[s, k], ok[s, k] = _reduce(op, t, v, first + lo[k], first + hi[k]), True


@kernel()
def regression(t: Ints, v: Floats, a: int, b: int, origin: int) -> tuple[float, float]:
    """Least squares: (slope per second, value at time `origin`)."""
    n, constant = 0.0, True
    x_sum, x_rest, y_sum, y_rest, xy_sum, xy_rest, xx_sum, xx_rest = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(a, b):
        if v[i] != v[a] and i > a:
            constant = False
        n += 1.0
        x = np.float64(t[i] - origin) / 1e3
        x_sum, x_rest = add(x, x_sum, x_rest)
        y_sum, y_rest = add(v[i], y_sum, y_rest)
        xy_sum, xy_rest = add(x * v[i], xy_sum, xy_rest)
        xx_sum, xx_rest = add(x * x, xx_sum, xx_rest)
    if constant:
        if np.isinf(v[a]):
            return np.nan, np.nan
        return 0.0, v[a]
    x_sum += x_rest
    y_sum += y_rest
    xy_sum += xy_rest
    xx_sum += xx_rest
    slope = (xy_sum - x_sum * y_sum / n) / (xx_sum - x_sum * x_sum / n)
    return slope, y_sum / n - slope * x_sum / n


@kernel("void(i8[::1], i8[::1], f8[::1], i8[::1], i8, i8[::1], f8[::1], f8[:, ::1], b1[:, ::1], i8[::1])")
def linear(
    offsets: Ints,
    t: Ints,
    v: Floats,
    ends: Ints,
    span: int,
    times: Ints,
    ahead: Floats,
    out: Floats,
    ok: Flags,
    counts: Ints,
) -> None:
    """predict_linear: the value `ahead[k]` seconds after `times[k]`. deriv, the slope, when `ahead` is empty."""
    lo, hi = np.empty(len(ends), np.int64), np.empty(len(ends), np.int64)
    shared = -1
    for s in range(len(offsets) - 1):
        first = offsets[s]
        shared = windows(offsets, t, s, shared, ends, span, lo, hi)
        for k in range(len(ends)):
            a, b = first + lo[k], first + hi[k]
            counts[k] += b - a
            if b - a < 2:
                continue
            if len(ahead):
                slope, value = regression(t, v, a, b, times[k])
                out[s, k] = slope * ahead[k] + value
            else:
                out[s, k], _ = regression(t, v, a, b, t[a])
            ok[s, k] = True


@kernel()
def sort_values(values: Floats) -> None:
    """NaN first, as Prometheus sorts."""
    nans = 0
    for i in range(len(values)):
        if np.isnan(values[i]):
            values[i], values[nans] = values[nans], values[i]
            nans += 1
    values[nans:].sort()


@kernel("f8(f8, f8[::1])")
def quantile(q: float, values: Floats) -> float:
    """Between two values the weighted mean; sorts `values`."""
    if len(values) == 0 or np.isnan(q):
        return np.nan
    if q < 0:
        return -np.inf
    if q > 1:
        return np.inf
    sort_values(values)
    n = np.float64(len(values))
    rank = q * (n - 1)
    lower = max(0.0, np.floor(rank))
    upper = min(n - 1, lower + 1)
    weight = rank - np.floor(rank)
    return float(values[np.int64(lower)] * (1 - weight) + values[np.int64(upper)] * weight)


@kernel()
def _deviation(values: Floats) -> float:
    """The median of the distances from the median."""
    for i in range(len(values)):
        if np.isnan(values[i]):
            return np.nan
    median = quantile(0.5, values)
    for i in range(len(values)):
        values[i] = abs(values[i] - median)
    return quantile(0.5, values)


@kernel("void(i8[::1], i8[::1], f8[::1], i8[::1], i8, f8[::1], f8[:, ::1], b1[:, ::1], i8[::1])")
def spread(
    offsets: Ints, t: Ints, v: Floats, ends: Ints, span: int, q: Floats, out: Floats, ok: Flags, counts: Ints
) -> None:
    """quantile_over_time, the `q[k]` quantile; mad_over_time when `q` is empty."""
    lo, hi = np.empty(len(ends), np.int64), np.empty(len(ends), np.int64)
    scratch = np.empty(longest(offsets), np.float64)
    shared = -1
    for s in range(len(offsets) - 1):
        first = offsets[s]
        shared = windows(offsets, t, s, shared, ends, span, lo, hi)
        for k in range(len(ends)):
            count = hi[k] - lo[k]
            if count == 0:
                continue
            counts[k] += count
            values = scratch[:count]
            values[:] = v[first + lo[k] : first + hi[k]]
            out[s, k] = quantile(q[k], values) if len(q) else _deviation(values)
            ok[s, k] = True


@kernel()
def _smooth(v: Floats, a: int, b: int, smoothing: float, trend: float) -> float:
    before, now, slope = 0.0, v[a], v[a + 1] - v[a]
    for i in range(a + 1, b):
        x = smoothing * v[i]
        if i > a + 1:
            change = trend * (now - before)
            slope = change + (1 - trend) * slope
        y = (1 - smoothing) * (now + slope)
        before, now = now, x + y
    return float(now)


@kernel("void(i8[::1], i8[::1], f8[::1], i8[::1], i8, f8[::1], f8[::1], f8[:, ::1], b1[:, ::1], i8[::1])")
def double_exponential_smoothing(
    offsets: Ints,
    t: Ints,
    v: Floats,
    ends: Ints,
    span: int,
    smoothing: Floats,
    trend: Floats,
    out: Floats,
    ok: Flags,
    counts: Ints,
) -> None:
    """With the factors `smoothing[k]` and `trend[k]`, both between 0 and 1."""
    lo, hi = np.empty(len(ends), np.int64), np.empty(len(ends), np.int64)
    shared = -1
    for s in range(len(offsets) - 1):
        first = offsets[s]
        shared = windows(offsets, t, s, shared, ends, span, lo, hi)
        for k in range(len(ends)):
            counts[k] += hi[k] - lo[k]
            if hi[k] - lo[k] >= 2:
                out[s, k] = _smooth(v, first + lo[k], first + hi[k], smoothing[k], trend[k])
                ok[s, k] = True
