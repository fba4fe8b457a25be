"""`load_with_nhcb`: classic histograms of a script, also as native ones with custom buckets. Called by `script`. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from styr.metrics.model.histogram import CUSTOM_BUCKETS, Histogram
from styr.metrics.model.labels import METRIC_NAME, Labels, get, make, without
from styr.metrics.promql.histograms.arithmetic import compacted

SUFFIXES = ("_bucket", "_count", "_sum")


@dataclass(slots=True)
class Classic:
    """What is known of one histogram at one time."""

    buckets: dict[float, float] = field(default_factory=dict)
    count: float | None = None
    sum: float = 0.0

    def native(self) -> Histogram:
        bounds = sorted(self.buckets)
        count = self.count if self.count is not None else (self.buckets[bounds[-1]] if bounds else 0.0)
        if not bounds or bounds[-1] != math.inf:
            bounds.append(math.inf)
        cumulative = [self.buckets.get(bound, count) for bound in bounds]
        counts = [now - before for now, before in zip(cumulative, [0.0, *cumulative], strict=False)]
        made = Histogram(
            schema=CUSTOM_BUCKETS,
            count=count,
            sum=self.sum,
            positive_spans=[(0, len(counts))],
            positive_buckets=counts,
            custom_values=[bound for bound in bounds if bound != math.inf],
        )
        return compacted(made)


def convert(series: Mapping[Labels, Sequence[tuple[int, float]]]) -> dict[Labels, list[tuple[int, Histogram]]]:
    """The native histograms of the classic series among these, by metric without suffix and `le`."""
    found: dict[Labels, dict[int, Classic]] = defaultdict(lambda: defaultdict(Classic))
    for labels, samples in series.items():
        name = get(labels, METRIC_NAME)
        suffix = next((each for each in SUFFIXES if name.endswith(each)), "")
        if not suffix:
            continue
        try:
            bound = float(get(labels, "le")) if suffix == "_bucket" else 0.0
        except ValueError:
            continue
        if math.isnan(bound):
            continue
        base = make([*without(labels, METRIC_NAME, "le"), (METRIC_NAME, name.removesuffix(suffix))])
        for t, value in samples:
            classic = found[base][t]
            if suffix == "_bucket":
                classic.buckets.setdefault(bound, value)
            elif suffix == "_count":
                classic.count = value
            else:
                classic.sum = value
    return {base: [(t, each.native()) for t, each in sorted(by_time.items())] for base, by_time in found.items()}
