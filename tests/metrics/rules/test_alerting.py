"""The state machine of alerts, minute by minute."""

from __future__ import annotations

import pytest

from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import make, text
from styr.metrics.rules.alerting import Alert, AlertStates, Candidate, candidates
from styr.metrics.rules.evaluate import RuleFailed, Vector
from styr.metrics.rules.groups import Rule

MINUTE = 60_000


def rule(hold: int = 0, keep: int = 0, **labels: str) -> Rule:
    return Rule("Down", "up == 0", True, hold * MINUTE, keep * MINUTE, make(labels), make({"summary": "x"}))


def found(*instances: str, value: float = 1.0) -> list[Candidate]:
    return [Candidate(make({"alertname": "Down", "instance": i}), (), value) for i in instances]


def states(machine: AlertStates, script: str, *, step: int = MINUTE) -> str:
    """Evaluates once per character of `script` ("1": there is a result, "0": none) and tells the state after each, by its
    initial; "-" when nothing is remembered."""
    out = []
    for place, char in enumerate(script):
        machine.step(found("a") if char == "1" else [], place * step, 0, 0)
        alert = next(iter(machine.active.values()), None)
        out.append(alert.state[0] if alert else "-")
    return "".join(out)


@pytest.mark.parametrize(
    ("hold", "keep", "script", "expected"),
    [
        (0, 0, "1", "f"),
        (0, 0, "0", "-"),
        (0, 0, "101", "fif"),
        (2, 0, "1111", "ppff"),
        (2, 0, "1101111", "pp-ppff"),
        (2, 0, "11100", "ppfii"),
        (0, 2, "1000", "fffi"),
        (0, 2, "10010001", "ffffffif"),
        (1, 2, "110000", "pfffii"),
        (0, 0, "1" + "0" * 18, "f" + "i" * 16 + "--"),
    ],
)
def test_states(hold: int, keep: int, script: str, expected: str) -> None:
    assert states(AlertStates(rule(hold, keep)), script) == expected


def test_a_shorter_for_fires_and_a_longer_one_waits_again() -> None:
    machine = AlertStates(rule(5))
    states(machine, "111")
    shorter = AlertStates(rule(1))
    shorter.active = machine.active
    shorter.step(found("a"), 3 * MINUTE, 0, 0)
    assert [alert.state for alert in shorter.alerts()] == ["firing"]
    longer = AlertStates(rule(10))
    longer.active = shorter.active
    longer.step(found("a"), 4 * MINUTE, 0, 0)
    assert [(alert.state, alert.fired_at) for alert in longer.alerts()] == [("pending", None)]


def test_series_of_alerts() -> None:
    machine = AlertStates(rule(1, severity="page", team="{{ $labels.none }}"))
    samples = machine.step(found("a"), 90_500, 30_000, 0)
    assert [(text(s.labels), s.t, s.value) for s in samples] == [
        (
            'ALERTS{alertname="Down", alertstate="pending", instance="a", severity="page", team="{{ $labels.none }}"}',
            60_500,
            1.0,
        ),
        ('ALERTS_FOR_STATE{alertname="Down", instance="a", severity="page", team="{{ $labels.none }}"}', 60_500, 90.0),
    ]


def test_nothing_is_written_before_the_for_state_is_restored() -> None:
    machine = AlertStates(rule(), restored=False)
    assert machine.step(found("a"), 0, 0, 0) == []
    machine.restore({}, 0, 0)
    assert len(machine.step(found("a"), MINUTE, 0, 0)) == 2


def test_beyond_the_limit_everything_is_forgotten() -> None:
    machine = AlertStates(rule())
    machine.step(found("a"), 0, 0, 2)
    with pytest.raises(RuleFailed, match="exceeded limit of 2 with 3 alerts"):
        machine.step(found("a", "b", "c"), MINUTE, 0, 2)
    assert machine.active == {}


def test_two_results_with_the_same_labels_fail() -> None:
    result: Vector = [(make({"__name__": "a", "x": "1"}), 1.0), (make({"__name__": "b", "x": "1"}), 2.0)]
    with pytest.raises(RuleFailed, match="vector contains metrics with the same labelset after applying alert labels"):
        candidates(rule(), result, lambda t, labels, value: t)


def test_labels_are_expanded_and_alertname_wins() -> None:
    result: Vector = [(make({"__name__": "up", "instance": "a", "alertname": "other"}), Histogram(count=3))]
    (candidate,) = candidates(
        rule(severity="{{x}}", gone="-"), result, lambda t, labels, value: "" if t == "-" else t.upper()
    )
    assert text(candidate.labels) == '{alertname="Down", instance="a", severity="{{X}}"}'
    assert candidate.annotations == (("summary", "X"),)
    assert candidate.value == 0.0


@pytest.mark.parametrize(
    ("hold", "since", "down", "now", "active_at"),
    [
        (60, 0, 70, 80, 0),  # was firing: fires again
        (60, 0, 20, 50, 30),  # 20 of 60 minutes were over, 30 minutes down do not count
        (60, 0, 55, 80, 30),  # 5 left, less than the grace of 10: fires at 90
        (60, 0, 50, 80, 30),  # exactly the grace left: shifted
        (5, 0, 3, 20, 20),  # shorter than the grace: not restored
    ],
)
def test_restoring(hold: int, since: int, down: int, now: int, active_at: int) -> None:
    machine = AlertStates(rule(hold), restored=False)
    machine.step(found("a"), now * MINUTE, 0, 0)
    recorded = {make({"alertname": "Down", "instance": "a"}): (down * MINUTE, since * 60.0)}
    machine.restore(recorded, now * MINUTE, 10 * MINUTE)
    assert [alert.active_at for alert in machine.alerts()] == [active_at * MINUTE]
    assert machine.restored


def test_restoring_leaves_others_alone() -> None:
    machine = AlertStates(rule(60), restored=False)
    machine.step(found("a"), 0, 0, 0)
    machine.restore({make({"alertname": "Down", "instance": "b"}): (0, -99.0)}, 0, 10 * MINUTE)
    assert [alert.active_at for alert in machine.alerts()] == [0]


def sent(machine: AlertStates, ts: int) -> list[Alert]:
    return machine.due(ts, MINUTE, MINUTE)


def test_when_alerts_are_told() -> None:
    machine = AlertStates(rule(1))
    told = []
    for minute, there in enumerate([1, 1, 1, 1, 0, 0, 0]):
        machine.step(found("a") if there else [], minute * MINUTE, 0, 0)
        told.append([(a.state, a.resolved_at, a.valid_until) for a in sent(machine, minute * MINUTE)])
    assert told == [
        [],
        [("firing", None, 5 * MINUTE)],
        [],  # resend_delay must have passed, not just be reached
        [("firing", None, 7 * MINUTE)],
        [("inactive", 4 * MINUTE, 8 * MINUTE)],
        [],
        [("inactive", 4 * MINUTE, 10 * MINUTE)],
    ]


def test_validity_follows_the_longer_of_interval_and_resend_delay() -> None:
    machine = AlertStates(rule())
    machine.step(found("a"), 0, 0, 0)
    assert machine.due(0, MINUTE, 5 * MINUTE)[0].valid_until == 20 * MINUTE


def test_the_state_of_a_rule_is_its_highest() -> None:
    machine = AlertStates(rule(1))
    assert machine.state == "inactive"
    machine.step(found("a"), 0, 0, 0)
    machine.step(found("a", "b"), MINUTE, 0, 0)
    assert machine.state == "firing"
    assert [alert.state for alert in machine.alerts()] == ["firing", "pending"]
