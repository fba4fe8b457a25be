"""Classic histograms (`_bucket`, `_count`, `_sum`) made native ones with custom buckets. Called by `parse` and `protobuf`;
pure.

Rules of Prometheus' util/convertnhcb and textparse/nhcbparse.go: the consecutive series of one family with the same labels
make one histogram; series that do not fit together vanish with it.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable

from styr.metrics.exposition.entry import Exposition, Sample
from styr.metrics.exposition.numbers import parse_float
from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram, Span
from styr.metrics.model.labels import METRIC_NAME, Labels, get, make, without
from styr.metrics.model.samples import Exemplar

_BUCKET = "le"
_SUFFIXES = ("_bucket", "_sum", "_count")


def compact(spans: Iterable[Span], buckets: list[float], most_empty: int) -> tuple[list[Span], list[float]]:
    """Without the empty buckets at the ends, and without runs of more than `most_empty` between others; shorter gaps between
    spans are filled."""
    filled: list[tuple[int, float]] = []
    index, place = 0, 0
    for offset, length in spans:
        index += offset
        for _ in range(length):
            if buckets[place]:
                filled.append((index, buckets[place]))
            index += 1
            place += 1
    result: list[Span] = []
    counts: list[float] = []
    end = 0
    for index, count in filled:
        gap = index - end
        if result and gap <= most_empty:
            result[-1] = (result[-1][0], result[-1][1] + gap + 1)
            counts += [0.0] * gap
        else:
            result.append((gap, 1))
        counts.append(count)
        end = index + 1
    return result, counts


class Collector:
    """What a classic histogram said so far; `broken` once it contradicts itself."""

    def __init__(self) -> None:
        self.bounds: list[float] = []
        self.counts: list[float] = []
        self.count: float | None = None
        self.sum = 0.0
        self.broken = False

    def bucket(self, bound: float, count: float) -> None:
        """The second of two buckets with the same bound is ignored."""
        if math.isnan(bound) or count < 0:
            self.broken = True
        if self.broken:
            return
        place = bisect.bisect_left(self.bounds, bound)
        if place < len(self.bounds) and self.bounds[place] == bound:
            return
        below = self.counts[place - 1] if place else -math.inf
        above = self.counts[place] if place < len(self.counts) else math.inf
        if count < below or count > above:
            self.broken = True
            return
        self.bounds.insert(place, bound)
        self.counts.insert(place, count)

    def total(self, count: float) -> None:
        if count < 0:
            self.broken = True
        self.count = count

    def histogram(self) -> Histogram | None:
        """None when the parts do not make one."""
        if self.broken:
            return None
        count = self.count if self.count is not None else self.counts[-1] if self.counts else 0.0
        bounds, counts = list(self.bounds), list(self.counts)
        if not bounds or bounds[-1] != math.inf:
            bounds.append(math.inf)
            counts.append(count)
        if count != counts[-1]:
            return None
        integer = all(each == math.floor(each) and abs(each) < 2**63 for each in (*counts, count) if each == each)
        absolute = [later - sooner for sooner, later in zip([0.0, *counts], counts, strict=False)]
        spans, buckets = compact([(0, len(absolute))], absolute, 2 if integer else 0)
        return Histogram(
            schema=CUSTOM_BUCKETS,
            count=count,
            sum=self.sum,
            positive_spans=spans,
            positive_buckets=buckets,
            custom_values=bounds[:-1],
            integer=integer,
        )


def convert(exposition: Exposition, keep_classic: bool) -> Exposition:
    """The same exposition with its classic histograms converted; the classic series stay when `keep_classic`."""
    result = Exposition(families=exposition.families, by_line=False)
    group = _Group()
    marks = iter([*exposition.marks, (len(exposition.samples) + 1, "", "")])
    at, family, kind = next(marks)
    current, current_kind = "", ""
    for number, sample in enumerate(exposition.samples):
        while number >= at:
            group.flush(result)
            current, current_kind = family, kind
            at, family, kind = next(marks)
        taken = current_kind == "histogram" and group.take(sample, current, result)
        if not taken:
            group.flush(result)
        if keep_classic or not taken:
            result.samples.append(sample)
    group.flush(result)
    return result


class _Group:
    """The histogram that is being collected."""

    def __init__(self) -> None:
        self._labels: Labels | None = None
        self._collector = Collector()
        self._last = Sample((), 0.0)
        self._exemplars: list[Exemplar] = []

    def take(self, sample: Sample, family: str, result: Exposition) -> bool:
        """Whether the sample is part of a classic histogram of this family; one that begins another ends the one before."""
        name = get(sample.labels, METRIC_NAME)
        suffix = next((each for each in _SUFFIXES if name.endswith(each)), "")
        if not suffix or name.removesuffix(suffix) != family:
            return False
        bound = math.nan
        if suffix == "_bucket":
            try:
                bound = parse_float(get(sample.labels, _BUCKET).encode())
            except ValueError:
                return False
            if math.isnan(bound):
                return False
        labels = make({**dict(without(sample.labels, _BUCKET)), METRIC_NAME: family})
        if labels != self._labels:
            self.flush(result)
            self._labels = labels
        if suffix == "_bucket":
            self._collector.bucket(bound, sample.value)
        elif suffix == "_count":
            self._collector.total(sample.value)
        else:
            self._collector.sum = sample.value
        self._last = sample
        self._exemplars += sample.exemplars
        return True

    def flush(self, result: Exposition) -> None:
        if self._labels is None:
            return
        histogram = self._collector.histogram()
        if histogram is not None:
            last = self._last
            exemplars = tuple(self._exemplars)
            result.samples.append(Sample(self._labels, 0.0, last.t, histogram, exemplars, last.created))
        self._labels, self._collector, self._exemplars = None, Collector(), []
