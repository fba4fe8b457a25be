"""Taint eviction: pods leave a node whose NoExecute taints they do not tolerate, or no longer.

Promise: a pod that does not tolerate such a taint is deleted at once; one that tolerates all of them is deleted when the
shortest `tolerationSeconds` of the tolerations in question has passed, and stays when the taints go first. How long a taint
has been there is counted from when it was first seen here: after a restart a pod may stay that much longer, never less.
"""

from __future__ import annotations

from collections.abc import Iterable

from styr.client.controller import After, Context, Controller, Done, Key, Outcome, Watch
from styr.controllers.placement import tolerates
from styr.kinds import conditions, meta, pods
from styr.kinds.errors import NotFound
from styr.kinds.resources import NODE, POD, Object


def patience(pod: Object, node: Object) -> float | None:
    """Seconds that the pod may stay from when the taints are there; None for ever."""
    taints = [taint for taint in (node.get("spec") or {}).get("taints") or () if taint.get("effect") == "NoExecute"]
    tolerations = (pod.get("spec") or {}).get("tolerations") or []
    seconds: list[float] = []
    for taint in taints:
        used = [toleration for toleration in tolerations if tolerates(toleration, taint)]
        if not used:
            return 0.0
        seconds += [max(0.0, float(each["tolerationSeconds"])) for each in used if "tolerationSeconds" in each]
    return min(seconds, default=None)


class Evictor:
    """Remembers since when each pod is not wanted, by uid."""

    def __init__(self) -> None:
        self._since: dict[Key, tuple[str, float]] = {}

    async def reconcile(self, ctx: Context, key: Key) -> Outcome:
        pod = ctx.get(POD, key)
        node = ctx.get(NODE, Key("", str(pod["spec"].get("nodeName") or ""))) if pod is not None else None
        if pod is None or node is None or meta.deleting(pod) or pods.is_terminal(pod):
            self._since.pop(key, None)
            return Done()
        seconds, now = patience(pod, node), ctx.clock.time()
        if seconds is None:
            if self._since.pop(key, None) is not None:
                await ctx.event(pod, "Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {_name(pod)}")
            return Done()
        uid, since = self._since.get(key, ("", now))
        if uid != meta.uid(pod):
            since = now
        self._since[key] = (meta.uid(pod), since)
        if now < since + seconds:
            return After(since + seconds - now)
        await self._evict(ctx, pod)
        return Done()

    async def _evict(self, ctx: Context, pod: Object) -> None:
        await ctx.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {_name(pod)}")
        status = pod.get("status") or {}
        told = conditions.put(
            status.get("conditions"),
            "DisruptionTarget",
            True,
            now=ctx.now(),
            reason="DeletionByTaintManager",
            message="Taint manager: deleting due to NoExecute taint",
        )
        try:
            pod = await ctx.set_status(POD, pod, {**status, "conditions": told})
        except NotFound:
            return
        await ctx.delete(POD, pod)


def _name(pod: Object) -> str:
    return f"{meta.namespace(pod)}/{meta.name(pod)}"


def _on_node(node: Object, ctx: Context) -> Iterable[Key]:
    name = meta.name(node)
    return [meta.key(pod) for pod in ctx.list(POD) if (pod.get("spec") or {}).get("nodeName") == name]


def controller() -> Controller:
    return Controller("taint-eviction", POD, Evictor().reconcile, watches=(Watch(NODE, _on_node),))
