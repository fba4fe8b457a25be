"""ResourceQuotas: what they count, what they refuse, and that they are an API like others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.kubernetes.client import STRATEGIC, Collection, Kube, Object, eventually, refused
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import (
    IMAGE,
    config_map,
    pod,
    replica_set,
    replication_controller,
    secret,
    service,
)

GPU = "requests.example.com/dongle"
HARD = {
    "pods": "5",
    "services": "10",
    "services.nodeports": "1",
    "services.loadbalancers": "1",
    "replicationcontrollers": "10",
    "resourcequotas": "1",
    "cpu": "1",
    "memory": "500Mi",
    "configmaps": "10",
    "secrets": "10",
    "ephemeral-storage": "50Gi",
    "count/replicasets.apps": "5",
    GPU: "3",
}


def quota(name: str, hard: dict[str, str] | None = None, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    metadata = {"name": name, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard or HARD, **spec}}


async def counted(quotas: Collection, name: str, **used: str) -> None:
    """The status tells the limits, and that so much is used (`_` stands for what a keyword cannot have)."""

    def holds(obj: Object) -> bool:
        status = obj.get("status") or {}
        found = status.get("used") or {}
        return status.get("hard") == obj["spec"]["hard"] and all(
            found.get(key.replace("__", "/").replace("_", ".")) == amount for key, amount in used.items()
        )

    await quotas.until(name, holds, f"counts {used}")


async def ready(kube: Kube, namespace: str) -> Collection:
    quotas, maps = kube.of("v1", "resourcequotas", namespace), kube.of("v1", "configmaps", namespace)
    await eventually(lambda: maps.names(fields="metadata.name=kube-root-ca.crt"), "what every namespace has is there")
    await quotas.create(quota("q"))
    await counted(quotas, "q", resourcequotas="1", pods="0")
    return quotas


def asking(name: str, dongles: int = 0, **amounts: str) -> Object:
    """A pod that requests so much; dongles are requested and limited."""
    requests: dict[str, str] = {key.replace("_", "-"): amount for key, amount in amounts.items()}
    resources: Object = {"requests": requests}
    if dongles:
        requests["example.com/dongle"] = str(dongles)
        resources["limits"] = {"example.com/dongle": str(dongles)}
    body = pod(name, spec={"containers": [{"name": "main", "image": IMAGE, "resources": resources}]})
    body["spec"]["schedulerName"] = "nobody"  # it is about counting: it need not run
    return body


@behaviour("ResourceQuota, object count quota, resourcequotas")
async def test_the_status_is_calculated(kube: Kube, namespace: str) -> None:
    await ready(kube, namespace)


LIVES: list[tuple[Any, str, tuple[str, str], Callable[[], Object], str]] = [
    (
        behaviour("ResourceQuota, object count quota, configmap"),
        "configmaps",
        ("v1", "configmaps"),
        lambda: config_map("m"),
        "configmaps",
    ),
    (
        behaviour("ResourceQuota, object count quota, secret"),
        "secrets",
        ("v1", "secrets"),
        lambda: secret("s", {"data-1": "dmFsdWUtMQ=="}),
        "secrets",
    ),
    (
        behaviour("ResourceQuota, object count quota, replicationController"),
        "replicationcontrollers",
        ("v1", "replicationcontrollers"),
        lambda: replication_controller("rc", {"name": "rc"}, 0),
        "replicationcontrollers",
    ),
    (
        behaviour("ResourceQuota, object count quota, replicaSet"),
        "replicasets",
        ("apps/v1", "replicasets"),
        lambda: replica_set("rs", {"name": "rs"}, 0),
        "count__replicasets_apps",
    ),
]


@pytest.mark.parametrize(
    ("resource", "make", "key"), [pytest.param(r, make, key, marks=mark, id=id) for mark, id, r, make, key in LIVES]
)
async def test_objects_are_counted_while_they_live(
    kube: Kube, namespace: str, resource: tuple[str, str], make: Callable[[], Object], key: str
) -> None:
    quotas, objects = await ready(kube, namespace), kube.of(*resource, namespace)
    before = len(await objects.items())
    made = await objects.create(make())
    await counted(quotas, "q", **{key: str(before + 1)})
    await objects.delete(made["metadata"]["name"])
    await counted(quotas, "q", **{key: str(before)})


@behaviour("ResourceQuota, object count quota, service")
async def test_services_are_counted_by_type(kube: Kube, namespace: str) -> None:
    quotas, services = await ready(kube, namespace), kube.of("v1", "services", namespace)
    await services.create(service("cluster", type="ClusterIP"))
    await services.create(service("node", type="NodePort"))
    with refused(403, "Forbidden", "exceeded quota"):
        await services.create(service("balanced", type="LoadBalancer"))
    await counted(quotas, "q", services="2", services_nodeports="1", services_loadbalancers="0")
    for name in ("cluster", "node"):
        await services.delete(name)
    await counted(quotas, "q", services="0", services_nodeports="0")


@behaviour("ResourceQuota, object count quota, pod")
async def test_pods_are_counted_by_what_they_request(kube: Kube, namespace: str) -> None:
    quotas, pods = await ready(kube, namespace), kube.of("v1", "pods", namespace)
    await pods.create(asking("p", 2, cpu="500m", memory="252Mi", ephemeral_storage="30Gi"))
    used = {
        "pods": "1",
        "cpu": "500m",
        "memory": "252Mi",
        "ephemeral-storage": "30Gi",
        "requests_example_com__dongle": "2",
    }
    await counted(quotas, "q", **used)
    with refused(403, "Forbidden", "exceeded quota"):
        await pods.create(asking("too-much", cpu="600m", memory="100Mi", ephemeral_storage="1Gi"))
    with refused(403, "Forbidden", "exceeded quota"):
        await pods.create(asking("too-many", 2, cpu="100m", memory="100Mi", ephemeral_storage="1Gi"))

    def less(obj: Object) -> None:
        obj["spec"]["containers"][0]["resources"]["requests"].update(cpu="100m", memory="100Mi")

    with refused(422, "Invalid"):
        await pods.change("p", less)
    await counted(quotas, "q", **used)
    await pods.delete("p", gracePeriodSeconds=0)
    await counted(quotas, "q", pods="0", cpu="0", memory="0", requests_example_com__dongle="0")


async def scoped(kube: Kube, namespace: str, first: str, second: str, one: Object, other: Object) -> None:
    """Two quotas with opposite scopes: each counts its own kind of pod and not the other's."""
    quotas, pods = kube.of("v1", "resourcequotas", namespace), kube.of("v1", "pods", namespace)
    for scope in (first, second):
        await quotas.create(quota(scope.lower(), {"pods": "5"}, scopes=[scope]))
        await counted(quotas, scope.lower(), pods="0")
    for body, counts, ignores in ((one, first, second), (other, second, first)):
        await pods.create(body)
        await counted(quotas, counts.lower(), pods="1")
        await counted(quotas, ignores.lower(), pods="0")
        await pods.delete(body["metadata"]["name"], gracePeriodSeconds=0)
        await counted(quotas, counts.lower(), pods="0")


