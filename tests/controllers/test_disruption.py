from __future__ import annotations

from typing import Any

import pytest

from styr.controllers.disruption import DELETION_TIMEOUT, count, failed, needs_scale, plan
from styr.kinds import conditions
from styr.kinds.resources import Object
from tests.controllers.objects import EPOCH, gone, pod, stamp


def budget(status: Object | None = None, **spec: Any) -> Object:
    return {
        "metadata": {"name": "b", "namespace": "default", "generation": 2},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec},
        **({"status": status} if status else {}),
    }


PODS = [pod("a"), pod("b"), pod("c", ready=False)]


@pytest.mark.parametrize(
    ("spec", "scale", "expected", "desired", "allowed"),
    [
        ({"minAvailable": 1}, 0, 3, 1, 1),
        ({"minAvailable": 2}, 0, 3, 2, 0),
        ({"minAvailable": 0}, 0, 3, 0, 2),
        ({"minAvailable": "50%"}, 3, 3, 2, 0),
        ({"minAvailable": "10%"}, 4, 4, 1, 1),
        ({"maxUnavailable": 1}, 3, 3, 2, 0),
        ({"maxUnavailable": 2}, 3, 3, 1, 1),
        ({"maxUnavailable": "100%"}, 3, 3, 0, 2),
        ({"maxUnavailable": 9}, 0, 0, 0, 0),
        ({}, 3, 0, 0, 0),
    ],
)
def test_what_a_budget_allows(spec: Object, scale: int, expected: int, desired: int, allowed: int) -> None:
    found = plan(budget(**spec), PODS, scale, EPOCH, stamp())
    assert (found["expectedPods"], found["desiredHealthy"], found["disruptionsAllowed"]) == (expected, desired, allowed)
    assert found["currentHealthy"] == 2
    assert found["observedGeneration"] == 2
    (condition,) = found["conditions"]
    assert condition["type"] == "DisruptionAllowed"
    assert (condition["status"], condition["reason"]) == (
        ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    )


def test_no_pods_allow_nothing() -> None:
    assert plan(budget(minAvailable=0), [], 0, EPOCH, stamp())["disruptionsAllowed"] == 0


def test_pods_on_their_way_out_do_not_count() -> None:
    found = plan(budget(minAvailable=1), [pod("a"), gone("b")], 0, EPOCH, stamp())
    assert (found["currentHealthy"], found["disruptionsAllowed"]) == (1, 0)


def test_a_pod_that_was_let_go_counts_as_gone_for_a_while() -> None:
    status = {"disruptedPods": {"a": stamp(), "nobody": stamp()}}
    soon = plan(budget(status, minAvailable=1), PODS, 0, EPOCH + DELETION_TIMEOUT, stamp())
    assert (soon["currentHealthy"], soon["disruptedPods"]) == (1, {"a": stamp()})
    late = plan(budget(status, minAvailable=1), PODS, 0, EPOCH + DELETION_TIMEOUT + 1, stamp())
    assert late["currentHealthy"] == 2
    assert "disruptedPods" not in late


def test_which_budgets_need_the_controllers_scale() -> None:
    assert [
        needs_scale(budget(**spec)) for spec in ({"minAvailable": 1}, {"minAvailable": "1%"}, {"maxUnavailable": 0})
    ] == [
        False,
        True,
        True,
    ]
    assert count(budget(maxUnavailable="34%"), [], 3).desired == 1


def test_a_scale_that_cannot_be_had_allows_nothing() -> None:
    status = {"currentHealthy": 5, "disruptionsAllowed": 3, "expectedPods": 5, "desiredHealthy": 2}
    found = failed(budget(status, maxUnavailable=1), "why", stamp())
    assert found["disruptionsAllowed"] == 0
    condition = conditions.find(found["conditions"], "DisruptionAllowed")
    assert condition is not None
    assert (condition["reason"], condition["message"]) == ("SyncFailed", "why")
