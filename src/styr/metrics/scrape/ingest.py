"""One target's scrapes on their way into storage: values by layout, new series by name, staleness markers for what has gone.

Called by `loop` once per scrape, with the body; calls `lines` (what has changed), `exposition` (what is new), `resolve` (its
series) and `series` (where they are written). Synchronous, without I/O and without a clock of its own.

While a target names the same series, a scrape costs a walk through the text and one row. Series that come or go cost
themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styr.metrics.exposition.entry import NO_TIME, Exposition, ExpositionError, Sample
from styr.metrics.exposition.negotiate import Media
from styr.metrics.exposition.parse import Options, parse, parse_lines
from styr.metrics.kernels import text
from styr.metrics.model.errors import MetricsError
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels
from styr.metrics.model.samples import Appender, Exemplar, Metadata
from styr.metrics.scrape.buckets import coarsen, finest_schema
from styr.metrics.scrape.buffers import Body, Buffers
from styr.metrics.scrape.config import ScrapeConfig
from styr.metrics.scrape.lines import Lines, Row, Scratch
from styr.metrics.scrape.misses import Reparse, missed_lines
from styr.metrics.scrape.place import Kept, Placement, minus, place, renumber
from styr.metrics.scrape.prepared import LARGE, Prepared
from styr.metrics.scrape.resolve import Refused, Resolver
from styr.metrics.scrape.series import NONE, Series
from styr.metrics.scrape.target import CLASSIC, CONVERT, NATIVE, Target

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_AHEAD = 600_000
"""Milliseconds that a target's own timestamp may lie in the future."""


@dataclass(slots=True)
class Outcome:
    """What one scrape came to. `error` is "" when it went well."""

    error: str = ""
    scraped: int = 0
    kept: int = 0
    added: int = 0
    duplicate: int = 0
    out_of_order: int = 0
    out_of_bounds: int = 0
    hit: bool = False
    """Whether the layout of the scrape before fitted."""


