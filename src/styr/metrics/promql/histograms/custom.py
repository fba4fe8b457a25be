"""Histograms with different custom bounds, brought to the bounds that they share. Called by `arithmetic` and `resets`. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from styr.metrics.promql.histograms.kahan import inc
from styr.metrics.promql.histograms.working import Side, Working


def shared(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """Bounds that are in both, which are sorted."""
    other = set(b)
    return [bound for bound in a if bound in other]


def match(a: Sequence[float], b: Sequence[float]) -> bool:
    return len(a) == len(b) and all(x == y for x, y in zip(a, b, strict=True))


def add_mismatched(h: Working, other: Working, negative: bool) -> None:
    """Adds (or subtracts) `other`, on the shared bounds, without empty buckets."""
    bounds = shared(h.custom, other.custom)
    counts, lost = [0.0] * (len(bounds) + 1), [0.0] * (len(bounds) + 1)
    for side, old, sign in ((h.positive, h.custom, False), (other.positive, other.custom, negative)):
        for i, to in enumerate(_targets(side, old, bounds)):
            count = -side.counts[i] if sign else side.counts[i]
            counts[to], lost[to] = inc(count, counts[to], lost[to])
            if side.lost and not sign:
                counts[to], lost[to] = inc(side.lost[i], counts[to], lost[to])
    kept = [i for i in range(len(counts)) if counts[i] != 0 or lost[i] != 0]
    h.positive = Side(kept, [counts[i] for i in kept], [lost[i] for i in kept] if h.compensated else [])
    h.custom = bounds


def _targets(side: Side, old: Sequence[float], bounds: Sequence[float]) -> list[int]:
    """For each bucket, the one of `bounds` that it goes to: the first that reaches as far."""
    found, at = [], 0
    for index in side.indexes:
        if index >= len(old):
            found.append(len(bounds))
            continue
        while at < len(bounds) and bounds[at] < old[index]:
            at += 1
        found.append(at)
    return found


def decreased(h: Working, previous: Working) -> bool:
    """Whether the count between two shared bounds has gone down."""
    bounds = [*shared(h.custom, previous.custom), math.inf]
    now, before = _rolled(h, bounds), _rolled(previous, bounds)
    return any(a < b for a, b in zip(now, before, strict=True))


def _rolled(h: Working, bounds: Sequence[float]) -> list[float]:
    sums = [0.0] * len(bounds)
    for i, to in enumerate(_targets(h.positive, h.custom, bounds[:-1])):
        sums[to] += h.positive.counts[i]
    return sums
