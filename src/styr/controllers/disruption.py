"""PodDisruptionBudget: how many of the pods that it selects may go now.

Promise: `status` counts the healthy pods, how many there should be and how many the budget wants, and allows the difference to
be evicted; a pod that the server has just let go counts as gone for two minutes, whatever the cache still shows. What cannot be
worked out allows nothing, and the condition says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from styr.client import discovery
from styr.client.controller import After, Context, Controller, Done, Key, Outcome, Watch
from styr.controllers.rollout import scaled
from styr.kinds import conditions, meta, pods, selectors
from styr.kinds.errors import ApiError, NotFound
from styr.kinds.resources import DEPLOYMENT, POD, POD_DISRUPTION_BUDGET, REPLICA_SET, Object
from styr.kit.clock import parse_rfc3339

DELETION_TIMEOUT = 120.0
"""Seconds in which a pod that was evicted should be on its way."""
CONDITION = "DisruptionAllowed"


class NoScale(Exception):
    """A pod's controller does not say how many there should be. The text stands in the budget's condition."""


@dataclass(frozen=True)
class Counts:
    """`expected` is how many pods there should be, `desired` how many healthy ones the budget wants."""

    expected: int
    desired: int


def needs_scale(budget: Object) -> bool:
    """Does it depend on how many replicas the pods' controllers want?"""
    spec = budget["spec"]
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def count(budget: Object, found: list[Object], scale: int) -> Counts:
    """`scale` is the sum of replicas over the pods' controllers; it counts only with `needs_scale`."""
    spec = budget["spec"]
    if (most := spec.get("maxUnavailable")) is not None:
        return Counts(scale, max(0, scale - scaled(most, scale, up=True)))
    least = spec.get("minAvailable")
    if isinstance(least, str):
        return Counts(scale, scaled(least, scale, up=True))
    return Counts(len(found), least) if least is not None else Counts(0, 0)


def disrupted(budget: Object, found: list[Object], now: float) -> dict[str, str]:
    """Those that the server has let go and that are still to be seen going."""
    known = (budget.get("status") or {}).get("disruptedPods") or {}
    names = {meta.name(pod) for pod in found if not meta.deleting(pod)}
    return {
        name: stamp for name, stamp in known.items() if name in names and parse_rfc3339(stamp) + DELETION_TIMEOUT >= now
    }


def plan(budget: Object, found: list[Object], scale: int, now: float, stamp: str) -> dict[str, Any]:
    """The status, given the pods that the budget selects."""
    counts, leaving = count(budget, found, scale), disrupted(budget, found, now)
    healthy = sum(pods.is_ready(pod) and not meta.deleting(pod) and meta.name(pod) not in leaving for pod in found)
    allowed = max(0, healthy - counts.desired) if counts.expected > 0 else 0
    generation = int(meta.metadata(budget).get("generation") or 0)
    status: dict[str, Any] = {
        "currentHealthy": healthy,
        "desiredHealthy": counts.desired,
        "disruptionsAllowed": allowed,
        "expectedPods": counts.expected,
        "observedGeneration": generation,
        "conditions": conditions.put(
            (budget.get("status") or {}).get("conditions"),
            CONDITION,
            allowed > 0,
            now=stamp,
            reason="SufficientPods" if allowed else "InsufficientPods",
            generation=generation,
        ),
    }
    return status | ({"disruptedPods": leaving} if leaving else {})


def failed(budget: Object, why: str, stamp: str) -> dict[str, Any]:
    """The status when the numbers cannot be had: nothing may go."""
    status = budget.get("status") or {}
    counts = {name: status.get(name, 0) for name in ("currentHealthy", "desiredHealthy", "expectedPods")}
    told = conditions.put(
        status.get("conditions"),
        CONDITION,
        False,
        now=stamp,
        reason="SyncFailed",
        message=why,
        generation=status.get("observedGeneration", 0),
    )
    return {**status, **counts, "disruptionsAllowed": 0, "conditions": told}


