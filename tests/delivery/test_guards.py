"""Guards: what a reading means, when it rolls back, what holds, and that the record replays it; then whole releases."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styr.delivery import guard_readings, guards, objects, record, why
from styr.delivery.guards import Guard, Reading, read_guards
from styr.delivery.kinds import CRDS, PROMOTE_ANNOTATION
from styr.delivery.record import Decision, RecordError
from styr.kinds.resources import APP, CONFIG_MAP
from styr.kinds.seams import QueryFailed
from tests.delivery.stage import Stage
from tests.delivery.streams import Version
from tests.delivery.test_record import recorded, stream

HIGH = Guard("errors", "rate(x)", high=0.01)
LOW = Guard("orders", "rate(y)", low=5.0)
BOTH = Guard("both", "z", low=1.0, high=2.0)


@pytest.mark.parametrize(
    ("guard", "values", "result", "value"),
    [
        (HIGH, [0.01], "met", 0.01),
        (HIGH, [0.0101], "breached", 0.0101),
        (HIGH, [0.0, 0.5, 0.02], "breached", 0.5),
        (HIGH, [math.inf], "breached", math.inf),
        (HIGH, [-math.inf], "met", -math.inf),
        (HIGH, [], "missing", None),
        (HIGH, [0.5, math.nan], "missing", None),
        (LOW, [5.0], "met", 5.0),
        (LOW, [4.9, 100.0], "breached", 4.9),
        (BOTH, [1.5], "met", 1.5),
        (BOTH, [0.5], "breached", 0.5),
        (BOTH, [2.5, 0.9], "breached", 2.5),
    ],
)
def test_what_a_reading_means(guard, values, result, value):
    found = guards.judged(guard, values, 1000)
    assert (found.result, found.value, found.at) == (result, value, 1000)


def readings(*results: str, guard: str = "errors") -> tuple[Reading, ...]:
    values = {"met": 0.0, "breached": 0.5, "missing": None}
    return tuple(Reading(10_000 * at, guard, result, values[result]) for at, result in enumerate(results))


@pytest.mark.parametrize(
    ("tolerated", "results", "broken"),
    [
        (0, ["met", "met"], False),
        (0, ["breached"], True),
        (1, ["breached", "met"], False),
        (1, ["breached", "met", "breached"], True),
        (0, ["missing"] * 50, False),
        (2, ["breached", "missing", "breached", "missing"], False),
    ],
)
def test_breaches_beyond_the_limit_roll_back_and_missing_data_never_does(tolerated, results, broken):
    guard = replace(HIGH, tolerated=tolerated)
    assert (guards.broken([guard], readings(*results)) is not None) is broken


@pytest.mark.parametrize(
    ("no_data", "results", "words"),
    [
        ("Hold", [], "Guard errors has no data: it was not asked yet."),
        ("Hold", ["met"], ""),
        ("Hold", ["met", "missing"], "The weight does not rise until it has (noData: Hold)."),
        ("Continue", ["missing"], ""),
        ("Continue", [], ""),
        (
            "Continue",
            ["breached"],
            "Guard errors is breached: 0.5 is above its limit of 0.01 in `rate(x)` (1 of 3 breaches",
        ),
    ],
)
def test_what_holds_the_weight(no_data, results, words):
    guard = replace(HIGH, no_data=no_data, tolerated=3)
    found = guards.holding([guard], readings(*results))
    assert words in found
    assert bool(found) is bool(words)


def test_going_on_without_data_is_said():
    guard = replace(HIGH, no_data="Continue")
    assert guards.unknown([guard], readings("missing")) == (
        "Without data, and going on (noData: Continue): guard errors."
    )
    assert guards.unknown([guard], readings("met")) == ""


def test_the_sentence_names_guard_query_value_and_limit():
    (standing,) = guards.standings([replace(HIGH, tolerated=1)], readings("breached", "breached"))
    assert guards.rolled_back(standing) == (
        "Rolled back: guard errors was breached 2 times (tolerated: 1). 0.5 is above its limit of 0.01 in `rate(x)`."
    )
    (standing,) = guards.standings([LOW], [guards.judged(LOW, [4.0], 0)])
    assert "4 is below its limit of 5 in `rate(y)`" in guards.rolled_back(standing).lower()


def test_each_guard_is_asked_at_its_own_interval():
    quick, slow = replace(HIGH, interval=5_000), replace(LOW, interval=60_000)
    assert guards.due([quick, slow], (), 0) == [quick, slow]
    seen = (Reading(0, "errors", "met", 0.0), Reading(0, "orders", "met", 9.0))
    assert guards.due([quick, slow], seen, 4_999) == []
    assert guards.due([quick, slow], seen, 5_000) == [quick]
    assert guards.due([quick, slow], seen, 60_000) == [quick, slow]


ARGUMENTS = {"app": "hello", "release": "hello-r2", "namespace": "default", "service": "hello-r2", "stable": "hello-r1"}


@pytest.mark.parametrize("text", ["{{service}}", "{{ service }}", "{{ .service}}"])
def test_arguments_are_filled_in(text):
    assert guards.fill(f'up{{service="{text}"}}', ARGUMENTS) == 'up{service="hello-r2"}'


def test_an_unknown_argument_is_told_and_never_asked():
    (guard,) = guards.filled([replace(HIGH, query='up{x="{{pod}}"}')], ARGUMENTS)
    assert guards.unknown_argument(guard.query).startswith("there is no argument {{pod}}; known: app, release")
    (found,) = asyncio.run(guard_readings.ask(Answers(), [guard], 0))
    assert found.result == "missing"
    assert "no argument {{pod}}" in found.why


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["errors", "orders"]), st.sampled_from(["met", "breached", "missing"])), max_size=1500
    )
)
def test_a_long_record_is_shortened_without_loss_to_the_verdict(history):
    both = (replace(HIGH, tolerated=10**6), replace(LOW, tolerated=10**6))
    kept: tuple[Reading, ...] = ()
    whole: list[Reading] = []
    for at, (name, result) in enumerate(history):
        new = Reading(at, name, result, None if result == "missing" else 0.0)
        whole.append(new)
        kept = guards.append(kept, [new])
    before, after = guards.standings(both, whole), guards.standings(both, kept)
    assert [one.breaches for one in before] == [one.breaches for one in after]
    assert [one.last for one in before] == [one.last for one in after]


def test_equal_readings_stay_few():
    kept: tuple[Reading, ...] = ()
    for at in range(5_000):
        kept = guards.append(kept, [Reading(at, "errors", "met", 0.0)])
    assert len(kept) <= guards.ROWS
    assert sum(one.count for one in kept) == 5_000


# the record


def guarded_record() -> record.Record:
    found, state, verdict = recorded(itertools.islice(stream(1, 20, 10, Version()), 5))
    decision = Decision(state.elapsed, "guard", 0, verdict.evidence)
    said = (*readings("met", "missing", "breached"), Reading(9, "orders", "met", math.inf))
    return replace(found, decisions=(decision,), guards=(HIGH, LOW), readings=said)


def test_the_record_carries_guards_and_readings():
    found = guarded_record()
    assert record.loads(record.dumps(found)) == found


def test_a_record_without_guards_is_as_it_was():
    plain = replace(guarded_record(), guards=(), readings=(), decisions=())
    assert "guards" not in json.loads(record.dumps(plain))
    assert record.loads(record.dumps(plain)) == plain


def test_why_recomputes_the_guards_word():
    explanation = why.explain(record.loads(record.dumps(guarded_record())))
    assert explanation.agrees is True
    assert explanation.sentence.startswith("Rolled back: guard errors was breached once")
    text = why.render(explanation)
    assert "errors: at most 0.01 (tolerated breaches: 0): 1 met, 1 breached, 1 missing" in text
    assert "20 s   breached: 0.5" in text


def test_why_says_when_readings_do_not_bear_out_what_a_guard_did():
    forged = replace(guarded_record(), readings=readings("met", "met"))
    assert why.explain(forged).agrees is False


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["readings"].append([1, 2]),
        lambda content: content["readings"].append([1, "nobody", "met", 0, 1, ""]),
        lambda content: content["readings"].append([1, "errors", "met", 0.5, 1, ""]),
        lambda content: content["readings"].append([1, "errors", "fine", 0.0, 1, ""]),
        lambda content: content["readings"].append([1, "errors", "met", None, 1, ""]),
        lambda content: content["readings"].append([-1, "errors", "met", 0.0, 1, ""]),
        lambda content: content["readings"].append([1, "errors", "met", 0.0, 0, ""]),
        lambda content: content["guards"].append(["x"]),
        lambda content: content["guards"][0].__setitem__(6, "Maybe"),
        lambda content: content["guards"][0].__setitem__(4, 0),
    ],
)
def test_a_damaged_record_is_refused(change):
    content = json.loads(record.dumps(guarded_record()))
    change(content)
    with pytest.raises(RecordError):
        record.loads(json.dumps(content))


# the App


def test_the_spec_is_read_with_its_defaults():
    assert read_guards({"guards": [{"name": "a", "query": "up", "max": 1}]}) == (Guard("a", "up", high=1.0),)
    full = {"name": "a", "query": "up", "min": 2, "intervalSeconds": 30, "failureLimit": 3, "noData": "Continue"}
    assert read_guards({"guards": [full]}) == (Guard("a", "up", 2.0, None, 30_000, 3, "Continue"),)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a", "query": "up"},
        {"query": "up", "max": 1},
        {"name": "A b", "query": "up", "max": 1},
        {"name": "a", "query": "", "max": 1},
        {"name": "a", "query": "up", "max": "1"},
        {"name": "a", "query": "up", "max": 1, "intervalSeconds": 0},
        {"name": "a", "query": "up", "max": 1, "noData": "Pass"},
    ],
)
def test_a_wrong_guard_is_refused(wrong):
    from styr.api.schema import compile_schema

    schema = compile_schema(CRDS[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    assert schema.validate({"spec": {"guards": [wrong]}})
    assert not schema.validate({"spec": {"guards": [{"name": "a", "query": "up", "max": 1}]}})


# asking


class Answers:
    """Stands for the metrics engine: `say` is what it answers, an exception what it raises."""

    def __init__(self, *say: float) -> None:
        self.say: list[float] | Exception = list(say)
        self.hangs = False
        self.asked: list[str] = []

    async def query(self, expression: str, /) -> list[tuple[Mapping[str, str], float]]:
        self.asked.append(expression)
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if isinstance(self.say, Exception):
            raise self.say
        return [({}, value) for value in self.say]


@pytest.mark.parametrize(
    ("answers", "why_missing"),
    [(None, "does not run"), (QueryFailed("the metrics engine refused: no"), "refused: no")],
)
async def test_no_answer_is_no_data(answers, why_missing):
    source = None
    if answers is not None:
        source = Answers()
        source.say = answers
    (found,) = await guard_readings.ask(source, [HIGH], 7)
    assert (found.result, found.at) == ("missing", 7)
    assert why_missing in found.why


async def test_an_engine_that_hangs_is_no_data(monkeypatch):
    monkeypatch.setattr(guard_readings, "PATIENCE", 0.01)
    source = Answers()
    source.hangs = True
    found = await guard_readings.ask(source, [HIGH, LOW], 0)
    assert [one.result for one in found] == ["missing", "missing"]
    assert "did not answer within" in found[0].why


# whole releases


GUARD = {"name": "queue", "query": 'queue{service="{{service}}",app="{{app}}"}', "max": 10, "intervalSeconds": 5}


async def running(*guards_: Mapping[str, object], answers: Answers | None = None, **spec) -> Stage:
    stage = Stage(100.0, **spec)
    stage.metrics = answers
    stage.restart()
    await stage.app(guards=list(guards_))
    first = await stage.push()
    await stage.until(lambda: stage.phase(first) == "Promoted", 30)
    await stage.run(10)
    return stage


async def test_a_guard_that_is_met_changes_nothing():
    answers = Answers(3.0)
    stage = await running(GUARD, answers=answers)
    name = await stage.push()
    await stage.until(lambda: stage.phase(name) == "Promoted")
    assert set(answers.asked) == {f'queue{{service="{name}",app="hello"}}'}
    assert stage.told(name)["guards"] == [{"name": "queue", "result": "Met", "breaches": 0, "value": "3"}]


async def test_a_breach_rolls_back_and_why_agrees():
    answers = Answers(3.0)
    stage = await running(GUARD, answers=answers)
    name = await stage.push()
    await stage.until(lambda: stage.phase(name) == "Canary")
    await stage.run(7)
    answers.say = [3.0, 12.0]
    seconds = await stage.until(lambda: stage.phase(name) == "RolledBack")
    assert seconds <= 7
    told = stage.told(name)
    assert told["verdict"] == (
        f"Rolled back: guard queue was breached once (tolerated: 0). 12 is above its limit of 10 in "
        f'`queue{{service="{name}",app="hello"}}`.'
    )
    assert told["outcome"] == "RolledBack"
    await stage.run(8)
    assert stage.route == {"hello-r1": 100}
    assert stage.status["remembered"][0]["commit"] == "c2"
    explanation = why.explain(record.loads(stage.get(CONFIG_MAP, objects.record_name(name))["data"][record.NAME]))
    assert explanation.agrees is True
    assert explanation.sentence == told["verdict"]
    assert explanation.decisions[-1].word == "guard"


async def test_missing_data_holds_says_so_and_a_person_may_decide():
    stage = await running(GUARD, answers=Answers())
    name = await stage.push()
    await stage.until(lambda: stage.phase(name) == "Canary")
    await stage.run(120)
    told = stage.told(name)
    assert stage.phase(name) == "Canary"
    assert told["outcome"] == "Held"
    assert "Guard queue has no data: the expression has no result." in told["verdict"]
    assert told["guards"] == [
        {"name": "queue", "result": "Missing", "breaches": 0, "message": "the expression has no result"}
    ]
    await stage.annotate(name, PROMOTE_ANNOTATION, "I looked")
    await stage.until(lambda: stage.phase(name) == "Promoted", 10)


async def test_missing_data_may_be_gone_on_without_and_the_verdict_says_so():
    stage = await running({**GUARD, "noData": "Continue"}, answers=Answers())
    name = await stage.push()
    await stage.until(lambda: stage.phase(name) == "Promoted")
    assert stage.told(name)["verdict"].endswith("Without data, and going on (noData: Continue): guard queue.")


async def test_without_the_engine_a_guard_holds_and_the_judge_still_rolls_back():
    stage = await running(GUARD)
    name = await stage.push(Version(errors=0.5))
    await stage.until(lambda: stage.phase(name) == "Canary")
    await stage.until(lambda: stage.phase(name) == "RolledBack")
    assert "failures hit the new version" in stage.told(name)["verdict"]


async def test_a_guard_is_judged_though_the_traffic_cannot_be_read():
    answers = Answers(3.0)
    stage = await running(GUARD, answers=answers)
    name = await stage.push()
    await stage.until(lambda: stage.phase(name) == "Canary")
    stage.blind = True
    answers.say = [99.0]
    await stage.until(lambda: stage.phase(name) == "RolledBack", 20)


async def test_tolerated_breaches_survive_a_restart_of_the_control_plane():
    answers = Answers(99.0)
    stage = await running({**GUARD, "failureLimit": 3}, answers=answers)
    name = await stage.push()
    await stage.until(lambda: stage.phase(name) == "Canary")
    await stage.until(lambda: (stage.told(name).get("guards") or [{}])[0].get("breaches", 0) >= 2)
    assert "breaches that are tolerated" in stage.told(name)["verdict"]
    await stage.run(12)
    stage.restart()
    await stage.until(lambda: stage.phase(name) == "RolledBack", 30)
    assert "breached 4 times (tolerated: 3)" in stage.told(name)["verdict"]


async def test_guards_are_those_of_the_beginning():
    answers = Answers(3.0)
    stage = await running(GUARD, answers=answers)
    name = await stage.push()
    await stage.until(lambda: stage.phase(name) == "Canary")
    await stage.api.patch(APP, "hello", "default", {"spec": {"guards": [{**GUARD, "max": 1}]}})
    await stage.until(lambda: stage.phase(name) == "Promoted")
