from __future__ import annotations

from typing import Any

import pytest

from styr.controllers import deployment_status
from styr.controllers.deployment import HASH_LABEL, REVISION, find_new, new_replica_set
from styr.kinds import conditions, meta
from styr.kinds.resources import Object
from tests.controllers.objects import EPOCH, deployment, replica_set, template


def test_a_replica_set_is_found_by_its_template_whatever_its_hash() -> None:
    own = replica_set("web-x", 1)
    own["spec"]["template"] = template("1", **{HASH_LABEL: "of-another-version-of-styr"})
    older = {**own, "metadata": {**own["metadata"], "name": "older", "creationTimestamp": "2020-01-01T00:00:00Z"}}
    assert find_new(deployment(), [replica_set("web-y", 1, version="2"), own]) is own
    assert find_new(deployment(), [own, older]) is older
    assert find_new(deployment(version="3"), [own]) is None


def test_a_new_replica_set() -> None:
    found = new_replica_set(deployment(3), 0, 7)
    code = meta.labels(found)[HASH_LABEL]
    assert meta.name(found) == f"web-{code}"
    assert found["spec"]["replicas"] == 0
    assert found["spec"]["selector"]["matchLabels"] == {"app": "web", HASH_LABEL: code}
    assert found["spec"]["template"]["metadata"]["labels"] == {"app": "web", HASH_LABEL: code}
    assert meta.annotations(found)[REVISION] == "7"
    assert find_new(deployment(3), [{**found, "metadata": {**found["metadata"], "uid": "u"}}]) is not None


def test_names_follow_template_and_collisions() -> None:
    name = meta.name(new_replica_set(deployment(), 0, 1))
    assert meta.name(new_replica_set(deployment(9), 0, 2)) == name
    assert meta.name(new_replica_set(deployment(version="2"), 0, 1)) != name
    assert meta.name(new_replica_set(deployment(), 1, 1)) != name


def told(obj: Object, new: Object | None, sets: list[Object], at: float = 0) -> tuple[dict[str, Any], float]:
    status, wait = deployment_status.plan(obj, new, sets, EPOCH + at)
    obj["status"] = status
    return status, wait


def reason(obj: Object, kind: str) -> tuple[str, str]:
    condition = conditions.find(obj["status"]["conditions"], kind)
    assert condition is not None
    return condition["status"], condition["reason"]


def test_a_rollout_from_creation_to_its_end() -> None:
    obj = deployment(2)
    _, wait = told(obj, replica_set("new", 2, 0), [replica_set("new", 2, 0)])
    assert reason(obj, "Progressing") == ("True", "NewReplicaSetCreated")
    assert reason(obj, "Available") == ("False", "MinimumReplicasUnavailable")
    assert wait == 600
    told(obj, replica_set("new", 2, 1), [replica_set("new", 2, 1)], at=5)
    assert reason(obj, "Progressing") == ("True", "ReplicaSetUpdated")
    status, wait = told(obj, replica_set("new", 2), [replica_set("new", 2)], at=9)
    assert reason(obj, "Progressing") == ("True", "NewReplicaSetAvailable")
    assert reason(obj, "Available") == ("True", "MinimumReplicasAvailable")
    assert (status["updatedReplicas"], status["availableReplicas"], wait) == (2, 2, 0)
    assert "unavailableReplicas" not in status
    assert deployment_status.complete(obj)


def test_nothing_changes_when_nothing_happens() -> None:
    obj = deployment(2)
    sets = [replica_set("new", 2, 1)]
    first, _ = told(obj, sets[0], sets)
    assert told(obj, sets[0], sets, at=30)[0] == first


def test_the_deadline() -> None:
    obj = deployment(2, progressDeadlineSeconds=60)
    sets = [replica_set("new", 2, 1)]
    told(obj, sets[0], sets)
    _, wait = told(obj, sets[0], sets, at=50)
    assert wait == pytest.approx(10)
    told(obj, sets[0], sets, at=61)
    assert reason(obj, "Progressing") == ("False", "ProgressDeadlineExceeded")
    sets = [replica_set("new", 2)]
    told(obj, sets[0], sets, at=99)
    assert reason(obj, "Progressing") == ("True", "NewReplicaSetAvailable"), "late is better than never"


def test_a_new_template_begins_anew() -> None:
    obj = deployment(1)
    old = replica_set("old", 1)
    told(obj, old, [old])
    obj["metadata"]["generation"] = 2
    new = replica_set("new", 0, version="2")
    _, wait = told(obj, new, [old, new], at=5000)
    assert reason(obj, "Progressing") == ("True", "ReplicaSetUpdated")
    assert wait == 600


def test_paused() -> None:
    obj = deployment(1, paused=True)
    told(obj, None, [])
    assert reason(obj, "Progressing") == ("Unknown", "DeploymentPaused")


def test_a_failure_to_create_pods_is_passed_on() -> None:
    obj, rs = deployment(1), replica_set("new", 1, 0)
    rs["status"]["conditions"] = [
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "no"}
    ]
    told(obj, rs, [rs])
    assert reason(obj, "ReplicaFailure") == ("True", "FailedCreate")
    rs["status"]["conditions"] = []
    assert conditions.find(told(obj, rs, [rs])[0]["conditions"], "ReplicaFailure") is None
