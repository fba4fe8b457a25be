"""Tokens: what is asked of a token server, what is made of its answer, and how long it is kept."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from styr.metrics.scrape.connection import FetchError
from styr.metrics.scrape.httpconfig import JWT_BEARER, Jwt, OAuth2, Secret
from styr.metrics.scrape.oauth2 import Answer, Tokens


class StoppedClock:
    now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class Server:
    """Gives `answers` one after the other, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[dict[str, str], dict[str, str]]] = []
        """Headers and form."""
        self.clock = StoppedClock()
        self.secret = "s 1"

    async def post(self, url: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
        assert url == "http://t/token"
        self.asked.append((dict(headers), dict(parse_qsl(body.decode(), keep_blank_values=True))))
        await asyncio.sleep(0)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def tokens(self, **more: object) -> Tokens:
        config = OAuth2("c:1", Secret("unused"), "http://t/token", **more)  # type: ignore[arg-type]
        return Tokens(config, self.post, lambda: self.secret, self.clock, random.Random(1))


def given(token: str = "a", **more: object) -> Answer:
    document = {"access_token": token, "token_type": "bearer", "expires_in": 3600, **more}
    return Answer(200, "application/json; charset=utf-8", json.dumps(document).encode())


NO = Answer(401, "application/json", b'{"error": "invalid_client", "error_description": "who are you"}')


async def test_the_request() -> None:
    server = Server(given())
    tokens = server.tokens(scopes=("read", "write"), endpoint_params=(("audience", "x y"),))
    assert await tokens.header() == "Bearer a"
    ((headers, form),) = server.asked
    assert form == {"grant_type": "client_credentials", "scope": "read write", "audience": "x y"}
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"c%3A1:s+1").decode()
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_a_server_that_wants_the_secret_in_the_form_gets_it_there_and_from_then_on() -> None:
    server = Server(NO, given("a", expires_in=5), given("b"))
    tokens = server.tokens()
    assert await tokens.header() == "Bearer a"
    assert await tokens.header() == "Bearer b"
    assert ["Authorization" in headers for headers, _ in server.asked] == [True, False, False]
    assert server.asked[1][1] == {"grant_type": "client_credentials", "client_id": "c:1", "client_secret": "s 1"}


async def test_a_token_is_kept_until_ten_seconds_before_it_expires() -> None:
    server = Server(given("a", expires_in="100"), given("b", expires_in=None))
    tokens = server.tokens()
    assert await tokens.header() == "Bearer a"
    server.clock.now += 89
    assert await tokens.header() == "Bearer a"
    server.clock.now += 1
    assert await tokens.header() == "Bearer b"
    server.clock.now += 1e9
    assert await tokens.header() == "Bearer b"
    assert len(server.asked) == 2


async def test_many_that_need_one_ask_once() -> None:
    server = Server(given())
    tokens = server.tokens()
    assert await asyncio.gather(*(tokens.header() for _ in range(20))) == ["Bearer a"] * 20
    assert len(server.asked) == 1


async def test_who_gives_up_waiting_leaves_it_to_the_next() -> None:
    server = Server(given())
    tokens = server.tokens()
    first, second = asyncio.create_task(tokens.header()), asyncio.create_task(tokens.header())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "Bearer a"
    assert len(server.asked) == 2


async def test_another_secret_gets_another_token() -> None:
    server = Server(given("a"), given("b"))
    tokens = server.tokens()
    assert await tokens.header() == "Bearer a"
    server.secret = "s 2"
    assert await tokens.header() == "Bearer b"
    assert await tokens.header() == "Bearer b"
    assert server.asked[1][0]["Authorization"] == "Basic " + base64.b64encode(b"c%3A1:s+2").decode()


async def test_forms_and_other_kinds_of_tokens() -> None:
    form = Answer(200, "application/x-www-form-urlencoded", b"access_token=a&token_type=MAC&expires_in=100")
    server = Server(form, given("b"))
    tokens = server.tokens()
    assert await tokens.header() == "MAC a"
    server.clock.now += 95
    assert await tokens.header() == "Bearer b"
    assert await Server(given(token_type="")).tokens().header() == "Bearer a"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (NO, "it answered with HTTP status 401: who are you"),
        (Answer(500, "text/html", b"<b>out of order</b>"), "it answered with HTTP status 500: <b>out of order</b>"),
        (Answer(200, "application/json", b'{"error": "slow_down"}'), "it answered with HTTP status 200: slow_down"),
        (Answer(200, "application/json", b"[]"), "its answer is no JSON object"),
        (Answer(200, "application/json", b"\xff"), "its answer is no JSON object"),
        (Answer(200, "application/json", b"{}"), "its answer has no access_token"),
        (Answer(200, "application/json", b'{"access_token": 5}'), "its answer has no access_token"),
        (given("a\r\nX: y"), "its access_token cannot be sent in a header"),
    ],
)
async def test_answers_that_are_none(answer: Answer, reason: str) -> None:
    with pytest.raises(FetchError) as caught:
        await Server(answer).tokens().header()
    assert str(caught.value) == f"oauth2: no token from http://t/token: {reason}"


async def test_a_failure_is_not_kept() -> None:
    server = Server(NO, NO, given())
    tokens = server.tokens()
    with pytest.raises(FetchError):
        await tokens.header()
    assert await tokens.header() == "Bearer a"


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    kind = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


def unpacked(part: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


@pytest.mark.parametrize(("algorithm", "digest"), [("RS256", hashes.SHA256()), ("RS512", hashes.SHA512())])
async def test_a_signed_assertion(algorithm: str, digest: hashes.HashAlgorithm) -> None:
    key = rsa.generate_private_key(65537, 2048)
    server = Server(given("a", expires_in=20), given("b"))
    server.secret = pem(key)
    jwt = Jwt("k1", algorithm, claims='{"extra": [1], "aud": "me"}')
    tokens = server.tokens(jwt=jwt, scopes=("x", "y"), endpoint_params=(("z", "1"),))
    assert await tokens.header() == "Bearer a"
    ((headers, form),) = server.asked
    assert "Authorization" not in headers
    shown = form.pop("assertion")
    assert form == {"grant_type": JWT_BEARER, "scope": "x y", "z": "1"}
    head, claims, signature = shown.split(".")
    assert unpacked(head) == {"alg": algorithm, "typ": "JWT", "kid": "k1"}
    said = unpacked(claims)
    assert len(str(said.pop("jti"))) == 32
    assert said == {
        "iss": "c:1", "sub": "c:1", "aud": "me", "iat": 1000, "exp": 1600, "scope": "x y", "extra": [1],
    }  # fmt: skip
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    key.public_key().verify(raw, f"{head}.{claims}".encode(), padding.PKCS1v15(), digest)
    server.clock.now += 15
    assert await tokens.header() == "Bearer b"
    assert server.asked[1][1]["assertion"] != shown


async def test_keys_that_sign_nothing() -> None:
    server = Server(given())
    for secret, reason in (
        ("nonsense", "oauth2: client_certificate_key is no PEM key without a passphrase"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "oauth2: client_certificate_key is no RSA key"),
    ):
        server.secret = secret
        with pytest.raises(FetchError) as caught:
            await server.tokens(jwt=Jwt()).header()
        assert str(caught.value).startswith(reason)
    assert not server.asked
