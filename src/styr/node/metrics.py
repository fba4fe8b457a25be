"""What the node counts, where the kubelet has a name for it under that one.

Made by `agent`; called by `containers` and `probes`.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable

from styr.kit.metrics import CollectorRegistry, Counter, Read, Value, fresh
from styr.node.record import PodRecord

Records = Callable[[], Iterable[PodRecord]]


class NodeMetrics:
    """`records` are those of the pods that have a worker."""

    def __init__(self, records: Records, registry: CollectorRegistry | None = None) -> None:
        registry = fresh(registry)
        self._probes = Counter(
            "prober_probe_total", "Probes by their result.", ("probe_type", "result"), registry=registry
        )
        self._starts = Counter("styr_node_container_starts_total", "Containers started.", registry=registry)
        self._restarts = Counter("styr_node_container_restarts_total", "Containers started again.", registry=registry)
        Read(
            registry,
            Value(
                "kubelet_running_pods", "Pods that this node looks after.", lambda: [((), float(len(list(records()))))]
            ),
            Value(
                "kubelet_running_containers",
                "Containers by their state.",
                lambda: [((state,), float(count)) for state, count in sorted(_states(records()).items())],
                ("container_state",),
            ),
        )

    def started(self, again: bool) -> None:
        self._starts.inc()
        if again:
            self._restarts.inc()

    def probed(self, kind: str, successful: bool) -> None:
        """`kind` is Startup, Readiness or Liveness."""
        self._probes.labels(kind, "successful" if successful else "failed").inc()


def _states(records: Iterable[PodRecord]) -> Tally[str]:
    return Tally(container.phase for record in records for container in record.containers.values())
