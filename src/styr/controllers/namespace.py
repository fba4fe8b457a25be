"""Namespace: deleting one deletes what is in it.

Promise: everything of every kind that the server serves, custom ones included, is deleted, pods first, so that their
processes end while what they use is still there; when nothing is left, the finalizer `kubernetes` is taken off and the
server drops the namespace. What holds it up stands in its conditions.
"""

from __future__ import annotations

from typing import Any

from styr.client.controller import After, Context, Controller, Done, Key, Outcome
from styr.client.discovery import served
from styr.kinds import conditions, meta
from styr.kinds.errors import Conflict, MethodNotAllowed, NotFound
from styr.kinds.resources import NAMESPACE, POD, Object, Resource

FINALIZER = "kubernetes"
_POLL = 0.5
"""Seconds between two looks at a namespace that empties: its contents are of kinds that nobody watches for us."""

_NO_FAILURES = (
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
)
"""Conditions that clients look for. They never come true here: what fails is tried again until it does not."""


async def reconcile(ctx: Context, key: Key) -> Outcome:
    namespace = ctx.get(NAMESPACE, key)
    if namespace is None or not meta.deleting(namespace):
        return Done()
    if FINALIZER not in (namespace["spec"].get("finalizers") or ()):
        return Done()
    kinds = [resource for resource in await served(ctx.client, verbs=("list", "delete")) if resource.namespaced]
    left = await _empty(ctx, key.name, kinds)
    if left:
        await ctx.set_status(NAMESPACE, namespace, status(namespace, left, ctx.now()))
        return After(_POLL)
    rest = [finalizer for finalizer in namespace["spec"]["finalizers"] if finalizer != FINALIZER]
    try:
        await ctx.client.update(
            NAMESPACE, {**namespace, "spec": {**namespace["spec"], "finalizers": rest}}, subresource="finalize"
        )
    except NotFound:
        return Done()
    except Conflict:
        await ctx.refresh(NAMESPACE, key)
        return After(0)
    return Done()


async def _empty(ctx: Context, name: str, kinds: list[Resource]) -> dict[Resource, list[Object]]:
    """Deletes; returns what was still there. Other kinds wait until the last pod is gone."""
    left = await _delete_all(ctx, name, POD)
    if left:
        return {POD: left}
    found = {
        resource: await _delete_all(ctx, name, resource)
        for resource in kinds
        if resource.group_resource != POD.group_resource
    }
    return {resource: objects for resource, objects in found.items() if objects}


async def _delete_all(ctx: Context, name: str, resource: Resource) -> list[Object]:
    try:
        found = (await ctx.client.list(resource, name, limit=500)).items
    except (NotFound, MethodNotAllowed):
        return []  # the kind itself has just gone
    for obj in found:
        if not meta.deleting(obj):
            await ctx.delete(resource, obj)
    return found


def status(namespace: Object, left: dict[Resource, list[Object]], now: str) -> dict[str, Any]:
    """Tells what remains and which finalizers hold it."""
    told = list((namespace.get("status") or {}).get("conditions") or ())
    counts = [f"{resource.group_resource} has {len(objects)} resource instances" for resource, objects in left.items()]
    holders: dict[str, int] = {}
    for objects in left.values():
        for obj in objects:
            for finalizer in meta.metadata(obj).get("finalizers") or ():
                holders[finalizer] = holders.get(finalizer, 0) + 1
    told = conditions.put(
        told,
        "NamespaceContentRemaining",
        True,
        now=now,
        reason="SomeResourcesRemain",
        message=f"Some resources are remaining: {', '.join(counts)}",
    )
    names = ", ".join(f"{finalizer} in {count} resource instances" for finalizer, count in sorted(holders.items()))
    told = conditions.put(
        told,
        "NamespaceFinalizersRemaining",
        bool(holders),
        now=now,
        reason="SomeFinalizersRemain" if holders else "ContentHasNoFinalizers",
        message=f"Some content in the namespace has finalizers remaining: {names}" if holders else "",
    )
    for kind, reason, message in _NO_FAILURES:
        told = conditions.put(told, kind, False, now=now, reason=reason, message=message)
    return {**(namespace.get("status") or {}), "phase": "Terminating", "conditions": told}


def controller() -> Controller:
    return Controller("namespace", NAMESPACE, reconcile)
