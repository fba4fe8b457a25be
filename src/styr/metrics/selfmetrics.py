"""The engine's metrics of itself, under Prometheus' names where it has one, so that its dashboards fit. Called by `assemble`.

Values are read when they are collected; nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from styr.metrics.rules.manager import Manager
from styr.metrics.scrape.status import Counters
from styr.metrics.storage.db import Database, Stats

_GAUGES: tuple[tuple[str, str, Callable[[Stats], float]], ...] = (
    ("prometheus_tsdb_head_series", "Series in the head.", lambda stats: stats.series),
    ("prometheus_tsdb_head_chunks", "Chunks in the head.", lambda stats: stats.chunks),
    ("prometheus_tsdb_head_min_time", "Oldest time in the head, ms.", lambda stats: stats.min_t),
    ("prometheus_tsdb_head_max_time", "Newest time in the head, ms.", lambda stats: stats.max_t),
    ("prometheus_tsdb_blocks_loaded", "Blocks on the disk.", lambda stats: stats.blocks),
)
_COUNTERS: tuple[tuple[str, str, Callable[[Stats], float]], ...] = (
    ("prometheus_tsdb_head_samples_appended", "Samples appended.", lambda stats: stats.samples),
    ("styr_tsdb_wal_written_bytes", "Bytes written to the write-ahead log.", lambda stats: stats.wal_bytes),
    ("styr_tsdb_head_chunks_written_bytes", "Bytes of chunks written.", lambda stats: stats.chunk_bytes),
)
_SCRAPING: tuple[tuple[str, str, Callable[[Counters], float]], ...] = (
    ("styr_scrapes", "Scrapes.", lambda counters: counters.scrapes),
    ("styr_scrape_failures", "Scrapes that failed.", lambda counters: counters.failures),
    ("styr_scrape_samples", "Samples scraped.", lambda counters: counters.samples),
    ("styr_scrape_layout_hits", "Scrapes with the layout of the one before.", lambda counters: counters.hits),
    (
        "prometheus_target_scrapes_sample_duplicate_timestamp",
        "Samples refused: another value at the same time.",
        lambda counters: counters.duplicates,
    ),
    (
        "prometheus_target_scrapes_sample_out_of_order",
        "Samples refused: older than the series' newest.",
        lambda counters: counters.out_of_order,
    ),
    (
        "prometheus_target_scrapes_sample_out_of_bounds",
        "Samples refused: too old for the head.",
        lambda counters: counters.out_of_bounds,
    ),
    ("styr_scrape_commit_failures", "Commits that the disk refused.", lambda counters: counters.commit_failures),
)


class _Engine(Collector):
    def __init__(self, database: Database, rules: Manager, scraping: Counters) -> None:
        self._database, self._rules, self._scraping = database, rules, scraping

    def collect(self) -> Iterator[Metric]:
        stats = self._database.stats()
        for name, text, value in _GAUGES:
            yield GaugeMetricFamily(name, text, value=value(stats))
        for name, text, value in _COUNTERS:
            yield CounterMetricFamily(name, text, value=value(stats))
        for name, text, count in _SCRAPING:
            yield CounterMetricFamily(name, text, value=count(self._scraping))
        yield from self._groups()

    def _groups(self) -> Iterator[Metric]:
        label = ["rule_group"]
        evaluations = CounterMetricFamily("prometheus_rule_evaluations", "Rules evaluated.", labels=label)
        failures = CounterMetricFamily("prometheus_rule_evaluation_failures", "Rules that failed.", labels=label)
        missed = CounterMetricFamily("prometheus_rule_group_iterations_missed", "Evaluations left out.", labels=label)
        last = GaugeMetricFamily("prometheus_rule_group_last_duration_seconds", "Of the last evaluation.", labels=label)
        for running in self._rules.groups:
            counters, key = running.counters, [running.group.key]
            evaluations.add_metric(key, counters.evaluations)
            failures.add_metric(key, counters.failures)
            missed.add_metric(key, counters.missed)
            last.add_metric(key, running.evaluation_time)
        yield from (evaluations, failures, missed, last)


def register(registry: CollectorRegistry, database: Database, rules: Manager, scraping: Counters) -> None:
    registry.register(_Engine(database, rules, scraping))
