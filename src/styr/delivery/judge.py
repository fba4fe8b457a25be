"""The judge: is the new version worse than the old one on the same stream of requests?

A conditional e-process (docs/delivery-judge.md has the formulas, their sources and their limits). Envoy draws the arm of
each request at random with a known canary weight w. If the new version is no worse, a failed request was a canary request
with probability at most w, whatever the traffic or a shared outage does. For each hypothesis of a fixed grid the process
multiplies, over events, predicted share / w or (1 - predicted) / (1 - w). The average over the grid is an e-process: the
chance that it ever reaches 1 / alpha for a version that is no worse is at most alpha (Ville's inequality).

Time is cut into *chapters*, within which all predictions are frozen. Evidence of a chapter is computed from its summed
counts, so ticks of one chapter can be added up in a record and the verdict is still recomputed bit for bit.

Called by `rollout` each second and by `record` in replay. Pure: no clock, no I/O, no randomness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import mul
from typing import Literal

from styr.delivery import histogram
from styr.delivery.evidence import Arm, Tick, add

ODDS = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 300.0, 1000.0)
"""Hypotheses on errors: the odds of failing, as a multiple of the old version's."""
SCALES = (1.1, 1.2, 1.35, 1.5, 2.0, 3.0, 5.0)
TAILS = ((0.05, 10.0), (0.2, 10.0))
"""Hypotheses on latency: all requests slower by a factor; a part of the requests slower by a factor."""
ERROR_SHARE = 0.5
"""The fixed share of the combined e-value that errors have; latency has the rest. Never changed within a release."""
SHARE_ODDS = (0.5, 0.8, 1.25, 2.0)
SHARE_ALARM = math.log(1e4)
"""Are requests drawn with the weight that was set? Suspended when that is refuted at 1 in 10,000."""
READY = 50
"""Responses of the old version that a latency prediction needs at least."""
MARGIN_RATE = 200.0
"""Requests per second above which trivial regressions would be found too: from here on the test asks for odds above
`margin_odds` instead of 1, and tolerates a shift of one latency bucket where buckets are fine enough."""
FINE_BUCKET = 1.5
SLOW_QUANTILE = 0.98
"""For the ramp, a slow request is one in a bucket above this quantile of the old version."""
LONGEST = 15_000
"""Milliseconds after which no request is still on its way from before a change of weight."""

Settled = Literal[0, 1, 2, 3]


@dataclass(frozen=True, slots=True)
class Parameters:
    """Fixed before the first tick. `past` is the old version's histogram up to then; `bounds` in milliseconds."""

    bounds: tuple[float, ...]
    past: tuple[int, ...]
    alpha: float = 0.01
    margin_odds: float = 1.2
    latency: bool = True
    latency_after: int = 45_000


@dataclass(frozen=True, slots=True)
class Rules:
    """What is frozen within a chapter. `settled` says how much of the latency evidence is sure to have been drawn under
    the present weight: 0 none, 1 responses within 1 s, 2 within 3 s, 3 all."""

    low: int
    high: int
    before: tuple[int, int]
    settled: Settled
    latency: bool
    frozen: Literal["", "high", "low"]
    seen: int


@dataclass(frozen=True, slots=True)
class Tables:
    """Logarithms of the factors: per hypothesis on errors (canary, stable), per hypothesis on latency and bucket."""

    errors: tuple[tuple[float, float], ...] = ()
    canary: tuple[tuple[float, ...], ...] = ()
    stable: tuple[tuple[float, ...], ...] = ()
    share: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Exposure:
    """Requests of both arms weighted so that both have the same profile over time (see `ramp`). Real numbers."""

    canary: float = 0.0
    canary_bad: float = 0.0
    stable: float = 0.0
    stable_bad: float = 0.0

    def plus(self, weight: int, canary: int, canary_bad: int, stable: int, stable_bad: int) -> Exposure:
        ours = min(1.0, (100 - weight) / weight)
        theirs = min(1.0, weight / (100 - weight))
        return Exposure(
            self.canary + ours * canary,
            self.canary_bad + ours * canary_bad,
            self.stable + theirs * stable,
            self.stable_bad + theirs * stable_bad,
        )


