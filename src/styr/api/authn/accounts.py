"""ServiceAccount tokens: made, and believed only while what they are bound to is there.

Called by `tokens` (who asks), `verbs.token` (TokenRequest), and by `plane` for the controller that fills token Secrets. Reads
the store's memory on every request, never its file. Claims are Kubernetes' own: bound tokens carry `kubernetes.io`, the
older ones of Secrets `kubernetes.io/serviceaccount/...`.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from random import Random
from typing import Any

import msgspec

from styr.api import metadata
from styr.api.authn import jws
from styr.api.authn.jws import BadToken, Claims
from styr.api.authn.keys import SigningKeys
from styr.api.authn.tokens import Identity
from styr.api.store.commit import Store
from styr.api.store.records import ObjectKey
from styr.kinds.resources import NODE, POD, SECRET, SERVICE_ACCOUNT, Object, Resource
from styr.kinds.transport import User
from styr.kit.clock import Clock, parse_rfc3339

ISSUER = "https://kubernetes.default.svc.cluster.local"
LEGACY_ISSUER = "kubernetes/serviceaccount"
TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105 - a type, not a token
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
LEEWAY = 60.0
"""Seconds that clocks may differ; so long does a bound object's token outlive its deletionTimestamp."""
_LEGACY = "kubernetes.io/serviceaccount/"
_EXTRA = "authentication.kubernetes.io/"
_STALE, _FROM_SECRET = "authentication.k8s.io/stale-token", "authentication.k8s.io/legacy-token"
_REMEMBERED = 2048


class _Metadata(msgspec.Struct):
    uid: str = ""
    deletionTimestamp: str | None = None


class _Object(msgspec.Struct):
    metadata: _Metadata


_read = msgspec.json.Decoder(_Object).decode


class Legacy:
    """A `kinds.seams.TokenSigner`."""

    def __init__(self, accounts: ServiceAccounts) -> None:
        self._accounts = accounts

    def __call__(self, account: Object, secret: str) -> str:
        return self._accounts.legacy(account, secret)

    def current(self, token: str) -> bool:
        try:
            return jws.parse(token).header.get("kid") == self._accounts.keys.public()[0].id
        except BadToken:
            return False


