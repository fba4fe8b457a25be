"""Whose a pod is: adopting what matches and belongs to nobody, letting go what matches no longer.

Called by the controllers that keep pods by a selector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from styr.client.controller import Context, Key
from styr.kinds import meta, pods, selectors
from styr.kinds.resources import POD, Object, Resource
from styr.kinds.selectors import Selector

SelectorOf = Callable[[Object], Selector]


async def claim(ctx: Context, resource: Resource, owner: Object, selector: Selector) -> list[Object]:
    """Adopts and lets go; returns the pods that are the owner's now."""
    own = []
    for pod in ctx.children(POD, owner):
        if selectors.matches(selector, meta.labels(pod)) or meta.deleting(owner):
            own.append(pod)
        elif not meta.deleting(pod):
            rest = [each for each in meta.owners(pod) if each.get("uid") != meta.uid(owner)]
            await ctx.patch(POD, pod, _owners_patch(pod, rest))
    if selector and not meta.deleting(owner):
        reference = meta.owner_reference(owner, resource)
        found = ctx.list(POD, meta.namespace(owner), selector)
        for pod in [pod for pod in found if meta.controller_of(pod) is None and pods.is_active(pod)]:
            own.append(  # noqa: PERF401 - one write after the other
                await ctx.patch(POD, pod, _owners_patch(pod, [*meta.owners(pod), reference]))
            )
    return own


def orphan_keys(resource: Resource, selector_of: SelectorOf, pod: Object, ctx: Context) -> list[Key]:
    """A pod without controller may be somebody's to adopt."""
    if meta.controller_of(pod) is not None:
        return []
    return [
        meta.key(owner)
        for owner in ctx.list(resource, meta.namespace(pod))
        if (selector := selector_of(owner)) and selectors.matches(selector, meta.labels(pod))
    ]


def _owners_patch(pod: Object, owners: list[dict[str, Any]]) -> Object:
    return {"metadata": {"ownerReferences": owners, "resourceVersion": meta.resource_version(pod)}}
