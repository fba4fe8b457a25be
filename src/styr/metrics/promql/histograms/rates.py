"""Change of histograms over a range: `rate`, `increase`, `delta`, `irate` and `idelta`. Called by `promql.mixed`. Pure.

Results are gauges. What is odd is told to `notes`; None means that there is no result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from styr.metrics.model.histogram import CUSTOM_BUCKETS, GAUGE, Histogram
from styr.metrics.promql import annotations as texts
from styr.metrics.promql.annotations import ADDITION, SUBTRACTION, Annotations, Position
from styr.metrics.promql.histograms.arithmetic import IncompatibleSchemas, accumulate
from styr.metrics.promql.histograms.resets import start_time_overlaps, start_time_reset, was_reset
from styr.metrics.promql.histograms.working import Working


@dataclass(frozen=True, slots=True)
class Teller:
    """Who hears of what is odd about one series: its metric name and the position of the range vector."""

    notes: Annotations
    name: str
    position: Position

    def mixed_schemas(self) -> None:
        self.notes.add(texts.mixed_exponential_custom_histograms(self.name, self.position))

    def not_counter(self) -> None:
        self.notes.add(texts.histogram_not_counter(self.name, self.position))

    def not_gauge(self) -> None:
        self.notes.add(texts.histogram_not_gauge(self.name, self.position))

    def accumulate(self, h: Working, other: Histogram, negative: bool = False) -> bool:
        """Adds or subtracts; false, and told, when schemas do not go together. Conflicting hints do not count here: resets
        are looked for explicitly."""
        try:
            outcome = accumulate(h, other, negative)
        except IncompatibleSchemas:
            self.mixed_schemas()
            return False
        if outcome.reconciled:
            operation = SUBTRACTION if negative else ADDITION
            self.notes.add(texts.mismatched_custom_buckets(self.position, operation))
        return True


@dataclass(frozen=True, slots=True)
class Samples:
    """Histograms of one window, with their times (ms). `starts` are their start timestamps, empty when they are not known."""

    times: Sequence[int]
    histograms: Sequence[Histogram]
    starts: Sequence[int] = ()

    def restarts(self, i: int) -> bool:
        """By start timestamps, between sample i - 1 and i."""
        if i >= len(self.starts):
            return False
        return start_time_reset(self.starts[i - 1], self.times[i - 1], self.starts[i], self.times[i])


def extrapolated(
    samples: Samples, start: int, end: int, seconds: float, counter: bool, per_second: bool, tell: Teller
) -> Histogram | None:
    """`rate`, `increase` (counters) or `delta` over (start, end] in ms, which is `seconds` long. A single sample is enough when
    its start timestamp is in the window."""
    last = len(samples.histograms) - 1
    first_t, last_t = samples.times[0], samples.times[last]
    result = change(samples, counter, tell) if last > 0 else None
    if last > 0 and result is None:
        return None
    to_start, to_end = (first_t - start) / 1000, (end - last_t) / 1000
    sampled = (last_t - first_t) / 1000
    average = sampled / last if last > 0 else 0.0
    threshold = average * 1.1
    begun = samples.starts[0] if counter and samples.starts else 0
    if begun != 0 and start < begun < first_t:
        to_start, sampled = 0.0, (last_t - begun) / 1000
        if result is None:
            result = Working.of(samples.histograms[0])
        elif not tell.accumulate(result, samples.histograms[0]):
            return None
    elif result is None:
        return None
    else:
        to_start = _distance_to_start(to_start, threshold, average, sampled, samples.histograms[0], result, counter)
    if to_end >= threshold:
        to_end = average / 2
    factor = (sampled + to_start + to_end) / sampled if sampled != 0 else 1.0
    result.scale(factor / seconds if per_second else factor)
    return result.histogram()


def _distance_to_start(
    to_start: float,
    threshold: float,
    average: float,
    sampled: float,
    first: Histogram,
    result: Working,
    counter: bool,
) -> float:
    """How far to extrapolate (seconds): not beyond half an interval when the series seems to begin inside, and not to where a
    counter would have been negative."""
    if to_start >= threshold:
        to_start = average / 2
    if counter and result.count > 0 and first.count >= 0:
        to_start = min(to_start, sampled * (first.count / result.count))
    return to_start


def change(samples: Samples, counter: bool, tell: Teller) -> Working | None:
    """Last minus first plus what resets took away, compact, a gauge; of at least two samples. In the coarsest schema that
    matters."""
    histograms = samples.histograms
    previous, last = histograms[0], histograms[-1]
    if counter and GAUGE in (previous.counter_reset_hint, last.counter_reset_hint):
        tell.not_counter()
    if counter and (samples.restarts(1) or was_reset(histograms[1], previous)):
        second = histograms[1]
        previous = Histogram(schema=second.schema, custom_values=second.custom_values)
    uses_custom = previous.schema == CUSTOM_BUCKETS
    if (last.schema == CUSTOM_BUCKETS) != uses_custom:
        tell.mixed_schemas()
        return None
    schema = min(last.schema, previous.schema)
    if counter:
        for each in histograms[1:-1]:
            if each.counter_reset_hint == GAUGE:
                tell.not_counter()
            schema = min(schema, each.schema)
            if (each.schema == CUSTOM_BUCKETS) != uses_custom:
                tell.mixed_schemas()
                return None
    elif not histograms[0].counter_reset_hint == last.counter_reset_hint == GAUGE:
        tell.not_gauge()
    result = Working.of(last)
    if schema != result.schema:
        result.reduce(schema)
    if not tell.accumulate(result, previous, negative=True):
        return None
    if counter and not _add_resets(result, samples, previous, tell):
        return None
    result.hint = GAUGE
    result.positive.compact()
    result.negative.compact()
    return result


def _add_resets(result: Working, samples: Samples, previous: Histogram, tell: Teller) -> bool:
    """Adds what the counter had before each reset."""
    told = False
    for i in range(1, len(samples.histograms)):
        starts = samples.starts
        if not told and i < len(starts) and start_time_overlaps(starts[i - 1], samples.times[i - 1], starts[i]):
            tell.notes.add(texts.start_time_overlap(tell.name, tell.position))
            told = True
        current = samples.histograms[i]
        if (samples.restarts(i) or was_reset(current, previous)) and not tell.accumulate(result, previous):
            return False
        previous = current
    return True


def instant(samples: Samples, counter: bool, tell: Teller) -> Histogram | None:
    """`irate` per second (`counter`) or `idelta`, of the last two samples."""
    if len(samples.histograms) < 2:
        return None
    before, last = samples.histograms[-2:]
    interval = samples.times[-1] - samples.times[-2]
    if interval == 0:
        return None
    hints = before.counter_reset_hint, last.counter_reset_hint
    if counter and GAUGE in hints:
        tell.not_counter()
    if not counter and hints != (GAUGE, GAUGE):
        tell.not_gauge()
    result = Working.of(last)
    reset = counter and (samples.restarts(len(samples.histograms) - 1) or was_reset(last, before))
    if not reset and not tell.accumulate(result, before, negative=True):
        return None
    result.hint = GAUGE
    found = result.histogram(compact=True)
    if not counter:
        return found
    scaled = Working.of(found)
    scaled.divide(interval / 1000)
    return scaled.histogram()
