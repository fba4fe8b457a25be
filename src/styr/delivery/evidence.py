"""What one second of traffic said, as whole numbers: the difference of two readings of cumulative counters.

Called by `rollout` (live) and `record` (replay); feeds `judge` and `ramp`. Pure: reads no counter itself and never
invents one: a reading that is missing, or that restarted, gives None, and None is never zero.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass

from styr.kinds.seams import ArmCounters, RouteCounters


@dataclass(frozen=True, slots=True)
class Arm:
    """Final responses of one arm within a tick. `failures` are those of class 5xx; a 4xx is the caller's mistake and
    counts as answered. `latency[j]` counts responses in bucket j of the source's bounds, one more for the rest."""

    requests: int = 0
    failures: int = 0
    latency: tuple[int, ...] = ()

    def plus(self, other: Arm) -> Arm:
        return Arm(self.requests + other.requests, self.failures + other.failures, add(self.latency, other.latency))


@dataclass(frozen=True, slots=True)
class Tick:
    """`low` and `high` are the least and the greatest canary weight (percent) that may have been in force for a request
    that arrived in these milliseconds. They are equal unless the weight was being changed."""

    milliseconds: int
    low: int
    high: int
    canary: Arm
    stable: Arm

    def plus(self, other: Tick) -> Tick:
        """Both ticks as one. Only for ticks of one chapter of the judge (`record`)."""
        return Tick(
            self.milliseconds + other.milliseconds,
            min(self.low, other.low),
            max(self.high, other.high),
            self.canary.plus(other.canary),
            self.stable.plus(other.stable),
        )


def add(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    """Sum by position; the empty tuple is all zeros."""
    if not left or not right:
        return left or right
    if len(left) != len(right):
        raise ValueError(f"histograms of {len(left)} and {len(right)} buckets cannot be added")
    return tuple(map(operator.add, left, right))


@dataclass(frozen=True, slots=True)
class Reading:
    """A `RouteCounters` reduced to two arms: what a record keeps so that a restart counts nothing twice."""

    epoch: str
    bounds: tuple[float, ...]
    canary: Arm
    stable: Arm


def reading(counters: RouteCounters, canary: str, stable: str) -> Reading:
    """The two arms out of a reading, by the names of their Services. An arm that the proxy has not met yet has
    answered nothing."""
    empty = ArmCounters({}, (0,) * (len(counters.bounds) + 1))
    return Reading(
        counters.epoch,
        counters.bounds,
        _cumulative(counters.arms.get(canary, empty)),
        _cumulative(counters.arms.get(stable, empty)),
    )


def _cumulative(arm: ArmCounters) -> Arm:
    return Arm(sum(arm.responses.values()), arm.responses.get("5xx", 0), arm.latency)


def difference(before: Reading, now: Reading) -> tuple[Arm, Arm] | None:
    """What (canary, stable) answered between two readings, or None when they cannot be compared: another proxy process,
    other buckets, or a counter that went back."""
    if before.epoch != now.epoch or before.bounds != now.bounds:
        return None
    canary, stable = _minus(now.canary, before.canary), _minus(now.stable, before.stable)
    return None if canary is None or stable is None else (canary, stable)


def _minus(now: Arm, before: Arm) -> Arm | None:
    if len(now.latency) != len(before.latency):
        return None
    arm = Arm(
        now.requests - before.requests,
        now.failures - before.failures,
        tuple(a - b for a, b in zip(now.latency, before.latency, strict=True)),
    )
    return None if min(arm.requests, arm.failures, *arm.latency, 0) < 0 else arm
