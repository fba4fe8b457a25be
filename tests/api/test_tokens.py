"""ServiceAccount tokens: what they carry, how long they are believed, and every way in which a token can be no good."""

from __future__ import annotations

import asyncio
import json
import random
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from styr import controllers
from styr.api.authn import jws
from styr.api.authn.accounts import ISSUER, Legacy
from styr.api.authn.keys import SigningKeys
from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.client.client import Client
from styr.client.controller import Manager
from styr.client.transport import InProcessTransport
from styr.kinds.errors import Unauthorized
from styr.kinds.transport import User
from styr.kit.clock import SystemClock
from styr.serving.authn import ADMIN as ROOT
from styr.serving.authn import Authenticator

from .kit import ADMIN, Api, pod

SA = "/api/v1/namespaces/default/serviceaccounts"


class Clock(SystemClock):
    """The machine's, moved by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class World(Api):
    def __init__(self, server: ApiServer, clock: Clock) -> None:
        super().__init__(server)
        self.clock = clock
        self.authenticate = Authenticator({"root-token": ROOT}, server.tokens)
        server.tokens.static = self.authenticate.known

    def who(self, token: str) -> User:
        found = self.authenticate({"authorization": f"Bearer {token}"})
        assert isinstance(found, User)
        return found

    async def token(self, name: str = "robot", **spec: Any) -> str:
        answer = await self("POST", f"{SA}/{name}/token", {"spec": spec})
        return str(answer["status"]["token"])

    async def review(self, token: str, *audiences: str) -> dict[str, Any]:
        body = {"spec": {"token": token, "audiences": list(audiences)}}
        answer = await self("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)
        return dict(answer["status"])


@asynccontextmanager
async def world(keys: Path | None = None) -> AsyncIterator[World]:
    clock = Clock()
    store = Store.open(":memory:", clock, inline=True)
    server = ApiServer(store, clock=clock, random=random.Random(3), keys=SigningKeys(keys, clock))
    await server.start()
    try:
        made = World(server, clock)
        await made("POST", SA, {"metadata": {"name": "robot"}})
        yield made
    finally:
        await store.close()


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return dict(json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4))))


def coded(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(data).rstrip(b"=").decode()


async def test_a_token_says_who_it_is_and_is_believed() -> None:
    async with world() as api:
        answer = await api("POST", f"{SA}/robot/token", {})
        assert (answer["kind"], answer["apiVersion"]) == ("TokenRequest", "authentication.k8s.io/v1")
        assert answer["spec"]["expirationSeconds"] == 3600
        found = claims(token := answer["status"]["token"])
        account = await api("GET", f"{SA}/robot")
        assert found["kubernetes.io"] == {
            "namespace": "default",
            "serviceaccount": {"name": "robot", "uid": account["metadata"]["uid"]},
        }
        assert (found["iss"], found["aud"], found["exp"] - found["iat"]) == (ISSUER, [ISSUER], 3600)
        user = api.who(token)
        assert user.name == found["sub"] == "system:serviceaccount:default:robot"
        assert user.uid == account["metadata"]["uid"]
        assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated")
        assert user.extra == (("authentication.kubernetes.io/credential-id", (f"JTI={found['jti']}",)),)


async def test_a_token_ends_with_its_time_its_account_and_what_it_is_bound_to() -> None:
    async with world() as api:
        token = await api.token()
        api.clock.ahead = 3600 + 59
        api.who(token)
        api.clock.ahead = 3600 + 61
        with pytest.raises(Unauthorized):
            api.who(token)
        api.clock.ahead = -61
        with pytest.raises(Unauthorized):
            api.who(token)
        api.clock.ahead = 0
        await api("DELETE", f"{SA}/robot")
        with pytest.raises(Unauthorized):
            api.who(token)
        await api("POST", SA, {"metadata": {"name": "robot"}})
        with pytest.raises(Unauthorized):  # of that name, but another one
            api.who(token)
        assert "another one" in (await api.review(token))["error"]


async def test_a_token_that_a_kubelet_mounts_lasts_longer_than_it_says_and_the_audit_is_told() -> None:
    async with world() as api:
        made = await api("POST", "/api/v1/namespaces/default/pods", pod("one", serviceAccountName="robot"))
        bound = {"kind": "Pod", "apiVersion": "v1", "name": "one", "uid": made["metadata"]["uid"]}
        token = await api.token(expirationSeconds=3607, boundObjectRef=bound)
        assert api.who(token).notes == ()
        api.clock.ahead = 3700
        ((key, text),) = (user := api.who(token)).notes
        assert key == "authentication.k8s.io/stale-token"
        assert text.startswith(f"subject: {user.name}, seconds after warning threshold: 9")
        assert hash(user) == hash(replace(user, notes=()))


@pytest.mark.parametrize("kind", ["Pod", "Secret", "Node"])
async def test_bound_tokens_go_with_their_object(kind: str) -> None:
    async with world() as api:
        url = {"Node": "/api/v1/nodes"}.get(kind, f"/api/v1/namespaces/default/{kind.lower()}s")
        body = (
            pod("one", serviceAccountName="robot", nodeName="here") if kind == "Pod" else {"metadata": {"name": "one"}}
        )
        made = await api("POST", url, body)
        bound = {"kind": kind, "apiVersion": "v1", "name": "one"}
        wrong = await api("POST", f"{SA}/robot/token", {"spec": {"boundObjectRef": {**bound, "uid": "x"}}}, want=409)
        assert "does not match the UID in record" in wrong["message"]
        token = await api.token(boundObjectRef={**bound, "uid": made["metadata"]["uid"]})
        assert claims(token)["kubernetes.io"][kind.lower()]["uid"] == made["metadata"]["uid"]
        extra = dict(api.who(token).extra)
        if kind == "Pod":
            assert extra["authentication.kubernetes.io/pod-name"] == ("one",)
            assert extra["authentication.kubernetes.io/pod-uid"] == (made["metadata"]["uid"],)
            assert extra["authentication.kubernetes.io/node-name"] == ("here",)
        if kind == "Node":
            assert extra["authentication.kubernetes.io/node-uid"] == (made["metadata"]["uid"],)
        await api("DELETE", f"{url}/one?gracePeriodSeconds=0")
        with pytest.raises(Unauthorized):
            api.who(token)


async def test_requests_that_are_refused() -> None:
    async with world() as api:
        ask = f"{SA}/robot/token"
        for seconds, words in ((599, "less than 10 minutes"), (1 << 33, "larger than 2^32 seconds")):
            answer = await api("POST", ask, {"spec": {"expirationSeconds": seconds}}, want=422)
            assert words in answer["message"]
        await api("POST", f"{SA}/nobody/token", {}, want=404)
        await api("POST", ask, {"metadata": {"name": "other"}}, want=422)
        await api("POST", ask, {"metadata": {"uid": "other"}}, want=409)
        await api(
            "POST", ask, {"spec": {"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "x"}}}, want=400
        )
        await api(
            "POST", ask, {"spec": {"boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "x"}}}, want=404
        )
        await api("POST", ask, {"spec": {"audiences": 3}}, want=400)
        await api("POST", ask, {"kind": "Pod"}, want=400)
        await api("POST", "/api/v1/namespaces/default/pods", pod("other"))
        other = {"kind": "Pod", "apiVersion": "v1", "name": "other"}
        answer = await api("POST", ask, {"spec": {"boundObjectRef": other}}, want=400)
        assert "different serviceaccount name" in answer["message"]
        await api("GET", ask, want=405)


async def test_audiences() -> None:
    async with world() as api:
        other = await api.token(audiences=["vault", "bank"])
        with pytest.raises(Unauthorized):  # it was not made for us
            api.who(other)
        assert "authenticated" not in await api.review(other)
        found = await api.review(other, "bank", "shop")
        assert (found["authenticated"], found["audiences"]) == (True, ["bank"])
        assert found["user"]["username"] == "system:serviceaccount:default:robot"
        own = await api.review(await api.token())
        assert own["audiences"] == [ISSUER]
        static = await api.review("root-token", "any", ISSUER)
        assert (static["user"]["username"], static["audiences"]) == ("styr-admin", [ISSUER])
        assert "authenticated" not in await api.review("root-token", "any")
        assert "invalid bearer token" in (await api.review("nonsense"))["error"]


async def forgeries(api: World) -> list[str]:
    good = await api.token()
    head, body, signature = good.split(".")
    key = api.server.accounts.keys.public()[0]
    stranger = SigningKeys(None, api.clock)
    kid = key.id
    return [
        f"{coded({'alg': 'none'})}.{body}.",
        f"{coded({'alg': 'none', 'kid': kid})}.{body}.{signature}",
        f"{coded({'alg': 'HS256', 'kid': kid})}.{body}.{coded(b'x' * 32)}",
        f"{coded({'alg': 'ES384', 'kid': kid})}.{body}.{signature}",
        f"{coded({'alg': 'RS256', 'kid': kid})}.{body}.{signature}",
        f"{coded({'alg': 'ES256', 'kid': kid, 'crit': ['x']})}.{body}.{signature}",
        f"{head}.{coded({**claims(good), 'sub': 'system:serviceaccount:kube-system:root'})}.{signature}",
        f"{head}.{body}.{coded(b'')}",
        f"{head}.{body}.{signature}AAAA",
        f"{head}.{body}.{signature[:-8]}",
        stranger.sign(claims(good)),
        f"{coded({'alg': 'ES256', 'kid': kid})}.{stranger.sign(claims(good)).split('.', 1)[1]}",
        good + ".",
        "eyJ..",
        f"{coded(b'[' * 9000)}.{body}.{signature}",
        f"{head}.{coded(b'{' * 9000)}.{signature}",
        f"{head}.{coded([1])}.{signature}",
        "eyJ" + "A" * 31000 + ".e30.e30",
        good.encode().hex(),
    ]


async def test_forged_and_broken_tokens_are_refused_and_tell_nothing() -> None:
    async with world() as api:
        for token in await forgeries(api):
            with pytest.raises(Unauthorized) as caught:
                api.who(token)
            assert caught.value.message == "Unauthorized"
            assert "error" in await api.review(token)


async def test_claims_that_a_key_of_ours_would_not_sign_are_refused_all_the_same() -> None:
    async with world() as api:
        good = claims(await api.token())
        kubernetes = good["kubernetes.io"]
        for change in (
            {"exp": None},
            {"exp": "tomorrow"},
            {"exp": True},
            {"nbf": []},
            {"aud": 3},
            {"aud": None},
            {"kubernetes.io": 3},
            {"kubernetes.io": {}},
            {"kubernetes.io": {**kubernetes, "pod": "x"}},
            {"kubernetes.io": {**kubernetes, "secret": {"name": ["x"]}}},
            {"sub": "system:serviceaccount:kube-system:robot"},
        ):
            with pytest.raises(Unauthorized):
                api.who(api.server.accounts.keys.sign({**good, **change}))


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for shown in (text, f"eyJ{text}.{text}.{text}"):
        try:
            jws.parse(shown)
        except jws.BadToken:
            continue


async def test_keys_are_rotated_by_files(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    async with world(folder) as api:
        old = await api.token()
        api.who(old)
        (first,) = folder.glob("*.key")
        assert first.stat().st_mode & 0o777 == 0o600
        api.clock.ahead = 1
        assert api.server.accounts.keys.rotate()
        new = await api.token()
        kids = [jws.parse(token).header["kid"] for token in (old, new)]
        assert kids[0] != kids[1]
        assert api.who(old) == api.who(old)
        shown = await api("GET", "/openid/v1/jwks")
        assert [key["kid"] for key in shown["keys"]] == [kids[1], kids[0]]
        first.unlink()
        api.who(new)
        with pytest.raises(Unauthorized):  # though it had been verified before
            api.who(old)
        (folder / "zzz.key").write_text("no key")
        api.who(new)
    async with world(folder) as again:  # what is on the disk is what signs after a start
        assert jws.parse(await again.token()).header["kid"] == kids[1]


@pytest.mark.parametrize("kind", ["rsa", "P-384"])
async def test_keys_of_ones_own(tmp_path: Path, kind: str) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key: Any = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP384R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (tmp_path / "own.key").write_bytes(pem)
    async with world(tmp_path) as api:
        token = await api.token()
        assert jws.parse(token).header["alg"] == {"rsa": "RS256", "P-384": "ES384"}[kind]
        api.who(token)
        (shown,) = (await api("GET", "/openid/v1/jwks"))["keys"]
        read = jws.from_jwk(shown)
        assert read is not None
        read.check(jws.parse(token))


async def test_discovery_for_others() -> None:
    async with world() as api:
        token = await api.token()
        response = await api.raw("GET", "/.well-known/openid-configuration", host="127.0.0.1:6443")
        assert isinstance(response.body, bytes)
        found = json.loads(response.body)
        assert (found["issuer"], found["jwks_uri"]) == (ISSUER, "https://127.0.0.1:6443/openid/v1/jwks")
        assert found["id_token_signing_alg_values_supported"] == ["ES256"]
        (key,) = (await api("GET", "/openid/v1/jwks"))["keys"]
        known = jws.from_jwk(key)
        assert known is not None
        known.check(jws.parse(token))
        account = Api(api.server, api.who(token))
        assert (await account("GET", "/.well-known/openid-configuration"))["issuer"] == ISSUER
        await Api(api.server, User("ann", ("system:authenticated",)))("GET", "/openid/v1/jwks", want=403)


def _no_signer(request: bytes, usages: Sequence[str], seconds: int | None) -> bytes:
    raise ValueError("no certificates here")


@asynccontextmanager
async def controlled(api: World) -> AsyncIterator[None]:
    client = Client(InProcessTransport(api.server, ADMIN))
    manager = Manager(client, api.clock, random.Random(1))
    for controller in (
        *controllers.controllers(),
        *controllers.trusted("THE CA", Legacy(api.server.accounts), _no_signer),
    ):
        manager.add(controller)
    task = asyncio.create_task(manager.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(api: World, url: str, good: Any) -> dict[str, Any]:
    """The object at `url` once it is as wanted (`good(None)`: gone)."""
    for _ in range(1000):
        response = await api.raw("GET", url)
        assert isinstance(response.body, bytes)
        found = json.loads(response.body) if response.status == 200 else None
        if good(found):
            return found or {}
        await asyncio.sleep(0.005)
    raise AssertionError(f"{url}: {found}")


async def test_what_every_namespace_has() -> None:
    async with world() as api, controlled(api):
        await api("POST", "/api/v1/namespaces", {"metadata": {"name": "team"}})
        account, ca = (
            f"/api/v1/namespaces/team/{name}" for name in ("serviceaccounts/default", "configmaps/kube-root-ca.crt")
        )
        await until(api, account, bool)
        assert (await until(api, ca, bool))["data"] == {"ca.crt": "THE CA"}
        await api("DELETE", account)
        await api("DELETE", ca)
        await until(api, account, bool)
        await until(api, ca, bool)
        patch = {"data": {"ca.crt": "evil", "more": "x"}}
        await api("PATCH", ca, patch, type="application/merge-patch+json")
        await until(api, ca, lambda found: found and found["data"] == {"ca.crt": "THE CA"})
        await api("DELETE", "/api/v1/namespaces/team")
        await until(api, "/api/v1/namespaces/team", lambda found: not found)


async def test_token_secrets_are_filled_rotated_and_end(tmp_path: Path) -> None:
    async with world(tmp_path) as api, controlled(api):
        secrets = "/api/v1/namespaces/default/secrets"
        named = {"kubernetes.io/service-account.name": "robot"}
        kind = "kubernetes.io/service-account-token"
        await api("POST", secrets, {"metadata": {"name": "old"}, "type": kind}, want=422)
        await api("POST", secrets, {"metadata": {"name": "old", "annotations": named}, "type": kind})
        filled = await until(api, f"{secrets}/old", lambda found: found and found.get("data"))
        data = {key: b64decode(value).decode() for key, value in filled["data"].items()}
        assert (data["ca.crt"], data["namespace"]) == ("THE CA", "default")
        account = await api("GET", f"{SA}/robot")
        assert filled["metadata"]["annotations"]["kubernetes.io/service-account.uid"] == account["metadata"]["uid"]
        user = api.who(data["token"])
        assert (user.name, user.extra) == ("system:serviceaccount:default:robot", ())
        assert user.notes == (("authentication.k8s.io/legacy-token", user.name),)
        assert "authenticated" not in await api.review(data["token"], "vault")
        api.clock.ahead = 1
        api.server.accounts.keys.rotate()
        await api("PATCH", f"{SA}/robot", {"metadata": {"labels": {"a": "b"}}}, type="application/merge-patch+json")
        changed = lambda found: b64decode(found["data"]["token"]).decode() != data["token"]  # noqa: E731
        newer = b64decode((await until(api, f"{secrets}/old", changed))["data"]["token"]).decode()
        api.who(newer)
        with pytest.raises(Unauthorized):
            api.who(data["token"])
        marked = {"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "2026-01-01"}}}
        await api("PATCH", f"{secrets}/old", marked, type="application/merge-patch+json")
        with pytest.raises(Unauthorized):
            api.who(newer)
        await api("DELETE", f"{SA}/robot")
        await until(api, f"{secrets}/old", lambda found: not found)