@dataclass(frozen=True, slots=True)
class Sums:
    """All that is carried from chapter to chapter. Logarithms of the products, by hypothesis."""

    errors: tuple[float, ...] = (0.0,) * len(ODDS)
    latency: tuple[float, ...] = (0.0,) * (len(SCALES) + len(TAILS))
    share: tuple[float, ...] = (0.0,) * len(SHARE_ODDS)
    failing: Exposure = Exposure()
    slow: Exposure = Exposure()


@dataclass(frozen=True, slots=True)
class State:
    """The judge's whole memory; its size does not grow."""

    parameters: Parameters
    elapsed: int = 0
    age: int = 0
    before: tuple[int, int] = (0, 0)
    chapter: int = 0
    rules: Rules | None = None
    tables: Tables = Tables()
    base: Sums = Sums()
    now: Sums = Sums()
    counted: tuple[Arm, Arm] = (Arm(), Arm())
    total: tuple[Arm, Arm] = (Arm(), Arm())
    timed: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    slow_bucket: int = -1


@dataclass(frozen=True, slots=True)
class Verdict:
    """`evidence` is the combined e-value; `rollback` when it reached 1 / alpha. `suspended` is a sentence when the arms'
    shares do not fit the weight: then no evidence is taken and the guarantee does not hold."""

    rollback: bool
    evidence: float
    errors: float
    latency: float
    cause: Literal["errors", "latency"]
    hypothesis: str
    suspended: str = ""
    chapter: int = 0
    counts: tuple[Arm, Arm] = field(default=(Arm(), Arm()))


def start(parameters: Parameters) -> State:
    """Before the first tick. Raises ValueError on parameters that mean nothing."""
    if not 0 < parameters.alpha < 1 or not parameters.margin_odds >= 1:
        raise ValueError("the judge needs 0 < alpha < 1 and marginOdds >= 1")
    if len(parameters.past) not in (0, len(parameters.bounds) + 1):
        raise ValueError(f"{len(parameters.bounds)} bounds need {len(parameters.bounds) + 1} counts")
    return State(parameters)


def step(state: State, tick: Tick) -> tuple[State, Verdict]:
    """One tick further. All predictions come from ticks before this one."""
    state = _chapter(state, tick)
    counted = (state.counted[0].plus(tick.canary), state.counted[1].plus(tick.stable))
    total = (state.total[0].plus(tick.canary), state.total[1].plus(tick.stable))
    timed = state.timed
    if state.rules is not None and state.rules.latency:
        timed = (add(timed[0], tick.canary.latency), add(timed[1], tick.stable.latency))
    steady = tick.low == tick.high
    state = replace(
        state,
        elapsed=state.elapsed + tick.milliseconds,
        age=state.age + tick.milliseconds if steady else 0,
        counted=counted,
        total=total,
        timed=timed,
    )
    state = replace(state, now=_evaluate(state))
    return state, verdict(state)


def _chapter(state: State, tick: Tick) -> State:
    """The state in which this tick is to be counted: the same chapter, or a new one when what governs it changes."""
    changed = state.rules is None or (tick.low, tick.high) != (state.rules.low, state.rules.high)
    if changed and state.rules is not None:
        state = replace(state, age=0, before=_weights_before(state, state.rules))
    seen = sum(state.parameters.past) + sum(state.total[1].latency)
    old = state.rules.seen if state.rules else 0
    settled = _settled(state.age) if tick.low == tick.high else 0
    frozen = _mismatch(state.now.share)
    rules = Rules(
        tick.low,
        tick.high,
        state.before if state.age < LONGEST else (tick.low, tick.high),
        settled,
        state.parameters.latency
        and settled > 0
        and not frozen
        and seen >= READY
        and state.elapsed >= state.parameters.latency_after,
        frozen,
        seen if seen >= max(READY, 2 * old) else old,
    )
    if rules == state.rules:
        return state
    past = add(state.parameters.past, state.total[1].latency)
    slow = state.slow_bucket
    if rules.latency and slow < 0:
        slow = histogram.quantile_bucket(past, SLOW_QUANTILE)
    return replace(
        state,
        chapter=state.chapter + 1,
        rules=rules,
        tables=_tables(state, rules, past),
        base=state.now,
        counted=(Arm(), Arm()),
        slow_bucket=slow,
    )


