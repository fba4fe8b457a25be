"""The terminal chart: what is drawn where, and that no input breaks it."""

from __future__ import annotations

import math
import re

import pytest

from styr.cli.metrics.chart import LETTERS, MOST, Line, Look, draw, number

PLAIN = Look(width=60, height=8)
COLOUR = Look(width=60, height=8, colour=True)


def ramp(name: str = "up", scale: float = 1.0) -> Line:
    return Line(name, [float(t) for t in range(61)], [t * scale for t in range(61)])


def test_one_line_is_braille_and_rises_from_left_to_right() -> None:
    lines = draw([ramp()], 0, 60, PLAIN).splitlines()
    first = [next((x for x, char in enumerate(row) if "\u2800" < char <= "\u28ff"), None) for row in lines[:8]]
    assert first == sorted(first, reverse=True)  # type: ignore[type-var]
    assert lines[0].lstrip().startswith("60 ┤")
    assert lines[7].lstrip().startswith("0 ┤")
    assert "00:00:00" in lines[9]
    assert lines[10] == "  ── up  last 60, min 0, max 60"


def test_several_lines_without_colour_are_letters() -> None:
    text = draw([ramp("a"), Line("b", [0.0, 60.0], [60.0, 0.0])], 0, 60, PLAIN)
    assert "\x1b" not in text
    assert not re.search("[\u2801-\u28ff]", text)
    assert "  a  a  last 60" in text
    assert "  b  b  last 0" in text


def test_colours_only_when_asked_and_always_ended() -> None:
    text = draw([ramp("a"), ramp("b", 0.5)], 0, 60, COLOUR)
    for row in text.splitlines():
        assert row.count("\x1b[") == 0 or row.rindex("\x1b[0m") >= max(
            m.start() for m in re.finditer("\x1b\\[[1-9]", row)
        )


@pytest.mark.parametrize("width", [1, 20, 33, 80, 160])
def test_no_row_is_wider_than_the_terminal(width: int) -> None:
    text = draw([ramp('http_requests_total{path="/a/very/long/path/indeed"}', 1e6)], 0, 60, Look(width=width))
    for row in text.splitlines()[:18]:
        assert len(row) <= max(width, 24)


@pytest.mark.parametrize(
    "values",
    [
        [math.nan] * 3,
        [math.inf, -math.inf, math.nan],
        [],
        [5.0, 5.0, 5.0],
        [0.0, 0.0, 0.0],
        [1e308, -1e308, 0.0],
        [1e-320, 0.0, 5e-324],
        [1.0, math.nan, 3.0],
    ],
)
def test_any_values(values: list[float]) -> None:
    line = Line("x", [float(t) for t in range(len(values))], values)
    for look in (PLAIN, COLOUR):
        assert draw([line], 0, 2, look)
    assert draw([line], 0, 0, PLAIN)
    assert draw([line], 1, 1.5, PLAIN)


def test_nothing_finite_is_said() -> None:
    assert draw([Line("x", [0.0], [math.nan])], 0, 1, PLAIN) == "(no finite values)"
    assert draw([], 0, 1, PLAIN) == "(no finite values)"


def test_gaps_are_not_bridged() -> None:
    whole = draw([Line("x", [0.0, 60.0], [0.0, 10.0])], 0, 60, PLAIN)
    gap = draw([Line("x", [0.0, 30.0, 60.0], [0.0, math.nan, 10.0])], 0, 60, PLAIN)
    count = len(re.findall("[\u2801-\u28ff]", whole)), len(re.findall("[\u2801-\u28ff]", gap))
    assert count[0] > 20
    assert count[1] == 2


def test_what_does_not_fit_is_counted() -> None:
    text = draw([ramp(f"s{i}") for i in range(MOST + 3)], 0, 60, PLAIN)
    assert "… and 3 more series" in text
    assert len(LETTERS) >= MOST


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1234.0, "1.234k"), (2.5e6, "2.5M"), (0.25, "0.25"), (1e-9, "1e-09"), (-3e9, "-3G"), (1e20, "1e+20")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text
