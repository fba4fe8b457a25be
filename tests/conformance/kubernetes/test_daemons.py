"""DaemonSets on the hollow nodes: a pod on each, what happens when one fails, updates, and the revisions they leave."""

from __future__ import annotations

from typing import Any

from tests.conformance.kubernetes import hollow
from tests.conformance.kubernetes.client import STRATEGIC, Collection, Kube, Object, eventually, unique
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import IMAGE, running, workload

OTHER = f"{IMAGE}-other"


def daemon_set(name: str, **selector: str) -> Object:
    """On hollow nodes: `selector` narrows them further."""
    made = workload("DaemonSet", name, {"daemonset-name": name}, None)
    made["spec"]["template"]["spec"] = {
        **made["spec"]["template"]["spec"],
        "nodeSelector": {"kubernetes.io/os": "linux", **selector},
    }
    return made


class Daemons:
    """The DaemonSets, pods and revisions of a namespace."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.sets = kube.of("apps/v1", "daemonsets", namespace)
        self.pods = kube.of("v1", "pods", namespace)
        self.revisions = kube.of("apps/v1", "controllerrevisions", namespace)

    async def until_on(self, name: str, nodes: tuple[str, ...], **fields: Any) -> list[Object]:
        """Running on these nodes and no others, and the status says so. `fields` are of the status."""
        selector = f"daemonset-name={name}"

        async def there() -> list[Object] | None:
            found = [each for each in await self.pods.items(selector) if not each["metadata"].get("deletionTimestamp")]
            on = sorted(each["spec"].get("nodeName", "") for each in found)
            return found if on == sorted(nodes) and all(map(running, found)) else None

        await eventually(there, f"{name} on {nodes}")
        wanted = {"desiredNumberScheduled": len(nodes), "currentNumberScheduled": len(nodes), **fields}

        def told(obj: Object) -> bool:
            status = obj.get("status") or {}
            if status.get("observedGeneration", 0) < obj["metadata"]["generation"]:
                return False
            return all(status.get(key, 0) == value for key, value in wanted.items())

        await self.sets.until(name, told, f"says {wanted}")
        found: list[Object] = await eventually(there, f"{name} on {nodes}")
        return found


def image(obj: Object) -> str:
    return str(obj["spec"]["containers"][0]["image"])


@behaviour("DaemonSet-Creation")
async def test_a_pod_on_every_node_and_another_when_it_goes(kube: Kube, namespace: str) -> None:
    daemons = Daemons(kube, namespace)
    await daemons.sets.create(daemon_set("simple"))
    first, _ = await daemons.until_on("simple", hollow.NAMES, numberReady=2, numberAvailable=2)
    await daemons.pods.delete(first["metadata"]["name"])
    found = await daemons.until_on("simple", hollow.NAMES)
    assert first["metadata"]["uid"] not in [each["metadata"]["uid"] for each in found]


@behaviour("DaemonSet-NodeSelection")
async def test_pods_follow_the_labels_of_nodes(kube: Kube, namespace: str) -> None:
    daemons, nodes, key = Daemons(kube, namespace), kube.of("v1", "nodes"), unique("color")
    await daemons.sets.create(daemon_set("complex", **{key: "blue"}))
    await daemons.sets.until("complex", lambda obj: (obj.get("status") or {}).get("observedGeneration"), "seen")
    assert await daemons.pods.items("daemonset-name=complex") == []
    node = hollow.NAMES[0]
    await nodes.patch(node, {"metadata": {"labels": {key: "blue"}}})
    await daemons.until_on("complex", (node,))
    await nodes.patch(node, {"metadata": {"labels": {key: "green"}}})
    await daemons.pods.until_count(0, "daemonset-name=complex")
    selector = {"spec": {"template": {"spec": {"nodeSelector": {key: "green"}}}}}
    await daemons.sets.patch(
        "complex", {**selector, "spec": {**selector["spec"], "updateStrategy": {"type": "RollingUpdate"}}}
    )
    await daemons.until_on("complex", (node,))
    await nodes.patch(node, {"metadata": {"labels": {key: None}}})


@behaviour("DaemonSet-FailedPodCreation")
async def test_a_pod_that_failed_is_replaced(kube: Kube, namespace: str) -> None:
    daemons = Daemons(kube, namespace)
    await daemons.sets.create(daemon_set("failing"))
    first, _ = await daemons.until_on("failing", hollow.NAMES)
    await daemons.pods.patch(first["metadata"]["name"], {"status": {"phase": "Failed"}}, "status")
    await daemons.pods.until_gone(first["metadata"]["name"])
    await daemons.until_on("failing", hollow.NAMES)


async def roll(daemons: Daemons, name: str, to: str, **annotations: str) -> None:
    template = {
        "metadata": {"annotations": annotations or None},
        "spec": {"containers": [{"name": "main", "image": to}]},
    }
    await daemons.sets.patch(name, {"spec": {"template": template}}, type=STRATEGIC)


@behaviour("DaemonSet-RollingUpdate")
async def test_a_new_template_reaches_every_node(kube: Kube, namespace: str) -> None:
    daemons = Daemons(kube, namespace)
    await daemons.sets.create(daemon_set("rolling"))
    await daemons.until_on("rolling", hollow.NAMES)
    (first,) = await daemons.revisions.items()
    assert first["revision"] == 1
    await roll(daemons, "rolling", OTHER)
    found = await daemons.until_on("rolling", hollow.NAMES, updatedNumberScheduled=2, numberAvailable=2)
    assert [image(each) for each in found] == [OTHER, OTHER]
    revisions = {
        each["revision"]: each["metadata"]["labels"]["controller-revision-hash"]
        for each in await daemons.revisions.items()
    }
    assert sorted(revisions) == [1, 2]
    assert {each["metadata"]["labels"]["controller-revision-hash"] for each in found} == {revisions[2]}


@behaviour("DaemonSet-Rollback")
async def test_going_back_restarts_nobody_needlessly(kube: Kube, namespace: str) -> None:
    daemons = Daemons(kube, namespace)
    await daemons.sets.create(daemon_set("back"))
    await daemons.until_on("back", hollow.NAMES, numberAvailable=2)
    await roll(daemons, "back", "foo:non-existent", **{hollow.HOLD: "unready"})

    async def halfway() -> list[Object] | None:
        found = await daemons.pods.items("daemonset-name=back")
        return found if "foo:non-existent" in map(image, found) and IMAGE in map(image, found) else None

    kept = [each["metadata"]["uid"] for each in await eventually(halfway, "halfway") if image(each) == IMAGE]
    await roll(daemons, "back", IMAGE)
    found = await daemons.until_on("back", hollow.NAMES, updatedNumberScheduled=2, numberAvailable=2)
    assert [image(each) for each in found] == [IMAGE, IMAGE]
    assert set(kept) <= {each["metadata"]["uid"] for each in found}


async def only(revisions: Collection, selector: str, count: int) -> list[Object]:
    return await revisions.until_count(count, selector)


@behaviour("ControllerRevision, resource lifecycle")
async def test_the_life_of_a_revision(kube: Kube, namespace: str) -> None:
    daemons, selector = Daemons(kube, namespace), "daemonset-name=revised"
    made = await daemons.sets.create(daemon_set("revised"))
    await daemons.until_on("revised", hollow.NAMES, numberAvailable=2)
    (first,) = await only(daemons.revisions, selector, 1)
    assert [each["metadata"]["name"] for each in await daemons.revisions.everywhere().items(selector)].count(
        first["metadata"]["name"]
    )
    (reference,) = first["metadata"]["ownerReferences"]
    assert (reference["kind"], reference["uid"]) == ("DaemonSet", made["metadata"]["uid"])
    name = first["metadata"]["name"]
    patched = await daemons.revisions.patch(name, {"metadata": {"labels": {name: "patched"}}}, type=STRATEGIC)
    assert patched["metadata"]["labels"][name] == "patched"
    assert int(patched["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    second = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": "revised-by-hand",
            "labels": {"daemonset-name": "revised", "controller-revision-hash": "by-hand"},
            "ownerReferences": [reference],
        },
        "data": first["data"],
        "revision": first["revision"] + 1,
    }
    await daemons.revisions.create(second)
    await only(daemons.revisions, selector, 2)
    await daemons.revisions.delete(name)
    await only(daemons.revisions, selector, 1)

    def relabel(obj: Object) -> None:
        obj["metadata"]["labels"]["updated"] = namespace

    await daemons.revisions.change("revised-by-hand", relabel)
    assert await daemons.revisions.names(f"updated={namespace}") == ["revised-by-hand"]
    grace = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}
    await daemons.sets.patch("revised", grace, type=STRATEGIC)
    await only(daemons.revisions, selector, 2)
    await daemons.revisions.delete_all(f"updated={namespace}")
    (last,) = await only(daemons.revisions, selector, 1)
    assert last["revision"] == 3
