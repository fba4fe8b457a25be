"""The scheduler: gives every pending pod a node.

Promise: a pod that fits on a ready node is bound to one; a pod that does not says why, in its condition PodScheduled and
in an event, and is looked at again when a node changes and every few seconds. Where it fits is decided in `placement.py`.
"""

from __future__ import annotations

from styr.client.controller import After, Context, Controller, Done, Key, Outcome, Watch
from styr.controllers import placement
from styr.kinds import conditions, meta, pods
from styr.kinds.errors import NotFound
from styr.kinds.resources import NODE, POD, Object

NAME = "default-scheduler"
_LOOK_AGAIN = 5.0


def waits(pod: Object) -> bool:
    """Is it ours to place?"""
    spec = pod.get("spec") or {}
    ours = spec.get("schedulerName") in (None, "", NAME)
    return ours and not spec.get("nodeName") and not spec.get("schedulingGates") and pods.is_active(pod)


async def reconcile(ctx: Context, key: Key) -> Outcome:
    pod = ctx.get(POD, key)
    if pod is None or not waits(pod):
        return Done()
    node, reason = placement.plan(pod, ctx.list(NODE), [other for other in ctx.list(POD) if _placed(other)])
    if not node:
        await _refuse(ctx, pod, reason)
        return After(_LOOK_AGAIN)
    try:
        await ctx.client.create(POD, _binding(pod, node), name=meta.name(pod), subresource="binding")
        await ctx.refresh(POD, key)
    except NotFound:
        return Done()
    await ctx.event(pod, "Normal", "Scheduled", f"Successfully assigned {key} to {node}")
    return Done()


async def _refuse(ctx: Context, pod: Object, reason: str) -> None:
    status = pod.get("status") or {}
    known = conditions.find(status.get("conditions"), "PodScheduled")
    if known is not None and known.get("status") == "False" and known.get("message") == reason:
        return
    told = conditions.put(
        status.get("conditions"), "PodScheduled", False, now=ctx.now(), reason="Unschedulable", message=reason
    )
    await ctx.set_status(POD, pod, {**status, "conditions": told})
    await ctx.event(pod, "Warning", "FailedScheduling", reason)


def _binding(pod: Object, node: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": meta.name(pod), "namespace": meta.namespace(pod), "uid": meta.uid(pod)},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }


def _placed(pod: Object) -> bool:
    return bool((pod.get("spec") or {}).get("nodeName"))


def _pending(_node: Object, ctx: Context) -> list[Key]:
    return [meta.key(pod) for pod in ctx.list(POD) if waits(pod)]


def controller() -> Controller:
    """One worker: each placement must see the one before."""
    return Controller(NAME, POD, reconcile, watches=(Watch(NODE, _pending),), workers=1)
