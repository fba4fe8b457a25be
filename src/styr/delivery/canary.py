"""One candidate under live traffic: readings become ticks, ticks evidence, evidence decisions. Called by `rollout`.

Holds the record and the judge's state beside it. It reads and writes nothing: `rollout` hands it readings and saves the
record before it acts on a decision. Lost with the process, it is made again from the record (`resume`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from styr.delivery import guards as guarding
from styr.delivery import judge, ramp, record, words
from styr.delivery.evidence import Arm, Reading, Tick, difference
from styr.delivery.guards import Guard
from styr.delivery.judge import Parameters, State, Verdict
from styr.delivery.kinds import Settings
from styr.delivery.record import Decision, Record
from styr.kinds.seams import RouteCounters

PERIOD = 1.0
"""Seconds between two readings."""
BLIND_SECONDS = 30.0
"""Without a reading for so long the weight is frozen, and that is told."""
SAVE_SECONDS = 10.0
"""The record is written at least so often, and before every decision is acted upon."""


@dataclass
class Canary:
    """Times are the clock's monotonic seconds. `possible` are the weights that may have been in force since `read_at`."""

    record: Record
    state: State
    verdict: Verdict | None
    possible: set[int]
    read_at: float
    fresh_at: float
    saved: Record | None = None
    saved_at: float = 0.0
    app: tuple[str, str] = ("", "")
    """Its App: namespace and name."""
    ramp: ramp.Decision | None = field(default=None)

    @property
    def last(self) -> Decision:
        return self.record.decisions[-1]

    @property
    def evidence(self) -> float:
        return self.verdict.evidence if self.verdict else 1.0

    def due(self, now: float) -> bool:
        return now - self.read_at >= 0.95 * PERIOD

    def unsaved(self, now: float) -> bool:
        """Must the record be written before anything else happens?"""
        if self.saved is None or self.saved.decisions != self.record.decisions:
            return True
        return self.saved is not self.record and now - self.saved_at >= SAVE_SECONDS

    def observe(self, reading: Reading | None, weight: int, certain: bool, now: float, stamp: int) -> None:
        """A reading, None if there is none. `weight` is what the route says; `certain` when the proxy has confirmed it."""
        if reading is None:
            return
        passed = max(0, round(1000 * (now - self.read_at)))
        weights = self.possible | {weight, self.record.weight}
        reading = _comparable(reading, self.record.parameters.bounds)
        before = self.record.cursor
        arms = difference(before, reading) if before else None
        # Time goes on even when a proxy that restarted has forgotten what it counted; requests are never guessed.
        tick = Tick(passed, min(weights), max(weights), *(arms or (Arm(), Arm())))
        self.state, self.verdict = judge.step(self.state, tick)
        self.record = replace(record.append(self.record, self.state.chapter, tick), cursor=reading, stamp=stamp)
        settled = certain and weight == self.record.weight
        self.possible = {weight} if settled else weights
        self.read_at = self.fresh_at = now

    def decide(self, settings: Settings, now: float) -> None:
        """Append what follows from the evidence; the caller saves the record and then acts on `last`."""
        if self.last.word != "raise":
            return
        if guarding.broken(self.record.guards, self.record.readings):
            self.settle("guard", 0)
            return
        if now - self.fresh_at > BLIND_SECONDS:
            self.ramp = blind(self.record.weight, now - self.fresh_at)
            return
        if self.verdict is not None and self.verdict.rollback:
            self.settle("rollback", 0)
            return
        suspended = self.verdict.suspended if self.verdict else ""
        at_step = self.state.elapsed - self.last.at
        self.ramp = ramp.decide(settings.plan, self.state, self.record.weight, at_step, suspended)
        if isinstance(self.ramp, ramp.Promote | ramp.Raise) and (held := self.held_by_guards()):
            self.ramp = ramp.Held("Guard", f"Held at {self.record.weight} %. {held}")
        if isinstance(self.ramp, ramp.Promote):
            self.settle("promote", 100)
        elif isinstance(self.ramp, ramp.Raise):
            self.settle("raise", self.ramp.weight)

    def held_by_guards(self) -> str:
        """Why guards do not let the weight rise; "" when they do."""
        return guarding.holding(self.record.guards, self.record.readings)

    def due_guards(self, now: float) -> list[Guard]:
        """Those to ask now."""
        return guarding.due(self.record.guards, self.record.readings, self.passed(now))

    def guard(self, readings: list[guarding.Reading]) -> None:
        """Takes what the guards said."""
        if readings:
            self.record = replace(self.record, readings=guarding.append(self.record.readings, readings))

    def passed(self, now: float) -> int:
        """Milliseconds since the first weight."""
        return self.state.elapsed + max(0, round(1000 * (now - self.read_at)))

    def settle(self, word: str, weight: int) -> None:
        decision = Decision(self.state.elapsed, word, weight, self.evidence)
        self.record = replace(self.record, decisions=(*self.record.decisions, decision), weight=weight)
        self.possible.add(weight)

    def status(self) -> dict[str, Any]:
        """The counted part of `Release.status`."""
        ours, theirs = self.state.total
        told: dict[str, Any] = {
            "weight": self.record.weight,
            "requests": {"canary": ours.requests, "stable": theirs.requests},
            "failures": {"canary": ours.failures, "stable": theirs.failures},
            "evidence": min(self.evidence, 1e12),
            "stable": self.record.against,
            "waiting": None,
        }
        if self.record.guards:
            told["guards"] = guarding.told(self.record.guards, self.record.readings)
        if isinstance(self.ramp, ramp.Waiting):
            waiting = {"requests": self.ramp.requests, "seconds": self.ramp.seconds and round(self.ramp.seconds, 1)}
            told["waiting"] = {key: value for key, value in waiting.items() if value is not None}
        return told

    def sentence(self) -> tuple[str, str]:
        """(outcome, verdict in words) for `Release.status`."""
        match self.last.word, self.ramp:
            case "rollback", _:
                assert self.verdict is not None  # only evidence rolls back
                return "RolledBack", words.rolled_back(self.state, self.verdict)
            case "guard", _:
                return "RolledBack", guarding.rolled_back(self._broken())
            case "promote", _:
                return "Promoted", self._with_unknown(words.promoted(self.state, self.state.elapsed / 1000))
            case _, ramp.Held(_, message):
                return "Held", self._with_unknown(message)
            case _, ramp.Waiting(_, _, message):
                return "Waiting", self._with_unknown(message, self.held_by_guards())
        return "Waiting", f"At {self.record.weight} % of requests."

    def _broken(self) -> guarding.Standing:
        found = guarding.broken(self.record.guards, self.record.readings)
        assert found is not None  # only a broken guard leads to this word
        return found

    def _with_unknown(self, *parts: str) -> str:
        """No guard without data is passed over in silence."""
        blind = guarding.unknown(self.record.guards, self.record.readings)
        return " ".join(part for part in (*parts, blind) if part)


