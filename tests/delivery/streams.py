"""Made-up traffic for the judge: seeded, by the second."""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from styr.delivery.evidence import Arm, Tick

BOUNDS = tuple(round(5 * 1.4**power, 2) for power in range(24))


@dataclass(frozen=True)
class Version:
    """How a version answers: the share that fails, how much slower than usual, the part slowed tenfold."""

    errors: float = 0.001
    slower: float = 1.0
    tail: float = 0.0


def milliseconds(random: random.Random, version: Version) -> float:
    """Lognormal around 50 ms with a heavy tail of 3 %, capped at 10 s (the fact sheet's model)."""
    if random.random() < 0.03:
        base = min(10_000.0, 50 * random.random() ** (-1 / 1.2))
    else:
        base = math.exp(random.gauss(math.log(50), 0.6))
    return base * version.slower * (10 if random.random() < version.tail else 1)


def arm(random: random.Random, requests: int, version: Version) -> Arm:
    counts = [0] * (len(BOUNDS) + 1)
    failures = 0
    for _ in range(requests):
        counts[bisect.bisect_left(BOUNDS, milliseconds(random, version))] += 1
        failures += random.random() < version.errors
    return Arm(requests, failures, tuple(counts))


def poisson(random: random.Random, mean: float) -> int:
    if mean > 30:
        return max(0, round(random.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, random.random()
    while product > limit:
        count, product = count + 1, product * random.random()
    return count


def past(seed: int = 0, requests: int = 2000) -> tuple[int, ...]:
    return arm(random.Random(seed), requests, Version()).latency


def second(random: random.Random, rate: float, weight: int, canary: Version, stable: Version | None = None) -> Tick:
    requests = poisson(random, rate)
    ours = sum(random.random() < weight / 100 for _ in range(requests))
    stable = stable or Version()
    return Tick(1000, weight, weight, arm(random, ours, canary), arm(random, requests - ours, stable))


def stream(seed: int, rate: float, weight: int, canary: Version, stable: Version | None = None) -> Iterator[Tick]:
    """Endless."""
    source = random.Random(seed)
    while True:
        yield second(source, rate, weight, canary, stable)
