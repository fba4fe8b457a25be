"""Lines in a terminal: braille dots in colour, or letters where there is none. Called by `query`. Pure: numbers in, text out.

A cell holds 2 x 4 braille dots (U+2800, dot bits as Unicode numbers them). Where lines cross in a cell, the later one colours
it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

COLOURS = (36, 33, 35, 32, 34, 31, 96, 93, 95, 92, 94, 91)
"""SGR codes, told apart on dark and on light."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
MOST = 12
"""Lines in one chart; more cannot be told apart."""
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True, slots=True)
class Line:
    """Times in seconds, rising. NaN and infinities are gaps."""

    name: str
    times: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Look:
    """Of the terminal. `zone` is for the time axis."""

    width: int = 100
    height: int = 16
    colour: bool = False
    zone: tzinfo = UTC


def draw(lines: Sequence[Line], start: float, end: float, look: Look) -> str:
    """Chart, axes and legend. Something is drawn for any input; without a finite value it says so."""
    shown = lines[:MOST]
    finite = [value for line in shown for value in line.values if math.isfinite(value)]
    if not finite:
        return "(no finite values)"
    low, high = _bounds(min(finite), max(finite))
    every = max(1, (look.height - 1) // 4)
    labels = {
        row: number(high - _part(high, low, row / (look.height - 1)))
        for row in range(look.height)
        if row % every == 0 or row == look.height - 1
    }
    margin = max(map(len, labels.values()))
    columns = max(10, look.width - margin - 2)
    grid = _Grid(columns, look.height, braille=look.colour or len(shown) == 1)
    for index, line in enumerate(shown):
        grid.plot(index, line, start, end, low, high)
    out = []
    for row in range(look.height):
        label = labels.get(row, "")
        out.append(f"{label:>{margin}} {'┤' if label else '│'}{grid.text(row, look.colour)}".rstrip())
    out.append(" " * margin + " └" + "─" * columns)
    out.append(" " * (margin + 2) + _time_axis(start, end, columns, look.zone))
    out.extend(_legend(lines, grid.braille, look))
    return "\n".join(out)


def _bounds(low: float, high: float) -> tuple[float, float]:
    """A flat line stands in the middle; what never goes below zero begins there when zero is near."""
    if high / 2 == low / 2:
        pad = abs(low) * 0.5 or 1.0
        return low - pad, high + pad
    if 0 < low < 0.5 * high:
        low = 0.0
    return low, high


def _part(high: float, low: float, share: float) -> float:
    """Of the distance between the two, which may be more than a float holds."""
    return 2 * ((high / 2 - low / 2) * share)


def number(value: float) -> str:
    """Short: `1.25k`, `3.4M`, `0.002`."""
    size = abs(value)
    if size >= 1e15 or (value and size < 1e-4):
        return f"{value:.2g}"
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= unit:
            return f"{value / unit:.4g}{name}"
    return f"{value:.4g}"


class _Grid:
    """Cells: which dots are set, and by which line."""

    def __init__(self, columns: int, rows: int, *, braille: bool) -> None:
        self.columns, self.rows, self.braille = columns, rows, braille
        self._dots = [[0] * columns for _ in range(rows)]
        self._line = [[-1] * columns for _ in range(rows)]

    def plot(self, index: int, line: Line, start: float, end: float, low: float, high: float) -> None:
        width, height = self.columns * 2 - 1, self.rows * 4 - 1
        before: tuple[int, int] | None = None
        for time, value in zip(line.times, line.values, strict=True):
            if not math.isfinite(value):
                before = None
                continue
            x = round((time - start) / (end - start) * width) if end > start else width // 2
            y = round((high / 2 - value / 2) / (high / 2 - low / 2) * height)
            if not (0 <= x <= width and 0 <= y <= height):
                before = None
                continue
            self._segment(index, before or (x, y), (x, y))
            before = (x, y)

    def _segment(self, index: int, one: tuple[int, int], other: tuple[int, int]) -> None:
        steps = max(abs(other[0] - one[0]), abs(other[1] - one[1]), 1)
        for step in range(steps + 1):
            x = round(one[0] + (other[0] - one[0]) * step / steps)
            y = round(one[1] + (other[1] - one[1]) * step / steps)
            self._dots[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
            self._line[y // 4][x // 2] = index

    def text(self, row: int, colour: bool) -> str:
        out, last = [], -1
        for dots, line in zip(self._dots[row], self._line[row], strict=True):
            if colour and line != last:
                out.append("\x1b[0m" if line < 0 else f"\x1b[{COLOURS[line]}m")
                last = line
            out.append(" " if line < 0 else chr(0x2800 + dots) if self.braille else LETTERS[line])
        return "".join(out) + ("\x1b[0m" if last >= 0 else "")


def _time_axis(start: float, end: float, columns: int, zone: tzinfo) -> str:
    form = "%H:%M:%S" if end - start < 600 else "%H:%M" if end - start < 86400 else "%m-%d %H:%M"
    size = len(datetime.fromtimestamp(start, zone).strftime(form))
    count = max(2, min(6, columns // (size + 4)))
    text = [" "] * columns
    for mark in range(count):
        stamp = datetime.fromtimestamp(start + (end - start) * mark / (count - 1), zone).strftime(form)
        at = min(columns - size, max(0, round((columns - 1) * mark / (count - 1)) - size // 2))
        text[at : at + size] = stamp
    return "".join(text).rstrip()


def _legend(lines: Sequence[Line], braille: bool, look: Look) -> list[str]:
    out = []
    for index, line in enumerate(lines[:MOST]):
        mark = "──" if braille else LETTERS[index] + " "
        if look.colour:
            mark = f"\x1b[{COLOURS[index]}m{mark}\x1b[0m"
        finite = [value for value in line.values if math.isfinite(value)]
        told = f"  last {number(finite[-1])}, min {number(min(finite))}, max {number(max(finite))}" if finite else ""
        room = max(20, look.width - 5 - len(told))
        name = line.name if len(line.name) <= room else line.name[: room - 1] + "…"
        out.append(f"  {mark} {name}{told}")
    if len(lines) > MOST:
        out.append(f"  … and {len(lines) - MOST} more series; topk() or an aggregation shows the ones that matter")
    return out
