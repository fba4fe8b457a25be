"""Latency histograms: what they would look like if requests were slower, and how that shows in each bucket.

Called by `judge`. Pure arithmetic on counts; a poor guess here costs the judge power, never validity.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

OPEN_END = 4.0
"""The last bucket has no upper bound; its requests are taken to end at this multiple of the last bound."""
SMOOTHING = 0.1
"""Requests added to each bucket, so that a bucket not seen yet is rare rather than impossible."""
RATIO_LIMIT = 64.0


def distribution(counts: Sequence[int]) -> list[float]:
    """Shares of the buckets, none of them zero."""
    total = sum(counts) + SMOOTHING * len(counts)
    return [(count + SMOOTHING) / total for count in counts]


def scaled(shares: Sequence[float], bounds: Sequence[float], factor: float) -> list[float]:
    """The shares if each latency were `factor` times as long: G(x) = F(x / factor), F linear within a bucket."""
    edges = [0.0, *bounds, bounds[-1] * OPEN_END]
    below = [0.0]
    for share in shares:
        below.append(below[-1] + share)
    moved = [_interpolate(edges, below, bound / factor) for bound in bounds]
    return [b - a for a, b in zip([0.0, *moved], [*moved, below[-1]], strict=True)]


def _interpolate(edges: Sequence[float], below: Sequence[float], at: float) -> float:
    right = min(max(bisect_left(edges, at), 1), len(edges) - 1)
    left, width = edges[right - 1], edges[right] - edges[right - 1]
    return below[right - 1] + (below[right] - below[right - 1]) * min(1.0, max(0.0, (at - left) / width))


def mixed(shares: Sequence[float], slow: Sequence[float], part: float) -> list[float]:
    """A share `part` of requests as in `slow`, the others as in `shares`."""
    return [(1 - part) * a + part * b for a, b in zip(shares, slow, strict=True)]


def rising_ratio(after: Sequence[float], before: Sequence[float]) -> list[float]:
    """after[j] / before[j], made non-decreasing in j by pooling adjacent violators (isotonic regression, weights
    `before`), and bounded. Monotone predictions are what makes the latency test one-sided (docs/delivery-judge.md)."""
    pools: list[tuple[float, float, int]] = []
    for top, bottom in zip(after, before, strict=True):
        pool = (top, bottom, 1)
        while pools and pools[-1][0] * pool[1] >= pool[0] * pools[-1][1]:
            last = pools.pop()
            pool = (last[0] + pool[0], last[1] + pool[1], last[2] + pool[2])
        pools.append(pool)
    return [min(RATIO_LIMIT, max(1 / RATIO_LIMIT, top / bottom)) for top, bottom, width in pools for _ in range(width)]


def down_one(shares: Sequence[float]) -> list[float]:
    """Each request one bucket faster: the shares once a margin of one bucket has been granted."""
    return [shares[0] + shares[1], *shares[2:], 0.0] if len(shares) > 1 else list(shares)


def quantile_bucket(counts: Sequence[int], quantile: float) -> int:
    """The first bucket with at least this share of requests at or below its upper bound."""
    wanted, seen = quantile * sum(counts), 0
    for index, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            return index
    return len(counts) - 1
