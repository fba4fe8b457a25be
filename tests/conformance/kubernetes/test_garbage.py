"""Garbage collection: background, foreground, orphans, circles, two owners. The pods run on the hollow node."""

from __future__ import annotations

from typing import Any

from tests.conformance.kubernetes.client import Collection, Kube, Object
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import (
    deployment,
    owner,
    pod,
    ready_replicas,
    replication_controller,
    running,
)

MANY = 10


async def stable_controller(kube: Kube, namespace: str, name: str, replicas: int) -> tuple[Collection, Object]:
    controllers = kube.of("v1", "replicationcontrollers", namespace)
    await controllers.create(replication_controller(name, {"gc": name}, replicas))
    return controllers, await controllers.until(name, ready_replicas(replicas), f"has {replicas} pods")


def options(obj: Object, policy: str) -> Any:
    return {"propagationPolicy": policy, "preconditions": {"uid": obj["metadata"]["uid"]}}


@behaviour("Garbage Collector, delete replication controller, propagation policy background")
async def test_pods_follow_their_controller(kube: Kube, namespace: str) -> None:
    controllers, pods = kube.of("v1", "replicationcontrollers", namespace), kube.of("v1", "pods", namespace)
    made = await controllers.create(replication_controller("simple", {"gc": "simple"}, 2))
    async with pods.watching("gc=simple") as watch:
        await watch.wait("ADDED")  # deleted before it is complete: the two must not work against each other
    await controllers.delete("simple", **options(made, "Background"))
    await controllers.until_gone("simple")
    await pods.until_count(0)


@behaviour("Garbage Collector, delete replication controller, propagation policy orphan")
async def test_orphans_stay(kube: Kube, namespace: str) -> None:
    pods = kube.of("v1", "pods", namespace)
    controllers, made = await stable_controller(kube, namespace, "orphans", MANY)
    before = await pods.names()
    await controllers.delete("orphans", **options(made, "Orphan"))
    await controllers.until_gone("orphans")
    left = await pods.items()
    assert sorted(each["metadata"]["name"] for each in left) == before
    assert len(before) == MANY
    assert not any(each["metadata"].get("ownerReferences") for each in left)
    assert not any(each["metadata"].get("deletionTimestamp") for each in left)


@behaviour("Garbage Collector, delete replication controller, after owned pods")
async def test_in_the_foreground_the_controller_goes_last(kube: Kube, namespace: str) -> None:
    pods = kube.of("v1", "pods", namespace)
    controllers, made = await stable_controller(kube, namespace, "last", MANY)
    async with pods.watching("gc=last") as watched, controllers.watching() as watch:
        await controllers.delete("last", **options(made, "Foreground"))
        gone = (await watch.wait("DELETED")).version
        assert await pods.names() == []
        assert max([(await watched.wait("DELETED")).version for _ in range(MANY)]) < gone


@behaviour("Garbage Collector, multiple owners")
async def test_a_second_owner_keeps_what_the_first_would_take(kube: Kube, namespace: str) -> None:
    pods = kube.of("v1", "pods", namespace)
    controllers, going = await stable_controller(kube, namespace, "going", MANY)
    _, staying = await stable_controller(kube, namespace, "staying", 0)
    shared = (await pods.names("gc=going"))[: MANY // 2]
    for name in shared:
        found = await pods.get(name)
        owners = [*found["metadata"]["ownerReferences"], owner(staying)]
        await pods.patch(name, {"metadata": {"ownerReferences": owners}})
    await controllers.delete("going", **options(going, "Foreground"))
    await controllers.until_gone("going")
    await pods.until_names(shared)
    for found in await pods.items():
        assert "deletionTimestamp" not in found["metadata"]
        assert [each["name"] for each in found["metadata"]["ownerReferences"]] == ["staying"]


@behaviour("Garbage Collector, dependency cycle")
async def test_a_circle_of_owners_is_no_obstacle(kube: Kube, namespace: str) -> None:
    pods = kube.of("v1", "pods", namespace)
    made = [await pods.create(pod(f"pod{number}")) for number in (1, 2, 3)]
    for number, owning in ((0, 2), (1, 0), (2, 1)):
        reference = owner({**made[owning], "apiVersion": "v1", "kind": "Pod"}, controller=True, blockOwnerDeletion=True)
        await pods.patch(f"pod{number + 1}", {"metadata": {"ownerReferences": [reference]}})
    for number in (1, 2, 3):
        await pods.until(f"pod{number}", running, "running")
    await pods.delete("pod1", propagationPolicy="Foreground")
    await pods.until_count(0)


@behaviour("Garbage Collector, delete deployment,  propagation policy background")
async def test_replica_sets_and_pods_follow_their_deployment(kube: Kube, namespace: str) -> None:
    deployments, sets = kube.of("apps/v1", "deployments", namespace), kube.of("apps/v1", "replicasets", namespace)
    made = await deployments.create(deployment("web", {"gc": "web"}, 2))
    await sets.until_count(1)
    await deployments.delete("web", **options(made, "Background"))
    await deployments.until_gone("web")
    await sets.until_count(0)
    await kube.of("v1", "pods", namespace).until_count(0)


@behaviour("Garbage Collector, delete deployment, propagation policy orphan")
async def test_an_orphaned_replica_set_keeps_its_pods(kube: Kube, namespace: str) -> None:
    deployments, sets = kube.of("apps/v1", "deployments", namespace), kube.of("apps/v1", "replicasets", namespace)
    made = await deployments.create(deployment("web", {"gc": "web"}, 2))
    (found,) = await sets.until_count(1)
    await sets.until(found["metadata"]["name"], ready_replicas(2), "has two pods")
    await deployments.delete("web", **options(made, "Orphan"))
    await deployments.until_gone("web")
    (left,) = await sets.items()
    assert left["metadata"]["uid"] == found["metadata"]["uid"]
    assert not left["metadata"].get("ownerReferences")
    assert len(await kube.of("v1", "pods", namespace).items()) == 2
