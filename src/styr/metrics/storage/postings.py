"""Which series some matchers find. Called by `head` under its lock; reads `series.Registry`. Pure.

The smallest set that a matcher names becomes the candidates; the other matchers look at each candidate's own labels. A matcher
that also takes series without the label can only take away. A regular expression is tried once on each value of its label, or,
when there are many and other matchers have found their series, on the values of those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import registry as kernels
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.patterns import shape
from styr.metrics.storage.series import Registry

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]

_MANY = 500
"""Values of a label on which an expression is not tried if other matchers leave fewer series."""
_ANY = (".*", ".+")
"""Patterns that every value matches; an absent label has none."""


def match(registry: Registry, matchers: Sequence[Matcher]) -> Slots:
    """The slots of all series that every matcher takes, in no order."""
    later = [m for m in matchers if _is_costly(registry, m)]
    now = [m for m in matchers if m not in later]
    if all(m.matches_empty for m in now):
        now, later = list(matchers), []
    chosen = [(m, _pairs(registry, m)) for m in now]
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
    for matcher in later:
        if n:
            n = _narrow(registry, found, n, matcher, _pairs_among(registry, found[:n], matcher))
    return found[:n]


def _is_costly(registry: Registry, matcher: Matcher) -> bool:
    """Whether an expression would have to be tried on many values."""
    name = registry.name_ids.get(matcher.name)
    if matcher.op in ("=", "!=") or name is None or len(registry.pairs_of_name[name]) < _MANY:
        return False
    return matcher.value not in _ANY and (matcher.op == "!~" or shape(matcher.value).exact is None)


def _pairs_among(registry: Registry, slots: Slots, matcher: Matcher) -> Ints:
    """The pairs that a matcher takes, of those that some series have."""
    used = np.zeros(len(registry.pairs), np.uint8)
    kernels.mark_pairs(slots, registry.labels, registry.at, registry.count, used)
    found = np.flatnonzero(used)
    pairs, test = registry.pairs, matcher.matches
    of_name = found[registry.name_of[found] == registry.name_ids[matcher.name]]
    return np.array([number for number in of_name.tolist() if test(pairs[number][1])], np.int64)


def _pairs(registry: Registry, matcher: Matcher) -> Ints:
    """The pairs that a matcher takes."""
    if matcher.op == "=":
        return _numbers(registry, matcher.name, (matcher.value,))
    name = registry.name_ids.get(matcher.name)
    if name is None:
        return np.zeros(0, np.int64)
    candidates = registry.pairs_of_name[name]
    if matcher.op == "=~":
        if matcher.value in _ANY:
            return np.fromiter(candidates, np.int64, len(candidates))
        exact = shape(matcher.value).exact
        if exact is not None:
            return _numbers(registry, matcher.name, exact)
    pairs, test = registry.pairs, matcher.matches
    return np.array([number for number in candidates if test(pairs[number][1])], np.int64)  # type: ignore[index]


def _numbers(registry: Registry, name: str, values: Iterable[str]) -> Ints:
    get = registry.pair_ids.get
    return np.array([number for value in values if (number := get((name, value))) is not None], np.int64)


def _union(registry: Registry, pairs: Ints) -> Slots:
    """Postings of pairs of one label, which have no slot in common. A copy."""
    starts, used = registry.lists[pairs, kernels.START], registry.lists[pairs, kernels.USED]
    total = int(used.sum())
    shift = starts - (np.cumsum(used) - used)
    return registry.arena[np.repeat(shift, used) + np.arange(total)]


def _narrow(registry: Registry, found: Slots, n: int, matcher: Matcher, pairs: Ints) -> int:
    name = registry.name_ids.get(matcher.name)
    if name is None:
        return n if matcher.matches_empty else 0
    good = np.zeros(len(registry.pairs), np.uint8)
    good[pairs] = 1
    absent = np.uint8(matcher.matches_empty)
    return int(
        kernels.keep_slots(found, n, registry.labels, registry.at, registry.count, registry.name_of, name, good, absent)
    )
