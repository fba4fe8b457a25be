"""ReplicaSet: as many active pods of the template as `spec.replicas` says.

Promise: pods that match the selector and have no controller are adopted, own pods that match no longer are let go; what
is missing is created, what is too much is deleted, the least useful first; the status counts what is there.

A ReplicationController is kept by the same functions: `keeper` makes the controller of either kind.

No pod is created twice: the cache holds what this process has created, and a create whose answer was lost makes the
next pass wait for a fresh list. A pod's name is a digest of the ReplicaSet and the names that it sees taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from styr.client.controller import After, Context, Controller, Done, Key, Outcome, Watch
from styr.controllers.claiming import claim, orphan_keys
from styr.controllers.naming import child_name, digest, without_zeros
from styr.kinds import conditions, meta, pods, selectors
from styr.kinds.errors import AlreadyExists, ApiError, NotFound
from styr.kinds.resources import POD, REPLICA_SET, Object, Resource
from styr.kinds.selectors import Selector
from styr.kit.clock import parse_rfc3339

COST_ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
FAILED_KEPT = 5
"""Failed pods that are kept for people to look at; older ones are deleted."""


@dataclass(frozen=True)
class Plan:
    """`create` are whole pods but for their owner; `wait` is seconds until more may be created, 0 for now."""

    create: tuple[Object, ...] = ()
    delete: tuple[Object, ...] = ()
    wait: float = 0.0


def plan(rs: Object, own: list[Object], taken: Iterable[str], now: float) -> Plan:
    """What to do so that the active ones among the `own` pods become as many as wanted. `taken` are names of pods."""
    if meta.deleting(rs):
        return Plan()
    wanted = _replicas(rs)
    active = [pod for pod in own if pods.is_active(pod)]
    failed = sorted((pod for pod in own if _failed(pod)), key=_created)
    old = tuple(failed[:-FAILED_KEPT])
    if len(active) > wanted:
        return Plan(delete=(*old, *sorted(active, key=_usefulness)[: len(active) - wanted]))
    missing = wanted - len(active)
    if missing and failed and (wait := _created_at(failed[-1]) + min(60.0, 2.0 ** len(failed)) - now) > 0:
        return Plan(delete=old, wait=wait)  # pods that fail at once must not be replaced without end
    seen = sorted(taken)
    return Plan(tuple(new_pod(rs, seen, number) for number in range(missing)), old)


def new_pod(rs: Object, seen: list[str], number: int) -> Object:
    """The number-th pod to create when `seen` are there."""
    template = rs["spec"].get("template") or {}
    given = template.get("metadata") or {}
    kept = {key: given[key] for key in ("labels", "annotations", "finalizers") if given.get(key)}
    name = child_name(meta.name(rs), digest(meta.uid(rs), seen, number))
    return {"metadata": {**kept, "name": name}, "spec": template.get("spec") or {}}


def status(rs: Object, own: list[Object], failure: str, now: float, stamp: str) -> tuple[dict[str, Any], float]:
    """The status, and the seconds until it changes by time alone (a ready pod becomes available), 0 for never."""
    active = [pod for pod in own if pods.is_active(pod)]
    ready = [pod for pod in active if pods.is_ready(pod)]
    labels = ((rs["spec"].get("template") or {}).get("metadata") or {}).get("labels") or {}
    full = selectors.from_labels(labels)
    ages = [now - _ready_since(pod) for pod in ready]
    minimum = float(rs["spec"].get("minReadySeconds") or 0)
    counts = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(selectors.matches(full, meta.labels(pod)) for pod in active),
        "readyReplicas": len(ready),
        "availableReplicas": sum(age >= minimum for age in ages),
        "terminatingReplicas": sum(meta.deleting(pod) and not pods.is_terminal(pod) for pod in own),
        "observedGeneration": int(meta.metadata(rs).get("generation") or 0),
    }
    result: dict[str, Any] = without_zeros(counts, "replicas", "observedGeneration")
    old = (rs.get("status") or {}).get("conditions")
    if failure:
        result["conditions"] = conditions.put(
            old, "ReplicaFailure", True, now=stamp, reason="FailedCreate", message=failure
        )
    elif rest := [condition for condition in old or () if condition.get("type") != "ReplicaFailure"]:
        result["conditions"] = rest
    waits = [minimum - age for age in ages if age < minimum]
    return result, min(waits, default=0.0)


@dataclass(frozen=True)
class _Keeper:
    """Reconciles the objects of one kind, ReplicaSet or ReplicationController."""

    resource: Resource

    async def reconcile(self, ctx: Context, key: Key) -> Outcome:
        rs = ctx.get(self.resource, key)
        if rs is None:
            return Done()
        own = await claim(ctx, self.resource, rs, self.selector(rs))
        todo = plan(rs, own, _taken(ctx, rs), ctx.clock.time())
        failure, error = await _create(ctx, rs, todo.create)
        for pod in todo.delete:
            await ctx.delete(POD, pod)
            await ctx.event(rs, "Normal", "SuccessfulDelete", f"Deleted pod: {meta.name(pod)}")
        rs = ctx.get(self.resource, key) or rs
        found, wait = status(rs, ctx.children(POD, rs), failure, ctx.clock.time(), ctx.now())
        if self.resource != REPLICA_SET:
            found.pop("terminatingReplicas", None)
        await ctx.set_status(self.resource, rs, found)
        if error is not None:
            raise error
        soonest = [seconds for seconds in (todo.wait, wait) if seconds > 0]
        return After(min(soonest)) if soonest else Done()

    def orphan_keys(self, pod: Object, ctx: Context) -> list[Key]:
        return orphan_keys(self.resource, self.selector, pod, ctx)

    def selector(self, rs: Object) -> Selector:
        written = rs["spec"].get("selector")
        return selectors.from_object(written) if self.resource == REPLICA_SET else selectors.from_labels(written or {})


def _taken(ctx: Context, rs: Object) -> list[str]:
    """Names like those of own pods, whosever they are: a pod that was let go keeps its name."""
    prefix = child_name(meta.name(rs), digest()).removesuffix(digest())
    return [name for pod in ctx.list(POD, meta.namespace(rs)) if (name := meta.name(pod)).startswith(prefix)]


async def _create(ctx: Context, rs: Object, wanted: tuple[Object, ...]) -> tuple[str, ApiError | None]:
    """Creates until one is refused; says what was the matter."""
    for pod in wanted:
        try:
            await ctx.apply_children(POD, rs, [pod], [])
        except NotFound as error:  # the namespace is going: nothing that people should read about
            return "", error
        except AlreadyExists as error:  # a stranger's pod has this name; the next pass sees it and picks another
            return "", error
        except ApiError as error:
            await ctx.event(rs, "Warning", "FailedCreate", f"Error creating: {error}")
            return str(error), error
        await ctx.event(rs, "Normal", "SuccessfulCreate", f"Created pod: {meta.name(pod)}")
    return "", None


def _replicas(rs: Object) -> int:
    wanted = rs["spec"].get("replicas")
    return 1 if wanted is None else int(wanted)


def _failed(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") == "Failed" and not meta.deleting(pod)


def _created(pod: Object) -> tuple[str, str]:
    return str(meta.metadata(pod).get("creationTimestamp", "")), meta.name(pod)


def _created_at(pod: Object) -> float:
    stamp = meta.metadata(pod).get("creationTimestamp")
    return parse_rfc3339(stamp) if stamp else 0.0


def _ready_since(pod: Object) -> float:
    condition = conditions.find((pod.get("status") or {}).get("conditions"), "Ready") or {}
    stamp = condition.get("lastTransitionTime")
    return parse_rfc3339(stamp) if stamp else 0.0


def _usefulness(pod: Object) -> tuple[Any, ...]:
    """Deleted in this order, as Kubernetes does: not placed, pending, not ready, cheap, ready for a shorter time,
    restarted more often, younger."""
    state = pod.get("status") or {}
    phase = {"Pending": 0, "Unknown": 1}.get(str(state.get("phase") or "Pending"), 2)
    restarts = max((int(c.get("restartCount") or 0) for c in state.get("containerStatuses") or ()), default=0)
    ready = pods.is_ready(pod)
    placed = bool((pod.get("spec") or {}).get("nodeName"))
    return placed, phase, ready, _cost(pod), -_ready_since(pod), -restarts, -_created_at(pod), meta.name(pod)


def _cost(pod: Object) -> int:
    try:
        return int(meta.annotations(pod).get(COST_ANNOTATION, "0"))
    except ValueError:
        return 0


def keeper(resource: Resource) -> Controller:
    """The controller of ReplicaSets or of ReplicationControllers."""
    keeps = _Keeper(resource)
    watch = Watch(POD, keeps.orphan_keys)
    return Controller(resource.kind.lower(), resource, keeps.reconcile, owns=(POD,), watches=(watch,))


def controller() -> Controller:
    return keeper(REPLICA_SET)
