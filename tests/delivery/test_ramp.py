"""The ramp's bounds hold at all times, its table of decisions, and the whole way of a good and a bad release."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from styr.delivery import judge, ramp
from styr.delivery.evidence import Arm, Tick
from styr.delivery.judge import Exposure
from tests.delivery.streams import BOUNDS, Version, past, second

PARAMETERS = judge.Parameters(BOUNDS, past(), latency_after=0)
PLAN = ramp.Plan(harm_budget=0.01, latency=False)


def state_of(canary: tuple[int, int], stable: tuple[int, int], weight: int = 10, seconds: int = 10) -> judge.State:
    """After a steady time in which the arms had (requests, failures)."""
    state = judge.start(replace(PARAMETERS, latency=False))
    return judge.step(state, Tick(1000 * seconds, weight, weight, Arm(*canary), Arm(*stable)))[0]


@pytest.mark.parametrize(
    ("rate", "wanted", "weight"),
    [
        (100, None, 2),
        (1000, None, 1),
        (30, None, 7),
        (10, None, 20),
        (0.2, None, 20),
        (0, None, 20),
        (None, None, 10),
        (100, 33, 33),
        (100, 100, 99),
    ],
)
def test_the_first_weight_gives_about_two_requests_per_second(rate, wanted, weight):
    assert ramp.start_weight(rate, wanted) == weight


def test_the_weight_rises_when_the_bound_fits_and_not_before():
    enough = state_of((1000, 0), (9000, 0))
    assert ramp.decide(PLAN, enough, 10, 10_000) == ramp.Raise(20)
    assert isinstance(ramp.decide(PLAN, enough, 10, 1_000), ramp.Waiting), "not before the step has lasted"
    early = state_of((10, 0), (90, 0))
    assert isinstance(ramp.decide(PLAN, early, 10, 10_000), ramp.Waiting)


def test_the_last_step_is_held_until_the_bound_is_met_at_100():
    plan = replace(PLAN, steps=(75, 100))
    waiting = ramp.decide(plan, state_of((300, 0), (100, 0), 75), 75, 60_000)
    assert isinstance(waiting, ramp.Waiting)
    assert waiting.requests is not None
    assert "at 100 %" in waiting.message
    assert ramp.decide(plan, state_of((9000, 0), (3000, 0), 75), 75, 60_000) == ramp.Promote()


def test_steps_that_do_not_end_at_100_still_end_there():
    assert ramp.decide(replace(PLAN, steps=(10, 20)), state_of((9000, 0), (9000, 0), 20), 20, 9_000) == ramp.Promote()


def test_waiting_tells_how_many_requests_and_how_long():
    state = state_of((30, 0), (270, 0), seconds=3)
    found = ramp.decide(PLAN, state, 10, 3_000)
    assert isinstance(found, ramp.Waiting)
    assert found.requests is not None
    assert found.seconds == pytest.approx(max(2.0, found.requests / 100))
    more = found.requests
    after = state_of((30 + more // 10 + 1, 0), (270 + more, 0), seconds=10)
    assert ramp.decide(PLAN, after, 10, 10_000) == ramp.Raise(20), "and so many are enough"


def test_no_traffic_is_told_and_is_neither_failure_nor_pass():
    found = ramp.decide(PLAN, state_of((0, 0), (0, 0), seconds=60), 10, 60_000)
    assert isinstance(found, ramp.Waiting)
    assert found.seconds is None
    assert found.message.startswith("No requests yet: waiting for about")


def test_a_release_that_cannot_be_shown_to_fit_says_so():
    found = ramp.decide(PLAN, state_of((1000, 300), (9000, 10)), 10, 60_000)
    assert isinstance(found, ramp.Waiting)
    assert found.requests is None
    assert "cannot be shown" in found.message


def test_past_the_time_limit_it_is_held_and_goes_on_when_the_evidence_comes():
    plan = replace(PLAN, time_limit=60_000)
    held = ramp.decide(plan, state_of((10, 0), (90, 0), seconds=61), 10, 61_000)
    assert isinstance(held, ramp.Held)
    assert held.reason == "TimeLimit"
    assert "Inconclusive after 60 s: held at 10 %" in held.message
    assert ramp.decide(plan, state_of((5000, 0), (9000, 0), seconds=61), 10, 61_000) == ramp.Raise(20)


def test_a_suspended_guarantee_holds_the_weight():
    assert ramp.decide(PLAN, state_of((9000, 0), (9000, 0)), 10, 60_000, "sticky") == ramp.Held("Suspended", "sticky")


@pytest.mark.parametrize(("requests", "budget"), [(200, 0.01), (50, 0.03), (5, 0.05)])
def test_the_budget_follows_the_rate(requests, budget):
    state = state_of((0, 0), (requests, 0), seconds=10)
    assert ramp.harm_budget(ramp.Plan(), state) == budget
    assert ramp.harm_budget(ramp.Plan(harm_budget=0.002), state) == 0.002


def test_an_outage_during_a_small_weight_does_not_excuse_a_bad_release():
    """Both arms fail a third of an hour at 1 %; then, at 50 %, only the new version fails 3 %. Pooled, the old version
    would look worse than the new one."""
    state = judge.start(replace(PARAMETERS, latency=False, alpha=1e-9))
    for _ in range(100):
        state, _ = judge.step(state, Tick(1000, 1, 1, Arm(1, 0), Arm(99, 33)))
    for _ in range(100):
        state, _ = judge.step(state, Tick(1000, 50, 50, Arm(50, 1), Arm(50, 0)))
    ours, theirs = state.total
    assert ours.failures / ours.requests < theirs.failures / theirs.requests
    assert ramp.extra(state.now.failing) > 0.02


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.3])
def test_the_bounds_hold_at_all_times(rate):
    """100 sequences looked at again and again, at 5 % doubt for each side: at most 10 may ever fail, on average."""
    failed = 0
    for seed in range(100):
        source, bad = random.Random(seed), 0
        for count in range(1, 301):
            bad += source.random() < rate
            if count % 15 == 0 and not ramp.lower(bad, count, 0.05) <= rate <= ramp.upper(bad, count, 0.05):
                failed += 1
                break
    assert failed <= 10


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_bounds_enclose_what_was_seen(bad, good):
    count = bad + good
    upper, lower = ramp.upper(bad, count, 0.01), ramp.lower(bad, count, 0.01)
    assert 0 <= lower <= upper <= 1
    if count:
        assert lower <= bad / count <= upper


def test_more_of_the_same_narrows_the_bound():
    exposures = [Exposure(size, size * 0.01, size, size * 0.01) for size in (100, 400, 1600, 6400, 25600)]
    bounds = [ramp.extra(exposure) for exposure in exposures]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] < 0.01


def rollout(seed: int, rate: float, canary: Version, seconds: int = 400):
    """(outcome, seconds, failed requests of the canary)"""
    source = random.Random(seed)
    state, weight, at_step, last = judge.start(PARAMETERS), ramp.start_weight(rate), 0, 0
    for passed in range(1, seconds + 1):
        tick = second(source, rate, weight, canary)
        state, verdict = judge.step(state, replace(tick, low=min(last, weight)))
        last, at_step = weight, at_step + 1000
        if verdict.rollback:
            return "rolled back", passed, state.total[0].failures
        decision = ramp.decide(ramp.Plan(), state, weight, at_step, verdict.suspended)
        if isinstance(decision, ramp.Promote):
            return "promoted", passed, state.total[0].failures
        if isinstance(decision, ramp.Raise):
            weight, at_step = decision.weight, 0
    return "waiting", seconds, state.total[0].failures


def test_a_good_release_is_promoted_and_a_bad_one_is_not():
    good = [rollout(seed, 100, Version()) for seed in range(5)]
    assert {outcome for outcome, _, _ in good} == {"promoted"}
    assert sorted(seconds for _, seconds, _ in good)[2] <= 75
    for version in (Version(errors=0.05), Version(slower=2)):
        found = [rollout(seed, 100, version) for seed in range(5)]
        assert {outcome for outcome, _, _ in found} == {"rolled back"}
        assert all(failed <= 12 for _, _, failed in itertools.islice(found, 5))
