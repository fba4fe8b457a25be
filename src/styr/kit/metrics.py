"""Metrics of our own, over prometheus_client: a registry that is handed in, and values that are read when somebody asks.

Each room has a `metrics.py` with what it counts; `plane` makes the one registry, hands it to all, and serves it. A room that is
given none counts into one of its own that nobody reads: there is no global state, and nothing here looks at a clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

__all__ = ["SECONDS", "CollectorRegistry", "Counter", "Gauge", "Histogram", "Read", "Value", "exposition", "fresh"]

# The text format would carry one more series for each counter, of when it was made.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

_END = b"# EOF\n"
"""OpenMetrics' last line."""
SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
"""Bounds of histograms of durations: few, for each is a series."""


def fresh(registry: CollectorRegistry | None = None) -> CollectorRegistry:
    """The one that was handed in, or one that nobody reads."""
    return CollectorRegistry(auto_describe=False) if registry is None else registry


@dataclass(frozen=True, slots=True)
class Value:
    """One metric whose samples are read from where they are kept: (values of `labels`, number)."""

    name: str
    meaning: str
    read: Callable[[], Iterable[tuple[tuple[str, ...], float]]]
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


class Read(Collector):
    """Values of one room, read at each scrape: they cost nothing until then."""

    def __init__(self, registry: CollectorRegistry, *values: Value) -> None:
        self._values = values
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        for value in self._values:
            make = GaugeMetricFamily if value.kind == "gauge" else CounterMetricFamily
            family = make(value.name, value.meaning, labels=value.labels)
            for labels, number in value.read():
                family.add_metric(labels, number)
            yield family


class _One(CollectorRegistry):
    """One metric as a registry, for the encoder."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


async def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """(body, content type) in the format that the Accept header prefers: Prometheus' text, or OpenMetrics. A thousand series
    take some 20 ms: between two metrics others have their turn."""
    encode, content_type = choose_encoder(accept)
    parts: list[bytes] = []
    for metric in registry.collect():
        parts.append(encode(_One(metric)).removesuffix(_END))
        await asyncio.sleep(0)
    return b"".join(parts) + (_END if "openmetrics" in content_type else b""), content_type
