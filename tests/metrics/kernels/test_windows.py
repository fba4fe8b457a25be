"""Window kernels against Prometheus' formulas written plainly, one window at a time; and in bounds on hostile shapes."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from styr.metrics.kernels import groups, windows

Point = tuple[int, float]
SPAN = 100_000


def series(
    seed: int, count: int
) -> tuple[list[list[Point]], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    rows: list[list[Point]] = []
    shared: list[int] = []
    for i in range(count):
        size = int(random.integers(0, 40))
        if i % 3 or not shared:
            shared = sorted(set(random.integers(0, 400_000, size).tolist()))
        values = random.choice([0.0, 1.0, 1e16, -1e16, 3.5, math.nan, math.inf, -0.0, 7.25], len(shared)).tolist()
        if i % 2:
            values = np.cumsum(random.random(len(shared))).tolist()
        rows.append(list(zip(shared, values, strict=True)))
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    t = np.array([t for row in rows for t, _ in row], np.int64)
    v = np.array([v for row in rows for _, v in row], np.float64)
    return rows, offsets, t, v


ENDS = np.arange(0, 500_000, 37_000, dtype=np.int64)


def each_window(rows: list[list[Point]], of: Callable[[list[Point], int], float | None]) -> list[list[float | None]]:
    found = []
    for row in rows:
        line = []
        for end in ENDS.tolist():
            inside = [point for point in row if end - SPAN < point[0] <= end]
            line.append(of(inside, end) if inside else None)
        found.append(line)
    return found


def kahan(values: list[float]) -> tuple[float, float]:
    total = rest = 0.0
    for value in values:
        new = total + value
        if math.isinf(new):
            rest = 0.0
        elif abs(total) >= abs(value):
            rest += (total - new) + value
        else:
            rest += (value - new) + total
        total = new
    return total, rest


def plain_sum(points: list[Point], end: int) -> float:
    total, rest = kahan([v for _, v in points])
    return total if math.isinf(total) else total + rest


def plain_average(points: list[Point], end: int) -> float | None:
    total, rest = kahan([v for _, v in points])
    if math.isinf(total):
        return None  # the incremental mean is tested by the engine's scripts
    return total / len(points) + rest / len(points)


def plain_rate(points: list[Point], end: int) -> float | None:
    if len(points) < 2:
        return None
    change = points[-1][1] - points[0][1]
    for (_, before), (_, now) in itertools.pairwise(points):
        if now < before:
            change += before
    to_start, to_end = (points[0][0] - (end - SPAN)) / 1000, (end - points[-1][0]) / 1000
    sampled = (points[-1][0] - points[0][0]) / 1000
    average = sampled / (len(points) - 1)
    if to_start >= average * 1.1:
        to_start = average / 2
    if change > 0 and points[0][1] >= 0:
        to_start = min(to_start, sampled * (points[0][1] / change))
    if to_end >= average * 1.1:
        to_end = average / 2
    return change * ((sampled + to_start + to_end) / sampled / (SPAN / 1000))


def check(
    out: NDArray[np.float64], ok: NDArray[np.bool_], wanted: list[list[float | None]], skip_none: bool = False
) -> None:
    for row, line in enumerate(wanted):
        for k, value in enumerate(line):
            if value is None:
                assert skip_none or not ok[row, k]
                continue
            assert ok[row, k]
            assert out[row, k] == value or (math.isnan(out[row, k]) and math.isnan(value))


@pytest.mark.parametrize("seed", range(4))
def test_rate_bit_for_bit(seed: int) -> None:
    rows, offsets, t, v = series(seed, 20)
    finite = np.isfinite(v)
    v = np.where(finite, v, 5.0)
    rows = [[(t, value if math.isfinite(value) else 5.0) for t, value in row] for row in rows]
    out, ok = np.zeros((20, len(ENDS))), np.zeros((20, len(ENDS)), np.bool_)
    counts = np.zeros(len(ENDS), np.int64)
    windows.rate(offsets, t, v, ENDS, SPAN, True, True, out, ok, counts)
    check(out, ok, each_window(rows, plain_rate))
    inside = [sum(end - SPAN < at <= end for row in rows for at, _ in row) for end in ENDS.tolist()]
    assert counts.tolist() == inside


@pytest.mark.parametrize(
    ("op", "of"),
    [
        (windows.SUM, plain_sum),
        (windows.COUNT, lambda points, end: float(len(points))),
        (windows.FIRST, lambda points, end: points[0][1]),
        (windows.LAST, lambda points, end: points[-1][1]),
        (windows.FIRST_TIME, lambda points, end: points[0][0] / 1000),
        (windows.LAST_TIME, lambda points, end: points[-1][0] / 1000),
        (windows.MAX, lambda points, end: max((v for _, v in points if v == v), default=math.nan)),
        (windows.MIN, lambda points, end: min((v for _, v in points if v == v), default=math.nan)),
        (
            windows.RESETS,
            lambda points, end: float(sum(b < a for (_, a), (_, b) in itertools.pairwise(points))),
        ),
    ],
)
def test_over_time_bit_for_bit(op: int, of: Callable[[list[Point], int], float | None]) -> None:
    rows, offsets, t, v = series(7, 30)
    out, ok, counts = np.zeros((30, len(ENDS))), np.zeros((30, len(ENDS)), np.bool_), np.zeros(len(ENDS), np.int64)
    windows.over_time(offsets, t, v, ENDS, SPAN, op, out, ok, counts)
    check(out, ok, each_window(rows, of))


def test_average_bit_for_bit() -> None:
    rows, offsets, t, v = series(8, 30)
    out, ok, counts = np.zeros((30, len(ENDS))), np.zeros((30, len(ENDS)), np.bool_), np.zeros(len(ENDS), np.int64)
    windows.over_time(offsets, t, v, ENDS, SPAN, windows.AVG, out, ok, counts)
    check(out, ok, each_window(rows, plain_average), skip_none=True)


def test_compensated_sums_survive() -> None:
    values = np.array([1.0, 1e100, 1.0, -1e100])
    out, ok, counts = np.zeros((1, 1)), np.zeros((1, 1), np.bool_), np.zeros(1, np.int64)
    offsets, t = np.array([0, 4], np.int64), np.arange(4, dtype=np.int64)
    windows.over_time(offsets, t, values, np.array([10], np.int64), 100, windows.SUM, out, ok, counts)
    assert out[0, 0] == 2.0


def test_the_newest_sample_and_staleness() -> None:
    stale = np.int64(windows.STALE)
    bits = np.array([1.0, 2.0, 3.0]).view(np.int64)
    v = np.array([bits[0], stale, bits[2]], np.int64)
    t = np.array([0, 60_000, 120_000], np.int64)
    ends = np.array([-1, 0, 59_999, 60_000, 119_999, 120_000, 419_999, 420_000], np.int64)
    out, ok = np.zeros((1, len(ends)), np.int64), np.zeros((1, len(ends)), np.bool_)
    when = np.zeros((1, len(ends)), np.int64)
    windows.instant(np.array([0, 3], np.int64), t, v, ends, 300_000, out, ok, when)
    assert ok[0].tolist() == [False, True, True, False, False, True, True, False]
    assert out.view(np.float64)[0, 6] == 3.0
    assert when[0, 6] == 120_000


def test_quantiles_put_nan_first() -> None:
    assert math.isnan(windows.quantile(0.0, np.array([3.0, math.nan, 1.0])))
    assert windows.quantile(1.0, np.array([3.0, math.nan, 1.0])) == 3.0
    assert windows.quantile(0.5, np.array([1.0, 2.0])) == 1.5
    assert windows.quantile(-1.0, np.array([1.0])) == -math.inf
    assert math.isnan(windows.quantile(0.5, np.zeros(0)))


def test_the_heap_keeps_what_is_best() -> None:
    random = np.random.default_rng(5)
    v = random.permutation(50).astype(np.float64).reshape(50, 1)
    v[3] = math.nan
    ok = np.ones((50, 1), np.bool_)
    heap = np.empty(60, np.int64)
    n = groups.best(v, ok, np.arange(50), 0, 5, True, heap)
    assert sorted(v[heap[:n], 0].tolist()) == sorted(np.sort(v[~np.isnan(v)])[-5:].tolist())


def test_sums_of_groups_are_compensated_across_batches() -> None:
    a, b, c, count = (np.zeros((1, 1)) for _ in range(4))
    one = np.zeros(1, np.int64)
    for value in (1.0, 1e100, 1.0, -1e100):
        cell = np.array([[value]])
        groups.accumulate(groups.SUM, cell, np.ones((1, 1), np.bool_), one, a, b, c, count)
    assert a[0, 0] + b[0, 0] == 2.0


def test_averages_do_not_overflow() -> None:
    a, b, c, count = (np.zeros((1, 1)) for _ in range(4))
    one = np.zeros(1, np.int64)
    for _ in range(3):
        groups.accumulate(groups.AVG, np.array([[1.5e308]]), np.ones((1, 1), np.bool_), one, a, b, c, count)
    assert c[0, 0] == 1.0
    assert a[0, 0] + b[0, 0] == 1.5e308


FUZZ = """
import numpy as np
from styr.metrics.kernels import groups, windows
random = np.random.default_rng(1)
for round in range(40):
    sizes = random.integers(0, 30, random.integers(0, 6))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    n, s, k = int(offsets[-1]), len(sizes), int(random.integers(0, 5))
    t = np.sort(random.integers(0, 1000, n)).astype(np.int64)
    v = random.choice([0.0, 1.0, np.nan, np.inf, -np.inf, 1e308], n)
    ends = np.sort(random.integers(-100, 1200, k)).astype(np.int64)
    span = int(random.integers(1, 500))
    f = random.random(k)
    def fresh(): return np.zeros((s, k)), np.zeros((s, k), np.bool_), np.zeros(k, np.int64)
    for op in range(16): windows.over_time(offsets, t, v, ends, span, op, *fresh())
    windows.rate(offsets, t, v, ends, span, True, True, *fresh())
    windows.instant_rate(offsets, t, v, ends, span, True, *fresh())
    windows.linear(offsets, t, v, ends, span, ends, f, *fresh())
    windows.linear(offsets, t, v, ends, span, ends, np.zeros(0), *fresh())
    windows.spread(offsets, t, v, ends, span, f, *fresh())
    windows.spread(offsets, t, v, ends, span, np.zeros(0), *fresh())
    windows.double_exponential_smoothing(offsets, t, v, ends, span, f, f, *fresh())
    out, ok, counts = fresh()
    windows.instant(offsets, t, v.view(np.int64), ends, span, out.view(np.int64), ok, np.zeros((0, 0), np.int64))
    windows.instant(offsets, t, v.view(np.int64), ends, span, out.view(np.int64), ok, np.zeros((s, k), np.int64))
    g = 3
    group = random.integers(0, g, s).astype(np.int64)
    rows = np.argsort(group, kind="stable").astype(np.int64)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=g))]).astype(np.int64)
    for op in range(6):
        groups.accumulate(op, out, ok, group, *(np.zeros((g, k)) for _ in range(4)))
    groups.group_quantile(f, out, ok, rows, bounds, np.zeros((g, k)), np.zeros((g, k), np.bool_))
    groups.keep_best(out, ok, rows, bounds, np.full(k, 2), bool(round % 2), np.zeros((s, k), np.bool_))
    le = random.choice([0.1, 1.0, 1.0, np.inf], s)
    order = np.lexsort((le, group)).astype(np.int64)
    forced = np.zeros((g, k, 3))
    result = np.zeros((g, k)), np.zeros((g, k), np.bool_)
    groups.bucket_quantile(f, out, ok, order, bounds, le, *result, forced)
    groups.bucket_fraction(f, f + 1, out, ok, order, bounds, le, *result)
print("in bounds")
"""


def test_every_index_is_in_bounds() -> None:
    environment = {**os.environ, "STYR_KERNEL_BOUNDSCHECK": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FUZZ], env=environment, capture_output=True, text=True, timeout=170, check=False
    )
    assert done.stdout == "in bounds\n", done.stderr
