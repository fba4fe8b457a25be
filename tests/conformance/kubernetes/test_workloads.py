"""Jobs, StatefulSets and DaemonSets as an API: what of their behaviours needs none of their pods."""

from __future__ import annotations

import pytest

from tests.conformance.kubernetes.client import STRATEGIC, Kube, Object
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import IMAGE, workload
from tests.conformance.kubernetes.test_deployments import status_is_written


def stateful_set(name: str, labels: dict[str, str], replicas: int = 0) -> Object:
    return workload("StatefulSet", name, labels, replicas, serviceName="headless")


def daemon_set(name: str, labels: dict[str, str]) -> Object:
    return workload("DaemonSet", name, labels, None)


def job(name: str, labels: dict[str, str], **spec: object) -> Object:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": IMAGE}]}}
    metadata = {"name": name, "labels": labels}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"suspend": True, "template": template, **spec},
    }


@pytest.mark.parametrize(
    ("plural", "make"),
    [
        pytest.param(
            "statefulsets", stateful_set, marks=behaviour("StatefulSet, status sub-resource"), id="statefulset"
        ),
        pytest.param("daemonsets", daemon_set, marks=behaviour("DaemonSet, status sub-resource"), id="daemonset"),
    ],
)
async def test_the_status_of_a_workload(kube: Kube, namespace: str, plural: str, make) -> None:
    objects = kube.of("apps/v1", plural, namespace)
    await objects.create(make("told", {"app": "told"}))
    await status_is_written(objects, "told", "app=told")


@behaviour("DaemonSet, list and delete a collection of DaemonSets")
async def test_daemon_sets_are_listed_and_deleted_by_label(kube: Kube, namespace: str) -> None:
    objects = kube.of("apps/v1", "daemonsets", namespace)
    await objects.create(daemon_set("d", {"e2e": namespace}))
    assert await objects.everywhere().names(f"e2e={namespace}") == ["d"]
    await objects.delete_all(f"e2e={namespace}")
    await objects.until_names([])


@behaviour("StatefulSet, list, patch and delete a collection of StatefulSets")
async def test_stateful_sets_are_listed_patched_and_deleted_by_label(kube: Kube, namespace: str) -> None:
    objects = kube.of("apps/v1", "statefulsets", namespace)
    await objects.create(stateful_set("s", {"e2e": namespace}, 1))
    assert await objects.everywhere().names(f"e2e={namespace}") == ["s"]
    container = {"name": "main", "image": "registry.k8s.io/pause:3.9"}
    patch = {
        "metadata": {"labels": {"test-ss": "patched"}},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [container]}}},
    }
    patched = await objects.patch("s", patch, type=STRATEGIC)
    assert patched["metadata"]["labels"]["test-ss"] == "patched"
    assert patched["spec"]["replicas"] == 2
    assert [each["image"] for each in patched["spec"]["template"]["spec"]["containers"]] == [container["image"]]
    await objects.delete_all(f"e2e={namespace}")
    await objects.until_names([])


@behaviour("StatefulSet resource Replica scaling")
async def test_a_stateful_set_is_scaled_by_its_subresource(kube: Kube, namespace: str) -> None:
    """That the pods follow is for its controller."""
    objects = kube.of("apps/v1", "statefulsets", namespace)
    await objects.create(stateful_set("s", {"app": "s"}, 1))
    scale = await objects.get("s", "scale")
    assert scale["spec"]["replicas"] == 1
    scale["spec"]["replicas"] = 2
    assert (await objects.update(scale, "scale"))["spec"]["replicas"] == 2
    assert (await objects.get("s"))["spec"]["replicas"] == 2
    assert (await objects.patch("s", {"spec": {"replicas": 4}}, "scale", type=STRATEGIC))["spec"]["replicas"] == 4
    assert (await objects.get("s"))["spec"]["replicas"] == 4


@behaviour("Jobs, manage lifecycle")
async def test_the_life_of_a_job(kube: Kube, namespace: str) -> None:
    jobs = kube.of("batch/v1", "jobs", namespace)
    async with jobs.watching(f"life={namespace}") as watch:
        await jobs.create(job("j", {"life": namespace}))
        assert (await watch.next()).type == "ADDED"
        patched = await jobs.patch("j", {"metadata": {"labels": {"j": "patched"}}}, type=STRATEGIC)
        assert patched["metadata"]["labels"]["j"] == "patched"

        def annotate(obj: Object) -> None:
            obj["metadata"].setdefault("annotations", {})["updated"] = "true"

        assert (await jobs.change("j", annotate))["metadata"]["annotations"]["updated"] == "true"
        await watch.wait("MODIFIED", lambda obj: (obj["metadata"].get("annotations") or {}).get("updated") == "true")
        assert await jobs.everywhere().names(f"life={namespace},j=patched") == ["j"]
        await jobs.delete_all("j=patched", propagationPolicy="Background")
        await watch.wait("DELETED")


@behaviour("Jobs, apply changes to status")
async def test_the_status_of_a_job(kube: Kube, namespace: str) -> None:
    jobs = kube.of("batch/v1", "jobs", namespace)
    await jobs.create(job("j", {"app": "j"}))
    started = "2026-01-01T00:00:00Z"

    def suspend(obj: Object) -> None:
        told = {
            "type": "CustomConditionType",
            "status": "True",
            "reason": "E2E",
            "message": "m",
            "lastTransitionTime": started,
        }
        obj["status"]["conditions"] = [*(obj["status"].get("conditions") or []), told]

    await jobs.change("j", suspend, "status")
    patch = {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": {"active": 0}}
    patched = await jobs.patch("j", patch, "status")
    assert patched["metadata"]["annotations"]["patchedstatus"] == "true"
    found = await jobs.get("j", "status")
    assert "CustomConditionType" in [each["type"] for each in found["status"]["conditions"]]
