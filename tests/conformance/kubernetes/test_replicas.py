"""ReplicaSets and ReplicationControllers: adopting, letting go, scaling, lists. Their pods run on the hollow node."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.kubernetes.client import STRATEGIC, Collection, Kube, Object, eventually
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import (
    pod,
    ready_replicas,
    replica_set,
    replication_controller,
    running,
)
from tests.conformance.kubernetes.test_deployments import scale

Maker = Callable[..., Object]
SETS, CONTROLLERS = ("apps/v1", "replicasets"), ("v1", "replicationcontrollers")


def controller_of(obj: Object) -> str:
    return next((each["uid"] for each in obj["metadata"].get("ownerReferences") or () if each.get("controller")), "")


async def adopts(owners: Collection, pods: Collection, made: Object) -> Object:
    """A pod that was there first becomes the owner's."""
    name = made["metadata"]["name"]
    stranger = await pods.create(pod(f"{name}-stranger", {"name": name}))
    await pods.until(stranger["metadata"]["name"], running, "running")
    owner = await owners.create(made)
    uid = owner["metadata"]["uid"]
    adopted = await pods.until(stranger["metadata"]["name"], lambda it: controller_of(it) == uid, "adopted")
    assert adopted["metadata"]["uid"] == stranger["metadata"]["uid"]
    return owner


async def releases(pods: Collection, owner: Object) -> None:
    """A pod that no longer matches is let go, and replaced."""
    uid, label = owner["metadata"]["uid"], owner["metadata"]["name"]

    async def own() -> Object | None:
        return next((each for each in await pods.items(f"name={label}") if controller_of(each) == uid), None)

    name = (await eventually(own, "a pod of its own"))["metadata"]["name"]
    await pods.patch(name, {"metadata": {"labels": {"name": "not-matching"}}})
    await pods.until(name, lambda it: not controller_of(it), "let go")
    (other,) = await pods.until_count(1, f"name={label}")
    assert other["metadata"]["name"] != name


@behaviour("Replica Set, adopt matching pods and release non matching pods")
async def test_a_replica_set_adopts_and_lets_go(kube: Kube, namespace: str) -> None:
    sets, pods = kube.of(*SETS, namespace), kube.of("v1", "pods", namespace)
    owner = await adopts(sets, pods, replica_set("adopter", {"name": "adopter"}, 1))
    await releases(pods, owner)


@behaviour("Replication Controller, adopt matching pods")
async def test_a_controller_adopts(kube: Kube, namespace: str) -> None:
    controllers, pods = kube.of(*CONTROLLERS, namespace), kube.of("v1", "pods", namespace)
    await adopts(controllers, pods, replication_controller("adopter", {"name": "adopter"}, 1))


@behaviour("Replication Controller, release pods")
async def test_a_controller_lets_go(kube: Kube, namespace: str) -> None:
    controllers, pods = kube.of(*CONTROLLERS, namespace), kube.of("v1", "pods", namespace)
    owner = await controllers.create(replication_controller("letting", {"name": "letting"}, 1))
    await releases(pods, owner)


@behaviour("ReplicaSet, completes the scaling of a ReplicaSet subresource")
async def test_a_replica_set_is_scaled_by_its_subresource(kube: Kube, namespace: str) -> None:
    sets = kube.of(*SETS, namespace)
    await sets.create(replica_set("scaled", {"name": "scaled"}, 1))
    await sets.until("scaled", ready_replicas(1), "has its pod")
    await scale(sets, "scaled", "name=scaled")


@behaviour("Replication Controller, get and update ReplicationController scale")
async def test_a_controller_is_scaled_by_its_subresource(kube: Kube, namespace: str) -> None:
    controllers = kube.of(*CONTROLLERS, namespace)
    await controllers.create(replication_controller("scaled", {"name": "scaled"}, 1))
    await controllers.until("scaled", ready_replicas(1), "has its pod")
    found = await controllers.get("scaled", "scale")
    assert found["spec"]["replicas"] == 1
    found["spec"]["replicas"] = 2
    assert (await controllers.update(found, "scale"))["spec"]["replicas"] == 2
    await controllers.until("scaled", ready_replicas(2), "scaled to 2")


