"""Deployments: rollouts, scaling, history, lifecycle. Their pods run on the hollow node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.conformance.kubernetes import hollow
from tests.conformance.kubernetes.client import STRATEGIC, Collection, Kube, Object, eventually
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import IMAGE, deployment, ready_replicas, replica_set, template

REVISION = "deployment.kubernetes.io/revision"
OTHER = f"{IMAGE}-other"


def of(kube: Kube, namespace: str) -> tuple[Collection, Collection, Collection]:
    """Deployments, their sets, their pods."""
    return (
        kube.of("apps/v1", "deployments", namespace),
        kube.of("apps/v1", "replicasets", namespace),
        kube.of("v1", "pods", namespace),
    )


def complete(replicas: int) -> Callable[[Object], bool]:
    """As clients see that a rollout is over."""

    def holds(obj: Object) -> bool:
        status = obj.get("status") or {}
        counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
        return counts == [replicas] * 3 and status.get("observedGeneration", 0) >= obj["metadata"]["generation"]

    return holds


def image(obj: Object) -> str:
    return str(obj["spec"]["template"]["spec"]["containers"][0]["image"])


def new_image(name: str = OTHER, **annotations: str) -> Object:
    containers = [{"name": "main", "image": name}]
    return {"spec": {"template": {"metadata": {"annotations": annotations}, "spec": {"containers": containers}}}}


def held(labels: dict[str, str]) -> Object:
    """A template whose pods never become ready."""
    return template(labels, annotations={hollow.HOLD: "unready"})


async def set_with(sets: Collection, condition: Callable[[Object], bool]) -> Object:
    async def found() -> Object | None:
        return next((each for each in await sets.items() if condition(each)), None)

    return await eventually(found, "the set is there")


async def until_sizes(sets: Collection, sizes: dict[str, int]) -> None:
    async def reached() -> bool:
        found = {each["metadata"]["name"]: each["spec"]["replicas"] for each in await sets.items()}
        return all(found.get(name) == size for name, size in sizes.items())

    await eventually(reached, f"sets have {sizes}")


@behaviour("Deployment RollingUpdate")
async def test_a_rolling_update_adopts_and_replaces(kube: Kube, namespace: str) -> None:
    deployments, sets, pods = of(kube, namespace)
    labels = {"app": "rolling"}
    old = replica_set("rolling-old", labels, 1)
    old["metadata"]["annotations"] = {REVISION: "3546343826724305832"}
    await sets.create(old)
    await sets.until("rolling-old", ready_replicas(1), "has its pod")
    body = deployment("rolling", labels, 1)
    body["spec"]["template"]["spec"]["containers"][0]["image"] = OTHER
    await deployments.create(body)
    done = await deployments.until("rolling", complete(1), "complete")
    assert done["metadata"]["annotations"][REVISION] == "3546343826724305833"
    adopted = await sets.until("rolling-old", lambda rs: rs["status"].get("replicas") == 0, "empty")
    assert adopted["spec"]["replicas"] == 0
    assert adopted["metadata"]["ownerReferences"][0]["uid"] == done["metadata"]["uid"]
    assert [each["spec"]["containers"][0]["image"] for each in await pods.until_count(1)] == [OTHER]


@behaviour("Deployment Recreate")
async def test_recreate_never_runs_two_versions(kube: Kube, namespace: str) -> None:
    deployments, sets, pods = of(kube, namespace)
    await deployments.create(deployment("again", {"app": "again"}, 1, strategy={"type": "Recreate"}))
    await deployments.until("again", complete(1), "complete")
    async with pods.watching(resourceVersion=(await pods.list())["metadata"]["resourceVersion"]) as watch:
        await deployments.patch("again", new_image(), type=STRATEGIC)
        await deployments.until("again", complete(1), "complete again")
        alive = set(await sets.names())
        assert len(alive) == 2
        seen: list[tuple[str, str]] = []
        while not seen or seen[-1][0] != "ADDED":
            event = await watch.next()
            seen.append((event.type, event.object["spec"]["containers"][0]["image"]))
    assert ("DELETED", IMAGE) in seen  # before the first pod of the new version
    assert seen[-1] == ("ADDED", OTHER)


@behaviour("Deployment RevisionHistoryLimit")
async def test_old_sets_beyond_the_limit_are_cleaned_up(kube: Kube, namespace: str) -> None:
    deployments, sets, _ = of(kube, namespace)
    labels = {"app": "cleanup"}
    await sets.create(replica_set("cleanup-old", labels, 1))
    await sets.until("cleanup-old", ready_replicas(1), "has its pod")
    body = deployment("cleanup", labels, 1, revisionHistoryLimit=0)
    body["spec"]["template"]["spec"]["containers"][0]["image"] = OTHER
    await deployments.create(body)
    await deployments.until("cleanup", complete(1), "complete")
    await sets.until_gone("cleanup-old")
    assert len(await sets.items()) == 1


@behaviour("Deployment Rollover")
async def test_a_rollout_gives_way_to_the_next(kube: Kube, namespace: str) -> None:
    deployments, sets, pods = of(kube, namespace)
    await sets.create(replica_set("rollover-old", {"app": "rollover", "pod": "old"}, 1))
    await sets.until("rollover-old", ready_replicas(1), "has its pod")
    limits = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    labels = {"app": "rollover"}
    await deployments.create(deployment("rollover", labels, 1, strategy=limits, template=held(labels)))
    first = await set_with(
        sets, lambda rs: rs["metadata"]["name"] != "rollover-old" and rs["status"].get("replicas") == 1
    )
    assert (await sets.get("rollover-old"))["spec"]["replicas"] == 1  # the new one is not ready: the old one stays
    patch = new_image()
    patch["spec"]["template"]["metadata"] = {"annotations": None}
    await deployments.patch("rollover", patch, type=STRATEGIC)
    done = await deployments.until("rollover", complete(1), "complete")
    assert done["metadata"]["annotations"][REVISION] == "2"
    assert image(done) == OTHER
    await until_sizes(sets, {"rollover-old": 0, first["metadata"]["name"]: 0})
    await pods.until_count(1)


@behaviour("Deployment Proportional Scaling")
async def test_scaling_amid_a_rollout_is_shared_in_proportion(kube: Kube, namespace: str) -> None:
    deployments, sets, _ = of(kube, namespace)
    labels = {"app": "proportional"}
    limits = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    await deployments.create(deployment("proportional", labels, 10, strategy=limits))
    await deployments.until("proportional", complete(10), "complete")
    (first,) = await sets.items()
    await deployments.patch("proportional", {"spec": {"template": held(labels)}}, type=STRATEGIC)
    old = first["metadata"]["name"]
    second = await set_with(sets, lambda rs: rs["metadata"]["name"] != old)
    new = second["metadata"]["name"]
    await until_sizes(sets, {old: 8, new: 5})
    await sets.until(old, lambda rs: rs["status"].get("availableReplicas") == 8, "has 8 available")
    assert (await sets.get(new))["status"].get("availableReplicas", 0) == 0
    found = await deployments.get("proportional")
    assert found["status"]["availableReplicas"] >= 8
    await deployments.patch("proportional", {"spec": {"replicas": 30}})
    await until_sizes(sets, {old: 20, new: 13})


@behaviour("Deployment, completes the scaling of a Deployment subresource")
async def test_a_deployment_is_scaled_by_its_subresource(kube: Kube, namespace: str) -> None:
    deployments, _, _ = of(kube, namespace)
    await deployments.create(deployment("scaled", {"app": "scaled"}, 1))
    await deployments.until("scaled", complete(1), "complete")
    await scale(deployments, "scaled", "app=scaled")


async def scale(objects: Collection, name: str, selector: str) -> None:
    """Reads, updates and patches `scale`: 1, 2, 4."""
    found = await objects.get(name, "scale")
    assert (found["kind"], found["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert found["spec"]["replicas"] == found["status"]["replicas"] == 1
    assert found["status"]["selector"] == selector
    found["spec"]["replicas"] = 2
    assert (await objects.update(found, "scale"))["spec"]["replicas"] == 2
    assert (await objects.get(name))["spec"]["replicas"] == 2
    patched = await objects.patch(name, {"spec": {"replicas": 4}}, "scale", type=STRATEGIC)
    assert patched["spec"]["replicas"] == 4
    await objects.until(name, ready_replicas(4), "scaled to 4")


@behaviour("Deployment, completes the lifecycle of a Deployment")
async def test_the_life_of_a_deployment(kube: Kube, namespace: str) -> None:
    deployments, _, _ = of(kube, namespace)
    labels = {"life": namespace}
    async with deployments.watching(f"life={namespace}") as watch:
        await deployments.create(deployment("life", labels, 2))
        assert (await watch.next()).type == "ADDED"
        await watch.wait("MODIFIED", ready_replicas(2))
        await deployments.patch("life", {"metadata": {"labels": {"patched": "yes"}}, **new_image()}, type=STRATEGIC)
        await watch.wait("MODIFIED", lambda obj: obj["metadata"]["labels"].get("patched") == "yes")
        await deployments.until("life", complete(2), "complete")
        assert await deployments.everywhere().names(f"life={namespace}") == ["life"]

        def grow(obj: Object) -> None:
            obj["spec"]["replicas"] = 3

        await deployments.change("life", grow)
        await deployments.until("life", complete(3), "complete with three")
        assert (await deployments.get("life", "status"))["status"]["replicas"] == 3
        told = {"type": "Patched", "status": "True", "reason": "Test", "message": "patched"}
        patched = await deployments.patch("life", {"status": {"conditions": [told]}}, "status", type=STRATEGIC)
        assert "Patched" in [each["type"] for each in patched["status"]["conditions"]]
        await deployments.patch("life", {"metadata": {"annotations": {"seen": "yes"}}}, "status")
        await deployments.delete_all(f"life={namespace}")
        await watch.wait("DELETED")


async def status_is_written(objects: Collection, name: str, selector: str) -> None:
    """Get, update and patch of `/status`: conditions that nobody computes stay, and a watch sees them."""
    await objects.get(name, "status")
    told = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from e2e test"}

    def add(obj: Object) -> None:
        obj["status"].setdefault("conditions", []).append(told)

    def has(type: str, reason: str) -> Callable[[Object], Any]:
        return lambda obj: (
            (type, reason)
            in [(each["type"], each.get("reason")) for each in (obj.get("status") or {}).get("conditions") or ()]
        )

    start = (await objects.list())["metadata"]["resourceVersion"]
    async with objects.watching(selector, resourceVersion=start) as watch:
        await objects.change(name, add, "status")
        await watch.wait("MODIFIED", has("StatusUpdate", "E2E"))
        patch = {"status": {"conditions": [{"type": "StatusPatched", "status": "True"}]}}
        await objects.patch(name, patch, "status")
        seen = await watch.wait("MODIFIED", lambda obj: "StatusPatched" in str(obj["status"].get("conditions")))
        assert "StatusPatched" in [each["type"] for each in seen.object["status"]["conditions"]]


@behaviour("Deployment, status sub-resource")
async def test_the_status_of_a_deployment(kube: Kube, namespace: str) -> None:
    deployments, _, _ = of(kube, namespace)
    await deployments.create(deployment("told", {"app": "told"}, 1))
    await deployments.until("told", complete(1), "complete")
    await status_is_written(deployments, "told", "app=told")


@behaviour("ReplicaSet, status sub-resource")
async def test_the_status_of_a_replica_set(kube: Kube, namespace: str) -> None:
    _, sets, _ = of(kube, namespace)
    await sets.create(replica_set("told", {"app": "told"}, 1))
    await sets.until("told", ready_replicas(1), "has its pod")
    await status_is_written(sets, "told", "app=told")
