from __future__ import annotations

from typing import Any

import pytest

from styr.controllers.placement import obstacle, plan, requests
from styr.kinds.quantities import QuantityError, parse
from styr.kinds.resources import Object


def node(name: str = "n", *, ready: bool = True, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    allocatable = spec.pop("allocatable", {"cpu": "2", "memory": "1Gi", "pods": "3"})
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": spec,
        "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def pod(cpu: str = "", memory: str = "", **spec: Any) -> Object:
    wanted = {name: amount for name, amount in (("cpu", cpu), ("memory", memory)) if amount}
    containers = [{"name": "main", "resources": {"requests": wanted}, "ports": spec.pop("ports", [])}]
    return {"metadata": {"name": "p"}, "spec": {"containers": containers, **spec}}


TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


def affinity(*terms: dict[str, Any]) -> dict[str, Any]:
    required = {"nodeSelectorTerms": [{"matchExpressions": list(terms)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


@pytest.mark.parametrize(
    ("wanted", "on", "residents", "reason"),
    [
        (pod(), node(), [], ""),
        (pod(), node(ready=False), [], "not ready"),
        (pod(), node(unschedulable=True), [], "unschedulable"),
        (pod(), node(taints=[TAINT]), [], "untolerated taint {gpu: yes}"),
        (pod(), node(taints=[{**TAINT, "effect": "PreferNoSchedule"}]), [], ""),
        (pod(tolerations=[{"key": "gpu", "value": "yes"}]), node(taints=[TAINT]), [], ""),
        (pod(tolerations=[{"key": "gpu", "value": "no"}]), node(taints=[TAINT]), [], "untolerated"),
        (pod(tolerations=[{"key": "gpu", "operator": "Exists"}]), node(taints=[TAINT]), [], ""),
        (pod(tolerations=[{"operator": "Exists"}]), node(taints=[TAINT], unschedulable=True), [], ""),
        (
            pod(tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}]),
            node(taints=[TAINT]),
            [],
            "unt",
        ),
        (pod(nodeSelector={"disk": "ssd"}), node(), [], "didn't match"),
        (pod(nodeSelector={"disk": "ssd"}), node(labels={"disk": "ssd"}), [], ""),
        (pod(affinity=affinity({"key": "n", "operator": "Gt", "values": ["3"]})), node(labels={"n": "4"}), [], ""),
        (pod(affinity=affinity({"key": "n", "operator": "Lt", "values": ["3"]})), node(labels={"n": "4"}), [], "match"),
        (pod(affinity=affinity({"key": "n", "operator": "In", "values": ["a"]})), node(), [], "match"),
        (pod("3"), node(), [], "Insufficient cpu"),
        (pod("1500m"), node(), [pod("600m")], "Insufficient cpu"),
        (pod("1500m"), node(), [pod("500m")], ""),
        (pod(memory="1025Mi"), node(), [], "Insufficient memory"),
        (pod(), node(), [pod(), pod(), pod()], "Too many pods"),
        (pod("64"), node(allocatable={}), [], ""),
        (pod(ports=[{"hostPort": 80}]), node(), [pod(ports=[{"hostPort": 80}])], "free ports"),
        (pod(ports=[{"hostPort": 80}]), node(), [pod(ports=[{"hostPort": 80, "protocol": "UDP"}])], ""),
        (pod(ports=[{"hostPort": 80, "hostIP": "127.0.0.1"}]), node(), [pod(ports=[{"hostPort": 80}])], "free ports"),
        (
            pod(ports=[{"hostPort": 80, "hostIP": "127.0.0.1"}]),
            node(),
            [pod(ports=[{"hostPort": 80, "hostIP": "127.0.0.2"}])],
            "",
        ),
    ],
)
def test_obstacles(wanted: Object, on: Object, residents: list[Object], reason: str) -> None:
    found = obstacle(wanted, on, residents)
    assert reason in found
    assert bool(found) == bool(reason)


def test_the_roomiest_node_then_by_name() -> None:
    resident = {**pod("1"), "spec": {**pod("1")["spec"], "nodeName": "a"}}
    assert plan(pod("1"), [node("a"), node("b")], [resident]) == ("b", "")
    assert plan(pod("1"), [node("b"), node("a")], []) == ("a", "")


def test_why_not_is_told_as_kubernetes_does() -> None:
    nodes = [node("a", ready=False), node("b"), node("c")]
    assert plan(pod("9"), nodes, []) == ("", "0/3 nodes are available: 2 Insufficient cpu, 1 node(s) were not ready.")
    assert plan(pod(), [], []) == ("", "0/0 nodes are available: no nodes are registered.")


def test_requests_take_the_larger_of_init_and_sum() -> None:
    wanted = pod("1")
    wanted["spec"]["containers"] *= 2
    wanted["spec"]["initContainers"] = [{"resources": {"requests": {"cpu": "1500m", "memory": "1Mi"}}}]
    assert requests(wanted) == {"cpu": 2, "memory": 1024**2}
    only_limits = {"spec": {"containers": [{"resources": {"limits": {"cpu": "250m"}}}]}}
    assert requests(only_limits) == {"cpu": parse("0.25")}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100m", "0.1"),
        ("1", "1"),
        ("2Ki", "2048"),
        ("1.5Gi", "1610612736"),
        ("3e2", "300"),
        ("-5M", "-5000000"),
        (".5", "0.5"),
    ],
)
def test_quantities(text: str, value: str) -> None:
    assert parse(text) == parse(value)


@pytest.mark.parametrize("text", ["", "m", "1 G", "1KB", "0x10", "1e99999", "1" * 301, "NaN"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(QuantityError):
        parse(text)