@behaviour("ReplicaSet, is created, Replaced and Patched")
async def test_a_replica_set_is_replaced_and_patched(kube: Kube, namespace: str) -> None:
    sets, pods = kube.of(*SETS, namespace), kube.of("v1", "pods", namespace)
    await sets.create(replica_set("changing", {"name": "changing"}, 1))
    await sets.until("changing", ready_replicas(1), "has its pod")

    def two(obj: Object) -> None:
        obj["spec"]["replicas"] = 2

    await sets.change("changing", two)
    await sets.until("changing", ready_replicas(2), "has two pods")
    container = {"name": "main", "image": "registry.k8s.io/pause:3.9"}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    patch = {"metadata": {"labels": {"patched": "yes"}}, "spec": {"replicas": 3, "template": {"spec": spec}}}
    patched = await sets.patch("changing", patch, type=STRATEGIC)
    assert patched["metadata"]["labels"]["patched"] == "yes"
    assert patched["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 0
    assert patched["spec"]["template"]["spec"]["containers"][0]["image"].endswith("3.9")
    await sets.until("changing", ready_replicas(3), "has three pods")
    images = [each["spec"]["containers"][0]["image"] for each in await pods.items("name=changing")]
    assert sum(image.endswith("3.9") for image in images) == 1  # the others were there before the template changed


@behaviour("ReplicaSet, list and delete a collection of ReplicaSets")
async def test_replica_sets_are_listed_and_deleted_by_label(kube: Kube, namespace: str) -> None:
    sets = kube.of(*SETS, namespace)
    await sets.create(replica_set("listed", {"e2e": namespace}, 3))
    await sets.until("listed", ready_replicas(3), "has three pods")
    assert await sets.everywhere().names(f"e2e={namespace}") == ["listed"]
    await sets.delete_all(f"e2e={namespace}")
    await sets.until_names([], f"e2e={namespace}")


@pytest.mark.parametrize(
    ("resource", "make"),
    [
        pytest.param(SETS, replica_set, marks=behaviour("Replica Set, run basic image"), id="set"),
        pytest.param(
            CONTROLLERS, replication_controller, marks=behaviour("Replication Controller, run basic image"), id="rc"
        ),
    ],
)
async def test_every_replica_runs(kube: Kube, namespace: str, resource: tuple[str, str], make: Maker) -> None:
    """That each answers when it is dialled is for pods with processes; here each is Running, with an address of its own."""
    owners, pods = kube.of(*resource, namespace), kube.of("v1", "pods", namespace)
    await owners.create(make("basic", {"name": "basic"}, 2))
    await owners.until("basic", ready_replicas(2), "has two pods")
    found = await pods.items("name=basic")
    assert [each["status"]["phase"] for each in found] == ["Running", "Running"]
    assert len({each["status"]["podIP"] for each in found}) == 2


@behaviour("Replication Controller, check for issues like exceeding allocated quota")
async def test_a_failure_to_create_is_told_and_taken_back(kube: Kube, namespace: str) -> None:
    controllers, quotas = kube.of(*CONTROLLERS, namespace), kube.of("v1", "resourcequotas", namespace)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "two"}, "spec": {"hard": {"pods": "2"}}}
    await quotas.create(quota)
    await quotas.until("two", lambda it: (it.get("status") or {}).get("hard"), "counted")
    await controllers.create(replication_controller("many", {"name": "many"}, 3))

    def failing(obj: Object) -> bool:
        told = {each["type"]: each for each in obj["status"].get("conditions") or ()}
        return "ReplicaFailure" in told and told["ReplicaFailure"]["status"] == "True"

    await controllers.until("many", failing, "says that it fails")

    def fewer(obj: Object) -> None:
        obj["spec"]["replicas"] = 2

    await controllers.change("many", fewer)
    await controllers.until("many", lambda obj: not failing(obj), "says no more that it fails")


@behaviour("Replication Controller, lifecycle")
async def test_the_life_of_a_controller(kube: Kube, namespace: str) -> None:
    controllers = kube.of(*CONTROLLERS, namespace)
    labels = {"life": namespace}
    async with controllers.watching(f"life={namespace}") as watch:
        await controllers.create(replication_controller("life", labels, 1))
        assert (await watch.next()).type == "ADDED"
        await watch.wait("MODIFIED", ready_replicas(1))
        await controllers.patch("life", {"metadata": {"labels": {"test": "patched"}}}, type=STRATEGIC)
        await watch.wait("MODIFIED", lambda obj: obj["metadata"]["labels"].get("test") == "patched")
        told = {"status": {"readyReplicas": 0, "availableReplicas": 0}}
        patched = await controllers.patch("life", told, "status", type=STRATEGIC)
        assert patched["status"].get("readyReplicas", 0) == 0
        await watch.wait("MODIFIED", lambda obj: not obj["status"].get("readyReplicas"))
        await watch.wait("MODIFIED", ready_replicas(1))  # the controller knows better
        assert (await controllers.get("life", "status"))["status"]["readyReplicas"] == 1
        await controllers.patch("life", {"spec": {"replicas": 2}}, "scale", type=STRATEGIC)
        await watch.wait("MODIFIED", lambda obj: obj["spec"]["replicas"] == 2)
        await watch.wait("MODIFIED", ready_replicas(2))

        def less(obj: Object) -> None:
            obj["status"].update(availableReplicas=1, readyReplicas=1)

        updated = await controllers.change("life", less, "status")
        assert updated["status"]["readyReplicas"] == 1
        await watch.wait("MODIFIED", ready_replicas(2))
        (found,) = await controllers.everywhere().items(f"life={namespace}")
        assert found["spec"]["replicas"] == 2
        await controllers.delete_all(f"life={namespace}")
        await watch.wait("DELETED")
