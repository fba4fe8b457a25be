"""Samples on their way from storage to PromQL, and the seams between the two. Pure.

Times are int64 milliseconds since 1970. Values are float64, and a NaN's payload matters: `STALE` is Prometheus' staleness
marker, so values travel as bits and nothing computes with them before it has looked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels
from styr.metrics.model.matchers import Matcher

Times = NDArray[np.int64]
Values = NDArray[np.float64]
Refs = NDArray[np.int64]

STALE_BITS = 0x7FF0000000000002
"""Prometheus' value.StaleNaN: the series has ended here."""
NORMAL_NAN_BITS = 0x7FF8000000000001
"""Prometheus' value.NormalNaN."""


@dataclass(slots=True)
class Batch:
    """Samples of the consecutive series `first .. first + len(offsets) - 1` of a selection: those of series i are
    `t[offsets[i]:offsets[i + 1]]`, strictly rising in time. Where `histograms` has an entry, the sample is that
    histogram and its place in `v` means nothing."""

    first: int
    offsets: NDArray[np.int64]
    t: Times
    v: Values
    histograms: Mapping[int, Histogram] = field(default_factory=dict)
    starts: Times | None = None
    """Start timestamps of the samples, 0 where unknown; None when the storage has none."""


class Selection(Protocol):
    """The series that some matchers find, and their samples. Series without a sample in the range may be among them."""

    @property
    def frame(self) -> LabelFrame:
        """The label sets, sorted as Prometheus sorts; row i is series i of the batches."""

    def batches(self, most: int = 4_000_000) -> Iterator[Batch]:
        """All series in order, in batches of about `most` samples at the most. Staleness markers are included."""


class Querier(Protocol):
    """A consistent view of the storage; thread-safe. Implemented by `storage`, used by `promql`, `rules` and `web`.
    `start` and `end` are inclusive."""

    def select(self, matchers: Sequence[Matcher], start: int, end: int) -> Selection: ...

    def label_names(self, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[str]:
        """Sorted; of the series that any of the matcher sets finds (all series when there is none)."""

    def label_values(self, name: str, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[str]: ...

    def series(self, matchers: Sequence[Sequence[Matcher]], start: int, end: int) -> list[Labels]: ...


@dataclass(frozen=True, slots=True)
class Exemplar:
    labels: Labels
    value: float
    t: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """Of a metric family; `type` in OpenMetrics' words (counter, gauge, histogram, gaugehistogram, summary, info, stateset,
    unknown)."""

    type: str = "unknown"
    help: str = ""
    unit: str = ""


@dataclass(slots=True)
class Appended:
    """What became of an append: counts, and the indexes of what was refused (empty when nothing was)."""

    added: int = 0
    duplicate: int = 0
    """Same time, another value: refused. Same time and the same bits counts as added."""
    out_of_order: int = 0
    """Older than the series' newest, and no out-of-order window holds it."""
    too_old: int = 0
    """Older than the out-of-order window, or than the head."""
    refused: Sequence[int] = ()


class Layout(Protocol):
    """The columns of one target's scrapes: the same refs, scrape after scrape. Made by `Appender.layout`."""

    @property
    def refs(self) -> Refs: ...


class Appender(Protocol):
    """How samples get in. Implemented by `storage`, used by `scrape`, `remote` and `rules`. Calls are cheap and do not
    wait for the disk: samples are visible at once and durable after the next `commit`."""

    def refs(self, series: Sequence[Labels]) -> Refs:
        """The number of each series, made if it is new. Numbers are never reused in one data directory's life; a series that
        retention or churn removed gets a new one, so callers hold them only as long as `generation` stays."""

    @property
    def generation(self) -> int:
        """Changes whenever refs that nobody appended to for a while may have been removed."""

    def holds(self, refs: Refs) -> bool:
        """Whether all of these series are still there."""

    def layout(self, refs: Refs) -> Layout: ...

    def append_row(self, layout: Layout, t: int, values: Values) -> Appended:
        """One scrape: `values[i]` of series `layout.refs[i]`, all at `t`. The write-ahead log gets only what changed since the
        row before."""

    def append(self, refs: Refs, t: Times, values: Values) -> Appended: ...

    def append_histograms(self, refs: Sequence[int], t: Sequence[int], values: Sequence[Histogram]) -> Appended: ...

    def append_exemplars(self, refs: Sequence[int], exemplars: Sequence[Exemplar]) -> None: ...

    def set_metadata(self, family: str, metadata: Metadata) -> None: ...

    async def commit(self) -> None:
        """Returns when everything appended before the call is on the disk (fdatasync, shared by all who wait). Raises
        Unavailable when it cannot be (a full disk): nothing appended since the last success is promised."""
