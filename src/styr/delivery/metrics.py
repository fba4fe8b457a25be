"""What delivery counts: pushes and builds, and what the judge sees and says. Made by `source` and `rollout`, each its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from styr.kit.metrics import CollectorRegistry, Counter, Histogram, Read, Value, fresh

BUILD_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0)


class PushMetrics:
    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = fresh(registry)
        self._pushes = Counter("styr_push_total", "Pushes, by their answer.", ("result",), registry=registry)
        self._builds = Histogram(
            "styr_push_build_seconds",
            "Time from a push's arrival to its image, tests included.",
            registry=registry,
            buckets=BUILD_SECONDS,
        )

    def answered(self, accepted: bool) -> None:
        self._pushes.labels("accepted" if accepted else "rejected").inc()

    def built(self, seconds: float) -> None:
        self._builds.observe(seconds)


class Judged(NamedTuple):
    """A candidate under live traffic, as it stands."""

    namespace: str
    app: str
    weight: float
    evidence: float


class JudgeMetrics:
    """`candidates` are those that are judged now. Series are by app, not by release: their number does not grow with pushes."""

    def __init__(self, candidates: Callable[[], Iterable[Judged]], registry: CollectorRegistry | None = None) -> None:
        registry = fresh(registry)
        labels = ("namespace", "app")
        self._verdicts = Counter(
            "styr_release_verdicts_total", "Releases that came to an end.", (*labels, "verdict"), registry=registry
        )
        self._readings = Counter(
            "styr_judge_readings_total", "Readings of traffic that the judge asked for.", ("result",), registry=registry
        )
        self._guards = Counter(
            "styr_judge_guard_readings_total", "Readings of guards.", (*labels, "guard", "result"), registry=registry
        )
        Read(
            registry,
            Value(
                "styr_release_weight",
                "Percent of requests that the candidate has.",
                lambda: [((one.namespace, one.app), one.weight) for one in candidates()],
                labels,
            ),
            Value(
                "styr_release_evidence",
                "The e-value against the candidate; it is rolled back at 1 / alpha.",
                lambda: [((one.namespace, one.app), one.evidence) for one in candidates()],
                labels,
            ),
        )

    def ended(self, namespace: str, app: str, verdict: str) -> None:
        self._verdicts.labels(namespace, app, verdict).inc()

    def read(self, *, taken: bool) -> None:
        self._readings.labels("taken" if taken else "missing").inc()

    def guarded(self, namespace: str, app: str, guard: str, result: Literal["met", "breached", "missing"]) -> None:
        self._guards.labels(namespace, app, guard, result).inc()
