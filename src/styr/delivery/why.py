"""`styr why RELEASE`: the verdict computed again from the record, compared with the one that was acted upon.

Called by `cli` (with the record's text from the ConfigMap). Pure: reads and prints nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from styr.delivery import guards, words
from styr.delivery import record as records
from styr.delivery.guards import Reading as GuardReading
from styr.delivery.guards import Standing
from styr.delivery.judge import State, Verdict
from styr.delivery.record import Decision, Record


@dataclass(frozen=True, slots=True)
class Point:
    """The evidence at one time, `seconds` after the new version got its first weight."""

    seconds: float
    weight: int
    evidence: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """`agrees` is None when no decision was recorded yet, else whether each recorded e-value came out again, bit for bit."""

    release: str
    against: str
    sentence: str
    agrees: bool | None
    verdict: Verdict | None
    state: State | None
    path: tuple[Point, ...]
    decisions: tuple[Decision, ...]
    sample: str
    guards: tuple[Standing, ...] = ()
    readings: tuple[GuardReading, ...] = ()


def explain(record: Record) -> Explanation:
    """Recompute. Raises `RecordError` when the record does not agree with itself."""
    path: list[Point] = []
    found: dict[int, float] = {0: 1.0}
    state, verdict = None, None
    for row, state, verdict in records.replay(record):
        path.append(Point(state.elapsed / 1000, row.tick.high, verdict.evidence))
        found[state.elapsed] = verdict.evidence
    # A decision in the middle of rows that were added up since has no e-value of its own any more.
    checked = [found[one.at] == one.evidence for one in record.decisions if one.at in found]
    sentence = "No evidence was taken: the release was not judged by traffic."
    if state is not None and verdict is not None:
        sentence = words.rolled_back(state, verdict) if verdict.rollback else words.standing(state, verdict)
    standings = guards.standings(record.guards, record.readings)
    if (broken := guards.broken(record.guards, record.readings)) and not (verdict is not None and verdict.rollback):
        sentence = guards.rolled_back(broken)
    guarded = any(one.word == "guard" for one in record.decisions)
    agrees = all(checked) if checked else None
    if guarded:  # what a guard decided must follow from its readings
        agrees = agrees is not False and broken is not None
    return Explanation(
        record.release,
        record.against,
        sentence,
        agrees,
        verdict,
        state,
        tuple(path),
        record.decisions,
        record.sample,
        standings,
        record.readings,
    )


def render(explanation: Explanation, points: int = 12) -> str:
    """Plain text for a terminal, without a final newline."""
    lines = [explanation.sentence, ""]
    state, verdict = explanation.state, explanation.verdict
    if state is not None and verdict is not None:
        ours, theirs = state.total
        lines += [
            f"  {'':<24}{explanation.release:>16}{explanation.against:>16}",
            f"  {'requests':<24}{ours.requests:>16}{theirs.requests:>16}",
            f"  {'failed':<24}{ours.failures:>16}{theirs.failures:>16}",
            "",
            f"  evidence {verdict.evidence:.3g} (rolled back at {1 / state.parameters.alpha:g}): errors "
            f"{verdict.errors:.3g}, latency {verdict.latency:.3g}",
            f"  best explanation if it is worse: {verdict.hypothesis}",
        ]
        if verdict.suspended:
            lines.append(f"  {verdict.suspended}")
    if explanation.path:
        lines += ["", "  after      weight   evidence"]
        lines += [
            f"  {p.seconds:>6.0f} s   {p.weight:>4} %   {p.evidence:>8.3g}" for p in _thin(explanation.path, points)
        ]
    if explanation.guards:
        lines += ["", "  guards", *_guards(explanation)]
    if explanation.decisions:
        lines += ["", "  decisions"]
        lines += [
            f"  {one.at / 1000:>6.0f} s   {one.word} -> {one.weight} %   (evidence {one.evidence:.3g})"
            for one in explanation.decisions
        ]
    if explanation.sample:
        lines += ["", f"  a failure: {explanation.sample}"]
    lines += ["", f"  {_agreement(explanation.agrees)}"]
    return "\n".join(lines)


def _guards(explanation: Explanation) -> list[str]:
    """Each guard with its limits and what was read, breaches and gaps one by one."""
    lines = []
    for standing in explanation.guards:
        guard = standing.guard
        limits = [f"at least {guard.low:g}"] if guard.low is not None else []
        limits += [f"at most {guard.high:g}"] if guard.high is not None else []
        mine = [reading for reading in explanation.readings if reading.guard == guard.name]
        counts = {word: sum(one.count for one in mine if one.result == word) for word in ("met", "breached", "missing")}
        told = ", ".join(f"{number} {word}" for word, number in counts.items() if number) or "never read"
        lines.append(f"    {guard.name}: {' and '.join(limits)} (tolerated breaches: {guard.tolerated}): {told}")
        lines.append(f"      {' '.join(guard.query.split())}")
        shown = [reading for reading in mine if reading.result != "met"]
        for reading in shown[-5:]:
            what = f"{reading.value:.6g}" if reading.value is not None else reading.why
            lines.append(f"      {reading.at / 1000:>6.0f} s   {reading.result}: {what}")
    return lines


def _thin(path: tuple[Point, ...], points: int) -> list[Point]:
    if len(path) <= points:
        return list(path)
    return [path[round(index * (len(path) - 1) / (points - 1))] for index in range(points)]


def _agreement(agrees: bool | None) -> str:
    if agrees is None:
        return "No decision is recorded yet; recomputed from the recorded counters."
    if agrees:
        return "Recomputed from the recorded counters: the same numbers, bit for bit."
    return "Recomputed from the recorded counters: NOT the numbers that were acted upon. Please report this."
