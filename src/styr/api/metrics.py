"""What the API server counts, under the names that Kubernetes' own server has for it.

Called by `server`, `verbs.watch` and, for commits, by the store through `Store.on_batch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from styr.api.filters.fairness import Level
from styr.api.store.commit import Store
from styr.kit.metrics import SECONDS, CollectorRegistry, Counter, Gauge, Histogram, Read, Value, fresh

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class ApiMetrics:
    """`database` is the store's file, for its size."""

    def __init__(self, store: Store, registry: CollectorRegistry | None = None, database: Path | None = None) -> None:
        registry = fresh(registry)
        self._requests = Counter(
            "apiserver_request_total", "API requests answered.", ("verb", "resource", "code"), registry=registry
        )
        self._seconds = Histogram(
            "apiserver_request_duration_seconds",
            "Time to the answer; of watches and logs, to their first byte.",
            ("verb", "resource"),
            registry=registry,
            buckets=SECONDS,
        )
        inflight = Gauge(
            "apiserver_current_inflight_requests",
            "Requests being worked on, without watches that stream.",
            ("request_kind",),
            registry=registry,
        )
        self._reading, self._mutating = inflight.labels("readOnly"), inflight.labels("mutating")
        self.watches = Gauge(
            "apiserver_longrunning_requests", "Watches that stream.", ("verb",), registry=registry
        ).labels("WATCH")
        self._commits = Histogram(
            "styr_store_commit_duration_seconds",
            "Time from a batch's last write to its being on the disk, fsync included.",
            registry=registry,
            buckets=SECONDS,
        )
        self._writes = Counter(
            "styr_store_writes_total", "Writes, by what became of them.", ("result",), registry=registry
        )
        self._counts: dict[tuple[str, str, int], Counter] = {}
        self._timers: dict[tuple[str, str], Histogram] = {}
        Read(
            registry,
            Value("apiserver_storage_objects", "Objects stored.", lambda: _objects(store), ("resource",)),
            Value("styr_store_revision", "The newest resourceVersion.", lambda: [((), float(store.revision))]),
            Value("styr_store_size_bytes", "Size of the store's file.", lambda: [((), float(_size(database)))]),
        )
        labels = ("name", "type", "operation", "rejected")
        self._webhooks = Histogram(
            "apiserver_admission_webhook_admission_duration_seconds",
            "Time to a webhook's answer about a request.",
            labels,
            registry=registry,
            buckets=SECONDS,
        )
        self._webhook_requests = Counter(
            "apiserver_admission_webhook_request_total",
            "Requests that a webhook was asked about; code 0: it did not answer.",
            (*labels, "code"),
            registry=registry,
        )
        store.on_batch(self._batch)
        self._registry = registry

    def watch_levels(self, levels: Callable[[], Iterable[Level]]) -> None:
        """Shows what the priority levels count."""

        def each(value: Callable[[Level], float]) -> Callable[[], list[tuple[tuple[str, ...], float]]]:
            return lambda: [((level.spec.name,), value(level)) for level in levels()]

        labels = ("priority_level",)
        name = "apiserver_flowcontrol"
        refused = "Requests that were answered 429."
        Read(
            self._registry,
            Value(
                f"{name}_dispatched_requests_total",
                "Requests let in.",
                each(lambda one: one.dispatched),
                labels,
                "counter",
            ),
            Value(f"{name}_current_inqueue_requests", "Requests that wait.", each(lambda one: one.waiting), labels),
            Value(f"{name}_current_executing_seats", "Seats taken.", each(lambda one: one.in_use), labels),
            Value(f"{name}_nominal_limit_seats", "Seats of its own.", each(lambda one: one.seats), labels),
            Value(
                f"{name}_rejected_requests_total",
                refused,
                lambda: [
                    ((one.spec.name, why), float(count)) for one in levels() for why, count in one.refused.items()
                ],
                (*labels, "reason"),
                "counter",
            ),
        )

    def webhook(self, name: str, kind: str, operation: str, seconds: float, code: int) -> None:
        """`kind` is `admit` or `validating`, `code` 200 when the webhook allowed it, 0 when it did not answer."""
        labels = (name, kind, operation, str(code != 200).lower())
        self._webhooks.labels(*labels).observe(seconds)
        self._webhook_requests.labels(*labels, str(code)).inc()

    def began(self, method: str) -> None:
        (self._reading if method in _READING else self._mutating).inc()

    def ended(self, method: str, verb: str, resource: str, code: int, seconds: float) -> None:
        """`verb` and `resource` are "" for what is no resource; both come from fixed sets, never from a caller."""
        (self._reading if method in _READING else self._mutating).dec()
        count = self._counts.get((verb, resource, code))
        if count is None:
            count = self._counts[verb, resource, code] = self._requests.labels(verb.upper(), resource, str(code))
        count.inc()
        timer = self._timers.get((verb, resource))
        if timer is None:
            timer = self._timers[verb, resource] = self._seconds.labels(verb.upper(), resource)
        timer.observe(seconds)

    def _batch(self, writes: int, seconds: float, durable: bool) -> None:
        self._commits.observe(seconds)
        self._writes.labels("durable" if durable else "refused").inc(writes)


def _objects(store: Store) -> Iterator[tuple[tuple[str, ...], float]]:
    for resource, count in store.counts():
        yield (resource,), float(count)


def _size(database: Path | None) -> int:
    try:
        return database.stat().st_size if database is not None else 0
    except OSError:
        return 0
