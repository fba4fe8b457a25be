"""Every kind of bearer token that this server knows, asked one after the other.

Called by the Authenticator of `serving` for each request with a token that it does not know itself, and by TokenReview.
A kind says None when a token is none of its own; when it is, but is no good, no other is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from styr.api.authn.jws import BadToken
from styr.kinds.errors import Unauthorized
from styr.kinds.transport import User


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a token stands for, and which of the audiences that were asked for it is good for."""

    user: User
    audiences: tuple[str, ...]


Later = Callable[[], Awaitable[Identity]]
"""An answer that has to be fetched first, such as an issuer's new keys. Raises BadToken."""


class Kind(Protocol):
    """Empty `audiences` means this server. Raises BadToken."""

    def __call__(self, text: str, audiences: Sequence[str], /) -> Identity | Later | None: ...


class Tokens:
    """`static` knows the tokens that `serving` compares itself, for TokenReview."""

    def __init__(self, *kinds: Kind, audiences: Sequence[str] = ()) -> None:
        self.kinds = list(kinds)
        self.audiences = tuple(audiences)
        self.static: Callable[[bytes], User | None] | None = None

    def __call__(self, text: str) -> User | Callable[[], Awaitable[User]] | None:
        """As `serving.authn.Bearer` has it. Raises Unauthorized, in words that tell a stranger nothing."""
        try:
            found = self._find(text, ())
        except BadToken:
            raise Unauthorized("Unauthorized") from None
        if found is None:
            return None
        if isinstance(found, Identity):
            return found.user
        later = found

        async def wait() -> User:
            try:
                return (await later()).user
            except BadToken:
                raise Unauthorized("Unauthorized") from None

        return wait

    async def review(self, text: str, audiences: Sequence[str]) -> Identity:
        """Raises BadToken, with the reason in words."""
        if self.static is not None and (user := self.static(text.encode())) is not None:
            return Identity(user, self.shared(audiences))
        try:
            found = self._find(text, audiences)
            if found is not None:
                return found if isinstance(found, Identity) else await found()
        except BadToken as error:
            raise BadToken(f"[invalid bearer token, {error}]") from None
        raise BadToken("invalid bearer token")

    def shared(self, audiences: Sequence[str]) -> tuple[str, ...]:
        """What a token that names no audience of ours is good for: this server. Raises BadToken when others are asked for."""
        found = tuple(audience for audience in audiences or self.audiences if audience in self.audiences)
        if not found and self.audiences:
            raise BadToken("invalid bearer token")
        return found

    def _find(self, text: str, audiences: Sequence[str]) -> Identity | Later | None:
        for kind in self.kinds:
            found = kind(text, audiences)
            if found is not None:
                return found
        return None