async def reconcile(ctx: Context, key: Key) -> Outcome:
    budget = ctx.get(POD_DISRUPTION_BUDGET, key)
    if budget is None or meta.deleting(budget):
        return Done()
    selector = budget["spec"].get("selector")
    found = [] if selector is None else ctx.list(POD, key.namespace, selectors.from_object(selector))
    now = ctx.clock.time()
    try:
        scale = await _scale(ctx, budget, found) if needs_scale(budget) else 0
    except NoScale as error:
        await ctx.event(budget, "Warning", "CalculateExpectedPodCountFailed", str(error))
        await ctx.set_status(POD_DISRUPTION_BUDGET, budget, failed(budget, str(error), ctx.now()))
        return Done()
    if not found:
        await ctx.event(budget, "Normal", "NoPods", "No matching pods found")
    status = plan(budget, found, scale, now, ctx.now())
    await ctx.set_status(POD_DISRUPTION_BUDGET, budget, status)
    waits = [parse_rfc3339(stamp) + DELETION_TIMEOUT - now for stamp in status.get("disruptedPods", {}).values()]
    return After(max(1.0, min(waits) + 1)) if waits else Done()


async def _scale(ctx: Context, budget: Object, found: list[Object]) -> int:
    """Over the controllers of all pods. Pods without one count as nothing, and an event says so. Raises NoScale."""
    owners: dict[str, tuple[Mapping[str, Any], str]] = {}
    alone = []
    for pod in found:
        owner = meta.controller_of(pod)
        if owner is None:
            alone.append(meta.name(pod))
        else:
            owners.setdefault(str(owner["uid"]), (owner, meta.name(pod)))
    if alone:
        await ctx.event(
            budget,
            "Warning",
            "UnmanagedPods",
            "Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the status of the PDB cannot "
            'be calculated correctly. To account for these pods set ".spec.minAvailable" to an integer value.',
        )
    scales: dict[str, int] = {}
    for found_owner, pod_name in owners.values():
        uid, replicas = await _replicas(ctx, found_owner, meta.namespace(budget), pod_name)
        scales[uid] = replicas
    return sum(scales.values())


async def _replicas(ctx: Context, owner: Mapping[str, Any], namespace: str, pod_name: str) -> tuple[str, int]:
    """(uid, replicas) of a pod's controller, or of the Deployment above its ReplicaSet. Raises NoScale."""
    if owner["kind"] == REPLICA_SET.kind and str(owner["apiVersion"]).startswith("apps/"):
        rs = ctx.get(REPLICA_SET, Key(namespace, owner["name"]))
        if rs is not None and meta.uid(rs) == owner["uid"]:
            above = meta.controller_of(rs)
            deployment = ctx.get(DEPLOYMENT, Key(namespace, above["name"])) if above is not None else None
            top = deployment if deployment is not None and above and meta.uid(deployment) == above["uid"] else rs
            return meta.uid(top), int(top["spec"].get("replicas", 1))
    try:
        resource = await discovery.resource_of(ctx.client, owner["apiVersion"], owner["kind"])
        if resource is not None:
            path = resource.path(namespace, owner["name"], "scale")
            scale = await ctx.client.raw("GET", path)
            if meta.uid(scale) == owner["uid"]:
                return str(owner["uid"]), int((scale.get("spec") or {}).get("replicas", 0))
    except NotFound:
        pass
    except ApiError as error:
        raise NoScale(f'cannot read the scale of {owner["kind"]} "{owner["name"]}": {error}') from None
    raise NoScale(f'found no controllers for pod "{pod_name}"')


def _budgets(pod: Object, ctx: Context) -> list[Key]:
    labels = meta.labels(pod)
    return [
        meta.key(budget)
        for budget in ctx.list(POD_DISRUPTION_BUDGET, meta.namespace(pod))
        if (selector := budget["spec"].get("selector")) is not None
        and selectors.matches(selectors.from_object(selector), labels)
    ]


def _of_namespace(obj: Object, ctx: Context) -> list[Key]:
    """A scale that changed may be that of any budget's pods."""
    return [meta.key(budget) for budget in ctx.list(POD_DISRUPTION_BUDGET, meta.namespace(obj))]


def controller() -> Controller:
    watches = (Watch(POD, _budgets), Watch(DEPLOYMENT, _of_namespace), Watch(REPLICA_SET, _of_namespace))
    return Controller("disruption", POD_DISRUPTION_BUDGET, reconcile, watches=watches)
