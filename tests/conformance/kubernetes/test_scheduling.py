"""Where pods go: room, selectors, ports of the node. Nodes of the test's own, which nothing else is placed on."""

from __future__ import annotations

from typing import Any

from tests.conformance.kubernetes import hollow
from tests.conformance.kubernetes.client import Collection, Kube, Object, eventually, unique
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import IMAGE, pod, pod_spec


async def node(kube: Kube, cpu: str = "1", prefix: str = "node") -> str:
    """A ready node that only pods which select it may use: it is tainted for all others."""
    nodes, name = kube.of("v1", "nodes"), unique(prefix)
    taint = {"key": name, "value": "mine", "effect": "NoSchedule"}
    await nodes.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {name: "mine"}},
            "spec": {"taints": [taint]},
        }
    )
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    room = {"cpu": cpu, "memory": "1Gi", "pods": "10"}
    await nodes.patch(name, {"status": {"conditions": [ready], "allocatable": room, "capacity": room}}, "status")
    await nodes.patch(name, {"spec": {"taints": [taint]}})  # a new node gets one more, until it is ready
    return name


def bound_to(node: str, name: str, container: Object | None = None, **more: Any) -> Object:
    tolerations = [{"key": node, "operator": "Exists"}]
    containers = [{"name": "main", "image": IMAGE, **(container or {})}]
    return pod(name, spec=pod_spec(nodeSelector={node: "mine"}, tolerations=tolerations, containers=containers, **more))


async def placed(pods: Collection, body: Object) -> str:
    made = await pods.create(body)
    found = await pods.until(made["metadata"]["name"], lambda obj: obj["spec"].get("nodeName"), "placed")
    return str(found["spec"]["nodeName"])


async def not_placed(pods: Collection, body: Object, why: str) -> None:
    made = await pods.create(body)

    def told(obj: Object) -> bool:
        conditions = {each["type"]: each for each in obj["status"].get("conditions") or ()}
        said = conditions.get("PodScheduled") or {}
        return (said.get("status"), said.get("reason")) == ("False", "Unschedulable") and why in said.get("message", "")

    found = await pods.until(made["metadata"]["name"], told, f"refused for {why}")
    assert not found["spec"].get("nodeName")


def asking(cpu: str) -> Object:
    return {"resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}}


@behaviour("Scheduler, resource limits")
async def test_a_node_takes_what_it_has_room_for(kube: Kube, namespace: str) -> None:
    pods, name = kube.of("v1", "pods", namespace), await node(kube)
    assert await placed(pods, bound_to(name, "filler", asking("700m"))) == name
    await not_placed(pods, bound_to(name, "additional", asking("500m")), "Insufficient cpu")
    assert await placed(pods, bound_to(name, "small", asking("300m"))) == name


@behaviour("Scheduler, node selector matching")
async def test_a_selector_that_matches(kube: Kube, namespace: str) -> None:
    pods, nodes, name = kube.of("v1", "pods", namespace), kube.of("v1", "nodes"), await node(kube)
    await nodes.patch(name, {"metadata": {"labels": {"random": name}}})
    body = bound_to(name, "with-labels")
    body["spec"]["nodeSelector"]["random"] = name
    assert await placed(pods, body) == name


@behaviour("Scheduler, node selector not matching")
async def test_a_selector_that_matches_nothing(kube: Kube, namespace: str) -> None:
    pods = kube.of("v1", "pods", namespace)
    body = pod("restricted", spec=pod_spec(nodeSelector={"label": "nonempty"}))
    await not_placed(pods, body, "didn't match Pod's node affinity/selector")


def port(number: int, ip: str = "", protocol: str = "TCP") -> Object:
    told = {"containerPort": 8080, "hostPort": number, "protocol": protocol, **({"hostIP": ip} if ip else {})}
    return {"ports": [told]}


@behaviour("Scheduling, HostPort and Protocol match, HostIPs different but one is default HostIP (0.0.0.0)")
async def test_a_port_on_all_addresses_is_a_port_on_each(kube: Kube, namespace: str) -> None:
    pods, name = kube.of("v1", "pods", namespace), await node(kube)
    assert await placed(pods, bound_to(name, "everywhere", port(54322))) == name
    await not_placed(pods, bound_to(name, "on-one", port(54322, "127.0.0.1")), "didn't have free ports")
    assert await placed(pods, bound_to(name, "other-protocol", port(54322, "127.0.0.1", "UDP"))) == name


async def test_ports_on_different_addresses_are_different_ports(kube: Kube, namespace: str) -> None:
    """The part of `HostPort matching and HostIP and Protocol not-matching` that is about placing."""
    pods, name = kube.of("v1", "pods", namespace), await node(kube)
    for number, found in enumerate(
        (port(54321, "127.0.0.1"), port(54321, "127.0.0.2"), port(54321, "127.0.0.2", "UDP"))
    ):
        assert await placed(pods, bound_to(name, f"p{number}", found)) == name
    await not_placed(pods, bound_to(name, "again", port(54321, "127.0.0.2")), "didn't have free ports")


async def tainted(kube: Kube, name: str, *, on: bool) -> None:
    """Puts a NoExecute taint beside the node's own, or takes it off."""
    taints = (await kube.of("v1", "nodes").get(name))["spec"]["taints"]
    rest = [taint for taint in taints if taint["key"] != EVICT]
    more = [{"key": EVICT, "value": "evictTaintVal", "effect": "NoExecute"}] if on else []
    await kube.of("v1", "nodes").patch(name, {"spec": {"taints": [*rest, *more]}})


EVICT = "kubernetes.io/e2e-evict-taint-key"


def tolerant(node: str, name: str, seconds: int) -> Object:
    body = bound_to(node, name)
    toleration = {"key": EVICT, "value": "evictTaintVal", "effect": "NoExecute", "tolerationSeconds": seconds}
    body["spec"]["tolerations"].append(toleration)
    return body


@behaviour("Pod Eviction, Toleration limits")
async def test_pods_are_evicted_when_their_toleration_ends(kube: Kube, namespace: str) -> None:
    pods, name = kube.of("v1", "pods", namespace), await node(kube, prefix="hollow")
    assert name.startswith(hollow.PREFIX)
    for pod_name, seconds in (("first", 1), ("second", 2), ("patient", 3600)):
        await placed(pods, tolerant(name, pod_name, seconds))
    await tainted(kube, name, on=True)
    async with pods.watching() as watch:
        for expected in ("first", "second"):
            gone = await watch.wait("DELETED")
            assert gone.name == expected
            reasons = [
                each.get("reason") for each in gone.object["status"]["conditions"] if each["type"] == "DisruptionTarget"
            ]
            assert reasons == ["DeletionByTaintManager"]
    assert await pods.names() == ["patient"]


@behaviour("Taint, Pod Eviction on taint removal")
async def test_a_taint_that_goes_in_time_evicts_nobody(kube: Kube, namespace: str) -> None:
    pods, name = kube.of("v1", "pods", namespace), await node(kube, prefix="hollow")
    await placed(pods, tolerant(name, "stays", 2))
    await placed(pods, tolerant(name, "goes", 0))
    await tainted(kube, name, on=True)
    await pods.until_gone("goes")
    await tainted(kube, name, on=False)
    events = kube.of("v1", "events", namespace)

    async def cancelled() -> bool:
        told = await events.items(fields="involvedObject.name=stays,reason=TaintManagerEviction")
        return any("Cancelling deletion" in each["message"] for each in told)

    await eventually(cancelled, "the eviction is cancelled")
    await placed(pods, bound_to(name, "later"))
    assert sorted(await pods.names()) == ["later", "stays"]
