"""Verdicts in words: one sentence a user can be shown, with the counts in it. Called by `rollout` and `why`. Pure."""

from __future__ import annotations

import math

from styr.delivery.judge import State, Verdict


def rolled_back(state: State, verdict: Verdict) -> str:
    """The sentence for a release that the judge takes back."""
    return f"Rolled back: {_cause(state, verdict)} {_bound(state)}"


def _cause(state: State, verdict: Verdict) -> str:
    ours, theirs = state.total
    received = _percent(ours.requests, theirs.requests)
    if verdict.cause == "errors":
        return (
            f"{ours.failures} of {_count(ours.failures + theirs.failures, 'failure')} hit the new version, "
            f"which received {received} of requests."
        )
    bucket = _telling_bucket(state)
    slow = [sum(counts[bucket + 1 :]) for counts in state.timed]
    of = _percent(sum(state.timed[0]), sum(state.timed[1]))
    return (
        f"{slow[0]} of {_count(sum(slow), 'request')} slower than {state.parameters.bounds[bucket]:g} ms hit the new "
        f"version, which received {of} of requests."
    )


def _bound(state: State) -> str:
    return (
        "If it were as good as the old one, evidence this strong would appear in fewer than "
        f"1 of {round(1 / state.parameters.alpha)} releases."
    )


def _telling_bucket(state: State) -> int:
    """The bound above which the new version's share of requests departs most from its share of all (in nats)."""
    ours, theirs = state.timed
    share = sum(ours) / max(1, sum(ours) + sum(theirs))

    def departure(bucket: int) -> float:
        slow, others = sum(ours[bucket + 1 :]), sum(theirs[bucket + 1 :])
        if not slow or slow <= share * (slow + others):
            return 0.0
        part = slow / (slow + others)
        rest = (1 - part) * math.log((1 - part) / (1 - share)) if part < 1 else 0.0
        return (slow + others) * (part * math.log(part / share) + rest)

    return max(range(len(state.parameters.bounds)), key=departure)


def promoted(state: State, seconds: float) -> str:
    """The sentence for a release that reached 100 %."""
    ours, theirs = state.total
    return (
        f"Promoted after {round(seconds)} s: {ours.failures} of {ours.requests} requests to the new version failed, "
        f"{theirs.failures} of {theirs.requests} to the old one."
    )


def _percent(ours: int, theirs: int) -> str:
    share = 100 * ours / max(1, ours + theirs)
    return f"{share:.0f} %" if share >= 1 else f"{share:.1f} %"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def standing(state: State, verdict: Verdict) -> str:
    """The sentence while nothing speaks clearly against the new version."""
    ours, theirs = state.total
    if verdict.suspended:
        return verdict.suspended
    return (
        f"Not worse so far: {ours.failures} of {_count(ours.requests, 'request')} to the new version failed, "
        f"{theirs.failures} of {theirs.requests} to the old one (evidence {verdict.evidence:.2g}, "
        f"rolled back at {1 / state.parameters.alpha:g})."
    )
