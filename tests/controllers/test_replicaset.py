from __future__ import annotations

import pytest

from styr.controllers import replicationcontroller
from styr.controllers.replicaset import COST_ANNOTATION, FAILED_KEPT, plan, status
from styr.kinds import meta
from styr.kinds.resources import REPLICATION_CONTROLLER, Object
from tests.controllers.objects import EPOCH, LABELS, failed, gone, pod, replica_set, stamp


def names(objects: tuple[Object, ...]) -> list[str]:
    return [meta.name(obj) for obj in objects]


@pytest.mark.parametrize(
    ("size", "own", "created", "deleted"),
    [
        (0, [], 0, []),
        (3, [], 3, []),
        (2, [pod("a"), pod("b")], 0, []),
        (2, [pod("a"), gone("b")], 1, []),
        (1, [pod("a"), gone("b")], 0, []),
        (0, [pod("a"), gone("b")], 0, ["a"]),
        (1, [pod("a", ready=False), pod("b")], 0, ["a"]),
        (1, [pod("a", nodeName=""), pod("b", ready=False)], 0, ["a"]),
        (1, [pod("a", phase="Pending"), pod("b", phase="Unknown", ready=False)], 0, ["a"]),
        (1, [pod("a", annotations={COST_ANNOTATION: "5"}), pod("b", annotations={COST_ANNOTATION: "-5"})], 0, ["b"]),
        (1, [pod("a", annotations={COST_ANNOTATION: "nonsense"}, born=9), pod("b")], 0, ["a"]),
        (1, [pod("a", since=10), pod("b", since=20)], 0, ["b"]),
        (1, [pod("a"), pod("b", containerStatuses=[{"restartCount": 3}])], 0, ["b"]),
        (1, [pod("a", born=5), pod("b", born=9), pod("c", born=7)], 0, ["b", "c"]),
    ],
)
def test_as_many_as_wanted_and_the_least_useful_first(
    size: int, own: list[Object], created: int, deleted: list[str]
) -> None:
    todo = plan(replica_set("web", size), own, names(tuple(own)), EPOCH + 1000)
    assert len(todo.create) == created
    assert names(todo.delete) == deleted


def test_names_are_new_repeat_themselves_and_differ() -> None:
    rs = replica_set("web", 3)
    first, again = plan(rs, [], [], EPOCH), plan(rs, [], [], EPOCH)
    assert first == again
    made = names(first.create)
    assert len(set(made)) == 3
    later = plan(rs, [pod(made[0])], made[:1], EPOCH)
    assert not set(names(later.create)) & set(made)


def test_a_replication_controller_is_kept_in_the_same_way() -> None:
    rc = {**replica_set("web", 2), "kind": "ReplicationController", "apiVersion": "v1"}
    rc["spec"]["selector"] = LABELS
    assert len(plan(rc, [pod("a")], ["a"], EPOCH).create) == 1
    made = replicationcontroller.controller()
    assert (made.name, made.resource) == ("replicationcontroller", REPLICATION_CONTROLLER)


def test_a_long_name_stays_a_valid_label() -> None:
    (made,) = plan(replica_set("w" * 80, 1), [], [], EPOCH).create
    assert len(meta.name(made)) == 63


def test_pods_come_from_the_template() -> None:
    (made,) = plan(replica_set("web", 1), [], [], EPOCH).create
    assert meta.labels(made) == LABELS
    assert made["spec"]["containers"][0]["image"] == "styr.dev/host"


def test_a_deleted_one_does_nothing() -> None:
    rs = replica_set("web", 3, deletionTimestamp=stamp())
    assert plan(rs, [pod("a")], ["a"], EPOCH) == plan(rs, [], [], EPOCH)


@pytest.mark.parametrize(("count", "wait"), [(1, 2), (2, 4), (5, 32), (9, 60)])
def test_pods_that_fail_at_once_are_replaced_ever_more_slowly(count: int, wait: float) -> None:
    own = [failed(f"f{number}", born=number) for number in range(count)]
    now = EPOCH + count - 1
    todo = plan(replica_set("web", 1), own, [], now)
    assert not todo.create
    assert todo.wait == pytest.approx(wait)
    assert len(plan(replica_set("web", 1), own, [], now + wait).create) == 1


def test_old_failures_are_cleared_away() -> None:
    own = [failed(f"f{number}", born=number) for number in range(FAILED_KEPT + 3)]
    assert names(plan(replica_set("web", 0), own, [], EPOCH).delete) == ["f0", "f1", "f2"]


def test_status_counts() -> None:
    own = [pod("a"), pod("b", ready=False), gone("c"), failed("d"), pod("e", labels={"app": "web", "extra": "x"})]
    found, wait = status(replica_set("web", 3), own, "", EPOCH + 100, stamp(100))
    assert found == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "terminatingReplicas": 1,
        "observedGeneration": 1,
    }
    assert wait == 0


def test_ready_becomes_available_after_min_ready_seconds() -> None:
    rs = replica_set("web", 2)
    rs["spec"]["minReadySeconds"] = 30
    own = [pod("a", since=0), pod("b", since=25)]
    found, wait = status(rs, own, "", EPOCH + 40, stamp(40))
    assert (found["readyReplicas"], found["availableReplicas"], wait) == (2, 1, 15)


def test_zero_counts_are_left_out_as_kubernetes_does() -> None:
    found, _ = status(replica_set("web", 0), [], "", EPOCH, stamp())
    assert found == {"replicas": 0, "observedGeneration": 1}


def test_a_failure_is_told_and_forgotten() -> None:
    rs = replica_set("web", 1)
    rs["status"], _ = status(rs, [], "quota exceeded", EPOCH, stamp())
    (condition,) = rs["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["message"]) == (
        "ReplicaFailure",
        "True",
        "quota exceeded",
    )
    assert "conditions" not in status(rs, [], "", EPOCH, stamp())[0]
