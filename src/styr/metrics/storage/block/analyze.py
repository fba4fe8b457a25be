"""What a block is made of, as `promtool tsdb analyze` tells it. Called by the command line. Pure over an open block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from styr.metrics.model.labels import METRIC_NAME
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.block.block import Block

Counts = list[tuple[int, str]]
"""The biggest first; those of the same size by name."""


@dataclass(frozen=True, slots=True)
class Analysis:
    series: int
    label_names: int
    label_pairs: int
    """Different ones: as many postings lists there are."""
    postings: int
    """Entries of all postings lists together."""
    churning_pairs: Counts
    """Time, in lengths of the block, in which series with the label pair were not there."""
    churning_names: Counts
    common_pairs: Counts
    value_bytes: Counts
    """Label names by the bytes that their values have together."""
    cardinality: Counts
    """Label names by their values."""
    metrics: Counts
    """Metric names by their series."""


def analyze(block: Block, matchers: Sequence[Matcher] = (), most: int = 20) -> Analysis:
    """Of the series that `matchers` match; each list has up to `most` entries. Raises Corrupt."""
    found = block.find(matchers)
    span = max(block.meta.maxt - block.meta.mint, 1)
    covered = found.maxts[found.chunk_at[1:] - 1] - found.mints[found.chunk_at[:-1]]
    gaps = (span - covered).astype(np.float64)
    strings = found.frame.symbols.strings
    pairs: dict[str, tuple[int, int]] = {}
    """"name=value": (series, lengths of the block in which they are not there)."""
    names: dict[str, int] = {}
    sizes: dict[str, int] = {}
    values: dict[str, int] = {}
    metrics: dict[str, int] = {}
    for name, column in found.frame.columns.items():
        ids, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
        missing = np.bincount(inverse.reshape(-1), gaps, len(ids))
        rows = [row for row in zip(ids.tolist(), counts.tolist(), missing.tolist(), strict=True) if row[0]]
        if not rows:
            continue
        for number, count, gap in rows:
            pairs[f"{name}={strings[number]}"] = count, int(gap / span)
        names[name] = int(sum(gap for _, _, gap in rows) / span)
        sizes[name] = sum(len(strings[number].encode()) for number, _, _ in rows)
        values[name] = len(rows)
        if name == METRIC_NAME:
            metrics = {strings[number]: count for number, count, _ in rows}
    return Analysis(
        found.frame.size,
        len(names),
        len(pairs),
        sum(count for count, _ in pairs.values()),
        _top({key: gap for key, (_, gap) in pairs.items()}, most),
        _top(names, most),
        _top({key: count for key, (count, _) in pairs.items()}, most),
        _top(sizes, most),
        _top(values, most),
        _top(metrics, most),
    )


def _top(counts: dict[str, int], most: int) -> Counts:
    return sorted(((count, key) for key, count in counts.items()), key=lambda each: (-each[0], each[1]))[:most]
