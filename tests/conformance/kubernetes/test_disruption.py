"""PodDisruptionBudgets: their API, their status, and what they hold up."""

from __future__ import annotations

from tests.conformance.kubernetes.client import Collection, Kube, Object, refused
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import pod, ready_replicas, replica_set, running

LABELS = {"app": "budgeted"}


def budget(name: str, labels: dict[str, str] | None = None, **spec: object) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"selector": {"matchLabels": LABELS}, **spec},
    }


def budgets_of(kube: Kube, namespace: str) -> Collection:
    return kube.of("policy/v1", "poddisruptionbudgets", namespace)


def processed(obj: Object) -> bool:
    return (obj.get("status") or {}).get("observedGeneration", 0) >= obj["metadata"]["generation"]


def allows(count: int, healthy: int) -> object:
    return lambda obj: (
        processed(obj) and ((obj["status"]["disruptionsAllowed"], obj["status"]["currentHealthy"]) == (count, healthy))
    )


@behaviour("PodDisruptionBudget: create, update, patch, and delete object")
async def test_a_budget_is_created_changed_and_deleted(kube: Kube, namespace: str) -> None:
    budgets = budgets_of(kube, namespace)
    await budgets.create(budget("b", minAvailable="1%"))
    await budgets.until("b", processed, "processed")

    def two(obj: Object) -> None:
        obj["spec"]["minAvailable"] = "2%"

    assert (await budgets.change("b", two))["spec"]["minAvailable"] == "2%"
    await budgets.until("b", processed, "processed again")
    patched = await budgets.patch("b", {"spec": {"minAvailable": "3%"}})
    assert patched["spec"]["minAvailable"] == "3%"
    await budgets.until("b", processed, "processed once more")
    await budgets.delete("b")
    await budgets.until_gone("b")


@behaviour("PodDisruptionBudget: list and delete collection")
async def test_budgets_are_listed_and_deleted_by_label(kube: Kube, namespace: str) -> None:
    budgets = budgets_of(kube, namespace)
    for name in ("b1", "b2"):
        await budgets.create(budget(name, {"special": namespace}, minAvailable=2))
    await budgets.create(budget("b3", {"other": namespace}, minAvailable=2))
    assert await budgets.everywhere().names(f"special={namespace}") == ["b1", "b2"]
    await budgets.delete_all(f"special={namespace}")
    await budgets.until_names(["b3"])


@behaviour("PodDisruptionBudget: Status updates")
async def test_the_status_counts_what_may_go(kube: Kube, namespace: str) -> None:
    budgets, pods = budgets_of(kube, namespace), kube.of("v1", "pods", namespace)
    await budgets.create(budget("b", minAvailable=1))
    for name in ("p1", "p2", "p3"):
        await pods.create(pod(name, LABELS))
        await pods.until(name, running, "running")
    found = await budgets.until("b", allows(2, 3), "allows two disruptions")
    assert found["status"]["expectedPods"] == 3
    assert found["status"]["desiredHealthy"] == 1


@behaviour("PodDisruptionBudget: update and patch status")
async def test_the_status_is_updated_and_patched(kube: Kube, namespace: str) -> None:
    budgets, pods = budgets_of(kube, namespace), kube.of("v1", "pods", namespace)
    await budgets.create(budget("b", minAvailable=1))
    await pods.create(pod("p", LABELS))
    await pods.until("p", running, "running")
    await budgets.until("b", allows(0, 1), "counted")
    now = (await pods.get("p"))["status"]["startTime"]

    def disrupted(obj: Object) -> None:
        obj["status"]["disruptedPods"] = {"p": now}

    await budgets.change("b", disrupted, "status")
    assert (await budgets.get("b", "status"))["status"]["disruptedPods"] == {"p": now}
    patched = await budgets.patch("b", {"status": {"disruptedPods": None}}, "status")
    assert not patched["status"].get("disruptedPods")


@behaviour("PodDisruptionBudget: block an eviction until the PDB is updated to allow it")
async def test_an_eviction_waits_for_the_budget(kube: Kube, namespace: str) -> None:
    budgets, pods = budgets_of(kube, namespace), kube.of("v1", "pods", namespace)
    sets = kube.of("apps/v1", "replicasets", namespace)

    async def evict(name: str) -> None:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        await pods.create(body, name, "eviction")

    async def held_up(name: str) -> None:
        with refused(429, "TooManyRequests") as told:
            await evict(name)
        assert [cause["reason"] for cause in told[0].causes] == ["DisruptionBudget"]

    await budgets.create(budget("b", minAvailable=3))
    await sets.create(replica_set("three", LABELS, 3))
    await sets.until("three", ready_replicas(3), "has three pods")
    await budgets.until("b", allows(0, 3), "counted")
    first = (await pods.names())[0]
    await held_up(first)
    await budgets.patch("b", {"spec": {"minAvailable": 2}})
    await budgets.until("b", allows(1, 3), "allows one")
    await evict(first)
    await pods.until_gone(first)
    await budgets.patch("b", {"spec": {"minAvailable": None, "maxUnavailable": 0}})
    await sets.until("three", ready_replicas(3), "has three pods again")
    await budgets.until("b", allows(0, 3), "allows none")
    second = (await pods.names())[0]
    await held_up(second)
    await budgets.delete("b")
    await evict(second)
    await pods.until_gone(second)
