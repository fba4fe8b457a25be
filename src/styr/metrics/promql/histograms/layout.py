"""Spans and bucket indexes: turned into each other, and mapped to a coarser schema. Called by all of this package. Pure.

Where spans promise more buckets than there are, the rest is not there: storage checks histograms before it takes them.
"""

from __future__ import annotations

from collections.abc import Sequence

from styr.metrics.model.histogram import Span


def indexes(spans: Sequence[Span], buckets: int) -> list[int]:
    """The index of each of `buckets` buckets."""
    found: list[int] = []
    at = 0
    for offset, length in spans:
        at += offset
        length = min(length, buckets - len(found))
        found.extend(range(at, at + length))
        at += length
    return found


def spans(at: Sequence[int]) -> list[Span]:
    """The fewest spans that hold these rising indexes."""
    found: list[Span] = []
    end = 0
    for index in at:
        if found and index == end:
            offset, length = found[-1]
            found[-1] = (offset, length + 1)
        else:
            found.append((index - end, 1))
        end = index + 1
    return found


def coarser(index: int, schema: int, target: int) -> int:
    """Where a bucket goes when the schema is reduced."""
    return ((index - 1) >> (schema - target)) + 1
