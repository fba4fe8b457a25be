"""Ranges of sizes and of costs, as cel-go estimates them before a rule has seen an object. Called by `estimate`; pure."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

MOST = (1 << 64) - 1


class Range(NamedTuple):
    """At least, at most. `MOST` is as good as without bounds; nothing exceeds it."""

    low: int
    high: int

    def plus(self, other: Range) -> Range:
        return Range(min(self.low + other.low, MOST), min(self.high + other.high, MOST))

    def times(self, other: Range) -> Range:
        return Range(min(self.low * other.low, MOST), min(self.high * other.high, MOST))

    def scaled(self, factor: float) -> Range:
        return Range(_scale(self.low, factor), _scale(self.high, factor))

    def union(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))


def _scale(value: int, factor: float) -> int:
    scaled = ceil(float(value) * factor)
    return MOST if scaled >= 1 << 64 else scaled


def fixed(value: int) -> Range:
    return Range(value, value)


UNKNOWN = Range(0, MOST)
ZERO = Range(0, 0)


class Entries(NamedTuple):
    """The sizes of what a list or map holds."""

    container: str
    key: Range
    value: Range

    def union(self, other: Entries) -> Entries:
        return Entries(self.container, self.key.union(other.key), self.value.union(other.value))
