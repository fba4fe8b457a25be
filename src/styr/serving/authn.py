"""Who asks: bearer token, Basic (the token as password, for git), client certificate, or nobody. Tokens that are not known
here are shown to whoever was handed in (`api.authn`).

Called by `connection` once per request. Never decides what somebody may do (`authz`). A wrong credential is an error;
no credential at all is `system:anonymous`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from styr.kinds.errors import Unauthorized
from styr.kinds.transport import ANONYMOUS, User
from styr.kit.files import make_private, write_atomic

ADMIN = User("styr-admin", ("system:masters", "system:authenticated"))
"""Whom the token file of a data folder stands for."""
AUTHENTICATED = "system:authenticated"
MAX_TOKEN = 32768

Certificate = Mapping[str, Any]
"""As `ssl.SSLSocket.getpeercert()` gives it; TLS has verified it against our CA."""

Later = Callable[[], Awaitable[User]]
"""An answer that has to be waited for. Raises `Unauthorized`."""
Bearer = Callable[[str], "User | Later | None"]
"""Whom a token stands for; None when it is of a kind that it does not know. Raises `Unauthorized`."""


class Authenticator:
    """Knows tokens and the users they stand for."""

    def __init__(self, tokens: Mapping[str, User] | None = None, other: Bearer | None = None) -> None:
        self._tokens: list[tuple[bytes, User]] = []
        self._other = other
        for token, user in (tokens or {}).items():
            self.add(token, user)

    def add(self, token: str, user: User) -> None:
        groups = user.groups if AUTHENTICATED in user.groups else (*user.groups, AUTHENTICATED)
        self._tokens.append((token.encode(), User(user.name, groups, user.uid, user.extra)))

    def remove(self, token: str) -> None:
        self._tokens = [(known, user) for known, user in self._tokens if known != token.encode()]

    def known(self, token: bytes) -> User | None:
        """Every token is compared, each in constant time: the answer's delay tells nothing."""
        found = None
        for known, user in self._tokens:
            if hmac.compare_digest(known, token):
                found = user
        return found if token else None

    def __call__(self, headers: Mapping[str, str], certificate: Certificate | None = None) -> User | Later:
        """Raises `Unauthorized` for a credential that is not ours."""
        header = headers.get("authorization", "")
        if not header:
            return from_certificate(certificate) if certificate else ANONYMOUS
        token = _token(header)
        found: User | Later | None = self.known(token)
        if found is None and token and self._other is not None:
            try:
                found = self._other(token.decode())
            except UnicodeDecodeError:
                found = None
        if found is None:
            raise Unauthorized("Unauthorized")
        return found


def _token(header: str) -> bytes:
    scheme, _, value = header.partition(" ")
    value = value.strip()
    if len(value) > MAX_TOKEN:
        raise Unauthorized("Unauthorized")
    if scheme.lower() == "bearer":
        return value.encode()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except binascii.Error:
            raise Unauthorized("Unauthorized") from None
    raise Unauthorized("Unauthorized")


def from_certificate(certificate: Certificate) -> User:
    """CN is the user, each O a group, as in Kubernetes. Raises `Unauthorized` for a certificate without CN."""
    parts: Iterable[tuple[str, str]] = [pair for entry in certificate.get("subject", ()) for pair in entry]
    names = [value for key, value in parts if key == "commonName"]
    if not names or not names[0]:
        raise Unauthorized("the client certificate has no common name")
    groups = tuple(value for key, value in parts if key == "organizationName")
    return User(names[0], (*groups, AUTHENTICATED))


def load_or_create_token(path: Path) -> str:
    """The token of the data folder; made, readable by its owner only, at the first start. Raises OSError."""
    try:
        if token := path.read_text().strip():
            return token
    except FileNotFoundError:
        pass
    token = secrets.token_urlsafe(32)
    write_atomic(make_private(path.parent) / path.name, token + "\n")
    return token
