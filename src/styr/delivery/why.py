"""`styr why RELEASE`: the verdict computed again from the record, compared with the one that was acted upon.

Called by `cli` (with the record's text from the ConfigMap). Pure: reads and prints nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from styr.delivery import record as records
from styr.delivery import words
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
    return Explanation(
        record.release,
        record.against,
        sentence,
        all(checked) if checked else None,
        verdict,
        state,
        tuple(path),
        record.decisions,
        record.sample,
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
