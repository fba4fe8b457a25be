"""A large page that no layout spares: parsed in a thread, its series made slice by slice. Called by `loop` and `ingest`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from styr.metrics.exposition.entry import Exposition
from styr.metrics.model.labels import Labels
from styr.metrics.model.samples import Appender
from styr.metrics.scrape.resolve import Resolver

LARGE = 256 << 10
"""Bytes of a page that take some 50 ms to parse."""

_SLICE = 2000
"""Series that are made in some 10 ms."""


@dataclass(slots=True)
class Prepared:
    """The samples, and the series that they become (None: dropped). `refs` are those series' (-1: dropped) in the appender's
    `generation`."""

    resolver: Resolver
    exposition: Exposition
    series: list[Labels | None]
    refs: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    generation: int = -1

    def register(self, appender: Appender, limit: int) -> Iterator[None]:
        """Makes the series; others may run at each step. None of them when they are more than `limit` (0: none)."""
        wanted = [number for number, labels in enumerate(self.series) if labels is not None]
        if limit and len(wanted) > limit:
            return
        generation, refs = appender.generation, np.full(len(self.series), -1, np.int64)
        for begin in range(0, len(wanted), _SLICE):
            part = wanted[begin : begin + _SLICE]
            refs[part] = appender.refs([labels for i in part if (labels := self.series[i]) is not None])
            yield
        self.refs, self.generation = refs, generation
