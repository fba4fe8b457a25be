"""ServiceAccount `default`: every namespace has one.

Promise: in every namespace that is not on its way out stands a ServiceAccount `default`; deleted, it is made again.
"""

from __future__ import annotations

from styr.client.controller import Context, Controller, Done, Key, Outcome, Watch
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists, Forbidden, NotFound
from styr.kinds.resources import NAMESPACE, SERVICE_ACCOUNT, Object

NAME = "default"


def plan(namespace: str) -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": namespace}}


async def reconcile(ctx: Context, key: Key) -> Outcome:
    namespace = ctx.get(NAMESPACE, key)
    if namespace is None or meta.deleting(namespace) or ctx.get(SERVICE_ACCOUNT, Key(key.name, NAME)) is not None:
        return Done()
    try:
        await ctx.create(SERVICE_ACCOUNT, plan(key.name))
    except AlreadyExists:
        await ctx.refresh(SERVICE_ACCOUNT, Key(key.name, NAME))
    except (NotFound, Forbidden):
        pass  # the namespace has just gone, or is about to
    return Done()


def _namespace(account: Object, _ctx: Context) -> list[Key]:
    return [Key("", meta.namespace(account))] if meta.name(account) == NAME else []


def controller() -> Controller:
    return Controller("serviceaccount", NAMESPACE, reconcile, watches=(Watch(SERVICE_ACCOUNT, _namespace),))
