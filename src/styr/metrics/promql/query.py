"""One query while it runs: what all its parts share, and the limits that it is held to. Made by the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.errors import TooMuch
from styr.metrics.model.frame import LabelFrame, Symbols
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.samples import Querier
from styr.metrics.promql.annotations import Annotations
from styr.metrics.promql.features import Features
from styr.metrics.promql.values import Flags, Floats, Matrix, concat

Ints = NDArray[np.int64]

CELLS = 2_000_000
"""Values of a [series, steps] array that are worked on at a time where results are folded together at once."""


@dataclass(slots=True)
class Samples:
    """What the query read. `per_step` counts, for each step, the samples of all windows and instants, as Prometheus'
    totalQueryableSamplesPerStep."""

    total: int = 0
    peak: int = 0
    per_step: Ints = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(slots=True)
class Query:
    """`check` raises when the query has been cancelled or its time is up; it is called between batches and operators."""

    querier: Querier
    features: Features
    lookback: int
    most_samples: int
    default_step: Callable[[int], int]
    check: Callable[[], None]
    symbols: Symbols = field(default_factory=Symbols)
    notes: Annotations = field(default_factory=Annotations)
    samples: Samples = field(default_factory=Samples)
    held: int = 0
    """Samples in arrays that are alive."""

    def hold(self, samples: int) -> None:
        """Counts samples that are kept. Raises TooMuch."""
        self.held += samples
        self.samples.peak = max(self.samples.peak, self.held)
        if self.held > self.most_samples:
            raise TooMuch(
                f"query processing would load too many samples into memory: more than {self.most_samples} "
                "(the limit query.max-samples); ask for fewer series, a shorter range or a larger step"
            )

    def release(self, samples: int) -> None:
        self.held -= samples


@dataclass(slots=True)
class Part:
    """Consecutive rows `first ..` of a stream."""

    first: int
    v: Floats
    ok: Flags
    histograms: dict[int, dict[int, Histogram]] = field(default_factory=dict)


@dataclass(slots=True)
class Stream:
    """A vector that comes in parts, so that an aggregation need not hold all of it. `unique`: no two rows have the same labels,
    whatever their samples."""

    frame: LabelFrame
    parts: Iterator[Part]
    drop: Flags | None = None
    unique: bool = True


def collect(query: Query, stream: Stream, steps: int) -> Matrix:
    """All parts, without the series that have no sample."""
    kept: list[Matrix] = []
    for part in stream.parts:
        rows = np.flatnonzero(part.ok.any(axis=1))
        if not len(rows):
            continue
        where = rows + part.first
        full = len(rows) == len(part.ok)
        matrix = Matrix(
            stream.frame if len(where) == stream.frame.size else stream.frame.take(where),
            part.v if full else part.v[rows],
            part.ok if full else part.ok[rows],
            {new: part.histograms[old] for new, old in enumerate(rows.tolist()) if old in part.histograms}
            if part.histograms
            else {},
            None if stream.drop is None else stream.drop[where],
        )
        query.hold(matrix.weight)
        kept.append(matrix)
    return concat(kept) if kept else Matrix.empty(steps, stream.frame.symbols)
