"""ConfigMap `kube-root-ca.crt`: in every namespace, what a pod needs to trust this API server.

Promise: in every namespace that is not on its way out, `data["ca.crt"]` is the server's CA and there is nothing else; deleted
or changed, it is made so again.
"""

from __future__ import annotations

from contextlib import suppress

from styr.client.controller import Context, Controller, Done, Key, Outcome, Watch
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists, Forbidden, NotFound
from styr.kinds.resources import CONFIG_MAP, NAMESPACE, Object

NAME = "kube-root-ca.crt"
_WHY = {
    "kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
    "endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across "
    "distributions of Kubernetes clusters."
}


def plan(namespace: str, authority: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": namespace, "annotations": dict(_WHY)},
        "data": {"ca.crt": authority},
    }


async def reconcile(ctx: Context, key: Key, authority: str) -> Outcome:
    namespace = ctx.get(NAMESPACE, key)
    if namespace is None or meta.deleting(namespace):
        return Done()
    wanted = plan(key.name, authority)
    try:
        found = await ctx.client.get(CONFIG_MAP, NAME, key.name)
    except NotFound:
        # Refused when somebody was faster (the watch tells), or the namespace is going.
        with suppress(AlreadyExists, NotFound, Forbidden):
            await ctx.client.create(CONFIG_MAP, wanted)
        return Done()
    if found.get("data") != wanted["data"] or found.get("binaryData"):
        annotations = {**meta.annotations(found), **_WHY}
        changed = {**found, "data": wanted["data"], "metadata": {**found["metadata"], "annotations": annotations}}
        changed.pop("binaryData", None)
        await ctx.client.update(CONFIG_MAP, changed)
    return Done()


def _namespace(obj: Object, _ctx: Context) -> list[Key]:
    return [Key("", meta.namespace(obj))]


def controller(authority: str) -> Controller:
    """`authority` is the CA's certificate, PEM."""

    async def bound(ctx: Context, key: Key) -> Outcome:
        return await reconcile(ctx, key, authority)

    watched = Watch(CONFIG_MAP, _namespace, fields=f"metadata.name={NAME}")
    return Controller("root-ca", NAMESPACE, bound, watches=(watched,))