@behaviour("ResourceQuota, quota scope, BestEffort and NotBestEffort scope")
async def test_best_effort_is_a_scope(kube: Kube, namespace: str) -> None:
    best, burstable = asking("best"), asking("burstable", cpu="500m", memory="200Mi")
    await scoped(kube, namespace, "BestEffort", "NotBestEffort", best, burstable)


@behaviour("ResourceQuota, quota scope, Terminating and NotTerminating scope")
async def test_an_end_in_sight_is_a_scope(kube: Kube, namespace: str) -> None:
    ending, lasting = asking("ending", cpu="100m"), asking("lasting", cpu="100m")
    ending["spec"]["activeDeadlineSeconds"] = 3600
    await scoped(kube, namespace, "Terminating", "NotTerminating", ending, lasting)


@behaviour("ResourceQuota, update and delete")
async def test_a_quota_is_read_updated_and_deleted(kube: Kube, namespace: str) -> None:
    quotas = kube.of("v1", "resourcequotas", namespace)
    await quotas.create(quota("q", {"cpu": "1", "memory": "500Mi"}))
    assert (await quotas.get("q"))["spec"]["hard"] == {"cpu": "1", "memory": "500Mi"}
    more = {"cpu": "2", "memory": "1Gi"}

    def raise_it(obj: Object) -> None:
        obj["spec"]["hard"] = more

    assert (await quotas.change("q", raise_it))["spec"]["hard"] == more
    assert (await quotas.get("q"))["spec"]["hard"] == more
    await quotas.delete("q")
    await quotas.until_gone("q")


@behaviour("ResourceQuota, manage lifecycle of a ResourceQuota")
async def test_the_life_of_a_quota(kube: Kube, namespace: str) -> None:
    quotas = kube.of("v1", "resourcequotas", namespace)
    await quotas.create(quota("q", {"cpu": "500m"}, {"life": namespace}))
    assert await quotas.everywhere().names(f"life={namespace}") == ["q"]
    patch = {"metadata": {"labels": {"q": "patched"}}, "spec": {"hard": {"memory": "750Mi"}}}
    patched = await quotas.patch("q", patch, type=STRATEGIC)
    assert patched["metadata"]["labels"]["q"] == "patched"
    assert patched["spec"]["hard"] == {"cpu": "500m", "memory": "750Mi"}
    await quotas.delete_all("q=patched")
    await quotas.until_names([])


@behaviour("ResourceQuota, apply changes to a ResourceQuota status")
async def test_the_status_of_a_quota_is_updated_and_patched(kube: Kube, namespace: str) -> None:
    quotas = kube.of("v1", "resourcequotas", namespace)
    await quotas.create(quota("q", {"cpu": "500m", "memory": "500Mi"}, {"told": namespace}))
    start = (await quotas.list(f"told={namespace}"))["metadata"]["resourceVersion"]

    def limits(**hard: str) -> Callable[[Object], Any]:
        return lambda obj: (obj.get("status") or {}).get("hard") == hard

    async with quotas.watching(f"told={namespace}", resourceVersion=start) as watch:
        await quotas.change("q", lambda obj: obj.update(status={"hard": obj["spec"]["hard"]}), "status")
        if not limits(cpu="500m", memory="500Mi")(await quotas.get("q")):
            await watch.wait("MODIFIED", limits(cpu="500m", memory="500Mi"))
        hard = {"cpu": "1", "memory": "1Gi"}
        await quotas.patch("q", {"spec": {"hard": hard}}, type=STRATEGIC)
        await quotas.patch("q", {"status": {"hard": hard}}, "status", type=STRATEGIC)
        await watch.wait("MODIFIED", limits(**hard))
    found = (await quotas.get("q", "status"))["status"]
    assert found["hard"] == hard