def blind(weight: int, seconds: float) -> ramp.Held:
    return ramp.Held(
        "NoStatistics",
        f"Held at {weight} %: no traffic statistics for {round(seconds)} s. Nothing is judged and nothing changes until "
        "they are back; see the proxy's log (styr status).",
    )


def _comparable(reading: Reading, bounds: tuple[float, ...]) -> Reading:
    """Latency in other buckets than the judge's (a newer proxy) is left out; errors go on being counted."""
    if reading.bounds == bounds:
        return reading
    arms = (replace(arm, latency=()) for arm in (reading.canary, reading.stable))
    return Reading(reading.epoch, bounds, *arms)


def begin(
    release: str,
    against: str,
    settings: Settings,
    reading: Reading,
    warmed: bool,
    rate: float | None,
    now: float,
    at: str,
    app: tuple[str, str] = ("", ""),
) -> Canary:
    """A new canary, before any user has met it. `warmed` when the platform's own requests have warmed it up; `rate` is
    the app's requests per second so far; `at` the time as people read it."""
    parameters = Parameters(
        reading.bounds,
        reading.stable.latency,
        settings.alpha,
        settings.margin_odds,
        settings.latency and len(reading.bounds) >= 2,
        0 if warmed else 1000 * settings.warmup_seconds,
    )
    weight = ramp.start_weight(rate, settings.start_weight, settings.plan.steps)
    first = Decision(0, "raise", weight, 1.0)
    arguments = {
        "namespace": app[0],
        "app": app[1],
        "release": release,
        "service": release,
        "stable": against,
    }
    guards = guarding.filled(settings.guards, arguments)
    made = Record(release, against, parameters, at, decisions=(first,), cursor=reading, weight=weight, guards=guards)
    return Canary(made, judge.start(parameters), None, {0, weight}, now, now, app=app)


def resume(found: Record, now: float, wall: float) -> Canary:
    """After a restart: the state out of the record. What happened in between is in the proxy's counters, and is counted
    by the next reading under all weights that may have been in force."""
    state, verdict = judge.start(found.parameters), None
    for _, state, verdict in record.replay(found):  # noqa: B007 the last ones are the answer
        pass
    weights = {found.weight, found.rows[-1].tick.low, found.rows[-1].tick.high} if found.rows else {0, found.weight}
    weights |= {one.weight for one in found.decisions[-2:]}
    away = max(0.0, wall - found.stamp / 1000) if found.stamp else 0.0
    return Canary(found, state, verdict, weights, now - away, now, saved=found, saved_at=now)


def rate(before: tuple[float, int] | None, now: tuple[float, int]) -> float | None:
    """Requests per second from two (time, requests so far); None when they lie too close together to tell."""
    if before is None or now[0] - before[0] < 2.0 or now[1] < before[1]:
        return None
    return (now[1] - before[1]) / (now[0] - before[0])


def requests(counters: RouteCounters, arm: str) -> int:
    """All final responses of one arm so far."""
    found = counters.arms.get(arm)
    return sum(found.responses.values()) if found else 0
