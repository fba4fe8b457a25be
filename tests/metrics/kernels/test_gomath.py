"""Go's elementary functions: near the C library's everywhere, special cases as Go has them. To the bit they are compared with a
real Prometheus, in tests/metrics/promql/test_differential.py."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from styr.metrics.kernels import gomath

INF, NAN = math.inf, math.nan

OPERATIONS: dict[str, tuple[int, Callable[[float], float], float, float]] = {
    "exp": (gomath.EXP, math.exp, -740.0, 709.0),
    "ln": (gomath.LN, math.log, 1e-300, 1e300),
    "log2": (gomath.LOG2, math.log2, 1e-300, 1e300),
    "log10": (gomath.LOG10, math.log10, 1e-300, 1e300),
    "sin": (gomath.SIN, math.sin, -1000.0, 1000.0),
    "cos": (gomath.COS, math.cos, -1000.0, 1000.0),
    "tan": (gomath.TAN, math.tan, -100.0, 100.0),
    "asin": (gomath.ASIN, math.asin, -1.0, 1.0),
    "acos": (gomath.ACOS, math.acos, -1.0, 1.0),
    "atan": (gomath.ATAN, math.atan, -100.0, 100.0),
    "sinh": (gomath.SINH, math.sinh, -20.0, 20.0),
    "cosh": (gomath.COSH, math.cosh, -20.0, 20.0),
    "tanh": (gomath.TANH, math.tanh, -5.0, 5.0),
    "asinh": (gomath.ASINH, math.asinh, -1e6, 1e6),
    "acosh": (gomath.ACOSH, math.acosh, 1.0, 1e6),
    "atanh": (gomath.ATANH, math.atanh, -0.999, 0.999),
}


def applied(op: int, *values: float) -> list[float]:
    out = np.zeros(len(values))
    gomath.apply(op, np.array(values, np.float64), out)
    found: list[float] = out.tolist()
    return found


@pytest.mark.parametrize("name", OPERATIONS)
def test_near_the_c_library(name: str) -> None:
    op, of, low, high = OPERATIONS[name]
    random = np.random.default_rng(1)
    values = random.uniform(low, high, 3000)
    if name in ("ln", "log2", "log10"):
        values = np.exp(random.uniform(-600, 600, 3000))
    for value, found in zip(values.tolist(), applied(op, *values.tolist()), strict=True):
        assert math.isclose(found, of(value), rel_tol=2e-15, abs_tol=2e-15), value


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_huge_angles_have_their_place_on_the_circle(name: str) -> None:
    op, of, *_ = OPERATIONS[name]
    random = np.random.default_rng(3)
    values = [
        *(math.ldexp(1 + part, exponent) for exponent in range(25, 1024) for part in random.uniform(0, 1, 3).tolist()),
        *(2.0**29, math.nextafter(2.0**29, 0), math.nextafter(2.0**29, INF), 1.7976931348623157e308, -1e22, 2.0**1023),
    ]
    for value, found in zip(values, applied(op, *values), strict=True):
        assert abs(found - of(value)) <= 1e-15 * (1 + of(value) ** 2), value
    assert all(math.isnan(each) for each in applied(op, INF, -INF, NAN))


def test_powers_are_near() -> None:
    random = np.random.default_rng(2)
    for x, y in zip(random.uniform(0, 50, 2000).tolist(), random.uniform(-30, 30, 2000).tolist(), strict=True):
        assert math.isclose(gomath.power(x, y), x**y, rel_tol=1e-13)
    for x in range(-9, 10):
        for y in range(10):
            assert gomath.power(float(x), float(y)) == float(x**y)


def same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))


@pytest.mark.parametrize(
    ("x", "y", "wanted"),
    [
        (2.0, 0.0, 1.0),
        (NAN, 0.0, 1.0),
        (1.0, NAN, 1.0),
        (NAN, 2.0, NAN),
        (0.0, -1.0, INF),
        (-0.0, -1.0, -INF),
        (-0.0, -2.0, INF),
        (-0.0, 3.0, -0.0),
        (0.0, 2.5, 0.0),
        (-1.0, INF, 1.0),
        (0.5, INF, 0.0),
        (2.0, INF, INF),
        (0.5, -INF, INF),
        (INF, -1.0, 0.0),
        (-INF, 3.0, -INF),
        (-INF, 2.0, INF),
        (-INF, -3.0, -0.0),
        (-8.0, 1 / 3, NAN),
        (-2.0, 1e19, INF),
        (-0.5, 1e19, 0.0),
        (2.0, 2000.0, INF),
        (2.0, -2000.0, 0.0),
        (2.0, -1074.0, 5e-324),
    ],
)
def test_special_powers(x: float, y: float, wanted: float) -> None:
    assert same(gomath.power(x, y), wanted)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("exp", INF, INF),
        ("exp", -INF, 0.0),
        ("exp", 710.0, INF),
        ("exp", -746.0, 0.0),
        ("exp", -745.0, 5e-324),
        ("exp", 0.0, 1.0),
        ("ln", 0.0, -INF),
        ("ln", -1.0, NAN),
        ("ln", 1.0, 0.0),
        ("log2", 8.0, 3.0),
        ("log2", 0.0, -INF),
        ("sin", -0.0, -0.0),
        ("sin", INF, NAN),
        ("cos", 0.0, 1.0),
        ("cos", -INF, NAN),
        ("tan", -0.0, -0.0),
        ("asin", 2.0, NAN),
        ("acos", 1.0, 0.0),
        ("atan", INF, math.pi / 2),
        ("tanh", 100.0, 1.0),
        ("tanh", -INF, -1.0),
        ("asinh", -INF, -INF),
        ("acosh", 0.5, NAN),
        ("acosh", 1.0, 0.0),
        ("atanh", 1.0, INF),
        ("atanh", -1.0, -INF),
        ("atanh", 1.5, NAN),
        ("exp", NAN, NAN),
        ("ln", NAN, NAN),
        ("sinh", NAN, NAN),
    ],
)
def test_special_values(name: str, value: float, wanted: float) -> None:
    assert same(applied(OPERATIONS[name][0], value)[0], wanted)


def test_atan2_in_every_quadrant() -> None:
    values = [0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, 0.3, -7.0]
    for y in values:
        for x in values:
            found, wanted = gomath.atan2(y, x), math.atan2(y, x)
            assert same(found, wanted) or math.isclose(found, wanted, rel_tol=1e-15)
