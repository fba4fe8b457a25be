"""Parsed samples sorted by where they go: a column of the row, a place among those with timestamps, a histogram, nowhere.

Called by `ingest`; pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from styr.metrics.exposition.entry import Sample
from styr.metrics.kernels import text
from styr.metrics.scrape.lines import Row

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

NONE: Ints = np.empty(0, np.int64)


@dataclass(slots=True)
class Kept:
    """What stays of the scrape before: the refs of the row's columns, report series first, and of the samples with
    timestamps."""

    refs: Ints
    own: Ints = field(default_factory=lambda: NONE)
    row: Row = field(default_factory=lambda: Row(np.empty(0)))


@dataclass(slots=True)
class Placement:
    """`columns` says for each sample what its line feeds, as `kernels.text` has it. `refs` and `own` are all that the row has
    from now on, `row` what it holds; `histograms` are places in the list of samples, with `histogram_refs`."""

    sample_refs: Ints
    columns: NDArray[np.int32]
    refs: Ints
    own: Ints
    row: Row
    histograms: Ints
    histogram_refs: Ints

    @property
    def dropped(self) -> int:
        return int(np.count_nonzero(self.columns == text.DROPPED))

    @property
    def duplicates(self) -> int:
        return int(np.count_nonzero(self.columns == text.DUPLICATE))


def place(samples: Sequence[Sample], refs: Ints, kept: Kept, honor_timestamps: bool) -> Placement:
    """`refs` are the series of the samples, -1 of those that relabelling dropped. The first of two samples of one series
    counts, unless they have timestamps."""
    count = len(samples)
    stamped = _mask((each.t is not None for each in samples), count) & honor_timestamps
    grouped = _mask((each.histogram is not None for each in samples), count)
    columns = np.full(count, text.DROPPED, np.int32)
    there = refs >= 0
    plain = np.flatnonzero(there & ~stamped & ~grouped)
    _, first = np.unique(refs[plain], return_index=True)
    fresh = np.zeros(len(plain), np.bool_)
    fresh[first] = True
    fresh &= ~member(refs[plain], kept.refs)
    columns[plain[~fresh]] = text.DUPLICATE
    plain = plain[fresh]
    columns[plain] = len(kept.refs) + np.arange(len(plain))
    own = np.flatnonzero(there & stamped & ~grouped)
    columns[own] = text.STAMPED - (len(kept.own) + np.arange(len(own)))
    histograms = np.flatnonzero(there & grouped)
    columns[histograms] = text.OTHER
    values = np.fromiter((each.value for each in samples), np.float64, count)
    stamps = np.fromiter((each.t or 0 for each in samples), np.int64, count)
    row = Row(
        np.concatenate([kept.row.values, values[plain]]),
        np.concatenate([kept.row.own, values[own]]),
        np.concatenate([kept.row.stamps, stamps[own]]),
        np.concatenate([kept.row.fresh, np.ones(len(own), np.uint8)]),
    )
    return Placement(
        refs,
        columns,
        np.concatenate([kept.refs, refs[plain]]),
        np.concatenate([kept.own, refs[own]]),
        row,
        histograms,
        refs[histograms],
    )


def _mask(flags: object, count: int) -> Mask:
    return np.fromiter(flags, np.bool_, count)  # type: ignore[call-overload, no-any-return]


_FEW = 64


def member(these: Ints, those: Ints) -> Mask:
    """Which of `these` are in `those`. A few are looked for one by one, which spares sorting many."""
    if len(these) <= _FEW and len(those) > _FEW:
        return np.fromiter(((those == each).any() for each in these), np.bool_, len(these))
    return np.isin(these, those)


def minus(these: Ints, those: Ints) -> Ints:
    """The elements of `these` that are not in `those`, each once, sorted."""
    these = np.unique(these) if len(these) else these
    return these[~member(these, those)] if len(these) and len(those) else these


def renumber(columns: NDArray[np.int32], here: Mask, own_here: Mask) -> NDArray[np.int32]:
    """Columns after those that are not `here` any more have been taken out."""
    to, own_to = np.cumsum(here) - 1, np.cumsum(own_here) - 1
    result = columns.copy()
    in_row, stamped = columns >= 0, columns <= text.STAMPED
    result[in_row] = to[columns[in_row]]
    result[stamped] = text.STAMPED - own_to[text.STAMPED - columns[stamped]]
    return result
