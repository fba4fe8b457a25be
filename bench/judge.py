"""The judge and the ramp on simulated traffic, beside the decision rules of two rollout tools on the same streams.

Traffic: Poisson arrivals, the arm drawn with the canary weight, errors 0.1 %, latency 97 % lognormal(50 ms, 0.6) and 3 %
Pareto(1.2) from 50 ms, capped at 10 s, counted in the gateway's own buckets. Counts per second and bucket are drawn from
their exact distributions (a thinned Poisson stream is Poisson), not request by request. `actuation` is not included: a
verdict counts from the end of its second.

The peers are *rules re-implemented from their documentation*, run in this process on perfect one-second counters; they
are not the tools. "argo_tuned": a measurement each 30 s over 60 s, at least 99 % success, p95 at most 1.5 times the
stable one's, more than 2 failed measurements abort. "flagger_docs": each 60 s, 99 %, p99 at most 1.5 times, 5 failed
checks, rolled back at the next tick. Whole releases: steps 20/40/60/80 % and 10..50 % of 60 s each, errors only.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import statistics
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from styr.delivery import judge, ramp
from styr.delivery.evidence import Arm, Tick
from styr.gateway.bootstrap import BOUNDS

_BOUNDS = tuple(float(bound) for bound in BOUNDS)


@dataclass(frozen=True)
class Version:
    errors: float = 0.001
    slower: float = 1.0


GOOD = Version()


def _below(milliseconds: float) -> float:
    """The model's distribution function."""
    lognormal = 0.5 * (1 + math.erf((math.log(milliseconds) - math.log(50)) / (0.6 * math.sqrt(2))))
    pareto = 1.0 if milliseconds >= 10_000 else max(0.0, 1 - (50 / milliseconds) ** 1.2) if milliseconds > 50 else 0.0
    return 0.97 * lognormal + 0.03 * pareto


def _shares(version: Version) -> list[float]:
    edges = [0.0, *(_below(bound / version.slower) for bound in _BOUNDS), 1.0]
    return [after - before for before, after in pairwise(edges)]


