"""The ramp: how much of the traffic may the new version have now?

The weight rises to the next step as soon as (next weight) x (upper bound of extra failures) fits the harm budget, and the
same for slow requests. The bounds are confidence sequences: they hold at all times at once, so looking every second
costs nothing. Formulas and sources: docs/delivery-judge.md.

Called by `rollout` after each `judge.step`. Pure: no clock, no I/O.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from styr.delivery.judge import Exposure, State

STEPS = (1, 2, 5, 10, 20, 35, 50, 75, 100)
DOUBT = 0.01
"""One minus the confidence of each bound (99 %)."""
SLOW_BUDGET = 0.05
_DEPARTURES = (1.1, 1.25, 1.6, 2.5, 6.0, 30.0, 1000.0)
"""How far, in odds, the true rate may lie from the bound: the mixture of the confidence sequence."""
_MOST = 100_000_000
_HALVINGS = 26
"""Of a bisection; the end that is returned is the safe one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`App.spec.rollout`, with times in milliseconds. `harm_budget=None` is chosen by the traffic's rate."""

    steps: tuple[int, ...] = STEPS
    min_step: int = 5_000
    time_limit: int = 1_800_000
    harm_budget: float | None = None
    latency: bool = True


@dataclass(frozen=True, slots=True)
class Raise:
    weight: int


@dataclass(frozen=True, slots=True)
class Promote:
    """All traffic to the new version."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """`requests`: about so many more requests to the app (both arms) until the next step, if the new version goes on as
    it does; None when it cannot be shown at its present rate of failures. `seconds` until then, None without traffic."""

    requests: int | None
    seconds: float | None
    message: str


@dataclass(frozen=True, slots=True)
class Held:
    """The weight stays where it is until somebody acts, or until evidence comes (`TimeLimit`, `Suspended`)."""

    reason: str
    message: str


Decision = Raise | Promote | Waiting | Held


def start_weight(rate: float | None, wanted: int | None = None, steps: Sequence[int] = STEPS) -> int:
    """Percent: about two requests per second, within 1 to 20; 10 when the rate is unknown (None); 20 when it is 0."""
    if wanted is not None:
        return max(1, min(99, wanted))
    below = [step for step in steps if step < 100]
    limit = min(20, max(below, default=20))
    if rate is None:
        return min(10, limit)
    return limit if rate <= 0 else max(1, min(limit, round(200 / rate)))


def harm_budget(plan: Plan, state: State) -> float:
    """The greatest share of all requests that may fail more than before: as written, else by the rate so far."""
    if plan.harm_budget is not None:
        return plan.harm_budget
    rate = _rate(state)
    return 0.01 if rate >= 10 else 0.03 if rate >= 1 else 0.05


def _rate(state: State) -> float:
    """Requests per second to both arms since the start."""
    ours, theirs = state.total
    return 1000 * (ours.requests + theirs.requests) / state.elapsed if state.elapsed else 0.0


def upper(bad: float, count: float, doubt: float) -> float:
    """Upper end of a confidence sequence for a mean of zeros and ones. For a true mean of at least u, the average over k of
    (q/u)^bad ((1-q)/(1-u))^(count-bad), with odds(q) = odds(u)/k, is an e-process; the bound is the u where it
    reaches 1/doubt. It holds for the running average when the mean moves, and for requests weighted by at most 1."""
    if count <= 0 or bad >= count:
        return 1.0
    low, high = bad / count, 1.0 - 1e-12
    if _against(low, bad, count, -1) >= -math.log(doubt):
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _against(middle, bad, count, -1) >= -math.log(doubt) else (middle, high)
    return high


def lower(bad: float, count: float, doubt: float) -> float:
    """The same from below."""
    if count <= 0 or bad <= 0:
        return 0.0
    low, high = 0.0, bad / count
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _against(middle, bad, count, 1) >= -math.log(doubt) else (low, middle)
    return low


def _against(mean: float, bad: float, count: float, side: int) -> float:
    """log of the average likelihood ratio against `mean`, over departures below (-1) or above (1)."""
    if not 0 < mean < 1:
        return 0.0
    odds, good = mean / (1 - mean), count - bad
    logs = []
    for departure in _DEPARTURES:
        other = odds * departure**side
        q = other / (1 + other)
        logs.append(bad * math.log(q / mean) + good * math.log((1 - q) / (1 - mean)))
    top = max(logs)
    return top + math.log(math.fsum([math.exp(log - top) for log in logs]) / len(logs))


def extra(exposure: Exposure, doubt: float = DOUBT) -> float:
    """Upper bound (confidence 1 - doubt) of the new version's rate minus the old one's, on the same traffic. Requests are
    weighted so that both arms saw the same hours: otherwise an outage during a small weight would excuse a bad version."""
    ours = upper(exposure.canary_bad, exposure.canary, 0.9 * doubt)
    return max(0.0, ours - lower(exposure.stable_bad, exposure.stable, 0.1 * doubt))


def decide(plan: Plan, state: State, weight: int, at_step: int, suspended: str = "") -> Decision:
    """What to do now at `weight` percent, held for `at_step` milliseconds. Never rolls back: that is the judge's part."""
    if suspended:
        return Held("Suspended", suspended)
    if at_step >= plan.min_step and (found := rise(plan, state, weight)):
        return found
    target = _next(plan, weight)
    waiting = _waiting(plan, state, weight, target, at_step)
    if state.elapsed >= plan.time_limit:
        return Held(
            "TimeLimit", f"Inconclusive after {_span(plan.time_limit / 1000)}: held at {weight} %. {waiting.message}"
        )
    return waiting


