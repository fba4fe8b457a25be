"""Secrets of type kubernetes.io/service-account-token: filled with a token that lasts as long as the Secret does.

Promise: such a Secret, whose annotations name a ServiceAccount that is there, holds `token` (signed by the newest key),
`ca.crt` and `namespace`, and the account's uid in its annotations; when the account goes, so does the Secret.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from styr.client.controller import Context, Controller, Done, Key, Outcome, Watch
from styr.kinds import meta
from styr.kinds.errors import NotFound
from styr.kinds.resources import SECRET, SERVICE_ACCOUNT, Object
from styr.kinds.seams import TokenSigner

TYPE = "kubernetes.io/service-account-token"
NAME, UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


def plan(secret: Object, account: Object, authority: str, sign: TokenSigner) -> Object | None:
    """The Secret as it should be; None when it is."""
    data: dict[str, str] = dict(secret.get("data") or {})
    wanted = {"ca.crt": _coded(authority), "namespace": data.get("namespace") or _coded(meta.namespace(secret))}
    if not _good(data.get("token", ""), sign):
        wanted["token"] = _coded(sign(account, meta.name(secret)))
    annotations = meta.annotations(secret)
    if annotations.get(UID) == meta.uid(account) and all(data.get(key) == value for key, value in wanted.items()):
        return None
    metadata = {**secret["metadata"], "annotations": {**annotations, UID: meta.uid(account)}}
    return {**secret, "metadata": metadata, "data": {**data, **wanted}}


def _good(coded: str, sign: TokenSigner) -> bool:
    try:
        return bool(coded) and sign.current(b64decode(coded).decode())
    except ValueError:
        return False


def _coded(text: str) -> str:
    return b64encode(text.encode()).decode()


async def reconcile(ctx: Context, key: Key, authority: str, sign: TokenSigner) -> Outcome:
    """`key` is the ServiceAccount's, whether it is there or not."""
    account = ctx.get(SERVICE_ACCOUNT, key)
    for secret in (await ctx.client.list(SECRET, key.namespace, fields=f"type={TYPE}")).items:
        annotations = meta.annotations(secret)
        if annotations.get(NAME) != key.name or meta.deleting(secret):
            continue
        try:
            if account is None or annotations.get(UID) not in (None, "", meta.uid(account)):
                await ctx.client.delete(SECRET, meta.name(secret), key.namespace, uid=meta.uid(secret))
            elif not meta.deleting(account) and (wanted := plan(secret, account, authority, sign)):
                await ctx.client.update(SECRET, wanted)
        except NotFound:
            continue
    return Done()


def _account(secret: Object, _ctx: Context) -> list[Key]:
    name = meta.annotations(secret).get(NAME)
    return [Key(meta.namespace(secret), name)] if name else []


def controller(authority: str, sign: TokenSigner) -> Controller:
    async def bound(ctx: Context, key: Key) -> Outcome:
        return await reconcile(ctx, key, authority, sign)

    watched = Watch(SECRET, _account, fields=f"type={TYPE}")
    return Controller("token-secret", SERVICE_ACCOUNT, bound, watches=(watched,))
