"""ResourceQuota: what is counted, what is refused, and what comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.kit import MERGE_PATCH, Api, config, pod, running

ROOT = "/api/v1/namespaces/default"
QUOTAS = f"{ROOT}/resourcequotas"
PODS = f"{ROOT}/pods"
MAPS = f"{ROOT}/configmaps"


async def quota(api: Api, hard: dict[str, str], name: str = "q", **spec: Any) -> None:
    await api("POST", QUOTAS, {"metadata": {"name": name}, "spec": {"hard": hard, **spec}})


async def used(api: Api, wanted: dict[str, str] | None = None, name: str = "q") -> Any:
    """The usage, once it is as wanted (or counted at all)."""
    async with asyncio.timeout(10), api.watching(f"{QUOTAS}?watch=1&fieldSelector=metadata.name={name}") as events:
        async for event in events:
            found = event["object"].get("status", {}).get("used")
            if found is not None and wanted in (None, found):
                return found
    raise AssertionError("the watch ended")


def asking(name: str, cpu: str = "", memory: str = "", limits: dict[str, str] | None = None, **spec: Any) -> Any:
    obj = pod(name, **spec)
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    resources = {"requests": requests, "limits": limits}
    obj["spec"]["containers"][0]["resources"] = {key: value for key, value in resources.items() if value}
    return obj


async def test_objects_are_counted_refused_and_given_back() -> None:
    async with running() as api:
        await api("POST", MAPS, config("before"))
        await quota(api, {"configmaps": "2", "count/configmaps": "5"})
        assert await used(api) == {"configmaps": "1", "count/configmaps": "1"}
        await api("POST", MAPS, config("one"))
        refused = await api("POST", MAPS, config("two"), want=403)
        assert refused["message"] == (
            'configmaps "two" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=2, '
            "limited: configmaps=2"
        )
        assert refused["reason"] == "Forbidden"
        await api("DELETE", f"{MAPS}/one")
        await used(api, {"configmaps": "1", "count/configmaps": "1"})
        await api("POST", MAPS, config("two"))
        status = (await api("GET", f"{QUOTAS}/q"))["status"]
        assert status == {
            "hard": {"configmaps": "2", "count/configmaps": "5"},
            "used": {"configmaps": "2", "count/configmaps": "2"},
        }


async def test_a_quota_that_is_not_counted_yet_holds_all_the_same() -> None:
    async with running() as api:
        await api("POST", MAPS, config("one"))
        answers = await asyncio.gather(
            api.raw("POST", QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "1"}}}),
            api.raw("POST", MAPS, config("two")),
        )
        assert answers[0].status == 201
        await api("POST", MAPS, config("three"), want=403)


async def test_concurrent_creates_share_what_is_left_and_no_more() -> None:
    async with running() as api:
        await quota(api, {"configmaps": "7"})
        await used(api)
        answers = await asyncio.gather(*(api.raw("POST", MAPS, config(f"m{n}")) for n in range(40)))
        assert sorted(answer.status for answer in answers) == [201] * 7 + [403] * 33
        await used(api, {"configmaps": "7"})
        assert len((await api("GET", MAPS))["items"]) == 7


async def test_refused_writes_and_dry_runs_cost_nothing() -> None:
    async with running() as api:
        await quota(api, {"configmaps": "2"})
        await used(api)
        await api("POST", f"{MAPS}?dryRun=All", config("one"))
        await api("POST", MAPS, config("one"))
        await api("POST", MAPS, config("one"), want=409)
        await api("POST", MAPS, config("bad", {"a key": ""}), want=422)
        assert await used(api) == {"configmaps": "1"}


async def test_compute_of_pods() -> None:
    async with running() as api:
        await quota(
            api,
            {"pods": "3", "cpu": "1", "requests.memory": "500Mi", "limits.cpu": "2", "requests.example.com/gpu": "1"},
        )
        await used(api)
        unsaid = await api("POST", PODS, pod("none"), want=403)
        assert unsaid["message"] == (
            'pods "none" is forbidden: failed quota: q: must specify cpu for: main; limits.cpu for: main; '
            "requests.memory for: main"
        )
        await api("POST", PODS, asking("one", "500m", "252Mi", {"cpu": "1", "memory": "1Gi"}))
        assert await used(api) == {
            "cpu": "500m",
            "limits.cpu": "1",
            "pods": "1",
            "requests.example.com/gpu": "0",
            "requests.memory": "252Mi",
        }
        refused = await api("POST", PODS, asking("two", "600m", "1Gi", {"cpu": "1", "memory": "1Gi"}), want=403)
        assert refused["message"] == (
            'pods "two" is forbidden: exceeded quota: q, requested: cpu=600m,requests.memory=1Gi, '
            "used: cpu=500m,requests.memory=252Mi, limited: cpu=1,requests.memory=500Mi"
        )
        gpus = {"cpu": "100m", "memory": "1Mi", "example.com/gpu": "2"}
        greedy = asking("three", "100m", "1Mi", gpus)
        greedy["spec"]["containers"][0]["resources"]["requests"]["example.com/gpu"] = "2"
        assert "requests.example.com/gpu=2" in (await api("POST", PODS, greedy, want=403))["message"]


async def test_pods_that_are_over_give_back_but_still_count_as_objects() -> None:
    async with running() as api:
        await quota(api, {"pods": "1", "count/pods": "5", "requests.cpu": "1"})
        await api("POST", PODS, asking("one", "1"))
        await used(api, {"count/pods": "1", "pods": "1", "requests.cpu": "1"})
        await api("POST", PODS, asking("two", "1"), want=403)
        await api("PATCH", f"{PODS}/one/status", {"status": {"phase": "Succeeded"}}, type=MERGE_PATCH)
        await used(api, {"count/pods": "1", "pods": "0", "requests.cpu": "0"})
        await api("POST", PODS, asking("two", "1"))


async def test_init_containers_sidecars_and_overhead() -> None:
    async with running() as api:
        await quota(api, {"requests.cpu": "10"})
        await used(api)
        obj = asking("one", "1")

        def container(name: str, cpu: str, **more: Any) -> Any:
            return {"name": name, "image": "x", "resources": {"requests": {"cpu": cpu}}, **more}

        obj["spec"]["initContainers"] = [
            container("side", "500m", restartPolicy="Always"),
            container("first", "2"),
        ]
        await api("POST", PODS, obj)
        assert await used(api) == {"requests.cpu": "2500m"}


@pytest.mark.parametrize(
    ("scope", "inside", "outside"),
    [
        ("BestEffort", pod("in"), asking("out", "1")),
        ("NotBestEffort", asking("in", "1"), pod("out")),
        ("Terminating", pod("in", activeDeadlineSeconds=5), pod("out")),
        ("NotTerminating", pod("in"), pod("out", activeDeadlineSeconds=5)),
    ],
)
async def test_scopes(scope: str, inside: Any, outside: Any) -> None:
    async with running() as api:
        await quota(api, {"pods": "1"}, scopes=[scope])
        await used(api)
        await api("POST", PODS, outside)
        await api("POST", PODS, inside)
        assert await used(api) == {"pods": "1"}
        inside["metadata"]["name"] = "more"
        await api("POST", PODS, inside, want=403)
        await api("DELETE", f"{PODS}/in")
        await used(api, {"pods": "0"})


@pytest.mark.parametrize(
    ("term", "counts"),
    [
        ({"operator": "In", "values": ["high"]}, True),
        ({"operator": "In", "values": ["low"]}, False),
        ({"operator": "NotIn", "values": ["low"]}, True),
        ({"operator": "Exists"}, True),
        ({"operator": "DoesNotExist"}, False),
    ],
)
async def test_the_scope_of_a_priority_class(term: dict[str, Any], counts: bool) -> None:
    async with running() as api:
        classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
        await api("POST", classes, {"metadata": {"name": "high"}, "value": 10})
        selector = {"matchExpressions": [{"scopeName": "PriorityClass", **term}]}
        await quota(api, {"pods": "9"}, scopeSelector=selector)
        await used(api)
        await api("POST", PODS, pod("one", priorityClassName="high"))
        assert await used(api) == {"pods": "1" if counts else "0"}


async def test_services_by_type_and_its_change() -> None:
    async with running() as api:
        services = f"{ROOT}/services"
        hard = {"services": "5", "services.nodeports": "2", "services.loadbalancers": "0"}
        await quota(api, hard)
        await used(api)
        spec = {"ports": [{"port": 80}], "type": "ClusterIP"}
        await api("POST", services, {"metadata": {"name": "s"}, "spec": spec})
        assert await used(api) == {"services": "1", "services.loadbalancers": "0", "services.nodeports": "0"}
        refused = await api("PATCH", f"{services}/s", {"spec": {"type": "LoadBalancer"}}, type=MERGE_PATCH, want=403)
        assert "services.loadbalancers=1" in refused["message"]
        await api("PATCH", f"{services}/s", {"spec": {"type": "NodePort"}}, type=MERGE_PATCH)
        await used(api, {"services": "1", "services.loadbalancers": "0", "services.nodeports": "1"})
        await api("PATCH", f"{services}/s", {"spec": {"type": "ClusterIP"}}, type=MERGE_PATCH)
        await used(api, {"services": "1", "services.loadbalancers": "0", "services.nodeports": "0"})


async def test_claims_by_storage_class() -> None:
    async with running() as api:
        claims = f"{ROOT}/persistentvolumeclaims"
        fast = "fast.storageclass.storage.k8s.io"
        hard = {"persistentvolumeclaims": "5", "requests.storage": "10Gi", f"{fast}/requests.storage": "2Gi"}
        await quota(api, hard)
        await used(api)

        def claim(name: str, size: str, kind: str) -> Any:
            wanted = {"requests": {"storage": size}}
            spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": kind, "resources": wanted}
            return {"metadata": {"name": name}, "spec": spec}

        await api("POST", claims, claim("one", "1Gi", "fast"))
        assert await used(api) == {
            "persistentvolumeclaims": "1",
            "requests.storage": "1Gi",
            f"{fast}/requests.storage": "1Gi",
        }
        refused = await api("POST", claims, claim("two", "1536Mi", "fast"), want=403)
        assert f"requested: {fast}/requests.storage=1536Mi" in refused["message"]
        await api("POST", claims, claim("two", "1536Mi", "slow"))


async def test_custom_resources_and_other_groups_by_count() -> None:
    async with running() as api:
        await quota(api, {"count/leases.coordination.k8s.io": "1"})
        await used(api)
        leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
        await api("POST", leases, {"metadata": {"name": "a"}})
        await api("POST", leases, {"metadata": {"name": "b"}}, want=403)
        await api("DELETE", leases)
        await used(api, {"count/leases.coordination.k8s.io": "0"})
        # Another namespace has its own.
        await api("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases", {"metadata": {"name": "b"}})


async def test_a_change_of_the_quota_is_counted_anew() -> None:
    async with running() as api:
        await api("POST", MAPS, config("one"))
        await quota(api, {"configmaps": "1"})
        await used(api)
        hard = {"configmaps": None, "secrets": "3", "count/configmaps": "2"}
        await api("PATCH", f"{QUOTAS}/q", {"spec": {"hard": hard}}, type=MERGE_PATCH)
        await used(api, {"count/configmaps": "1", "secrets": "0"})
        await api("POST", MAPS, config("two"))
        await api("POST", MAPS, config("three"), want=403)
        await api("DELETE", f"{QUOTAS}/q")
        await api("POST", MAPS, config("three"))


async def test_all_quotas_of_a_namespace_hold() -> None:
    async with running() as api:
        await quota(api, {"configmaps": "9"}, "wide")
        await quota(api, {"configmaps": "1"}, "tight")
        await used(api, name="tight")
        await used(api, name="wide")
        await api("POST", MAPS, config("one"))
        assert "exceeded quota: tight" in (await api("POST", MAPS, config("two"), want=403))["message"]
        assert await used(api, name="wide") == {"configmaps": "1"}
