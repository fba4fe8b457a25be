"""What controllers count, under the names of client-go's work queue and of controller-runtime: dashboards for those work.

Made by `controller.Manager`, one for each; `QueueMetrics` is the observer of one controller's queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from styr.kinds.meta import Key
from styr.kit.metrics import SECONDS, CollectorRegistry, Counter, Histogram, Read, Value, fresh

Result = Literal["success", "requeue_after", "error"]
Sizes = Callable[[], Iterable[tuple[tuple[str, ...], float]]]


class QueueMetrics:
    """Of one controller. Times are the event loop's, in seconds."""

    def __init__(self, added: Counter, waited: Histogram, worked: Histogram) -> None:
        self._added, self._waited, self._worked = added, waited, worked
        self.waiting: dict[Key, float] = {}
        """Key -> since when it waits for a worker."""
        self.running: dict[Key, float] = {}

    def added(self, key: Key, now: float, /) -> None:
        self._added.inc()
        self.waiting[key] = now

    def taken(self, key: Key, now: float, /) -> None:
        self._waited.observe(now - self.waiting.pop(key, now))
        self.running[key] = now

    def done(self, key: Key, now: float, /) -> None:
        self._worked.observe(now - self.running.pop(key, now))


class ControllerMetrics:
    """`now` is the loop's time; `informers` gives (resource, objects) of the caches."""

    def __init__(self, registry: CollectorRegistry | None, now: Callable[[], float], informers: Sizes) -> None:
        registry = fresh(registry)
        self._now = now
        self._queues: dict[str, QueueMetrics] = {}
        self._adds = Counter("workqueue_adds_total", "Keys added to the queue.", ("name",), registry=registry)
        self._retries = Counter(
            "workqueue_retries_total", "Keys added again after a failure.", ("name",), registry=registry
        )
        self._waited = Histogram(
            "workqueue_queue_duration_seconds",
            "Time from a key's being added to its being worked on.",
            ("name",),
            registry=registry,
            buckets=SECONDS,
        )
        self._worked = Histogram(
            "workqueue_work_duration_seconds", "Time spent on a key.", ("name",), registry=registry, buckets=SECONDS
        )
        self._results = Counter(
            "controller_runtime_reconcile_total",
            "Reconciliations by their result.",
            ("controller", "result"),
            registry=registry,
        )
        self._terminal = Counter(
            "controller_runtime_terminal_reconcile_errors_total",
            "Reconciliations that gave up until something changes.",
            ("controller",),
            registry=registry,
        )
        self._panics = Counter(
            "controller_runtime_reconcile_panics_total",
            "Reconciliations that failed by a bug.",
            ("controller",),
            registry=registry,
        )
        Read(
            registry,
            Value("workqueue_depth", "Keys that wait.", lambda: self._each(lambda q: len(q.waiting)), ("name",)),
            Value(
                "workqueue_unfinished_work_seconds",
                "Seconds of work in progress, of all workers together.",
                lambda: self._each(lambda q: sum(self._now() - since for since in q.running.values())),
                ("name",),
            ),
            Value(
                "workqueue_longest_running_processor_seconds",
                "Seconds that the longest work in progress has taken.",
                lambda: self._each(lambda q: max((self._now() - since for since in q.running.values()), default=0.0)),
                ("name",),
            ),
            Value(
                "controller_runtime_active_workers",
                "Workers that work.",
                lambda: self._each(lambda q: len(q.running)),
                ("controller",),
            ),
            Value("styr_informer_objects", "Objects in the cache.", informers, ("resource",)),
        )

    def queue(self, controller: str) -> QueueMetrics:
        made = QueueMetrics(
            self._adds.labels(controller), self._waited.labels(controller), self._worked.labels(controller)
        )
        self._queues[controller] = made
        return made

    def result(self, controller: str, result: Result) -> None:
        self._results.labels(controller, result).inc()
        if result == "error":
            self._retries.labels(controller).inc()

    def gave_up(self, controller: str) -> None:
        self._results.labels(controller, "error").inc()
        self._terminal.labels(controller).inc()

    def bug(self, controller: str) -> None:
        self._panics.labels(controller).inc()

    def _each(self, read: Callable[[QueueMetrics], float]) -> Iterable[tuple[tuple[str, ...], float]]:
        return [((name,), float(read(queue))) for name, queue in self._queues.items()]
