"""Floats as text: every one against Python's own shortest digits, in Go's notation."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import numpy as np
import pytest
from numpy.typing import NDArray

from styr.metrics.kernels import fmt


def texts(values: NDArray[np.float64], plain: int = 0) -> list[str]:
    out = np.full(len(values) * (fmt.PLAIN_WIDTH if plain else fmt.FLOAT_WIDTH) + 8, 7, np.uint8)
    ends = np.zeros(len(values), np.int64)
    size = fmt.floats(values.view(np.int64), plain, out, ends)
    assert (out[-8:] == 7).all(), "wrote behind what it was given"
    raw = out[:size].tobytes().decode()
    stops = ends.tolist()
    return [raw[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]


def expected(value: float, plain: bool = False) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    digits = Decimal(repr(value))
    if value and not plain and not 1e-6 <= abs(value) < 1e21:
        mantissa, _, exponent = format(digits.normalize(), "e").partition("e")
        return f"{mantissa}e{exponent[0]}{int(exponent[1:]):02d}"
    text = format(digits, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def samples() -> NDArray[np.float64]:
    random = np.random.default_rng(5)
    bits = random.integers(0, 2**64, 60_000, dtype=np.uint64).view(np.float64)
    scaled = random.normal(size=30_000) * 10.0 ** random.integers(-12, 26, 30_000)
    short = np.round(random.normal(size=20_000) * 1000, 2)
    whole = random.integers(-(10**17), 10**17, 5_000).astype(np.float64)
    small = [0.0, -0.0, 5e-324, 2.2250738585072014e-308, 1e-6, 9.999999999999999e-7, 0.1, 1 / 3]
    large = [1.7976931348623157e308, 1e21, 1e22, 1e23, 123456789012345680000.0, 9007199254740993.0, 2.0**53 - 1]
    edges = np.array([*small, *large, math.nan, math.inf, -math.inf])
    powers = [2.0 ** np.arange(-1074, 1024), 10.0 ** np.arange(-308, 309)]
    return np.concatenate([bits, scaled, short, whole, edges, *powers, *(np.nextafter(each, 0) for each in powers)])


@pytest.mark.parametrize("plain", [0, 1])
def test_shortest_digits_in_gos_notation(plain: int) -> None:
    values = samples()
    found = texts(values, plain)
    wrong = [
        (value, got) for value, got in zip(values.tolist(), found, strict=True) if got != expected(value, bool(plain))
    ]
    assert not wrong, wrong[:5]


def test_points_of_several_series() -> None:
    t = np.array([0, 1500, -1, 1_700_000_000_001, 1_700_000_000_050, -(2**63) + 1, 2**63 - 1], np.int64)
    v = np.array([1.0, 0.5, -2.0, math.nan, 1e300, -1.2345678901234567e-300, 5e-324])
    offsets = np.array([0, 2, 2, 6, 7], np.int64)
    out, ends = np.zeros(fmt.POINT_WIDTH * len(t), np.uint8), np.zeros(4, np.int64)
    size = fmt.points(t, v.view(np.int64), offsets, out, ends)
    raw = out[:size].tobytes().decode()
    series = [raw[a:b] for a, b in zip([0, *ends.tolist()], ends.tolist(), strict=False)]
    assert series[0] == '[0,"1"],[1.500,"0.5"]'
    assert series[1] == ""
    assert series[2].startswith('[-0.001,"-2"],[1700000000.001,"NaN"],[1700000000.050')
    assert json.loads(f"[{series[3]}]") == [[9223372036854775.807, "5e-324"]]