def rise(plan: Plan, state: State, weight: int) -> Raise | Promote | None:
    """The next step if the evidence allows it, however long this one has lasted."""
    target = _next(plan, weight)
    if not _fits(plan, state, target, state.now.failing, state.now.slow):
        return None
    return Promote() if target >= 100 else Raise(target)


def _next(plan: Plan, weight: int) -> int:
    return next((step for step in plan.steps if step > weight), 100)


def _fits(plan: Plan, state: State, target: int, failing: Exposure, slow: Exposure) -> bool:
    if extra(failing) * target / 100 > harm_budget(plan, state):
        return False
    return not plan.latency or extra(slow) * target / 100 <= SLOW_BUDGET


def _waiting(plan: Plan, state: State, weight: int, target: int, at_step: int) -> Waiting:
    step = max(0, plan.min_step - at_step) / 1000
    if rise(plan, state, weight):
        return Waiting(0, step, f"Enough is known for {target} %: next step in {_span(step)}.")
    more = _more(plan, state, weight, target)
    rate = _rate(state)
    budget = f"at most {100 * harm_budget(plan, state):g} % extra failures at {target} % (99 % confidence)"
    if more is None:
        return Waiting(None, None, f"At its present rate of failures or slow requests it cannot be shown: {budget}.")
    if not rate:
        return Waiting(more, None, f"No requests yet: waiting for about {more} to show {budget}.")
    seconds = max(step, more / rate)
    return Waiting(more, seconds, f"Waiting for about {more} more requests ({_span(seconds)}) to show {budget}.")


def _more(plan: Plan, state: State, weight: int, target: int) -> int | None:
    """The least number of further requests to the app, by doubling and bisection, with both arms going on as so far."""
    low, high = 0, 64
    while not _fits_after(plan, state, weight, target, high):
        low, high = high, high * 4
        if high > _MOST:
            return None
    while high - low > max(1, high // 20):
        middle = (low + high) // 2
        low, high = (low, middle) if _fits_after(plan, state, weight, target, middle) else (middle, high)
    return high


def _fits_after(plan: Plan, state: State, weight: int, target: int, more: int) -> bool:
    share = weight / 100
    gain = min(share, 1 - share) * more
    return _fits(plan, state, target, _grown(state.now.failing, gain, 0.0), _grown(state.now.slow, gain, 0.02))


def _grown(exposure: Exposure, gain: float, expected: float) -> Exposure:
    ours = exposure.canary_bad / exposure.canary if exposure.canary >= 1 else expected
    theirs = exposure.stable_bad / exposure.stable if exposure.stable >= 1 else expected
    return Exposure(
        exposure.canary + gain,
        exposure.canary_bad + gain * ours,
        exposure.stable + gain,
        exposure.stable_bad + gain * theirs,
    )


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
