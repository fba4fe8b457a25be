"""Pods as objects: lists, lives, generations, quality of service, what is refused. They run on the hollow node."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.kubernetes.client import STRATEGIC, Collection, Kube, Object, refused, unique
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import IMAGE, pod, pod_spec, running


def pods_of(kube: Kube, namespace: str) -> Collection:
    return kube.of("v1", "pods", namespace)


def seen(generation: int) -> Any:
    """The node has seen this generation."""
    return lambda obj: obj["status"].get("observedGeneration") == generation == obj["metadata"]["generation"]


@behaviour("Pods, lifecycle")
async def test_a_pod_comes_and_goes_before_the_eyes_of_a_watch(kube: Kube, namespace: str) -> None:
    pods = pods_of(kube, namespace)
    assert await pods.names("time=now") == []
    start = (await pods.list("time=now"))["metadata"]["resourceVersion"]
    async with pods.watching("time=now", resourceVersion=start) as watch:
        await pods.create(pod("p", {"time": "now"}))
        assert (await watch.next()).type == "ADDED"
        await watch.wait("MODIFIED", running)
        assert await pods.names("time=now") == ["p"]
        await pods.delete("p", gracePeriodSeconds=30)
        leaving = await watch.wait("MODIFIED", lambda obj: obj["metadata"].get("deletionTimestamp"))
        assert leaving.object["metadata"]["deletionGracePeriodSeconds"] == 30
        gone = await watch.wait("DELETED")
        assert gone.object["metadata"]["deletionTimestamp"]
    assert await pods.names("time=now") == []


@behaviour("Pods, update")
async def test_an_updated_label_is_found(kube: Kube, namespace: str) -> None:
    pods = pods_of(kube, namespace)
    await pods.create(pod("p", {"time": "created"}))
    await pods.until("p", running, "running")
    assert await pods.names("time=created") == ["p"]
    await pods.change("p", lambda obj: obj["metadata"]["labels"].update(time="updated"))
    assert await pods.names("time=updated") == ["p"]
    assert await pods.names("time=created") == []


@behaviour("Pods, delete a collection")
async def test_pods_are_deleted_by_label(kube: Kube, namespace: str) -> None:
    pods = pods_of(kube, namespace)
    for number in (1, 2, 3):
        await pods.create(pod(f"p{number}", {"type": "Testing"}))
        await pods.until(f"p{number}", running, "running")
    await pods.delete_all("type=Testing")
    await pods.until_names([], "type=Testing")


@behaviour("Pods, assigned hostip")
async def test_a_running_pod_tells_the_address_of_its_node(kube: Kube, namespace: str) -> None:
    pods = pods_of(kube, namespace)
    await pods.create(pod("p"))
    found = await pods.until("p", running, "running")
    assert found["status"]["hostIP"] == "127.0.0.1"
    assert found["spec"]["nodeName"]


@behaviour("Pods, patching status")
async def test_a_patched_status_is_there(kube: Kube, namespace: str) -> None:
    pods = pods_of(kube, namespace)
    await pods.create(pod("p", {"test": "status"}))
    await pods.until("p", running, "running")
    assert await pods.names("test=status") == ["p"]
    patched = await pods.patch(
        "p", {"status": {"message": "Patched by a test", "reason": "E2E"}}, "status", type=STRATEGIC
    )
    assert (patched["status"]["message"], patched["status"]["reason"]) == ("Patched by a test", "E2E")
    assert (await pods.get("p", "status"))["status"]["reason"] == "E2E"


@behaviour("Pods, completes the lifecycle of a Pod and the PodStatus")
async def test_the_life_of_a_pod_and_of_its_status(kube: Kube, namespace: str) -> None:
    pods, life = pods_of(kube, namespace), f"life={namespace}"
    async with pods.watching(life) as watch:
        await pods.create(pod("p", {"life": namespace}))
        await watch.wait("MODIFIED", lambda obj: ready(obj) == "True")
        container = {"name": "main", "image": "registry.k8s.io/pause:3.9"}
        patch = {"metadata": {"labels": {"test-pod": "patched"}}, "spec": {"terminationGracePeriodSeconds": 30}}
        patch["spec"]["containers"] = [container]
        await pods.patch("p", patch, type=STRATEGIC)
        found = await pods.get("p")
        assert found["metadata"]["labels"]["test-pod"] == "patched"
        assert found["spec"]["containers"][0]["image"].endswith("3.9")

        def fail(obj: Object) -> None:
            for told in obj["status"]["conditions"]:
                if told["type"] == "Ready":
                    told["status"] = "False"

        updated = await pods.change("p", fail, "status")
        assert ready(updated) == "False"
        await pods.delete_all(life)
        await watch.wait("DELETED")


def ready(obj: Object) -> str:
    return next((each["status"] for each in obj["status"].get("conditions") or () if each["type"] == "Ready"), "")


@behaviour("Pods, QOS")
async def test_equal_requests_and_limits_are_guaranteed(kube: Kube, namespace: str) -> None:
    amounts = {"cpu": "100m", "memory": "100Mi"}
    resources = {"limits": amounts, "requests": amounts}
    container = {"name": "main", "image": IMAGE, "resources": resources}
    made = await pods_of(kube, namespace).create(pod("p", spec={"containers": [container]}))
    assert made["status"]["qosClass"] == "Guaranteed"


@behaviour("Pods Generation, updates")
async def test_a_generation_counts_changes_of_the_spec(kube: Kube, namespace: str) -> None:
    pods = pods_of(kube, namespace)
    init = {"name": "init", "image": IMAGE}
    made = await pods.create(pod("p", spec=pod_spec(initContainers=[init])))
    assert made["metadata"]["generation"] == 1
    await pods.until("p", seen(1), "seen by its node")

    def tolerate(obj: Object) -> None:
        tolerations = obj["spec"].setdefault("tolerations", [])
        tolerations.append({"key": "foo", "operator": "Equal", "value": "bar", "effect": "NoSchedule"})

    def deadline(obj: Object) -> None:
        obj["spec"]["activeDeadlineSeconds"] = 5000

    def image(obj: Object) -> None:
        obj["spec"]["containers"][0]["image"] = f"{IMAGE}-other"

    def init_image(obj: Object) -> None:
        obj["spec"]["initContainers"][0]["image"] = f"{IMAGE}-other"

    def annotate(obj: Object) -> None:
        obj["metadata"]["annotations"] = {"key": "value"}

    def claim(obj: Object) -> None:
        obj["metadata"]["generation"] = 1

    expected = 1
    for change, counts in (
        (lambda _: None, 0),
        (tolerate, 1),
        (deadline, 1),
        (image, 1),
        (init_image, 1),
        (annotate, 0),
        (claim, 0),
    ):
        expected += counts
        await pods.change("p", change)
        assert (await pods.get("p"))["metadata"]["generation"] == expected
        await pods.until("p", seen(expected), "seen by its node")


@behaviour("Pods Generation, graceful delete")
async def test_asking_a_pod_to_go_counts_as_a_change(kube: Kube, namespace: str) -> None:
    pods = pods_of(kube, namespace)
    body = pod("p", finalizers=["e2e.example.com/hold"])
    body["metadata"]["generation"] = 100
    made = await pods.create(body)
    assert made["metadata"]["generation"] == 1
    await pods.until("p", running, "running")
    await pods.delete("p", gracePeriodSeconds=30)
    assert (await pods.get("p"))["metadata"]["generation"] == 2
    await pods.patch("p", {"metadata": {"finalizers": None}})
    await pods.until_gone("p")


@behaviour("Pods Generation, 500 updates")
async def test_five_hundred_updates_are_counted(kube: Kube, namespace: str) -> None:
    pods = pods_of(kube, namespace)
    await pods.create(pod("p"))
    for number in range(499):
        await pods.patch("p", [{"op": "replace", "path": "/spec/containers/0/image", "value": f"{IMAGE}-{number}"}])
    assert (await pods.get("p"))["metadata"]["generation"] == 500
    await pods.until("p", seen(500), "seen by its node")


@behaviour("Ephemeral Container, update ephemeral containers")
async def test_ephemeral_containers_are_added_one_by_one(kube: Kube, namespace: str) -> None:
    """That they run is for pods with processes."""
    pods = pods_of(kube, namespace)
    await pods.create(pod("p"))
    await pods.until("p", running, "running")
    patch = {"spec": {"ephemeralContainers": [{"name": "debugger", "image": IMAGE, "stdin": True}]}}
    await pods.patch("p", patch, "ephemeralcontainers", type=STRATEGIC)
    found = await pods.get("p", "ephemeralcontainers")
    assert [each["name"] for each in found["spec"]["ephemeralContainers"]] == ["debugger"]
    second = {"name": "debugger2", "image": IMAGE}
    await pods.change("p", lambda obj: obj["spec"]["ephemeralContainers"].append(second), "ephemeralcontainers")
    found = await pods.get("p")
    assert [each["name"] for each in found["spec"]["ephemeralContainers"]] == ["debugger", "debugger2"]
    assert found["spec"]["ephemeralContainers"][1]["terminationMessagePath"] == "/dev/termination-log"


@behaviour("In-place Pod Resize, read and replace endpoints")
async def test_resize_is_read_and_replaced(kube: Kube, namespace: str) -> None:
    """That the node gives the pod what it asks for is for pods with processes."""
    pods = pods_of(kube, namespace)
    resources = {"requests": {"cpu": "10m", "memory": "20Mi"}, "limits": {"cpu": "20m", "memory": "40Mi"}}
    await pods.create(pod("p", spec={"containers": [{"name": "main", "image": IMAGE, "resources": resources}]}))
    await pods.until("p", running, "running")
    wanted = {"requests": {"cpu": "15m", "memory": "20Mi"}, "limits": {"cpu": "30m", "memory": "40Mi"}}

    def resize(obj: Object) -> None:
        obj["spec"]["containers"][0]["resources"] = wanted

    resized = await pods.change("p", resize, "resize")
    assert resized["spec"]["containers"][0]["resources"] == wanted
    assert resized["metadata"]["generation"] == 2
    await pods.until("p", seen(2), "seen by its node")
    assert await pods.get("p", "resize") == await pods.get("p")


@behaviour("Sysctls, reject invalid sysctls")
async def test_names_of_sysctls_are_checked(kube: Kube, namespace: str) -> None:
    names = ("foo-", "kernel.shmmax", "safe-and-unsafe", "bar..")
    context = {"sysctls": [{"name": name, "value": "42"} for name in names]}
    with refused(422, "Invalid") as told:
        await pods_of(kube, namespace).create(pod("p", spec=pod_spec(securityContext=context)))
    message = told[0].message
    assert 'Invalid value: "foo-"' in message
    assert 'Invalid value: "bar.."' in message
    assert "safe-and-unsafe" not in message
    assert "kernel.shmmax" not in message


def runtime_class(name: str, **more: Any) -> Object:
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": name},
        "handler": "fake",
        **more,
    }


@behaviour("Pod with the non-existing RuntimeClass is rejected.")
async def test_a_runtime_class_must_be_there(kube: Kube, namespace: str) -> None:
    with refused(403, "Forbidden"):
        await pods_of(kube, namespace).create(pod("p", spec=pod_spec(runtimeClassName="no-such")))


@behaviour("Pod with the deleted RuntimeClass is rejected.")
async def test_a_runtime_class_that_was_deleted_is_not_there(kube: Kube, namespace: str) -> None:
    classes, name = kube.of("node.k8s.io/v1", "runtimeclasses"), unique("runtime")
    await classes.create(runtime_class(name))
    await classes.delete(name)
    await classes.until_gone(name)
    with refused(403, "Forbidden"):
        await pods_of(kube, namespace).create(pod("p", spec=pod_spec(runtimeClassName=name)))


OVERHEAD = {"cpu": "10m", "memory": "1Mi"}


@pytest.mark.parametrize(
    ("more", "overhead"),
    [
        pytest.param({}, None, marks=behaviour("Can schedule a pod requesting existing RuntimeClass."), id="plain"),
        pytest.param(
            {"overhead": {"podFixed": OVERHEAD}},
            OVERHEAD,
            marks=behaviour("RuntimeClass Overhead field must be respected."),
            id="overhead",
        ),
    ],
)
async def test_a_pod_of_a_runtime_class_is_scheduled(
    kube: Kube, namespace: str, more: Object, overhead: Object | None
) -> None:
    name = unique("runtime")
    await kube.of("node.k8s.io/v1", "runtimeclasses").create(runtime_class(name, **more))
    pods = pods_of(kube, namespace)
    made = await pods.create(pod("p", spec=pod_spec(runtimeClassName=name)))
    assert made["spec"].get("overhead") == overhead
    await pods.until("p", lambda obj: obj["spec"].get("nodeName"), "scheduled")
