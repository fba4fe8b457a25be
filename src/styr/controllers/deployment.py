"""Deployment: one ReplicaSet per pod template, and a rollout from the old ones to the new.

Promise: during a RollingUpdate at most `replicas + maxSurge` pods exist and at least `replicas - maxUnavailable` are
available, as far as the pods allow; Recreate starts new pods only when no old one is left; a paused one only scales.
Old ReplicaSets are kept, empty, up to `revisionHistoryLimit`.

The template's hash only names the new ReplicaSet: it is found again by its template, so a hash that changes with a
version of Styr starts no rollout. What the sizes should be is `rollout.py`, what the status says `deployment_status.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from styr.client.context import owned
from styr.client.controller import After, Context, Controller, Done, Key, Outcome, Retry, Watch
from styr.controllers import deployment_status, rollout
from styr.controllers.naming import child_name, digest
from styr.controllers.rollout import DESIRED, MAX
from styr.kinds import meta, pods, selectors
from styr.kinds.errors import AlreadyExists
from styr.kinds.resources import DEPLOYMENT, POD, REPLICA_SET, Object

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", REVISION, DESIRED, MAX)


async def reconcile(ctx: Context, key: Key) -> Outcome:
    deployment = ctx.get(DEPLOYMENT, key)
    if deployment is None:
        return Done()
    if meta.deleting(deployment):
        return await _report(ctx, deployment, ctx.children(REPLICA_SET, deployment), None)
    sets = await _claim(ctx, deployment)
    new = find_new(deployment, sets)
    if new is None and not rollout.paused(deployment) and not _must_wait(ctx, deployment, sets):
        new = await _create(ctx, deployment, sets)
        sets = [*sets, new]
    elif new is not None and not rollout.paused(deployment):
        new = await _refresh(ctx, deployment, new, sets)
        sets = [new if meta.uid(found) == meta.uid(new) else found for found in sets]
    sets = await _scale(ctx, deployment, new, sets)
    outcome = await _report(ctx, deployment, sets, new)
    if new is not None and deployment_status.complete(ctx.get(DEPLOYMENT, key) or deployment):
        await _forget_old(ctx, deployment, sets, new)
    return outcome


def find_new(deployment: Object, sets: list[Object]) -> Object | None:
    """The oldest ReplicaSet that has the Deployment's template, whatever its hash label."""
    wanted = _without_hash(deployment["spec"]["template"])
    same = [rs for rs in sets if not meta.deleting(rs) and _without_hash(rs["spec"].get("template") or {}) == wanted]
    return min(same, key=rollout.age, default=None)


def new_replica_set(deployment: Object, collisions: int, revision: int) -> Object:
    """The ReplicaSet of the present template, empty for now."""
    template = deployment["spec"]["template"]
    code = digest(template, collisions, length=10)
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: code}
    selector = deployment["spec"]["selector"]
    spec: Object = {
        "replicas": 0,
        "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: code}},
        "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}},
    }
    if deployment["spec"].get("minReadySeconds"):
        spec["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    return {
        "metadata": {
            "name": child_name(meta.name(deployment), code),
            "labels": labels,
            "annotations": _annotations(deployment, revision),
        },
        "spec": spec,
    }


def revision_of(rs: Object) -> int:
    text = meta.annotations(rs).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


async def _create(ctx: Context, deployment: Object, sets: list[Object]) -> Object:
    """Under a name of its own: if a ReplicaSet with another template has it, the count of collisions goes up."""
    collisions = int((deployment.get("status") or {}).get("collisionCount") or 0)
    wanted = new_replica_set(deployment, collisions, max(map(revision_of, sets), default=0) + 1)
    try:
        made = await ctx.create(REPLICA_SET, owned(wanted, deployment, REPLICA_SET))
    except AlreadyExists:
        live = await ctx.client.get(REPLICA_SET, meta.name(wanted), meta.namespace(deployment))
        if not meta.is_controlled_by(live, deployment) or find_new(deployment, [live]) is None:
            status = {**(deployment.get("status") or {}), "collisionCount": collisions + 1}
            await ctx.set_status(DEPLOYMENT, deployment, status)
        raise Retry(f"the name {meta.name(wanted)} is taken") from None
    await _mark_revision(ctx, deployment, revision_of(made))
    return made


async def _refresh(ctx: Context, deployment: Object, new: Object, sets: list[Object]) -> Object:
    """An old template that is wanted again (a rollback) becomes the newest revision; annotations follow the Deployment."""
    newest = max((revision_of(rs) for rs in sets if rs is not new), default=0)
    revision = revision_of(new) if revision_of(new) > newest else newest + 1
    wanted = {**_copied(deployment), REVISION: str(revision)}
    patch: Object = {}
    if any(meta.annotations(new).get(name) != value for name, value in wanted.items()):
        patch["metadata"] = {"annotations": wanted}
    if (new["spec"].get("minReadySeconds") or 0) != (deployment["spec"].get("minReadySeconds") or 0):
        patch["spec"] = {"minReadySeconds": deployment["spec"].get("minReadySeconds") or 0}
    if patch:
        new = await ctx.patch(REPLICA_SET, new, patch)
    await _mark_revision(ctx, deployment, revision)
    return new


async def _mark_revision(ctx: Context, deployment: Object, revision: int) -> None:
    if meta.annotations(deployment).get(REVISION) != str(revision):
        await ctx.patch(DEPLOYMENT, deployment, {"metadata": {"annotations": {REVISION: str(revision)}}})