def _weights_before(state: State, rules: Rules) -> tuple[int, int]:
    """The weights under which a request may have arrived that is still on its way."""
    if state.age >= LONGEST:
        return rules.low, rules.high
    return min(rules.low, state.before[0]), max(rules.high, state.before[1])


def _settled(age: int) -> Settled:
    return 0 if age < 1_000 else 1 if age < 4_000 else 2 if age < LONGEST else 3


def _mismatch(share: Sequence[float]) -> Literal["", "high", "low"]:
    if _average(share) < SHARE_ALARM:
        return ""
    top = max(range(len(share)), key=lambda index: share[index])
    return "high" if SHARE_ODDS[top] > 1 else "low"


def _share(weight: float, odds: float) -> float:
    return weight * odds / (weight * odds + 1 - weight)


def _tables(state: State, rules: Rules, past: tuple[int, ...]) -> Tables:
    high = max(rules.high, rules.before[1]) / 100
    errors: tuple[tuple[float, float], ...] = ()
    if 0 < high < 1 and rules.frozen != "high":
        margin = state.parameters.margin_odds if _busy(state) else 1.0
        null = _share(high, margin)
        # A hypothesis within the margin says nothing against the version.
        predicted = [_share(high, max(odds, margin)) for odds in ODDS]
        errors = tuple((math.log(q / null), math.log((1 - q) / (1 - null))) for q in predicted)
    share: tuple[tuple[float, float], ...] = ()
    if rules.settled and 0 < rules.high < 100:
        weight = rules.high / 100
        predicted = [_share(weight, odds) for odds in SHARE_ODDS]
        share = tuple((math.log(q / weight), math.log((1 - q) / (1 - weight))) for q in predicted)
    if not rules.latency or not 0 < rules.high < 100:
        return Tables(errors, share=share)
    canary, stable = _latency_tables(state, rules, past)
    return Tables(errors, canary, stable, share)


def _latency_tables(
    state: State, rules: Rules, past: tuple[int, ...]
) -> tuple[tuple[tuple[float, ...], ...], tuple[tuple[float, ...], ...]]:
    """Log factors by hypothesis and bucket. In buckets so slow that the request may have arrived under the weight before,
    the factor is the least that either weight would give."""
    bounds, weight = state.parameters.bounds, rules.high / 100
    shares = histogram.distribution(past)
    guesses = [histogram.scaled(shares, bounds, scale) for scale in SCALES]
    guesses += [histogram.mixed(shares, histogram.scaled(shares, bounds, scale), part) for part, scale in TAILS]
    margin = _tolerates_a_bucket(state, past)
    sure = {1: 1_000.0, 2: 3_000.0, 3: math.inf}[rules.settled]
    lowest = min(rules.low, rules.before[0]) / 100
    highest = max(rules.high, rules.before[1]) / 100
    uncertain = [(bounds[j] if j < len(bounds) else math.inf) > sure for j in range(len(past))]
    canary, stable = [], []
    for guess in guesses:
        ratios = histogram.rising_ratio(histogram.down_one(guess) if margin else guess, shares)
        predicted = [_share(weight, ratio) for ratio in ratios]
        shifted = [predicted[max(0, j - margin)] for j in range(len(predicted))]
        canary.append(
            tuple(math.log(q / (highest if late else weight)) for q, late in zip(shifted, uncertain, strict=True))
        )
        stable.append(
            tuple(
                math.log((1 - q) / (1 - (lowest if late else weight)))
                for q, late in zip(predicted, uncertain, strict=True)
            )
        )
    return tuple(canary), tuple(stable)


