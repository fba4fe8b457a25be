"""DaemonSets: one pod a node, templates remembered, updates node by node."""

from __future__ import annotations

from typing import Any

import pytest

from styr.controllers import revisions
from styr.controllers.daemonset import Plan, plan, pod_spec, status
from styr.kinds import meta
from styr.kinds.resources import Object
from tests.controllers.objects import EPOCH, LABELS, failed, gone, pod, template

NOW = EPOCH + 1000
NEW, OLD = "new", "old"


def daemon(**spec: Any) -> Object:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default", "uid": "d", "generation": 3},
        "spec": {"selector": {"matchLabels": LABELS}, "template": template(), "updateStrategy": strategy, **spec},
    }


def node(name: str, *taints: Object, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": list(taints)}}


def on(name: str, revision: str = NEW, **fields: Any) -> Object:
    found = pod(f"{name}-{revision}", nodeName=name, **fields)
    found["metadata"]["labels"] = {**LABELS, revisions.HASH: revision}
    return found


def planned(ds: Object, nodes: list[Object], own: list[Object]) -> Plan:
    return plan(ds, NEW, nodes, own, [meta.name(each) for each in own], NOW)


def names(objects: tuple[Object, ...]) -> list[str]:
    return sorted(meta.name(each) for each in objects)


NODES = [node("a"), node("b"), node("c")]
BARE: Object = {"key": "k", "value": "v", "effect": "NoSchedule"}


def test_a_pod_for_each_node_and_bound_to_it() -> None:
    todo = planned(daemon(), NODES, [on("a")])
    fields = [
        each["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        for each in todo.create
    ]
    assert [term[0]["matchFields"][0]["values"] for term in fields] == [["b"], ["c"]]
    assert {meta.labels(each)[revisions.HASH] for each in todo.create} == {NEW}
    assert len(set(names(todo.create))) == 2
    assert todo.delete == ()
    assert planned(daemon(), NODES, [on("a")]) == todo


def test_where_it_may_not_be_it_is_not() -> None:
    here, there = node("here", BARE), node("there", zone="x")
    assert planned(daemon(), [here], []).create == ()
    assert names(planned(daemon(), [here], [on("here")]).delete) == []  # NoSchedule sends nobody away
    chased = node("here", {**BARE, "effect": "NoExecute"})
    assert names(planned(daemon(), [chased], [on("here")]).delete) == ["here-new"]
    choosy = daemon(template={**template(), "spec": {"containers": [], "nodeSelector": {"zone": "x"}}})
    assert len(planned(choosy, [here, there], []).create) == 1
    assert names(planned(choosy, [node("there")], [on("there")]).delete) == ["there-new"]
    assert names(planned(daemon(), [], [on("lost")]).delete) == ["lost-new"]


def test_of_two_on_a_node_the_older_stays() -> None:
    twins = [on("a", born=5), {**on("a", born=9), "metadata": {**on("a", born=9)["metadata"], "name": "later"}}]
    assert names(planned(daemon(), [node("a")], twins).delete) == ["later"]


def test_one_that_failed_is_replaced_after_a_pause() -> None:
    broken = failed("broken")
    broken["spec"]["nodeName"] = "a"
    told = {"type": "Ready", "status": "False", "lastTransitionTime": "2027-01-15T08:16:40Z"}
    fresh = {**broken, "status": {"phase": "Failed", "conditions": [told]}}
    todo = plan(daemon(), NEW, [node("a")], [fresh], [], EPOCH + 1000)
    assert (todo.create, todo.delete) == ((), ())
    assert 0 < todo.wait <= 1
    later = plan(daemon(), NEW, [node("a")], [fresh], [], EPOCH + 1002)
    assert (len(later.create), names(later.delete)) == (1, ["broken"])


def test_one_that_leaves_is_waited_for() -> None:
    leaving = gone("leaving")
    leaving["spec"]["nodeName"] = "a"
    assert planned(daemon(), [node("a")], [leaving]) == Plan()


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ([on("a", OLD), on("b", OLD), on("c", OLD)], ["a-old"]),
        ([on("a"), on("b", OLD), on("c", OLD)], ["b-old"]),
        ([on("a", ready=False), on("b", OLD), on("c", OLD)], []),
        ([on("a", OLD), on("b", OLD, ready=False), on("c", OLD)], ["b-old"]),
        ([on("a", OLD, ready=False), on("b", OLD, ready=False), on("c", OLD)], ["a-old", "b-old"]),
        ([on("a", OLD), on("b", OLD)], []),
    ],
)
def test_old_pods_go_as_many_at_once_as_may_be_missing(own: list[Object], expected: list[str]) -> None:
    assert names(planned(daemon(), NODES, own).delete) == expected


def test_on_delete_waits_for_people() -> None:
    assert planned(daemon(updateStrategy={"type": "OnDelete"}), NODES, [on(n, OLD) for n in "abc"]) == Plan()


def test_with_surge_the_new_comes_first() -> None:
    surging = daemon(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
    old = [on(name, OLD) for name in "abc"]
    first = planned(surging, NODES, old)
    assert (len(first.create), first.delete) == (1, ())
    assert planned(surging, NODES, [*old, on("a", ready=False)]) == Plan()
    after = planned(surging, NODES, [*old, on("a")])
    assert names(after.delete) == ["a-old"]


def test_what_every_daemon_tolerates() -> None:
    keys = [each["key"] for each in pod_spec(daemon(), "a")["tolerations"]]
    assert "node.kubernetes.io/unschedulable" in keys
    assert "tolerations" not in template()["spec"]


def test_the_status_counts_nodes() -> None:
    own = [on("a"), on("b", OLD, ready=False), on("elsewhere")]
    found = status({**daemon(), "status": {"conditions": [{"type": "Odd"}]}}, NEW, NODES, own, NOW)
    assert found == {
        "currentNumberScheduled": 2,
        "numberMisscheduled": 1,
        "desiredNumberScheduled": 3,
        "numberReady": 1,
        "observedGeneration": 3,
        "updatedNumberScheduled": 1,
        "numberAvailable": 1,
        "numberUnavailable": 2,
        "conditions": [{"type": "Odd"}],
    }


def revision(ds: Object, number: int, text: str) -> Object:
    labels = {revisions.HASH: text}
    return {"metadata": {"name": f"agent-{text}", "labels": labels}, "data": revisions.data(ds), "revision": number}


def test_a_template_that_comes_back_is_the_old_revision() -> None:
    one, two = daemon(), daemon(template=template("2"))
    history = [revision(one, 1, "one"), revision(two, 2, "two")]
    assert revisions.current(one, history) == history[0]
    assert revisions.current(daemon(template=template("3")), history) is None
    made = revisions.new(daemon(template=template("3")), history)
    assert made["revision"] == 3
    assert meta.labels(made).keys() == {*LABELS, revisions.HASH}


def test_old_revisions_go_but_for_those_in_use() -> None:
    versions = [daemon(template=template(str(number))) for number in range(5)]
    history = [revision(ds, number, f"h{number}") for number, ds in enumerate(versions, 1)]
    owner = {**versions[4], "spec": {**versions[4]["spec"], "revisionHistoryLimit": 1}}
    assert names(tuple(revisions.surplus(owner, history, {"h1"}))) == ["agent-h2", "agent-h3"]
