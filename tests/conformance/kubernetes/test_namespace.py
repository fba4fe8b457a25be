"""Namespaces: labels, finalizers, status; and what their deletion takes along."""

from __future__ import annotations

from tests.conformance.kubernetes.client import STRATEGIC, Kube, Object, unique
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import config_map, namespace_object, pod, running, service

FINALIZER = "e2e.example.com/fakeFinalizer"


@behaviour("Namespace patching")
async def test_a_patched_label_is_there(kube: Kube) -> None:
    namespaces = kube.of("v1", "namespaces")
    name = unique("patched")
    made = await namespaces.create(namespace_object(name))
    patched = await namespaces.patch(name, {"metadata": {"labels": {"testLabel": "testValue"}}}, type=STRATEGIC)
    assert int(patched["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    assert (await namespaces.get(name))["metadata"]["labels"]["testLabel"] == "testValue"


@behaviour("Namespace, apply update to a namespace")
async def test_an_updated_label_is_there(kube: Kube) -> None:
    namespaces = kube.of("v1", "namespaces")
    name = unique("updated")
    await namespaces.create(namespace_object(name))
    await namespaces.change(name, lambda ns: ns["metadata"]["labels"].update({name: "updated"}))
    assert await namespaces.names(labels=f"{name}=updated") == [name]


@behaviour("Namespace, apply changes to a namespace status")
async def test_the_status_takes_what_is_patched_and_updated(kube: Kube, namespace: str) -> None:
    namespaces = kube.of("v1", "namespaces")
    assert (await namespaces.get(namespace, "status"))["status"]["phase"] == "Active"
    told = {"type": "StatusPatch", "status": "True", "reason": "E2E", "message": "patched"}
    patch = {"metadata": {"annotations": {"patched-status": namespace}}, "status": {"conditions": [told]}}
    patched = await namespaces.patch(namespace, patch, "status")
    assert patched["metadata"]["annotations"]["patched-status"] == namespace
    assert patched["status"]["conditions"][-1]["message"] == "patched"

    def add(obj: Object) -> None:
        obj["status"]["conditions"].append({**told, "type": "StatusUpdate", "message": "updated"})

    await namespaces.change(namespace, add, "status")
    found = (await namespaces.get(namespace, "status"))["status"]["conditions"]
    assert [each["type"] for each in found] == ["StatusPatch", "StatusUpdate"]
    assert found[-1]["message"] == "updated"


@behaviour("Namespace, apply finalizer to a namespace")
async def test_a_finalizer_of_the_spec_comes_and_goes(kube: Kube, namespace: str) -> None:
    namespaces = kube.of("v1", "namespaces")
    found = await namespaces.get(namespace)
    found["spec"]["finalizers"].append(FINALIZER)
    found = await namespaces.update(found, "finalize")
    assert FINALIZER in (await namespaces.get(namespace))["spec"]["finalizers"]
    found["spec"]["finalizers"].remove(FINALIZER)
    await namespaces.update(found, "finalize")
    assert (await namespaces.get(namespace))["spec"]["finalizers"] == ["kubernetes"]


@behaviour("namespace-deletion-removes-pods")
async def test_pods_go_with_their_namespace(kube: Kube, namespace: str) -> None:
    namespaces, pods = kube.of("v1", "namespaces"), kube.of("v1", "pods", namespace)
    await pods.create(pod("test-pod"))
    await pods.until("test-pod", running, "running")
    await namespaces.delete(namespace)
    await namespaces.until_gone(namespace)
    await namespaces.create(namespace_object(namespace))
    assert await pods.names() == []


@behaviour("namespace-deletion-removes-services")
async def test_services_go_with_their_namespace(kube: Kube, namespace: str) -> None:
    namespaces, services = kube.of("v1", "namespaces"), kube.of("v1", "services", namespace)
    await services.create(service("test-service", {"foo": "bar"}))
    await namespaces.delete(namespace)
    await namespaces.until_gone(namespace)
    await namespaces.create(namespace_object(namespace))
    assert await services.names() == []


@behaviour("Ordered Namespace Deletion")
async def test_other_objects_outlive_the_pods_of_a_namespace(kube: Kube, namespace: str) -> None:
    namespaces = kube.of("v1", "namespaces")
    pods, maps = kube.of("v1", "pods", namespace), kube.of("v1", "configmaps", namespace)
    await pods.create(pod("test-pod", finalizers=["e2e.example.com/finalizer"]))
    await pods.until("test-pod", running, "running")
    await maps.create(config_map("test-map"))
    await namespaces.delete(namespace)

    def stuck(ns: Object) -> bool:
        told = [each["type"] for each in ns["status"].get("conditions") or ()]
        return ns["status"]["phase"] == "Terminating" and "NamespaceDeletionContentFailure" in told

    await namespaces.until(namespace, stuck, "waiting for its pods")
    await pods.until("test-pod", lambda it: it["metadata"].get("deletionTimestamp"), "on its way out")
    assert (await maps.get("test-map"))["metadata"]["name"] == "test-map"
    await pods.patch("test-pod", {"metadata": {"finalizers": None}})
    await pods.until_gone("test-pod")
    await namespaces.until_gone(namespace)