class ServiceAccounts:
    """`audiences` are what this server itself goes by: tokens for others are not let in."""

    def __init__(
        self, store: Store, keys: SigningKeys, clock: Clock, random: Random, audiences: Sequence[str] = (ISSUER,)
    ) -> None:
        self.keys = keys
        self.audiences = tuple(audiences)
        self._store = store
        self._clock = clock
        self._random = random
        self._verified: OrderedDict[bytes, Claims] = OrderedDict()
        self._generation = -1

    # making

    def issue(
        self, account: Object, audiences: Sequence[str], seconds: int, bound: Mapping[str, Object], warn_after: int = 0
    ) -> tuple[str, str]:
        """A bound token and the id that its use is known by. `bound` maps pod, node, secret to the objects."""
        now = int(self._clock.time())
        jti = metadata.new_uid(self._random)
        meta = account["metadata"]
        private: Claims = {
            "namespace": meta["namespace"],
            **{name: _reference(obj) for name, obj in sorted(bound.items())},
            "serviceaccount": _reference(account),
        }
        if warn_after:
            private["warnafter"] = now + warn_after
        claims = {
            "aud": list(audiences),
            "exp": now + seconds,
            "iat": now,
            "iss": ISSUER,
            "jti": jti,
            "kubernetes.io": private,
            "nbf": now,
            "sub": username(meta["namespace"], meta["name"]),
        }
        return self.keys.sign(claims), f"JTI={jti}"

    def legacy(self, account: Object, secret: str) -> str:
        """The token of a Secret: without an end, as long as the Secret holds it."""
        meta = account["metadata"]
        return self.keys.sign(
            {
                "iss": LEGACY_ISSUER,
                f"{_LEGACY}namespace": meta["namespace"],
                f"{_LEGACY}secret.name": secret,
                f"{_LEGACY}service-account.name": meta["name"],
                f"{_LEGACY}service-account.uid": meta["uid"],
                "sub": username(meta["namespace"], meta["name"]),
            }
        )

    # believing

    def __call__(self, text: str, audiences: Sequence[str]) -> Identity | None:
        """None for a token of somebody else. Raises BadToken for one of ours that is not good (any more)."""
        if not jws.looks_like(text):
            return None
        claims = self._claims(text)
        if claims is None:
            return None
        if claims.get("iss") == LEGACY_ISSUER:
            return self._legacy_identity(claims, text, audiences)
        return self._bound_identity(claims, audiences)

    def _claims(self, text: str) -> Claims | None:
        """The claims of a token that we signed; the signature is checked once, while the keys are the same."""
        if self._generation != (generation := self.keys.follow()):
            self._verified.clear()
            self._generation = generation
        digest = sha256(text.encode()).digest()
        claims = self._verified.get(digest)
        if claims is None:
            token = jws.parse(text)
            if token.issuer not in (ISSUER, LEGACY_ISSUER):
                return None
            self.keys.check(token)
            claims = self._verified[digest] = token.claims
            if len(self._verified) > _REMEMBERED:
                self._verified.popitem(last=False)
        else:
            self._verified.move_to_end(digest)
        return claims

    def _bound_identity(self, claims: Claims, wanted: Sequence[str]) -> Identity:
        now = self._clock.time()
        _check_times(claims, now)
        found = claims.get("aud")
        given = [found] if isinstance(found, str) else found if isinstance(found, list) else []
        audiences = tuple(audience for audience in wanted or self.audiences if audience in given)
        if not audiences:
            raise BadToken(
                f"token audiences {given!r} is invalid for the target audiences {list(wanted or self.audiences)!r}"
            )
        private = claims.get("kubernetes.io")
        account = private.get("serviceaccount") if isinstance(private, dict) else None
        if not isinstance(private, dict) or not isinstance(account, dict):
            raise BadToken("it says no ServiceAccount")
        namespace, name = str(private.get("namespace")), str(account.get("name"))
        if claims.get("sub") != username(namespace, name):
            raise BadToken("its subject is not its ServiceAccount")
        self._check(SERVICE_ACCOUNT, namespace, account, now, f"service account {namespace}/{name}")
        extra = {"credential-id": f"JTI={claims['jti']}"} if claims.get("jti") else {}
        secret, pod, node = (private.get(kind) for kind in ("secret", "pod", "node"))
        if secret:
            self._check(SECRET, namespace, secret, now)
        if pod:
            self._check(POD, namespace, pod, now)
            extra |= {"pod-name": str(pod.get("name")), "pod-uid": str(pod.get("uid"))}
        if node:
            if not pod:
                self._check(NODE, "", node, now)
            extra |= {"node-name": str(node.get("name")), "node-uid": str(node.get("uid", ""))}
        found = user(namespace, name, str(account.get("uid")), extra)
        warn_after = private.get("warnafter")
        if isinstance(warn_after, int) and now > warn_after:
            late = f"subject: {found.name}, seconds after warning threshold: {int(now - warn_after)}"
            found = replace(found, notes=((_STALE, late),))
        return Identity(found, audiences)

    def _check(self, resource: Resource, namespace: str, reference: Any, now: float, what: str = "") -> None:
        """Is the object still there, the very same, and not being deleted? Raises BadToken."""
        name = str(reference.get("name")) if isinstance(reference, dict) else ""
        record = self._store.get(ObjectKey(resource.group_resource, namespace, name))
        what = what or f"{resource.kind.lower()} {name} that it is bound to"
        if record is None:
            raise BadToken(f"service account token has been invalidated: {what} is not there")
        meta = _read(record.data).metadata
        if meta.uid != reference.get("uid"):
            raise BadToken(f"service account token has been invalidated: {what} is another one now")
        if meta.deletionTimestamp and parse_rfc3339(meta.deletionTimestamp) < now - LEEWAY:
            raise BadToken(f"service account token has been invalidated: {what} has been deleted")

    def _legacy_identity(self, claims: Claims, text: str, wanted: Sequence[str]) -> Identity:
        keys = ("namespace", "service-account.name", "service-account.uid", "secret.name")
        namespace, name, uid, secret_name = (str(claims.get(_LEGACY + key) or "") for key in keys)
        if not all((namespace, name, uid, secret_name)) or claims.get("sub") != username(namespace, name):
            raise BadToken("a claim is missing, or its subject is not its ServiceAccount")
        audiences = tuple(audience for audience in wanted or self.audiences if audience in self.audiences)
        if not audiences:
            raise BadToken("a token of a Secret is for this server alone")
        record = self._store.get(ObjectKey(SECRET.group_resource, namespace, secret_name))
        secret = record.decode() if record is not None else {}
        held = (secret.get("data") or {}).get("token", "")
        if record is None or "deletionTimestamp" in secret["metadata"]:
            raise BadToken("Token has been invalidated")
        if not hmac.compare_digest(b64decode(held), text.encode()):
            raise BadToken("Token does not match server's copy")
        if INVALID_SINCE in (secret["metadata"].get("labels") or {}):
            raise BadToken(
                f"the token in secret {namespace}/{secret_name} has been marked invalid by its label {INVALID_SINCE}"
            )
        self._check(SERVICE_ACCOUNT, namespace, {"name": name, "uid": uid}, self._clock.time() + LEEWAY)
        found = user(namespace, name, uid)
        return Identity(replace(found, notes=((_FROM_SECRET, found.name),)), audiences)


def username(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"


def user(namespace: str, name: str, uid: str, extra: Mapping[str, str] | None = None) -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    more = tuple((_EXTRA + key, (value,)) for key, value in sorted((extra or {}).items()) if value)
    return User(username(namespace, name), groups, uid, more)


def _reference(obj: Object) -> dict[str, str]:
    meta = obj["metadata"]
    return {"name": meta["name"], **({"uid": meta["uid"]} if meta.get("uid") else {})}


def _check_times(claims: Claims, now: float) -> None:
    """Raises BadToken. A bound token says its end; a token without one never was ours."""
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadToken(f"its {name} is not a time")
    if now > claims["exp"] + LEEWAY:
        raise BadToken("service account token has expired")
    if now < claims["nbf"] - LEEWAY:
        raise BadToken("service account token is not valid yet")
    if now < claims["iat"] - LEEWAY:
        raise BadToken("service account token is issued in the future")
