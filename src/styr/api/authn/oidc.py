"""Tokens of other issuers (OIDC), as `DIR/authentication.yaml` says: believed when one of the issuer's keys signed them, they
are meant for us, and every rule holds. A `tokens.Kind`. The file is followed: a change counts from the next token on, one that
cannot be used is told in the log and the old one holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from styr.api.authn import configuration, jws
from styr.api.authn.configuration import Compile, Configuration, ConfigurationError, Evaluate, Issuer, Mapped, Rule
from styr.api.authn.issuers import Fetch, IssuerKeys, UnknownKey, fetch
from styr.api.authn.jws import BadToken, Claims, Token
from styr.api.authn.tokens import Identity, Later
from styr.kinds.transport import User
from styr.kit.clock import Clock
from styr.kit.followed import Followed

LEEWAY = 300.0
"""Seconds that `nbf` may lie ahead; `exp` gets none."""
_CREDENTIAL = "authentication.kubernetes.io/credential-id"


class Oidc:
    """`audiences` are this server's own, which a good token is good for. Raises ConfigurationError."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        audiences: Sequence[str],
        *,
        fetch: Fetch = fetch,
        compile: Compile = configuration.no_expressions,
    ) -> None:
        self._clock = clock
        self._audiences = tuple(audiences)
        self._fetch = fetch
        self._issuers: dict[str, tuple[Issuer, IssuerKeys]] = {}
        self._file = Followed(
            path, lambda path: configuration.load(path, compile), clock.monotonic, (ConfigurationError,)
        )
        self._take(self._file.value)

    def __call__(self, text: str, audiences: Sequence[str]) -> Identity | Later | None:
        self._follow()
        if not self._issuers or not jws.looks_like(text):
            return None
        token = jws.parse(text)
        known = self._issuers.get(token.issuer)
        if known is None:
            return None
        shared = tuple(audience for audience in audiences or self._audiences if audience in self._audiences)
        if not shared:
            raise BadToken(f"it is for this server alone, not for {list(audiences)!r}")
        issuer, keys = known
        try:
            return Identity(self._user(issuer, keys, token), shared)
        except UnknownKey:
            pass

        async def later() -> Identity:
            await keys.refresh()
            return Identity(self._user(issuer, keys, token), shared)

        return later

    def allows_anonymous(self, path: str) -> bool:
        self._follow()
        return self._file.value.allows_anonymous(path)

    def close(self) -> None:
        for _, keys in self._issuers.values():
            keys.close()

    def _user(self, issuer: Issuer, keys: IssuerKeys, token: Token) -> User:
        keys.check(token)
        check_claims(issuer, token.claims, self._clock.time())
        return user_of(issuer, token.claims)

    def _follow(self) -> None:
        if self._file.changed():
            self._take(self._file.value)

    def _take(self, found: Configuration) -> None:
        """Keys of an issuer that has not changed are kept."""
        issuers = {}
        for issuer in found.issuers:
            old = self._issuers.pop(issuer.url, None)
            same = old is not None and (old[0].authority, old[0].discovery) == (issuer.authority, issuer.discovery)
            keys = old[1] if old is not None and same else IssuerKeys(issuer, self._clock, self._fetch)
            issuers[issuer.url] = issuer, keys
        self.close()
        self._issuers = issuers


def check_claims(issuer: Issuer, claims: Claims, now: float) -> None:
    """Time, audience, required values. Raises BadToken."""
    end: Any = claims.get("exp")
    start: Any = claims.get("nbf", 0)
    if not _is_number(end) or not _is_number(start):
        raise BadToken("oidc: its exp or nbf is not a time")
    if now > end:
        raise BadToken("oidc: verify token: oidc: token is expired")
    if now < start - LEEWAY:
        raise BadToken("oidc: verify token: it is not valid yet")
    found = claims.get("aud")
    given = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    if not any(isinstance(audience, str) and audience in issuer.audiences for audience in given):
        raise BadToken(f"oidc: expected audience in {sorted(issuer.audiences)} got {given!r}")


def user_of(issuer: Issuer, claims: Claims) -> User:
    """Raises BadToken."""
    name = _name(issuer.username, claims)
    groups = _words(issuer.groups, claims, "groups")
    uid = _text(_value(issuer.uid, claims), "uid") if issuer.uid else ""
    extra: dict[str, tuple[str, ...]] = {}
    if isinstance(jti := claims.get("jti"), str) and jti:
        extra[_CREDENTIAL] = (f"JTI={jti}",)
    for key, evaluate in issuer.extra:
        if values := _list(_evaluated(evaluate, claims), key):
            extra[key] = values
    for rule in issuer.claim_rules:
        _check(rule, claims)
    user = User(name, groups, uid, tuple(sorted(extra.items())))
    if issuer.user_rules:
        about = {"username": name, "uid": uid, "groups": list(groups), "extra": {k: list(v) for k, v in extra.items()}}
        for rule in issuer.user_rules:
            _check(rule, about)
    return User(name, (*groups, "system:authenticated"), uid, user.extra)


def _name(mapped: Mapped, claims: Claims) -> str:
    if mapped.claim == "email" and claims.get("email_verified", True) is not True:
        raise BadToken("oidc: email not verified")
    name = _text(_value(mapped, claims), "username")
    if not name:
        raise BadToken("oidc: empty username is not allowed")
    return mapped.prefix + name


def _words(mapped: Mapped, claims: Claims, what: str) -> tuple[str, ...]:
    if not mapped:
        return ()
    if mapped.claim and mapped.claim not in claims:
        names = claims.get("_claim_names")
        if isinstance(names, dict) and mapped.claim in names:
            raise BadToken(
                f"oidc: its {what} are a distributed claim, which is not supported: have the issuer put them in"
            )
        return ()
    return tuple(mapped.prefix + word for word in _list(_value(mapped, claims), what))


def _value(mapped: Mapped, claims: Claims) -> Any:
    return _evaluated(mapped.expression, claims) if mapped.expression else claims.get(mapped.claim)


def _evaluated(evaluate: Evaluate, given: Claims) -> Any:
    try:
        return evaluate(given)
    except ValueError as error:
        raise BadToken(f"oidc: error evaluating an expression: {error}") from None


def _check(rule: Rule, given: Claims) -> None:
    if rule.claim:
        if given.get(rule.claim) != rule.value:
            raise BadToken(f"oidc: required claim {rule.claim} is not there, or not as required")
    elif rule.expression is None or _evaluated(rule.expression, given) is not True:
        raise BadToken(f"oidc: validation expression failed: {rule.message}")


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise BadToken(f"oidc: the claim of its {what} is not there, or no text")
    return value


def _list(value: Any, what: str) -> tuple[str, ...]:
    """A text, a list of texts, or nothing."""
    if value is None or value == "":
        return ()
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise BadToken(f"oidc: its {what} are no list of texts")
    return tuple(word for word in found if word)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
