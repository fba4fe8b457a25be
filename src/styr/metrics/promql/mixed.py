"""Functions over ranges that hold native histograms, window by window. Called by `ranges`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from styr.metrics.model.histogram import Histogram
from styr.metrics.model.samples import Batch
from styr.metrics.promql.values import Flags, Floats

if TYPE_CHECKING:
    from styr.metrics.promql.ranges import Job


def series(job: Job, batch: Batch, row: int, out: Floats, ok: Flags) -> dict[int, Histogram]:
    raise NotImplementedError
