"""DaemonSet: one pod of the template on every node that it may be on.

Promise: each such node has one pod, others have none; a pod that failed is replaced, with a pause that grows; a new template
replaces pods node by node (`daemonset_update`), and every template is kept as a ControllerRevision. A pod is made for its
node by an affinity, and placed there by the scheduler like any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from styr.client.controller import After, Context, Controller, Done, Key, Outcome, Watch
from styr.controllers import daemonset_update, placement, revisions
from styr.controllers.claiming import claim, orphan_keys
from styr.controllers.daemonset_update import available, place
from styr.controllers.naming import child_name, digest
from styr.kinds import conditions, meta, pods, selectors
from styr.kinds.errors import AlreadyExists, ApiError, NotFound
from styr.kinds.resources import CONTROLLER_REVISION, DAEMON_SET, NODE, POD, Object
from styr.kinds.selectors import Selector
from styr.kit.clock import parse_rfc3339

TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
"""What a daemon puts up with on any node, as in Kubernetes."""
PAUSE, LONGEST_PAUSE = 1.0, 900.0
"""Seconds until a failed pod is replaced: doubled by each that failed before it on its node."""


@dataclass(frozen=True)
class Plan:
    """`create` are whole pods but for their owner; `wait` is seconds until there is more to do, 0 for never."""

    create: tuple[Object, ...] = ()
    delete: tuple[Object, ...] = ()
    wait: float = 0.0


def plan(ds: Object, revision: str, nodes: list[Object], own: list[Object], taken: Iterable[str], now: float) -> Plan:
    """`revision` is the hash of today's template, `taken` the names of all pods that look like this DaemonSet's."""
    if meta.deleting(ds):
        return Plan()
    spec, names = pod_spec(ds, ""), sorted(taken)
    create: list[Object] = []
    delete: list[Object] = []
    waits: list[float] = []
    by_node: dict[str, list[Object]] = {}
    for pod in own:
        by_node.setdefault(place(pod), []).append(pod)
    surging = daemonset_update.surging(ds, revision, nodes, by_node, now)
    for node in nodes:
        here = by_node.pop(meta.name(node), [])
        failed = [pod for pod in here if _failed(pod)]
        alive = [pod for pod in here if pods.is_active(pod)]
        if not placement.admits(spec, node, ("NoSchedule", "NoExecute") if not alive else ("NoExecute",)):
            delete += alive + failed
            continue
        delete += daemonset_update.spare(alive, revision, ds, now) if meta.name(node) in surging else _extra(alive)
        wait = _pause(failed, now)
        delete += failed if not wait else []
        waits += [wait] if wait else []
        leaving = [pod for pod in here if meta.deleting(pod)]
        if (not alive and not wait and not leaving) or daemonset_update.lacks(
            alive, revision, meta.name(node) in surging
        ):
            create.append(new_pod(ds, revision, meta.name(node), names))
    delete += [pod for lost in by_node.values() for pod in lost if not meta.deleting(pod)]
    delete += daemonset_update.replaced(ds, revision, nodes, own, delete, now)
    return Plan(tuple(create), tuple(delete), min(waits, default=0.0))


def pod_spec(ds: Object, node: str) -> Object:
    """The template's spec with what every daemon tolerates, and, when a node is named, bound to it."""
    spec = {**(ds["spec"]["template"].get("spec") or {})}
    more = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in TOLERATED]
    if spec.get("hostNetwork"):
        more.append({"key": "node.kubernetes.io/network-unavailable", "operator": "Exists", "effect": "NoSchedule"})
    spec["tolerations"] = [*(spec.get("tolerations") or ()), *more]
    if node:
        affinity = {**(spec.get("affinity") or {})}
        by_node = {**(affinity.get("nodeAffinity") or {})}
        term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
        by_node["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": [term]}
        spec["affinity"] = {**affinity, "nodeAffinity": by_node}
    return spec


def new_pod(ds: Object, revision: str, node: str, taken: list[str]) -> Object:
    template = ds["spec"]["template"]
    given = template.get("metadata") or {}
    kept = {key: given[key] for key in ("annotations", "finalizers") if given.get(key)}
    name = child_name(meta.name(ds), digest(meta.uid(ds), node, revision, taken))
    labels = {**(given.get("labels") or {}), revisions.HASH: revision}
    return {"metadata": {**kept, "name": name, "labels": labels}, "spec": pod_spec(ds, node)}


def status(ds: Object, revision: str, nodes: list[Object], own: list[Object], now: float) -> dict[str, Any]:
    """The counts, node by node; conditions that others have written stay."""
    spec = pod_spec(ds, "")
    wanted = {meta.name(node) for node in nodes if placement.admits(spec, node)}
    active = [pod for pod in own if pods.is_active(pod)]
    oldest = {place(pod): pod for pod in sorted(active, key=_created, reverse=True)}
    here = [pod for node, pod in oldest.items() if node in wanted]
    on = [pod for pod in active if place(pod) in wanted]
    ready = {place(pod) for pod in on if pods.is_ready(pod)}
    up = {place(pod) for pod in on if available(pod, ds, now)}
    updated = {place(pod) for pod in on if revisions.hash_of(pod) == revision}
    counts = {
        "currentNumberScheduled": len(here),
        "numberMisscheduled": len(oldest) - len(here),
        "desiredNumberScheduled": len(wanted),
        "numberReady": len(ready),
        "observedGeneration": int(meta.metadata(ds).get("generation") or 0),
        "updatedNumberScheduled": len(updated),
        "numberAvailable": len(up),
        "numberUnavailable": len(wanted) - len(up),
    }
    always = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
    found: dict[str, Any] = {key: count for key, count in counts.items() if count or key in always}
    known = ds.get("status") or {}
    return found | {key: known[key] for key in ("conditions", "collisionCount") if key in known}