class Ingest:
    def __init__(
        self, target: Target, config: ScrapeConfig, appender: Appender, buffers: Buffers, scratch: Scratch
    ) -> None:
        self._appender, self._buffers, self._scratch = appender, buffers, scratch
        self.metadata: dict[str, Metadata] = {}
        self._lines: Lines | None = None
        self._resolved: dict[Labels, int] = {}
        self._generation = -1
        self._configure(target, config)

    def _configure(self, target: Target, config: ScrapeConfig) -> None:
        self._config = config
        self._options = Options(
            native=target.flag(NATIVE, config.native_histograms),
            classic=target.flag(CLASSIC, config.classic_histograms),
            convert=target.flag(CONVERT, config.convert_classic),
        )
        self._resolver = Resolver(config, target.labels)
        self.series = Series(self._appender, self._resolver, config.extra_metrics)
        self._timeout = target.timeout / 1000

    def reconfigure(self, target: Target, config: ScrapeConfig) -> None:
        """Goes on with other settings. The next scrape is read anew, and what it does not write any more gets its marker."""
        before = self.series
        self._configure(target, config)
        self.forget()
        self.series.seen = before.seen
        self.series.marked = before.tracked()

    def retime(self, target: Target, config: ScrapeConfig) -> None:
        """Goes on with settings that do not change what a body means."""
        self._config, self._timeout = config, target.timeout / 1000

    def forget(self) -> None:
        """The layout; the next scrape is parsed from its first byte to its last."""
        if self._lines is not None:
            self._buffers.give(self._lines.body.buffer)
        self._lines = None
        self._resolved = {}

    # One scrape.

    def is_large(self, body: Body) -> bool:
        """Whether parsing the body, which no layout spares, would keep others waiting: then `prepare` belongs into a thread."""
        return len(body) >= LARGE and (self._lines is None or not self._is_current())

    def _is_current(self) -> bool:
        """Whether the series of the scrape before are all there still, whatever others were removed."""
        generation = self._appender.generation
        if self._generation != generation:
            known = np.fromiter(self._resolved.values(), np.int64, len(self._resolved))
            if not self._appender.holds(np.concatenate([self.series.refs, self.series.own, known[known >= 0]])):
                return False
            self._generation = generation
        return True

    def prepare(self, body: bytes, media: Media) -> Prepared | None:
        """Parses; touches nothing that others use. None when something is wrong with the body, which `scrape` will tell."""
        resolver = self._resolver
        try:
            exposition = parse(body, media, self._options)
            return Prepared(resolver, exposition, [resolver.resolve(each.labels) for each in exposition.samples])
        except (ExpositionError, Refused):
            return None

    def scrape(
        self, body: Body, media: Media, t: int, elapsed: Callable[[], float], prepared: Prepared | None = None
    ) -> Outcome:
        """Stores a body at `t` (ms), or nothing of it and the markers of a failed scrape; `elapsed` tells the seconds since the
        scrape began. Takes the buffer. Raises what the Appender raises."""
        size = len(body)
        try:
            self.series.open()
            outcome = self._read(body, media, t, prepared)
        except (ExpositionError, Refused, MetricsError) as error:
            if self._lines is None or self._lines.body is not body:
                self._buffers.give(body.buffer)
            self.forget()
            if not isinstance(error, (ExpositionError, Refused)):
                raise
            outcome = Outcome(str(error))
            if isinstance(error, Refused):
                outcome.scraped, outcome.kept = error.scraped, error.kept
            return self._failed(t, outcome, elapsed, size)
        self._report(1.0, outcome, size, elapsed())
        done = self.series.append(t)
        outcome.duplicate += done.duplicate
        outcome.out_of_order += done.out_of_order
        outcome.out_of_bounds += done.too_old
        return outcome

    def fail(self, t: int, error: str, elapsed: Callable[[], float], size: int = 0) -> Outcome:
        """A scrape without a body; `size` -1 when the body was too large."""
        self.series.open()
        return self._failed(t, Outcome(error), elapsed, size)

    def _failed(self, t: int, outcome: Outcome, elapsed: Callable[[], float], size: int) -> Outcome:
        self._report(0.0, outcome, size, elapsed())
        self.series.mark_all(t, self.series.row.values[: self.series.reports].tolist())
        return outcome

    def end(self, t: int) -> None:
        """The target has gone for good."""
        if len(self.series.refs):
            self.series.mark_all(t, None)

    def _report(self, up: float, outcome: Outcome, size: int, seconds: float) -> None:
        values = self.series.row.values
        values[0], values[1] = up, seconds
        values[2], values[3], values[4] = outcome.scraped, outcome.kept, outcome.added
        if self.series.reports > 5:
            values[5], values[6], values[7] = self._timeout, self._config.sample_limit, size

    def _read(self, body: Body, media: Media, t: int, prepared: Prepared | None) -> Outcome:
        end, mode = self._shape(body, media)
        lines = self._lines
        if lines is not None and lines.mode == mode and end >= 0 and self._is_current():
            before, body.end = body.end, end
            lines.walk(body, self.series.row, self._scratch)
            counts = self._scratch.counts
            try:
                if counts[text.IN_ORDER]:
                    return self._hit(lines, body, t)
                if counts[text.LINES] >= 0:
                    return self._merge(lines, body, media, t)
            except (Reparse, ExpositionError):
                pass
            body.end = before
        return self._parse(body, media, t, prepared)

    def _shape(self, body: Body, media: Media) -> tuple[int, int]:
        """Where the lines end that a layout describes, -1 when none can; and the mode of its walks. Ends the last line."""
        mode = text.UNSTAMPED if not self._config.honor_timestamps else 0
        if media == "protobuf" or self._options.convert or not len(body):
            return -1, mode
        buffer, end = body.buffer, body.end
        if media == "openmetrics":
            tail = buffer[max(body.begin, end - 7) : end].tobytes()
            cut = 6 if tail.endswith(b"\n# EOF\n") else 5 if tail.endswith(b"\n# EOF") else -1
            return (end - cut if cut > 0 else -1), mode | text.OPENMETRICS
        if buffer[end - 1] != 10:
            buffer[end] = 10
            return end + 1, mode
        return end, mode

    def _hit(self, lines: Lines, body: Body, t: int) -> Outcome:
        """The same series as before."""
        counts, scratch = self._scratch.counts, self._scratch
        exemplars: list[tuple[int, Exemplar]] = []
        for number in scratch.slow[: counts[text.SLOW]].tolist():
            start, line = scratch.found[number].tolist()
            self._slow(lines, body, start, int(lines.table[line, text.COLUMN]), t, exemplars)
        old, lines.body = lines.body.buffer, body
        self._buffers.give(old)
        outcome = Outcome(scraped=lines.samples, kept=lines.samples - lines.dropped, hit=True)
        outcome.duplicate = lines.duplicates
        if len(self.series.own):
            self._append_own(t, outcome)
            if self._config.track_timestamps_staleness:
                self.series.marked = self.series.own
        self._append_exemplars(exemplars)
        return outcome

    def _slow(
        self, lines: Lines, body: Body, start: int, column: int, t: int, exemplars: list[tuple[int, Exemplar]]
    ) -> None:
        """A known line whose rest needs the parser: an exemplar, a number of many digits."""
        stop = start + int(np.argmax(body.buffer[start : body.end] == 10)) + 1
        media: Media = "openmetrics" if lines.mode & text.OPENMETRICS else "text"
        found = parse_lines(body.buffer[start:stop].tobytes(), media).samples
        if len(found) != 1:
            raise Reparse
        sample, row = found[0], self.series.row
        stamped = sample.t is not None and self._config.honor_timestamps
        if column >= 0:
            if stamped:
                raise Reparse
            row.values[column] = sample.value
            ref = self.series.refs[column]
        elif column <= text.STAMPED:
            at = text.STAMPED - column
            if sample.t is None or not stamped:
                raise Reparse
            row.own[at], row.stamps[at], row.fresh[at] = sample.value, sample.t, 1
            ref = self.series.own[at]
        else:
            return
        when = sample.t if stamped and sample.t is not None else t
        exemplars.extend((int(ref), _timed(each, when)) for each in sample.exemplars)

    def _append_own(self, t: int, outcome: Outcome) -> None:
        """Samples with timestamps of their own that are new."""
        row = self.series.row
        wanted = np.flatnonzero(row.fresh)
        row.fresh[:] = 0
        ahead = row.stamps[wanted] > t + MOST_AHEAD
        outcome.out_of_bounds += int(np.count_nonzero(ahead))
        wanted = wanted[~ahead]
        if len(wanted):
            done = self._appender.append(self.series.own[wanted], row.stamps[wanted], row.own[wanted])
            outcome.duplicate += done.duplicate
            outcome.out_of_order += done.out_of_order
            outcome.out_of_bounds += done.too_old

    def _append_exemplars(self, exemplars: Sequence[tuple[int, Exemplar]]) -> None:
        if exemplars:
            self._appender.append_exemplars([ref for ref, _ in exemplars], [each for _, each in exemplars])

    # What has no layout, or has one no more.

    def _merge(self, lines: Lines, body: Body, media: Media, t: int) -> Outcome:
        """Lines that came, went or moved. Raises Reparse when only the whole body tells."""
        if self._scratch.counts[text.SLOW] or lines.duplicates:
            raise Reparse  # of lines for one series the first one counts, and which that is may have changed
        missed = missed_lines(lines, self._scratch, body, media)
        series, columns = self.series, missed.table[:-1, text.COLUMN]
        columns[missed.numbers] = text.OTHER  # until they are placed
        here, own_here = np.zeros(len(series.refs), np.bool_), np.zeros(len(series.own), np.bool_)
        here[: series.reports] = True
        here[columns[columns >= 0]] = True
        own_here[text.STAMPED - columns[columns <= text.STAMPED]] = True
        known = int(np.count_nonzero((columns != text.OTHER) & (columns != text.DROPPED)))
        row = series.row
        row = Row(row.values[here], row.own[own_here], row.stamps[own_here], row.fresh[own_here])
        kept = Kept(series.refs[here], series.own[own_here], row)
        samples = missed.exposition.samples
        placed = place(samples, self._refs(samples, known), kept, self._config.honor_timestamps)
        if placed.duplicates:
            raise Reparse
        missed.table[:-1, text.COLUMN] = renumber(columns, here, own_here)
        missed.table[missed.numbers, text.COLUMN] = placed.columns
        self._learn(missed.exposition, whole=False)
        gone = series.refs[~here] if series.alive else NONE
        if self._config.track_timestamps_staleness and series.alive:
            gone = np.concatenate([gone, series.own[~own_here]])
        outcome = self._store(placed, samples, t, gone)
        self._buffers.give(lines.body.buffer)
        self._adopt(Lines(body, missed.table, lines.mode), outcome)
        return outcome

    def _parse(self, body: Body, media: Media, t: int, prepared: Prepared | None) -> Outcome:
        """The whole body, whatever it is."""
        end, mode = self._shape(body, media)
        if prepared is not None and prepared.resolver is not self._resolver:
            prepared = None  # the settings have changed meanwhile
        exposition = prepared.exposition if prepared else parse(body.bytes(), media, self._options)
        samples = exposition.samples
        by_line = exposition.by_line and end >= 0
        kept = Kept(self.series.refs[: self.series.reports], row=Row(np.zeros(self.series.reports)))
        refs = self._refs(samples, 0, prepared, remember=not by_line)
        placed = place(samples, refs, kept, self._config.honor_timestamps)
        self._learn(exposition, whole=True)
        outcome = self._store(placed, samples, t, None)
        self._generation = self._appender.generation
        if self._lines is not None:
            self._buffers.give(self._lines.body.buffer)
            self._lines = None
        if by_line:
            body.end = end
            self._adopt(Lines.of(body, samples, placed.columns.tolist(), mode), outcome)
        else:
            outcome.scraped, outcome.kept = len(samples), len(samples) - placed.dropped
            outcome.duplicate += placed.duplicates
            self._buffers.give(body.buffer)
        return outcome

    def _adopt(self, lines: Lines, outcome: Outcome) -> None:
        self._lines = lines
        outcome.scraped, outcome.kept = lines.samples, lines.samples - lines.dropped
        outcome.duplicate += lines.duplicates

    def _refs(
        self, samples: Sequence[Sample], known: int, prepared: Prepared | None = None, remember: bool = False
    ) -> Ints:
        """The series of the samples, -1 of dropped ones; `known` others count for the limit too. Raises Refused before any
        series is made. `remember` is for bodies without a layout, whose samples come again one by one."""
        if not self._is_current():
            self._resolved = {}
        if prepared is not None and prepared.generation == self._appender.generation:
            refs = prepared.refs
        else:
            refs = self._made(samples, known, prepared)
        self._resolved = (
            {each.labels: ref for each, ref in zip(samples, refs.tolist(), strict=True)} if remember else {}
        )
        return refs

    def _made(self, samples: Sequence[Sample], known: int, prepared: Prepared | None) -> Ints:
        resolve, resolved = self._resolver.resolve, self._resolved
        if prepared is None:
            final = [None if each.labels in resolved else resolve(each.labels) for each in samples]
        else:
            final, resolved = prepared.series, {}
        refs = np.fromiter((resolved.get(each.labels, -1) for each in samples), np.int64, len(samples))
        new = [i for i, labels in enumerate(final) if labels is not None]
        limit, kept = self._config.sample_limit, known + len(new) + int(np.count_nonzero(refs >= 0))
        if limit and kept > limit:
            if known:
                raise Reparse  # which counts all of them
            raise Refused("sample limit exceeded", len(samples), kept)
        if new:
            refs[new] = self._appender.refs([labels for labels in final if labels is not None])
        return refs

    def _store(self, placed: Placement, samples: Sequence[Sample], t: int, gone: Ints | None) -> Outcome:
        """Everything but the row itself, which `scrape` appends: markers, timestamped samples, histograms, exemplars. `gone`
        are the series whose lines have gone; None when `samples` are all there is, and the others have gone."""
        series, outcome = self.series, Outcome()
        histograms = self._histograms(placed, samples, t)
        before = series.tracked()
        series.columns(placed.refs, placed.own, placed.row)
        series.marked = placed.histogram_refs
        if self._config.track_timestamps_staleness:
            series.marked = np.concatenate([series.marked, placed.own])
        now = np.concatenate([placed.refs[series.reports :], placed.own, placed.histogram_refs])
        fresh = placed.sample_refs[placed.sample_refs >= 0]
        outcome.added = len(minus(fresh, series.seen))
        series.seen = now
        if len(placed.own):
            self._append_own(t, outcome)
        tracked = np.concatenate([placed.refs[series.reports :], series.marked])
        series.mark(minus(before if gone is None else gone, tracked), t)
        if histograms:
            times, found = zip(*histograms, strict=True)
            done = self._appender.append_histograms(placed.histogram_refs.tolist(), times, found)
            outcome.duplicate, outcome.out_of_order = done.duplicate, done.out_of_order
            outcome.out_of_bounds += done.too_old
        honor = self._config.honor_timestamps
        self._append_exemplars(
            [
                (ref, _timed(exemplar, sample.t if honor and sample.t is not None else t))
                for sample, ref in zip(samples, placed.sample_refs.tolist(), strict=True)
                if ref >= 0
                for exemplar in sorted(sample.exemplars, key=lambda each: each.t)
                if exemplar.t != NO_TIME or sample.histogram is None  # those of histograms must have a time
            ]
        )
        return outcome

    def _histograms(self, placed: Placement, samples: Sequence[Sample], t: int) -> list[tuple[int, Histogram]]:
        finest = finest_schema(self._config.min_bucket_factor)
        found = []
        for number in placed.histograms.tolist():
            sample = samples[number]
            assert sample.histogram is not None
            when = sample.t if sample.t is not None and self._config.honor_timestamps else t
            found.append((when, coarsen(sample.histogram, self._config.bucket_limit, finest)))
        return found

    def _learn(self, exposition: Exposition, whole: bool) -> None:
        """What the body says of families; `whole` when it says all there is."""
        before = self.metadata
        self.metadata = {} if whole else dict(before)
        for name, family in exposition.families.items():
            metadata = family.over(before.get(name, Metadata()))
            self.metadata[name] = metadata
            if before.get(name) != metadata:
                self._appender.set_metadata(name, metadata)


def _timed(exemplar: Exemplar, t: int) -> Exemplar:
    return Exemplar(exemplar.labels, exemplar.value, t) if exemplar.t == NO_TIME else exemplar