def _tolerates_a_bucket(state: State, past: tuple[int, ...]) -> int:
    middle = histogram.quantile_bucket(past, 0.5)
    bounds = state.parameters.bounds
    fine = 0 < middle < len(bounds) and bounds[middle] <= FINE_BUCKET * bounds[middle - 1]
    return int(fine and _busy(state))


def _busy(state: State) -> bool:
    requests = state.total[0].requests + state.total[1].requests
    return 1000 * requests > MARGIN_RATE * state.elapsed


def _evaluate(state: State) -> Sums:
    rules, tables, base = state.rules, state.tables, state.base
    canary, stable = state.counted
    errors, latency, share = base.errors, base.latency, base.share
    if tables.errors and (canary.failures or stable.failures):
        errors = tuple(
            log + canary.failures * hit + stable.failures * miss
            for log, (hit, miss) in zip(errors, tables.errors, strict=True)
        )
    if tables.canary:
        latency = tuple(
            log + math.fsum(map(mul, canary.latency, hit)) + math.fsum(map(mul, stable.latency, miss))
            for log, hit, miss in zip(latency, tables.canary, tables.stable, strict=True)
        )
    if tables.share:
        share = tuple(
            log + canary.requests * hit + stable.requests * miss
            for log, (hit, miss) in zip(share, tables.share, strict=True)
        )
    failing, slow = base.failing, base.slow
    if rules is not None and rules.low == rules.high and 0 < rules.high < 100 and not rules.frozen:
        failing = failing.plus(rules.high, canary.requests, canary.failures, stable.requests, stable.failures)
        if rules.latency:
            slow = slow.plus(
                rules.high,
                sum(canary.latency),
                sum(canary.latency[state.slow_bucket + 1 :]),
                sum(stable.latency),
                sum(stable.latency[state.slow_bucket + 1 :]),
            )
    return Sums(errors, latency, share, failing, slow)


def _average(logs: Sequence[float]) -> float:
    """log(mean(exp(logs))) without overflow. `fsum`, here and above, is the same in every version of Python."""
    top = max(logs)
    return top + math.log(math.fsum([math.exp(log - top) for log in logs]) / len(logs))


def verdict(state: State) -> Verdict:
    """What the evidence of this state says."""
    errors, latency = _exp(_average(state.now.errors)), _exp(_average(state.now.latency))
    share = ERROR_SHARE if state.parameters.latency else 1.0
    evidence = share * errors + (1 - share) * latency
    by_errors = share * errors >= (1 - share) * latency
    frozen = _mismatch(state.now.share)
    return Verdict(
        rollback=evidence >= 1 / state.parameters.alpha,
        evidence=evidence,
        errors=errors,
        latency=latency,
        cause="errors" if by_errors else "latency",
        hypothesis=_hypothesis(state.now, by_errors),
        suspended=_suspended(frozen, state) if frozen else "",
        chapter=state.chapter,
        counts=state.total,
    )


def _exp(log: float) -> float:
    return math.exp(min(log, 700.0))


def _hypothesis(sums: Sums, by_errors: bool) -> str:
    logs = sums.errors if by_errors else sums.latency
    best = max(range(len(logs)), key=lambda index: logs[index])
    if by_errors:
        return f"requests fail with {ODDS[best]:g} times the odds"
    if best < len(SCALES):
        return f"all requests take {SCALES[best]:g} times as long"
    part, scale = TAILS[best - len(SCALES)]
    return f"{100 * part:g} % of requests take {scale:g} times as long"


def _suspended(frozen: str, state: State) -> str:
    ours, theirs = state.total[0].requests, state.total[1].requests
    high = state.rules.high if state.rules else 0
    return (
        f"The guarantee is suspended: the new version answered {ours} of {ours + theirs} requests, which is "
        f"{'more' if frozen == 'high' else 'fewer'} than a weight of {high} % explains. Sticky clients, retries or "
        "hanging requests do that."
    )
