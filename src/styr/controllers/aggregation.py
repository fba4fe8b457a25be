"""ClusterRoles that gather others (`aggregationRule`): `admin`, `edit`, `view`, and people's own.

Promise: the rules of such a role are those of all cluster roles that its selectors match, each once, in the order of their
names; when one of those changes, so does it.
"""

from __future__ import annotations

from styr.client.controller import Context, Controller, Done, Key, Outcome, Watch
from styr.kinds import meta, roles
from styr.kinds.errors import NotFound
from styr.kinds.resources import CLUSTER_ROLE, Object


async def reconcile(ctx: Context, key: Key) -> Outcome:
    role = ctx.get(CLUSTER_ROLE, key)
    if role is None or not role.get("aggregationRule") or meta.deleting(role):
        return Done()
    rules = roles.gathered(role, ctx.list(CLUSTER_ROLE))
    if rules != (role.get("rules") or []):
        try:
            await ctx.update(CLUSTER_ROLE, {**role, "rules": rules})
        except NotFound:
            return Done()
    return Done()


def _gathering(_role: Object, ctx: Context) -> list[Key]:
    return [meta.key(role) for role in ctx.list(CLUSTER_ROLE) if role.get("aggregationRule")]


def controller() -> Controller:
    return Controller(
        "clusterrole-aggregation", CLUSTER_ROLE, reconcile, watches=(Watch(CLUSTER_ROLE, _gathering),), workers=1
    )
