"""A record replays bit for bit, stays small, and a damaged one is refused."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styr.delivery import judge, record, why
from styr.delivery.evidence import Arm, Reading, Tick, difference, reading
from styr.delivery.record import Decision, Record, RecordError
from styr.kinds.seams import ArmCounters, RouteCounters
from tests.delivery.streams import BOUNDS, Version, arm, past, second, stream

PARAMETERS = judge.Parameters(BOUNDS, past(), latency_after=5_000)


def recorded(ticks, release="hello-r2"):
    """(record, state, verdict) after these ticks, or at the rollback."""
    found = Record(release, "hello-r1", PARAMETERS, "2026-11-23T10:00:00Z")
    state, verdict = judge.start(PARAMETERS), None
    for tick in ticks:
        state, verdict = judge.step(state, tick)
        found = record.append(found, state.chapter, tick)
        if verdict.rollback:
            break
    return found, state, verdict


def test_the_verdict_is_recomputed_bit_for_bit():
    found, state, verdict = recorded(stream(1, 100, 10, Version(errors=0.05)))
    assert verdict.rollback
    again = record.loads(record.dumps(found))
    assert again == found
    assert record.resume(again) == state
    assert [one[2] for one in record.replay(again)][-1] == verdict


def test_rows_added_up_lose_nothing_of_the_verdict():
    """A long rollout with many weights: 1,000 ticks kept in 200 rows or fewer, the state equal to the last bit."""
    source = random.Random(4)

    def ticks():
        last = 0
        for number in range(1000):
            weight = (2, 5, 10, 20, 35)[number // 200]
            tick = second(source, 20, weight, Version(errors=0.01), Version(errors=0.01))
            yield Tick(1000, min(last or weight, weight), max(last, weight), tick.canary, tick.stable)
            last = weight

    found, state, _ = recorded(ticks())
    assert len(found.rows) <= record.ROWS
    assert found.elapsed == 1000 * 1000
    assert record.resume(record.loads(record.dumps(found))) == state


def test_the_longest_record_of_the_widest_rows_stays_below_100_kb():
    source = random.Random(5)
    found = Record("hello-r2", "hello-r1", PARAMETERS, "2026-11-23T10:00:00Z", sample="x" * 500)
    state = judge.start(PARAMETERS)
    one = second(source, 2000, 10, Version())
    for number in range(1800):
        weight = (1, 2, 5, 10, 20, 35, 50, 75, 75)[number // 200]
        stretched = Arm(one.canary.requests, 0, tuple(99_000 + count for count in one.canary.latency))
        tick = Tick(1000, weight, weight, one.canary, stretched)
        state, _ = judge.step(state, tick)
        found = record.append(found, state.chapter, tick)
    assert len(record.dumps(found)) <= record.LIMIT


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1, 5, 10, 20]), st.integers(0, 9), st.integers(0, 3)), max_size=450))
def test_any_history_replays_to_the_same_state(history):
    last, ticks = 0, []
    for weight, ours, bad in history:
        canary = Arm(ours, min(ours, bad), (ours, *[0] * len(BOUNDS)))
        ticks.append(Tick(1000, min(last, weight), max(last, weight), canary, Arm(50, 0, (50, *[0] * len(BOUNDS)))))
        last = weight
    found, state, _ = recorded(ticks)
    assert record.resume(record.loads(record.dumps(found))) == state


def test_why_explains_and_agrees():
    found, state, verdict = recorded(stream(2, 100, 10, Version(errors=0.3)))
    decision = Decision(state.elapsed, "rollback", 0, verdict.evidence)
    found = record.loads(record.dumps(replace(found, decisions=(decision,), sample="GET /pay 500: boom")))
    explanation = why.explain(found)
    assert explanation.agrees is True
    assert explanation.sentence.startswith("Rolled back: ")
    text = why.render(explanation)
    assert "bit for bit" in text
    assert "GET /pay 500: boom" in text
    assert "best explanation if it is worse: requests fail with" in text
    assert f"{state.total[0].failures:>16}" in text


def test_why_says_when_the_record_does_not_agree():
    found, state, verdict = recorded(stream(2, 100, 10, Version(errors=0.3)))
    wrong = Decision(state.elapsed, "rollback", 0, verdict.evidence * 1.0000001)
    assert why.explain(replace(found, decisions=(wrong,))).agrees is False
    assert "NOT the numbers" in why.render(why.explain(replace(found, decisions=(wrong,))))


def test_why_of_an_empty_record():
    explanation = why.explain(Record("hello-r2", "hello-r1", PARAMETERS, "2026-11-23T10:00:00Z"))
    assert explanation.agrees is None
    assert "No evidence was taken" in why.render(explanation)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("rows"),
        lambda content: content.update(format=2),
        lambda content: content["rows"].append([1, 2, 3]),
        lambda content: content["rows"][0].__setitem__(0, 77),
        lambda content: content["rows"][0].__setitem__(2, 400),
        lambda content: content["rows"][0].__setitem__(1, "x"),
        lambda content: content["rows"][0][4].__setitem__(1, 10**9),
        lambda content: content["rows"][0][4].__setitem__(2, [10**12, 1, 1]),
        lambda content: content["rows"][0][4].__setitem__(2, [25, 99, 1]),
        lambda content: content["parameters"].update(alpha=7),
        lambda content: content["parameters"].update(bounds="no"),
        lambda content: content.update(cursor=[1]),
        lambda content: content.update(decisions=[["x"]]),
    ],
)
def test_a_damaged_record_is_refused(change):
    found, _, _ = recorded(itertools.islice(stream(1, 20, 10, Version()), 5))
    content = json.loads(record.dumps(found))
    change(content)
    with pytest.raises(RecordError):
        why.explain(record.loads(json.dumps(content)))


@pytest.mark.parametrize("text", ["", "null", "[]", "{", '{"format": 1}', '"' + "x" * 1000 + '"'])
def test_what_is_no_record_is_refused(text):
    with pytest.raises(RecordError):
        record.loads(text)


def counters(epoch="1", ours=10, theirs=90, failed=0):
    return RouteCounters(
        {
            "hello-r2": ArmCounters({"2xx": ours - failed, "5xx": failed}, (ours, 0, 0)),
            "hello-r1": ArmCounters({"2xx": theirs, "4xx": 5}, (theirs, 5, 0)),
        },
        (10.0, 100.0),
        epoch,
    )


def test_deltas_of_two_readings():
    before, now = (reading(counters(**given), "hello-r2", "hello-r1") for given in ({}, {"ours": 14, "failed": 1}))
    canary, stable = difference(before, now)
    assert canary == Arm(4, 1, (4, 0, 0))
    assert stable == Arm(0, 0, (0, 0, 0))


def test_readings_that_cannot_be_compared_give_nothing():
    before = reading(counters(), "hello-r2", "hello-r1")
    assert difference(before, reading(counters(epoch="2"), "hello-r2", "hello-r1")) is None
    assert difference(before, reading(counters(ours=3), "hello-r2", "hello-r1")) is None
    other = Reading("1", (10.0,), Arm(10, 0, (10, 0)), Arm(95, 0, (90, 5)))
    assert difference(before, other) is None


def test_an_arm_the_proxy_has_not_met_has_answered_nothing():
    assert reading(counters(), "hello-r3", "hello-r1").canary == Arm(0, 0, (0, 0, 0))
    assert arm(random.Random(0), 0, Version()).requests == 0
