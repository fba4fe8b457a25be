"""Tokens of an issuer outside, which the tests bring along: over real TLS, with keys that rotate, go away and lie."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from styr.api import pki
from styr.api.authn import configuration, jws
from styr.api.authn.configuration import ConfigurationError
from styr.api.authn.expressions import compile_expression
from styr.api.authn.issuers import RETRY, fetch
from styr.api.authn.oidc import Oidc
from styr.api.server import ApiServer
from styr.kinds.errors import Unauthorized
from styr.kinds.transport import ANONYMOUS, Request, Response, User
from styr.kit.clock import SystemClock
from styr.serving.http import serve

from .kit import Api
from .test_tokens import world

NOW = 1_800_000_000.0


class Clock(SystemClock):
    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return NOW + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Issuer:
    """An OpenID provider on loopback. `broken` makes it answer 500; `fetches` counts how often its keys were read."""

    def __init__(self) -> None:
        self.url = ""
        self.keys: dict[str, Any] = {"one": rsa.generate_private_key(65537, 2048)}
        self.broken = False
        self.fetches = 0
        self.answer: Any = None

    async def __call__(self, request: Request) -> Response:
        if self.broken:
            return Response(500, b"out of order")
        if request.path == "/.well-known/openid-configuration":
            return _json({"issuer": self.url, "jwks_uri": f"{self.url}/keys"} if self.answer is None else self.answer)
        self.fetches += 1
        shown = [self.key(kid).jwk() | {"kid": kid} for kid in self.keys]
        return _json({"keys": [{"kty": "oct", "k": "AAAA"}, {"kty": "OKP"}, 3, *shown]})

    def key(self, kid: str) -> jws.Key:
        public = jws.public_key(self.keys[kid].public_key())
        return jws.Key(kid, public.algorithm, public.public)

    def sign(self, kid: str = "one", **claims: Any) -> str:
        usual = {"iss": self.url, "aud": "styr", "exp": NOW + 60, "sub": "ann", "groups": ["dev"]}
        found = {key: value for key, value in (usual | claims).items() if value is not None}
        return jws.sign(self.keys[kid], self.key(kid), found)


def _json(value: Any) -> Response:
    return Response(200, json.dumps(value).encode(), {"content-type": "application/json"})


class World:
    def __init__(self, issuer: Issuer, clock: Clock, path: Path, authority: str) -> None:
        self.issuer, self.clock, self.path, self.authority = issuer, clock, path, authority
        self.oidc: Oidc

    def write(self, **changes: Any) -> None:
        jwt = {
            "issuer": {"url": self.issuer.url, "audiences": ["styr"], "certificateAuthority": self.authority},
            "claimMappings": {
                "username": {"claim": "sub", "prefix": "oidc:"},
                "groups": {"claim": "groups", "prefix": "oidc:"},
                "uid": {"claim": "sub"},
            },
            **changes,
        }
        config = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [jwt]}
        self.path.write_text(yaml.safe_dump(config))
        os.utime(self.path, ns=(0, self.path.stat().st_mtime_ns + 1))

    async def who(self, token: str) -> User:
        found = self.oidc(token, ())
        assert found is not None
        if callable(found):
            found = await found()
        return found.user


@asynccontextmanager
async def provider(tmp_path: Path) -> AsyncIterator[World]:
    made = pki.ensure(tmp_path / "issuer", SystemClock())
    issuer = Issuer()
    server = await serve(issuer, tls=made.context(), authenticate=lambda *_: ANONYMOUS)
    issuer.url = f"https://127.0.0.1:{server.port}"
    found = World(issuer, Clock(), tmp_path / "authentication.yaml", made.ca.read_text())
    found.write()
    found.oidc = Oidc(found.path, found.clock, ["us"], compile=compile_expression)
    try:
        yield found
    finally:
        found.oidc.close()
        await server.close()


async def test_a_token_of_an_issuer_is_somebody(tmp_path: Path) -> None:
    async with provider(tmp_path) as oidc:
        token = oidc.issuer.sign(jti="7")
        user = await oidc.who(token)
        assert (user.name, user.uid) == ("oidc:ann", "ann")
        assert user.groups == ("oidc:dev", "system:authenticated")
        assert user.extra == (("authentication.kubernetes.io/credential-id", ("JTI=7",)),)
        assert not callable(oidc.oidc(token, ()))  # the keys are there now: no waiting
        assert oidc.issuer.fetches == 1
        assert (await oidc.who(oidc.issuer.sign(groups="dev"))).groups == user.groups
        assert (await oidc.who(oidc.issuer.sign(groups=None))).groups == ("system:authenticated",)
        assert oidc.oidc("ordinary-token", ()) is None
        assert oidc.oidc(oidc.issuer.sign(iss="https://elsewhere"), ()) is None


async def test_what_makes_a_token_no_good(tmp_path: Path) -> None:
    async with provider(tmp_path) as oidc:
        oidc.write(claimValidationRules=[{"claim": "hd", "requiredValue": "example.com"}])
        oidc.clock.ahead = 2
        good = {"hd": "example.com"}
        await oidc.who(oidc.issuer.sign(**good))
        stranger = Issuer()
        stranger.url = oidc.issuer.url
        for token in (
            oidc.issuer.sign(),
            oidc.issuer.sign(hd=["example.com"]),
            oidc.issuer.sign(**good, exp=NOW - 1),
            oidc.issuer.sign(**good, exp="x"),
            oidc.issuer.sign(**good, exp=None),
            oidc.issuer.sign(**good, nbf=NOW + 1000),
            oidc.issuer.sign(**good, aud="other"),
            oidc.issuer.sign(**good, aud=[3]),
            oidc.issuer.sign(**good, aud=None),
            oidc.issuer.sign(**good, sub=3),
            oidc.issuer.sign(**good, sub=""),
            oidc.issuer.sign(**good, groups={"a": "b"}),
            oidc.issuer.sign(**good, groups=None, _claim_names={"groups": "src1"}),
            stranger.sign(**good),
            oidc.issuer.sign(**good)[:-4],
            jws.sign(oidc.issuer.keys["one"], jws.Key("two", "RS256", None), {"iss": oidc.issuer.url}),
        ):
            with pytest.raises(jws.BadToken):
                await oidc.who(token)
        assert oidc.issuer.fetches == 1  # none of it made us ask again so soon


async def test_expressions_map_and_judge(tmp_path: Path) -> None:
    async with provider(tmp_path) as oidc:
        oidc.write(
            claimMappings={
                "username": {"expression": "claims.sub + '@' + claims.?tenant.orValue('none')"},
                "groups": {"expression": "claims.roles.split(',').map(r, 'x:' + r)"},
                "uid": {"expression": "claims.sub"},
                "extra": [{"key": "acme.com/tenant", "valueExpression": "claims.tenant"}],
            },
            claimValidationRules=[{"expression": "claims.level > 2", "message": "level is too low"}],
            userValidationRules=[{"expression": "!user.groups.exists(g, g == 'x:evil')", "message": "no evil"}],
        )
        oidc.clock.ahead = 2
        good = {"tenant": "t1", "roles": "dev,ops", "level": 3}
        user = await oidc.who(oidc.issuer.sign(**good))
        assert (user.name, user.uid) == ("ann@t1", "ann")
        assert user.groups == ("x:dev", "x:ops", "system:authenticated")
        assert user.extra == (("acme.com/tenant", ("t1",)),)
        for change, words in (
            ({"level": 1}, "level is too low"),
            ({"level": "high"}, "no such overload"),
            ({"roles": "dev,evil"}, "no evil"),
            ({"roles": None}, "no such key"),
            ({"tenant": 3}, "no such overload"),
        ):
            with pytest.raises(jws.BadToken, match=words):
                await oidc.who(oidc.issuer.sign(**{**good, **change}))


async def test_an_email_must_be_verified(tmp_path: Path) -> None:
    async with provider(tmp_path) as oidc:
        oidc.write(claimMappings={"username": {"claim": "email", "prefix": ""}})
        oidc.clock.ahead = 2
        assert (await oidc.who(oidc.issuer.sign(email="a@b"))).name == "a@b"
        assert (await oidc.who(oidc.issuer.sign(email="a@b", email_verified=True))).name == "a@b"
        for verified in (False, "true"):
            with pytest.raises(jws.BadToken):
                await oidc.who(oidc.issuer.sign(email="a@b", email_verified=verified))


async def test_keys_rotate_and_old_ones_end(tmp_path: Path) -> None:
    async with provider(tmp_path) as oidc:
        old = oidc.issuer.sign(exp=NOW + 1e6)
        await oidc.who(old)
        oidc.issuer.keys["two"] = ec.generate_private_key(ec.SECP256R1())
        new = oidc.issuer.sign("two", exp=NOW + 1e6)
        with pytest.raises(jws.BadToken):  # asked a moment ago
            await oidc.who(new)
        oidc.clock.ahead = RETRY + 1
        found = await asyncio.gather(*(oidc.who(new) for _ in range(20)))
        assert {user.name for user in found} == {"oidc:ann"}
        assert oidc.issuer.fetches == 2  # one question for all who waited
        del oidc.issuer.keys["one"]
        await oidc.who(old)
        oidc.clock.ahead += 100  # old enough now to be asked for in the background
        await oidc.who(old)
        for _ in range(400):
            try:
                found_user = await oidc.who(old)
            except jws.BadToken:
                break
            assert found_user
            await asyncio.sleep(0.005)
        else:
            raise AssertionError("the old key is still believed")
        await oidc.who(new)


async def test_an_issuer_that_is_away_or_lies(tmp_path: Path) -> None:
    async with provider(tmp_path) as oidc:
        token = oidc.issuer.sign(exp=NOW + 1e6)
        for answer in (
            None,
            {"issuer": "https://evil", "jwks_uri": oidc.issuer.url},
            {},
            [],
            "x",
            {"issuer": oidc.issuer.url},
        ):
            oidc.issuer.broken, oidc.issuer.answer = answer is None, answer
            with pytest.raises(jws.BadToken, match="cannot be fetched"):
                await oidc.who(token)
            oidc.clock.ahead += RETRY + 1
        oidc.issuer.broken, oidc.issuer.answer = False, {"issuer": oidc.issuer.url, "jwks_uri": "http://127.0.0.1/keys"}
        with pytest.raises(jws.BadToken, match="not https"):
            await oidc.who(token)
        oidc.clock.ahead += RETRY + 1
        oidc.issuer.answer = None
        await oidc.who(token)
        oidc.issuer.broken = True
        oidc.clock.ahead += 1000
        await oidc.who(token)  # what is at hand goes on


async def test_an_issuer_of_another_ca_is_not_asked(tmp_path: Path) -> None:
    async with provider(tmp_path) as oidc:
        oidc.authority = pki.ensure(tmp_path / "other", SystemClock()).ca.read_text()
        oidc.write()
        oidc.clock.ahead = 2
        with pytest.raises(jws.BadToken, match="cannot be fetched"):
            await oidc.who(oidc.issuer.sign())
        with pytest.raises(OSError):
            await fetch(oidc.issuer.url, "")


async def test_the_file_is_followed(tmp_path: Path) -> None:
    async with provider(tmp_path) as oidc:
        token = oidc.issuer.sign(exp=NOW + 1e6)
        await oidc.who(token)
        oidc.path.write_text("kind: Nonsense")
        oidc.clock.ahead = 2
        await oidc.who(token)
        oidc.path.unlink()
        oidc.clock.ahead = 4
        assert oidc.oidc(token, ()) is None
        oidc.write(claimMappings={"username": {"claim": "sub", "prefix": "x:"}})
        oidc.clock.ahead = 6
        assert (await oidc.who(token)).name == "x:ann"


async def test_through_the_server_and_token_review(tmp_path: Path) -> None:
    async with provider(tmp_path) as oidc, world() as api:
        api.server.tokens.kinds.append(oidc.oidc)
        token = oidc.issuer.sign()
        later = api.authenticate({"authorization": f"Bearer {token}"})
        assert callable(later)
        assert (await later()).name == "oidc:ann"
        oidc.oidc._audiences = api.server.accounts.audiences
        status = await api.review(token)
        assert (status["user"]["username"], status["authenticated"]) == ("oidc:ann", True)
        assert "authenticated" not in await api.review(token, "vault")
        with pytest.raises(Unauthorized) as caught:
            api.authenticate({"authorization": f"Bearer {token[:-4]}"})
        assert caught.value.message == "Unauthorized"


async def test_anonymous_only_where_it_may(tmp_path: Path) -> None:
    async with world() as api:
        path = tmp_path / "authentication.yaml"
        for enabled, conditions, live, version in (
            (True, [], 200, 200),
            (True, [{"path": "/livez"}], 200, 401),
            (False, [], 401, 401),
        ):
            anonymous = {"enabled": enabled, "conditions": conditions}
            config = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"}
            path.write_text(json.dumps({**config, "anonymous": anonymous}))
            server: ApiServer = api.server
            server.allows_anonymous = Oidc(path, api.clock, ["us"]).allows_anonymous
            nobody = Api(server, ANONYMOUS)
            assert (await nobody.raw("GET", "/livez")).status == live
            assert (await nobody.raw("GET", "/version")).status == version
            assert (await Api(server).raw("GET", "/version")).status == 200


GOOD: dict[str, Any] = {
    "issuer": {"url": "https://issuer", "audiences": ["styr"]},
    "claimMappings": {"username": {"claim": "sub", "prefix": ""}},
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"issuer": {}}, "issuer.url: Required value"),
        ({"issuer": {"url": "http://x", "audiences": ["a"]}}, "scheme must be https"),
        ({"issuer": {"url": "https://u:p@x?q#f", "audiences": ["a"]}}, "username or password"),
        ({"issuer": {"url": "https://x:99999", "audiences": ["a"]}}, "Port out of range"),
        ({"issuer": {"url": "https://x"}}, "audiences: Required value"),
        ({"issuer": {"url": "https://x", "audiences": ["a", "b"]}}, "must be MatchAny"),
        ({"issuer": {"url": "https://x", "audiences": ["a"], "certificateAuthority": "no"}}, "certificateAuthority"),
        ({"issuer": {"url": "https://x", "audiences": ["a"], "discoveryURL": "https://x/"}}, "must be different"),
        ({"issuer": {"url": "https://kubernetes.default.svc.cluster.local", "audiences": ["a"]}}, "must not overlap"),
        ({"issuer": {"url": "https://x", "audiences": ["a"], "egressSelectorType": "cluster"}}, "egress"),
        ({"issuer": 3}, "must be of type object"),
        ({"claimMappings": {}}, "claim or expression is required"),
        ({"claimMappings": {"username": {"claim": "sub"}}}, "prefix is required"),
        ({"claimMappings": {"username": {"claim": "a", "expression": "b"}}}, "can't both be set"),
        ({"claimValidationRules": [{}]}, "claim or expression is required"),
        ({"claimValidationRules": [{"claim": "a", "message": "b"}]}, "may not be specified"),
        ({"userValidationRules": [{}]}, "expression: Required value"),
        ({"claimMappings": {"username": {"expression": "claims.sub +"}}}, "compilation failed"),
        ({"claimMappings": {"username": {"expression": "claims.email"}}}, "email_verified must be used"),
        ({"claimMappings": {"username": {"expression": "claims['email']"}}}, "email_verified must be used"),
        ({"claimValidationRules": [{"expression": "'text'"}]}, "must evaluate to bool"),
        ({"userValidationRules": [{"expression": "user.shoe == 1"}]}, "undefined field"),
        ({"surprise": 1}, "unknown field"),
    ],
)
def test_a_bad_configuration_is_refused_by_field(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    config = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [GOOD | change]}
    path = tmp_path / "authentication.yaml"
    path.write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match=words) as caught:
        configuration.load(path, compile_expression)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[", "a: &a [*a]", "- 1", "kind: X", "[" * 1000, "\x00"])
def test_a_file_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "authentication.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError):
        configuration.load(path, configuration.no_expressions)