async def reconcile(ctx: Context, key: Key) -> Outcome:
    ds = ctx.get(DAEMON_SET, key)
    if ds is None:
        return Done()
    own = await claim(ctx, DAEMON_SET, ds, _selector(ds))
    if meta.deleting(ds):
        return Done()
    history = ctx.children(CONTROLLER_REVISION, ds)
    revision = await _revision(ctx, ds, history)
    nodes, now = sorted(ctx.list(NODE), key=meta.name), ctx.clock.time()
    todo = plan(ds, revision, nodes, own, _taken(ctx, ds), now)
    for pod in todo.delete:
        await ctx.delete(POD, pod)
        reason = "FailedDaemonPod" if _failed(pod) else "SuccessfulDelete"
        await ctx.event(ds, "Warning" if _failed(pod) else "Normal", reason, f"Deleted pod: {meta.name(pod)}")
    error = await _create(ctx, ds, todo.create)
    live = {revisions.hash_of(pod) for pod in own}
    for old in revisions.surplus(ds, ctx.children(CONTROLLER_REVISION, ds), live | {revision}):
        await ctx.delete(CONTROLLER_REVISION, old)
    ds = ctx.get(DAEMON_SET, key) or ds
    await ctx.set_status(DAEMON_SET, ds, status(ds, revision, nodes, ctx.children(POD, ds), now))
    if error is not None:
        raise error
    soonest = [seconds for seconds in (todo.wait, daemonset_update.next_available(ds, own, now)) if seconds > 0]
    return After(min(soonest)) if soonest else Done()


async def _revision(ctx: Context, ds: Object, history: list[Object]) -> str:
    """The hash of today's template: its revision made, or made the newest again."""
    found = revisions.current(ds, history)
    if found is None:
        wanted = revisions.new(ds, history)
        try:
            await ctx.apply_children(CONTROLLER_REVISION, ds, [wanted], [])
        except AlreadyExists:  # another template, or another owner, has this name: the next one is another
            known = ds.get("status") or {}
            await ctx.set_status(DAEMON_SET, ds, {**known, "collisionCount": int(known.get("collisionCount") or 0) + 1})
            raise
        return revisions.hash_of(wanted)
    highest = revisions.highest(history)
    if revisions.number(found) < highest:
        await ctx.patch(CONTROLLER_REVISION, found, {"revision": highest + 1})
    return revisions.hash_of(found)


async def _create(ctx: Context, ds: Object, wanted: tuple[Object, ...]) -> ApiError | None:
    for pod in wanted:
        try:
            await ctx.apply_children(POD, ds, [pod], [])
        except (NotFound, AlreadyExists) as error:  # the namespace is going, or a stranger's pod has this name
            return error
        except ApiError as error:
            await ctx.event(ds, "Warning", "FailedCreate", f"Error creating: {error}")
            return error
        await ctx.event(ds, "Normal", "SuccessfulCreate", f"Created pod: {meta.name(pod)}")
    return None


def _extra(alive: list[Object]) -> list[Object]:
    """All but the oldest."""
    return sorted(alive, key=lambda pod: (not bool(pod["spec"].get("nodeName")), _created(pod), meta.name(pod)))[1:]


def _created(pod: Object) -> str:
    return str(meta.metadata(pod).get("creationTimestamp") or "")


def _failed(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") == "Failed" and not meta.deleting(pod)


def _pause(failed: list[Object], now: float) -> float:
    """Seconds until the failed pods of a node are replaced."""
    if not failed:
        return 0.0
    told = [conditions.find((pod.get("status") or {}).get("conditions"), "Ready") or {} for pod in failed]
    stamps = [parse_rfc3339(each["lastTransitionTime"]) for each in told if each.get("lastTransitionTime")]
    pause = min(LONGEST_PAUSE, PAUSE * 2.0 ** (len(failed) - 1))
    return max(0.0, max(stamps, default=0.0) + pause - now)


def _taken(ctx: Context, ds: Object) -> list[str]:
    prefix = child_name(meta.name(ds), digest()).removesuffix(digest())
    return [name for pod in ctx.list(POD, meta.namespace(ds)) if (name := meta.name(pod)).startswith(prefix)]


def _selector(ds: Object) -> Selector:
    return selectors.from_object(ds["spec"].get("selector"))


def _orphans(pod: Object, ctx: Context) -> list[Key]:
    return orphan_keys(DAEMON_SET, _selector, pod, ctx)


def _everyone(_node: Object, ctx: Context) -> list[Key]:
    return [meta.key(ds) for ds in ctx.list(DAEMON_SET)]


def _nobody(_revision: Object, _ctx: Context) -> list[Key]:
    """Revisions are read, and of our own making: a change of one is no news."""
    return []


def controller() -> Controller:
    watches = (Watch(POD, _orphans), Watch(NODE, _everyone), Watch(CONTROLLER_REVISION, _nobody))
    return Controller("daemonset", DAEMON_SET, reconcile, owns=(POD,), watches=watches)
