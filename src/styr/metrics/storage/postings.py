"""Which series some matchers find. Called by `head` under its lock; reads `series.Registry`. Pure.

The smallest set that a matcher names becomes the candidates; the other matchers look at each candidate's own labels. A matcher
that also takes series without the label can only take away. Regular expressions are tried once on each value of their label.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import registry as kernels
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.series import Registry

Slots = NDArray[np.int32]


def match(registry: Registry, matchers: Sequence[Matcher]) -> Slots:
    """The slots of all series that every matcher takes, in no order."""
    chosen = [(m, _pairs(registry, m)) for m in matchers]
    positive = [(m, pairs) for m, pairs in chosen if not m.matches_empty]
    if positive:
        sizes = [int(registry.lists[pairs, kernels.USED].sum()) for _, pairs in positive]
        best = int(np.argmin(sizes))
        found, done = _union(registry, positive[best][1]), positive[best][0]
    else:
        found, done = registry.live(), None
    n = len(found)
    for matcher, pairs in chosen:
        if n and matcher is not done:
            n = _narrow(registry, found, n, matcher, pairs)
    return found[:n]


def _pairs(registry: Registry, matcher: Matcher) -> NDArray[np.int64]:
    """The pairs that a matcher takes."""
    if matcher.op == "=":
        number = registry.pair_ids.get((matcher.name, matcher.value))
        return np.array([] if number is None else [number], np.int64)
    name = registry.name_ids.get(matcher.name)
    if name is None:
        return np.zeros(0, np.int64)
    candidates: Iterable[int] = registry.pairs_of_name[name]
    pairs, test = registry.pairs, matcher.matches
    return np.array([number for number in candidates if test(pairs[number][1])], np.int64)  # type: ignore[index]


def _union(registry: Registry, pairs: NDArray[np.int64]) -> Slots:
    """Postings of pairs of one label, which have no slot in common. A copy."""
    lists, arena = registry.lists, registry.arena
    parts = [arena[start : start + used] for start, used, _ in lists[pairs].tolist()]
    return np.concatenate(parts) if parts else np.zeros(0, np.int32)


def _narrow(registry: Registry, found: Slots, n: int, matcher: Matcher, pairs: NDArray[np.int64]) -> int:
    name = registry.name_ids.get(matcher.name)
    if name is None:
        return n if matcher.matches_empty else 0
    good = np.zeros(len(registry.pairs), np.uint8)
    good[pairs] = 1
    absent = np.uint8(matcher.matches_empty)
    return int(
        kernels.keep_slots(found, n, registry.labels, registry.at, registry.count, registry.name_of, name, good, absent)
    )
