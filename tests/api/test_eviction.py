"""Eviction and disruption budgets: the subresource in one transaction, and the controller that keeps the budget's status."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from styr.client.client import Client
from styr.client.controller import Manager
from styr.client.transport import InProcessTransport
from styr.controllers import disruption
from styr.kit.clock import SystemClock
from tests.api.kit import ADMIN, MERGE_PATCH, Api, pod, running

PODS = "/api/v1/namespaces/default/pods"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"


def eviction(name: str, **options: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    return body | ({"deleteOptions": options} if options else {})


async def evict(api: Api, name: str, want: int = 201, query: str = "", **options: Any) -> Any:
    return await api("POST", f"{PODS}/{name}/eviction{query}", eviction(name, **options), want=want)


async def make(api: Api, name: str, *, phase: str = "Running", ready: bool = True, **labels: str) -> Any:
    obj = pod(name)
    obj["metadata"]["labels"] = {"app": "web", **labels}
    made = await api("POST", PODS, obj)
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    await api(
        "PATCH", f"{PODS}/{name}/status", {"status": {"phase": phase, "conditions": [condition]}}, type=MERGE_PATCH
    )
    return made


async def budget(api: Api, status: dict[str, Any] | None = None, name: str = "b", **spec: Any) -> None:
    given = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1, **spec}
    made = await api("POST", BUDGETS, {"metadata": {"name": name}, "spec": given})
    counts = {"currentHealthy": 2, "desiredHealthy": 1, "disruptionsAllowed": 1, "expectedPods": 2}
    told = {"observedGeneration": made["metadata"]["generation"], **counts, **(status or {})}
    await api("PATCH", f"{BUDGETS}/{name}/status", {"status": told}, type=MERGE_PATCH)


async def status(api: Api, name: str = "b") -> Any:
    return (await api("GET", f"{BUDGETS}/{name}"))["status"]


async def test_without_a_budget_a_pod_just_goes() -> None:
    async with running() as api:
        await make(api, "one")
        assert (await evict(api, "one"))["status"] == "Success"
        await api("GET", f"{PODS}/one", want=404)
        refused = await evict(api, "one", want=404)
        assert refused["message"] == 'pods "one" not found'


async def test_a_pod_of_a_node_is_told_why_it_goes() -> None:
    async with running() as api:
        obj = pod("one", nodeName="n", terminationGracePeriodSeconds=7)
        await api("POST", PODS, obj)
        await evict(api, "one", gracePeriodSeconds=5)
        found = await api("GET", f"{PODS}/one")
        assert found["metadata"]["deletionGracePeriodSeconds"] == 5
        condition = next(c for c in found["status"]["conditions"] if c["type"] == "DisruptionTarget")
        assert (condition["status"], condition["reason"]) == ("True", "EvictionByEvictionAPI")


async def test_a_budget_is_spent_and_then_refuses() -> None:
    async with running() as api:
        await make(api, "one")
        await make(api, "two")
        await budget(api)
        await evict(api, "one")
        spent = await status(api)
        assert spent["disruptionsAllowed"] == 0
        assert list(spent["disruptedPods"]) == ["one"]
        assert spent["conditions"][0]["reason"] == "InsufficientPods"
        await api("PATCH", f"{BUDGETS}/b/status", {"status": {"currentHealthy": 1}}, type=MERGE_PATCH)
        refused = await evict(api, "two", want=429)
        assert refused["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
        assert refused["reason"] == "TooManyRequests"
        assert refused["details"]["causes"] == [
            {
                "reason": "DisruptionBudget",
                "message": "The disruption budget b needs 1 healthy pods and has 1 currently",
            }
        ]
        assert (await api("GET", f"{PODS}/two"))["metadata"]["name"] == "two"


async def test_many_at_once_spend_what_is_allowed_and_no_more() -> None:
    async with running() as api:
        for number in range(10):
            await make(api, f"p{number}")
        await budget(api, {"currentHealthy": 10, "desiredHealthy": 7, "disruptionsAllowed": 3})
        answers = await asyncio.gather(
            *(api.raw("POST", f"{PODS}/p{n}/eviction", eviction(f"p{n}")) for n in range(10))
        )
        assert sorted(answer.status for answer in answers) == [201] * 3 + [429] * 7
        assert len((await api("GET", PODS))["items"]) == 7


async def test_a_budget_that_nobody_has_looked_at_yet() -> None:
    async with running() as api:
        await make(api, "one")
        await budget(api, {"observedGeneration": 0})
        response = await api.raw("POST", f"{PODS}/one/eviction", eviction("one"))
        assert response.status == 429
        assert response.headers["retry-after"] == "10"
        assert b"is still being processed by the server" in response.body  # type: ignore[operator]


async def test_two_budgets_for_one_pod_are_refused() -> None:
    async with running() as api:
        await make(api, "one")
        await budget(api)
        await budget(api, name="c")
        assert "more than one PodDisruptionBudget" in (await evict(api, "one", want=500))["message"]


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed"])
async def test_pods_whose_end_disrupts_nothing(phase: str) -> None:
    async with running() as api:
        await make(api, "one", phase=phase)
        await budget(api, {"disruptionsAllowed": 0})
        await evict(api, "one")
        assert (await status(api))["disruptionsAllowed"] == 0


@pytest.mark.parametrize(
    ("policy", "told", "code"),
    [
        ("AlwaysAllow", {"currentHealthy": 0, "desiredHealthy": 1, "disruptionsAllowed": 0}, 201),
        ("IfHealthyBudget", {"currentHealthy": 0, "desiredHealthy": 1, "disruptionsAllowed": 0}, 429),
        ("IfHealthyBudget", {"currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 0}, 201),
        (None, {"currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 0}, 201),
        (None, {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0}, 429),
    ],
)
async def test_unhealthy_pods(policy: str | None, told: dict[str, Any], code: int) -> None:
    async with running() as api:
        await make(api, "one", ready=False)
        await budget(api, told, **({"unhealthyPodEvictionPolicy": policy} if policy else {}))
        await evict(api, "one", want=code)
        assert "disruptedPods" not in await status(api)


async def test_dry_runs_and_preconditions() -> None:
    async with running() as api:
        made = await make(api, "one")
        await budget(api)
        await evict(api, "one", query="?dryRun=All")
        await evict(api, "one", dryRun=["All"])
        assert (await status(api))["disruptionsAllowed"] == 1
        await evict(api, "one", want=409, preconditions={"uid": "other"})
        await evict(api, "one", want=409, preconditions={"resourceVersion": made["metadata"]["resourceVersion"]})
        assert (await status(api))["disruptionsAllowed"] == 1
        now = (await api("GET", f"{PODS}/one"))["metadata"]["resourceVersion"]
        await evict(api, "one", preconditions={"uid": made["metadata"]["uid"], "resourceVersion": now})


async def test_bodies_that_are_no_eviction() -> None:
    async with running() as api:
        await make(api, "one")
        url = f"{PODS}/one/eviction"
        refused = await api("POST", url, eviction("two"), want=400)
        assert refused["message"] == "name in URL does not match name in Eviction object"
        await api("POST", url, {**eviction("one"), "kind": "Pod"}, want=400)
        await api("POST", url, {**eviction("one"), "deleteOptions": []}, want=400)
        await api("POST", url, {**eviction("one"), "apiVersion": "policy/v1beta1"})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"minAvailable": 1, "maxUnavailable": 1}, "minAvailable and maxUnavailable cannot be both set"),
        ({"minAvailable": "x"}, "a valid percent string must be a numeric"),
        ({"maxUnavailable": "101%"}, "must not be greater than 100%"),
        ({"maxUnavailable": -1}, "must be greater than or equal to 0"),
        ({"unhealthyPodEvictionPolicy": "Never"}, "Unsupported value"),
    ],
)
async def test_a_budget_is_validated(spec: dict[str, Any], message: str) -> None:
    async with running() as api:
        refused = await api("POST", BUDGETS, {"metadata": {"name": "b"}, "spec": spec}, want=422)
        assert message in refused["message"]


@asynccontextmanager
async def controlled(api: Api) -> AsyncIterator[None]:
    client = Client(InProcessTransport(api.server, ADMIN))
    manager = Manager(client, SystemClock(), random.Random(1))
    manager.add(disruption.controller())
    task = asyncio.ensure_future(manager.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def allowed(api: Api, number: int) -> Any:
    async with asyncio.timeout(10), api.watching(f"{BUDGETS}?watch=1") as events:
        async for event in events:
            found = event["object"].get("status") or {}
            if found.get("disruptionsAllowed") == number and found.get("observedGeneration"):
                return found
    raise AssertionError("the watch ended")


async def test_the_controller_gives_back_what_new_pods_bring() -> None:
    async with running() as api, controlled(api):
        for name in ("one", "two"):
            await make(api, name)
        spec = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1}
        await api("POST", BUDGETS, {"metadata": {"name": "b"}, "spec": spec})
        await allowed(api, 1)
        await evict(api, "one")
        await allowed(api, 0)
        await evict(api, "two", want=429)
        await make(api, "three")
        found = await allowed(api, 1)
        assert (found["currentHealthy"], found["desiredHealthy"], found["expectedPods"]) == (2, 1, 2)
        await evict(api, "two")