class Stream:
    """Counts of one arm per second. Tables of Poisson distributions are made once per mean."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._tables: dict[float, tuple[int, list[float]]] = {}
        self._versions: dict[Version, tuple[list[float], list[float]]] = {}

    def poisson(self, mean: float) -> int:
        if mean not in self._tables:
            low = max(0, int(mean - 10 * math.sqrt(mean) - 10))
            logs = [
                k * math.log(mean) - mean - math.lgamma(k + 1)
                for k in range(low, int(mean + 10 * math.sqrt(mean) + 25))
            ]
            self._tables[mean] = (low, list(accumulate(math.exp(log) for log in logs)))
        low, table = self._tables[mean]
        return low + min(bisect_right(table, self._random.random()), len(table) - 1)

    def arm(self, rate: float, version: Version) -> Arm:
        if rate <= 0:
            return Arm(0, 0, (0,) * (len(_BOUNDS) + 1))
        if version not in self._versions:
            shares = _shares(version)
            self._versions[version] = (shares, list(accumulate(shares)))
        shares, sums = self._versions[version]
        if rate < 20:
            requests = self.poisson(rate)
            counts = [0] * len(shares)
            for _ in range(requests):
                counts[min(bisect_left(sums, self._random.random()), len(counts) - 1)] += 1
        else:
            counts = [self.poisson(rate * share) if share > 1e-12 else 0 for share in shares]
            requests = sum(counts)
        return Arm(requests, self._failures(requests, version.errors), tuple(counts))

    def _failures(self, requests: int, share: float) -> int:
        """Binomial, by the gaps between failures."""
        if share <= 0:
            return 0
        found, at, scale = 0, 0, math.log1p(-share)
        while True:
            at += 1 + int(math.log(1.0 - self._random.random()) / scale)
            if at > requests:
                return found
            found += 1

    def tick(self, rate: float, weight: int, canary: Version, before: int = -1) -> Tick:
        lows = (weight, before if before >= 0 else weight)
        share = weight / 100
        return Tick(1000, min(lows), max(lows), self.arm(rate * share, canary), self.arm(rate * (1 - share), GOOD))


def _parameters(seed: int) -> judge.Parameters:
    return judge.Parameters(_BOUNDS, Stream(10_000_000 + seed).arm(2_000, GOOD).latency, latency_after=0)


def detect(seed: int, rate: float, weight: int, canary: Version, horizon: int) -> tuple[int, int]:
    """(seconds until the rollback, 0 for none; failed canary requests until then)"""
    stream, state = Stream(seed), judge.start(_parameters(seed))
    for second in range(1, horizon + 1):
        state, verdict = judge.step(state, stream.tick(rate, weight, canary))
        if verdict.rollback:
            return second, state.total[0].failures
    return 0, state.total[0].failures


def release(seed: int, rate: float, canary: Version, horizon: int) -> tuple[str, int, int]:
    """A whole release with the ramp: (outcome, seconds, failed canary requests)."""
    stream, state = Stream(seed), judge.start(_parameters(seed))
    plan, weight, before, at_step = ramp.Plan(), ramp.start_weight(rate), 0, 0
    for second in range(1, horizon + 1):
        state, verdict = judge.step(state, stream.tick(rate, weight, canary, before))
        before, at_step = weight, at_step + 1000
        failed = state.total[0].failures
        if verdict.rollback:
            return "rolled back", second, failed
        risen = ramp.rise(plan, state, weight) if at_step >= plan.min_step and not verdict.suspended else None
        if isinstance(risen, ramp.Promote):
            return "promoted", second, failed
        if isinstance(risen, ramp.Raise):
            weight, at_step = risen.weight, 0
    return "waiting", horizon, state.total[0].failures


@dataclass(frozen=True)
class Rule:
    """A threshold on a window, asked at intervals. `late`: rolled back one interval after the limit is reached."""

    interval: int
    window: int
    limit: int
    quantile: float
    late: bool
    steps: tuple[int, ...] = ()

    def fails(self, window: Iterable[Tick], latency: bool) -> bool:
        ticks = list(window)
        requests = sum(tick.canary.requests for tick in ticks)
        failures = sum(tick.canary.failures for tick in ticks)
        if requests == 0 or 1 - failures / requests < 0.99:
            return True
        if not latency:
            return False
        ours = _quantile([tick.canary.latency for tick in ticks], self.quantile)
        theirs = _quantile([tick.stable.latency for tick in ticks], self.quantile)
        return ours > 1.5 * theirs


ARGO_TUNED = Rule(30, 60, 3, 0.95, late=False, steps=(20, 40, 60, 80))
FLAGGER_DOCS = Rule(60, 60, 5, 0.99, late=True, steps=(10, 20, 30, 40, 50))
PEERS = {"argo_tuned": ARGO_TUNED, "flagger_docs": FLAGGER_DOCS}


def _quantile(histograms: list[tuple[int, ...]], quantile: float) -> float:
    """Linear within the bucket, as a metrics engine reads it."""
    counts = [sum(column) for column in zip(*histograms, strict=True)]
    wanted, seen = quantile * sum(counts), 0
    for index, count in enumerate(counts):
        if count and seen + count >= wanted:
            low = _BOUNDS[index - 1] if index else 0.0
            high = _BOUNDS[min(index, len(_BOUNDS) - 1)]
            return float(low + (high - low) * (wanted - seen) / count)
        seen += count
    return _BOUNDS[-1]


def detect_by(name: str, seed: int, rate: float, weight: int, canary: Version, horizon: int) -> tuple[int, int]:
    """As `detect`, by a peer's rule: errors only for a version that fails, with latency for a slow one."""
    rule, stream = PEERS[name], Stream(seed)
    window: deque[Tick] = deque(maxlen=rule.window)
    failed = count = 0
    for second in range(1, horizon + 1):
        window.append(stream.tick(rate, weight, canary))
        failed += window[-1].canary.failures
        if second % rule.interval == 0:
            if rule.late and count >= rule.limit:
                return second, failed
            count += rule.fails(window, canary.slower > 1)
            if not rule.late and count >= rule.limit:
                return second, failed
    return 0, failed


def release_by(name: str, seed: int, rate: float, canary: Version, horizon: int) -> tuple[str, int, int]:
    """Argo raises the weight by time; Flagger only after a check that passed, and needs one more interval at the end."""
    rule, stream = PEERS[name], Stream(seed)
    window: deque[Tick] = deque(maxlen=rule.window)
    failed = count = step = 0
    for second in range(1, horizon + 1):
        window.append(stream.tick(rate, rule.steps[min(step, len(rule.steps) - 1)], canary))
        failed += window[-1].canary.failures
        passed = True
        if second % rule.interval == 0:
            if rule.late and count >= rule.limit:
                return "rolled back", second, failed
            passed = not rule.fails(window, False)
            count += not passed
            if not rule.late and count >= rule.limit:
                return "rolled back", second, failed
        if second % 60 == 0:
            step += passed or not rule.late
            if step >= len(rule.steps) + rule.late:
                return "promoted", second, failed
    return "waiting", horizon, failed


# --- the runs, spread over the machine's cores ---------------------------------------------------------------------

BAD = {
    "errors_5pct": (Version(errors=0.05), 600),
    "errors_50pct": (Version(errors=0.5), 600),
    "latency_x2": (Version(slower=2.0), 600),
    "latency_x1.2": (Version(slower=1.2), 600),
}
RELEASES = {
    "good": GOOD,
    "errors_1pct": Version(errors=0.01),
    "errors_5pct": Version(errors=0.05),
    "errors_50pct": Version(errors=0.5),
    "latency_x2": Version(slower=2.0),
}
HORIZON = {1: 1_800, 10: 900, 100: 300, 1_000: 150}
"""Seconds of an A/A run by rate: several times what a release takes at that rate."""