async def _scale(ctx: Context, deployment: Object, new: Object | None, sets: list[Object]) -> list[Object]:
    """Writes the sizes that `rollout.plan` wants, growing before shrinking."""
    sizes = rollout.plan(deployment, new, sets)
    order = sorted(sets, key=lambda rs: rollout.size(rs) > sizes[meta.uid(rs)])
    changed: dict[str, Object] = {}
    for rs in order:
        uid, wanted = meta.uid(rs), sizes[meta.uid(rs)]
        marks = _marks(deployment)
        stale = wanted > 0 and any(meta.annotations(rs).get(name) != value for name, value in marks.items())
        if rollout.size(rs) == wanted and not stale:
            continue
        patch = {
            "metadata": {"annotations": marks, "resourceVersion": meta.resource_version(rs)},
            "spec": {"replicas": wanted},
        }
        changed[uid] = await ctx.patch(REPLICA_SET, rs, patch)
        if rollout.size(rs) != wanted:
            word = "up" if wanted > rollout.size(rs) else "down"
            told = f"Scaled {word} replica set {meta.name(rs)} from {rollout.size(rs)} to {wanted}"
            await ctx.event(deployment, "Normal", "ScalingReplicaSet", told)
    return [changed.get(meta.uid(rs), rs) for rs in sets]


async def _report(ctx: Context, deployment: Object, sets: list[Object], new: Object | None) -> Outcome:
    # Own patches (the revision) have moved on the cached object.
    current = ctx.get(DEPLOYMENT, meta.key(deployment)) or deployment
    if meta.uid(current) != meta.uid(deployment) or meta.metadata(current).get("generation") != meta.metadata(
        deployment
    ).get("generation"):
        return After(0)
    status, wait = deployment_status.plan(current, new, sets, ctx.clock.time())
    await ctx.set_status(DEPLOYMENT, current, status)
    return After(wait) if wait > 0 else Done()


async def _forget_old(ctx: Context, deployment: Object, sets: list[Object], new: Object) -> None:
    limit = deployment["spec"].get("revisionHistoryLimit")
    empty = [
        rs
        for rs in sets
        if meta.uid(rs) != meta.uid(new)
        and not meta.deleting(rs)
        and rollout.size(rs) == 0
        and not (rs.get("status") or {}).get("replicas")
        and rollout.observed(rs)
    ]
    empty.sort(key=revision_of)
    for rs in empty[: max(0, len(empty) - (10 if limit is None else int(limit)))]:
        await ctx.delete(REPLICA_SET, rs)


async def _claim(ctx: Context, deployment: Object) -> list[Object]:
    """Own ReplicaSets; those without a controller that match the selector are adopted, others let go."""
    selector = selectors.from_object(deployment["spec"].get("selector"))
    own = []
    for rs in ctx.children(REPLICA_SET, deployment):
        if selectors.matches(selector, meta.labels(rs)):
            own.append(rs)
        elif not meta.deleting(rs):
            rest = [owner for owner in meta.owners(rs) if owner.get("uid") != meta.uid(deployment)]
            await ctx.patch(REPLICA_SET, rs, _owners_patch(rs, rest))
    reference = meta.owner_reference(deployment, DEPLOYMENT)
    strays = ctx.list(REPLICA_SET, meta.namespace(deployment), selector) if selector else []
    for rs in [rs for rs in strays if meta.controller_of(rs) is None and not meta.deleting(rs)]:
        own.append(await ctx.patch(REPLICA_SET, rs, _owners_patch(rs, [*meta.owners(rs), reference])))  # noqa: PERF401
    return own


def _owners_patch(rs: Object, owners: list[dict[str, Any]]) -> Object:
    return {"metadata": {"ownerReferences": owners, "resourceVersion": meta.resource_version(rs)}}


def _must_wait(ctx: Context, deployment: Object, sets: list[Object]) -> bool:
    """Recreate: is an old pod still there, or an old ReplicaSet not yet empty?"""
    if (deployment["spec"].get("strategy") or {}).get("type") != "Recreate":
        return False
    remaining = any(not pods.is_terminal(pod) for rs in sets for pod in ctx.children(POD, rs))
    return remaining or any(rollout.size(rs) for rs in sets)


def _annotations(deployment: Object, revision: int) -> dict[str, str]:
    return {**_copied(deployment), **_marks(deployment), REVISION: str(revision)}


def _copied(deployment: Object) -> dict[str, str]:
    return {name: value for name, value in meta.annotations(deployment).items() if name not in _NOT_COPIED}


def _marks(deployment: Object) -> dict[str, str]:
    """What `replicas` was when a size was written: the difference tells a change of it in the middle of a rollout."""
    wanted = rollout.replicas(deployment)
    return {DESIRED: str(wanted), MAX: str(wanted + rollout.surge(deployment))}


def _without_hash(template: Mapping[str, Any]) -> dict[str, Any]:
    given = template.get("metadata") or {}
    labels = {name: value for name, value in (given.get("labels") or {}).items() if name != HASH_LABEL}
    rest = {name: value for name, value in given.items() if name not in ("labels", "creationTimestamp")}
    return {**template, "metadata": {**rest, "labels": labels}}


def _deployment_of_pod(pod: Object, ctx: Context) -> list[Key]:
    """Recreate waits for the last old pod to go."""
    owner = meta.controller_of(pod)
    if owner is None or owner.get("kind") != "ReplicaSet":
        return []
    rs = ctx.get(REPLICA_SET, Key(meta.namespace(pod), str(owner.get("name"))))
    above = meta.controller_of(rs) if rs is not None else None
    return [Key(meta.namespace(pod), str(above.get("name")))] if above is not None else []


def controller() -> Controller:
    return Controller(
        "deployment", DEPLOYMENT, reconcile, owns=(REPLICA_SET,), watches=(Watch(POD, _deployment_of_pod),)
    )
