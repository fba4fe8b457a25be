"""What one target writes to: the columns of its row, and which of its series are alive. Called by `ingest`; calls the Appender.

The row has the report series in front (`up` and its like), then a column for each scraped series. Staleness: a series that
was there in the scrape before and is not any more gets a marker; a failed scrape marks all of them, once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.samples import STALE_BITS, Appended, Appender, Layout
from styr.metrics.scrape.lines import Row
from styr.metrics.scrape.resolve import Resolver

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

REPORTS = (
    *("up", "scrape_duration_seconds", "scrape_samples_scraped"),
    *("scrape_samples_post_metric_relabeling", "scrape_series_added"),
)
EXTRA_REPORTS = ("scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes")

NONE: Ints = np.empty(0, np.int64)


def stale(count: int) -> Floats:
    """Staleness markers."""
    return np.full(count, STALE_BITS, np.int64).view(np.float64)


class Series:
    """`refs` are the columns of `row.values`; `own` are series whose samples bring their timestamps (`row.own`); `loose` are
    those that are appended one by one: histograms."""

    def __init__(self, appender: Appender, resolver: Resolver, extra: bool) -> None:
        self._appender, self._resolver = appender, resolver
        self._names = REPORTS + EXTRA_REPORTS if extra else REPORTS
        self.reports = len(self._names)
        self.generation = -1
        self.refs: Ints = NONE
        self.own: Ints = NONE
        self.row = Row(np.zeros(self.reports))
        self.marked: Ints = NONE
        """Series outside the row that get a marker when they go."""
        self.seen: Ints = NONE
        """Every scraped series of the last scrape that went well."""
        self.alive = False
        """Whether the scraped columns of the row were appended last time."""
        self._layout: Layout | None = None

    def open(self) -> None:
        """Makes sure that the report series have numbers that are valid now."""
        if self.generation == self._appender.generation and len(self.refs):
            return
        refs = np.asarray(self._appender.refs([self._resolver.report(name) for name in self._names]), np.int64)
        if not np.array_equal(self.refs[: self.reports], refs):
            self.refs, self._layout = np.concatenate([refs, self.refs[self.reports :]]), None
        self.generation = self._appender.generation

    def tracked(self) -> Ints:
        """The series that would get a marker if they were gone now."""
        return np.concatenate([self.refs[self.reports :], self.marked]) if self.alive else self.marked

    def columns(self, refs: Ints, own: Ints, row: Row) -> None:
        """The columns from now on, the reports among them, and what they hold."""
        if self._layout is not None and not np.array_equal(refs, self.refs):
            self._layout = None
        self.refs, self.own, self.row = refs, own, row

    def append(self, t: int) -> Appended:
        """The row as it is."""
        if self._layout is None:
            self._layout = self._appender.layout(self.refs)
        self.alive = True
        return self._appender.append_row(self._layout, t, self.row.values)

    def mark(self, refs: Ints, t: int) -> None:
        """Staleness markers for some series. One that comes too late is refused, which is right: the series is written by
        another loop."""
        if len(refs):
            self._appender.append(refs, np.full(len(refs), t, np.int64), stale(len(refs)))

    def mark_all(self, t: int, reports: Sequence[float] | None) -> None:
        """The end of every series that is alive. `reports` are the values of the report series, None ends them too."""
        ends = stale(self.reports) if reports is None else np.array(reports)
        if self.alive and len(self.refs) > self.reports:
            row = stale(len(self.refs))
            row[: self.reports] = ends
            if self._layout is None:
                self._layout = self._appender.layout(self.refs)
            self._appender.append_row(self._layout, t, row)
        else:
            self._appender.append(self.refs[: self.reports], np.full(self.reports, t, np.int64), ends)
        self.mark(self.marked, t)
        self.marked = NONE
        self.alive = False
