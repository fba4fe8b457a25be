"""Which series of an index some matchers find. Called by `block` and `delete`; calls `index` and `patterns`.

Sorted arrays of series numbers are united, intersected and subtracted, the cheapest matchers first. A regular expression over
many values of a label waits: when the others leave few series, it is tried on what those series have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.block.index import Index
from styr.metrics.storage.patterns import shape

Ints = NDArray[np.int64]


def find(index: Index, matchers: Sequence[Matcher]) -> tuple[Ints, list[Matcher]]:
    """(numbers of the series, sorted; matchers that are still to be tried on them, by `keep`). Raises Corrupt."""
    found: Ints | None = None
    rest: list[Matcher] = []
    for matcher in sorted(matchers, key=lambda m: _cost(index, m)):
        if found is not None and _cost(index, matcher) > len(found):
            rest.append(matcher)
            continue
        if matcher.matches_empty:
            without = _series(index, matcher, _opposite(matcher))
            found = _subtract(index.postings("", "") if found is None else found, without)
        else:
            having = _series(index, matcher, matcher.matches)
            found = having if found is None else _intersect(found, having)
        if not len(found):
            return found, []
    return index.postings("", "") if found is None else found, rest


def keep(frame: LabelFrame, matchers: Sequence[Matcher]) -> Ints:
    """The rows of a frame that all matchers match. Each distinct value is tried once."""
    kept = np.ones(frame.size, np.bool_)
    for matcher in matchers:
        column = frame.column(matcher.name)
        ids, inverse = np.unique(column, return_inverse=True)
        strings = frame.symbols.strings
        passed = np.array([matcher.matches(strings[number]) for number in ids.tolist()], np.bool_)
        kept &= passed[inverse.reshape(-1)]
    return np.flatnonzero(kept)


def _exact(matcher: Matcher) -> tuple[str, ...] | None:
    """The values that `_series` has to look up, when the matcher names them; None when it has to go through all."""
    if (matcher.op in ("=", "=~")) == matcher.matches_empty:
        return None  # Wanted are the values that the pattern does not name.
    return (matcher.value,) if matcher.op in ("=", "!=") else shape(matcher.value).exact


def _cost(index: Index, matcher: Matcher) -> int:
    """How many values `_series` will look at, about; what only subtracts comes after what intersects as cheaply."""
    exact = _exact(matcher)
    values = index.table.count(matcher.name)
    return 2 * (values if exact is None else min(len(exact), values)) + matcher.matches_empty


def _series(index: Index, matcher: Matcher, wanted: Callable[[str], bool]) -> Ints:
    """The series that have the label with a value that is `wanted`: of the matcher itself, or of its opposite."""
    exact = _exact(matcher)
    if exact is not None:
        offsets = (index.table.offset(matcher.name, value) for value in exact if value and wanted(value))
        return index.union(offset for offset in offsets if offset >= 0)
    named = (matcher.op in ("=", "=~")) != matcher.matches_empty
    values, places = index.table.values(matcher.name, shape(matcher.value).prefix if named else "")
    if matcher.value in ("", ".*", ".+"):  # Which cannot tell one value from another.
        chosen = list(range(len(values))) if values and wanted(values[-1]) else []
    else:
        chosen = [i for i, value in enumerate(values) if wanted(value)]
    return index.union(places[chosen].tolist())


def _opposite(matcher: Matcher) -> Callable[[str], bool]:
    return lambda value: not matcher.matches(value)


def _intersect(a: Ints, b: Ints) -> Ints:
    small, big = (a, b) if len(a) <= len(b) else (b, a)
    return small[_among(small, big)]


def _subtract(a: Ints, b: Ints) -> Ints:
    return a[~_among(a, b)]


def _among(a: Ints, b: Ints) -> NDArray[np.bool_]:
    """Which of `a` are in `b`; both are sorted."""
    if not len(b):
        return np.zeros(len(a), np.bool_)
    place = np.minimum(np.searchsorted(b, a), len(b) - 1)
    same: NDArray[np.bool_] = b[place] == a
    return same