class Crew:
    def __init__(self, pool: ProcessPoolExecutor, workers: int) -> None:
        self._pool, self._workers = pool, workers

    async def run(self, work: Callable[..., Any], runs: int, *arguments: Any) -> list[Any]:
        """`work(*names, seed, *arguments)` for each seed, `names` being the leading strings."""
        names = tuple(argument for argument in arguments if isinstance(argument, str))
        rest = tuple(argument for argument in arguments if not isinstance(argument, str))
        size = -(-runs // (4 * self._workers))
        chunks = [range(low, min(runs, low + size)) for low in range(0, runs, size)]
        loop = asyncio.get_running_loop()
        parts = [loop.run_in_executor(self._pool, _chunk, work, names, chunk, rest) for chunk in chunks]
        return [result for part in await asyncio.gather(*parts) for result in part]


def _chunk(work: Callable[..., Any], names: tuple[str, ...], seeds: range, rest: tuple[Any, ...]) -> list[Any]:
    return [work(*names, seed, *rest) for seed in seeds]


async def run(short: bool) -> dict[str, Any]:
    """`aa_*`: percent of releases that are no worse but were rolled back. `detect_*`: median seconds at 100 requests/s and
    10 %. `release_*`: whole releases with the ramp."""
    workers = min(os.cpu_count() or 1, 8)
    with ProcessPoolExecutor(workers) as pool:
        crew = Crew(pool, workers)
        figures: dict[str, Any] = {}
        await _same(crew, 50 if short else 2_000, short, figures)
        peer = await _detect(crew, 21 if short else 200, figures)
        await _releases(crew, 10 if short else 200, short, figures, peer)
    ratio = {
        f"{name}_detect_{what}_times_slower": round(peer[f"{name}_detect_{what}_s"] / figures[f"detect_{what}_s"], 1)
        for name in PEERS
        for what in BAD
        if figures[f"detect_{what}_s"] and peer[f"{name}_detect_{what}_s"]
    }
    return {"figures": figures, "peer": peer, "ratio": ratio}


async def _same(crew: Crew, runs: int, short: bool, figures: dict[str, Any]) -> None:
    for rate, horizon in HORIZON.items():
        found = await crew.run(detect, runs, float(rate), 10, GOOD, horizon // (5 if short else 1))
        figures[f"aa_{rate}rps_false_rollbacks_pct"] = round(100 * sum(second > 0 for second, _ in found) / runs, 2)
    figures["aa_runs_each"] = runs


async def _detect(crew: Crew, runs: int, figures: dict[str, Any]) -> dict[str, Any]:
    peer: dict[str, Any] = {}
    for what, (version, horizon) in BAD.items():
        for name in ("", *PEERS):
            work: Callable[..., Any] = detect_by if name else detect
            arguments = (name,) if name else ()
            # The rules need thousands of simulated seconds and vary little: a quarter of the runs will do.
            found = await crew.run(work, max(10, runs // 4) if name else runs, *arguments, 100.0, 10, version, horizon)
            target, prefix = (peer, f"{name}_detect_{what}") if name else (figures, f"detect_{what}")
            target[f"{prefix}_s"] = _median([second or math.inf for second, _ in found])
            target[f"{prefix}_failed_requests"] = _median([failed for _, failed in found])
    return peer


async def _releases(crew: Crew, runs: int, short: bool, figures: dict[str, Any], peer: dict[str, Any]) -> None:
    for rate in (100,) if short else (10, 100, 1_000):
        for what, version in RELEASES.items():
            for name in ("", *PEERS):
                if name and version.slower > 1:
                    continue  # their ramps are judged by errors only
                work: Callable[..., Any] = release_by if name else release
                arguments = (name,) if name else ()
                found = await crew.run(
                    work, max(10, runs // 4) if name else runs, *arguments, float(rate), version, 1_800
                )
                target, prefix = (
                    (peer, f"{name}_release_{rate}rps_{what}") if name else (figures, f"release_{rate}rps_{what}")
                )
                outcomes = [outcome for outcome, _, _ in found]
                target[f"{prefix}_promoted_pct"] = round(100 * outcomes.count("promoted") / len(found), 1)
                target[f"{prefix}_rolled_back_pct"] = round(100 * outcomes.count("rolled back") / len(found), 1)
                target[f"{prefix}_s"] = _median([seconds for _, seconds, _ in found])
                target[f"{prefix}_failed_requests"] = _median([failed for _, _, failed in found])


def _median(values: list[Any]) -> float | None:
    found = statistics.median(values)
    return None if math.isinf(found) else float(found)
