"""The keys that sign ServiceAccount tokens: one file each in `DIR/pki/service-account/`, the newest by name signs, all verify.

Called by `accounts`. A key is made when the first token is asked for. Whoever puts another file there, or takes one away, is
followed at the next token: a new one signs from then on, and what a removed one signed is no longer good. A file is a PEM
private key, RSA or EC. `folder=None` (tests) keeps one key in memory.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from styr.api.authn import jws
from styr.api.authn.jws import BadToken, Key, Token
from styr.kinds.errors import InternalError
from styr.kit.clock import Clock
from styr.kit.files import make_private, write_atomic
from styr.kit.log import Log

log = Log("styr.api.authn")

SUFFIX = ".key"


class SigningKeys:
    """`generation` rises whenever the keys change: what was verified before is verified again."""

    def __init__(self, folder: Path | None, clock: Clock) -> None:
        self.generation = 0
        self._folder = folder
        self._clock = clock
        self._seen: int | None = None
        self._keys: dict[str, Key] = {}
        self._signer: tuple[Any, Key] | None = None

    def sign(self, claims: jws.Claims) -> str:
        """Raises InternalError when there is no key and none can be made."""
        self.follow()
        if self._signer is None:
            self._make()
        assert self._signer is not None
        return jws.sign(*self._signer, claims)

    def check(self, token: Token) -> None:
        """Raises BadToken unless one of our keys signed it. A token without `kid` is tried with each."""
        self.follow()
        named = token.header.get("kid")
        candidates = [key for key in self._keys.values() if named is None or key.id == named]
        if not candidates:
            raise BadToken("no key of this server signed it, or the key was taken away")
        for key in candidates[:-1]:
            try:
                return key.check(token)
            except BadToken:
                continue
        return candidates[-1].check(token)

    def public(self) -> list[Key]:
        """Newest first; at least one."""
        self.follow()
        if not self._keys:
            self._make()
        return list(self._keys.values())

    def rotate(self) -> Path | None:
        """Makes another key, which signs from now on."""
        self.follow()
        return self._make()

    def _make(self) -> Path | None:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        private = ec.generate_private_key(ec.SECP256R1())
        if self._folder is None:
            self._take([("", private)], keep=True)
            return None
        stamp = datetime.fromtimestamp(self._clock.time(), UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        path = self._folder / f"{stamp}{SUFFIX}"
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            write_atomic(make_private(self._folder) / path.name, pem)
        except OSError as error:
            raise InternalError(f"make a key for tokens: {error}; is there room, and may Styr write there?") from None
        self._seen = None
        self.follow()
        return path

    def follow(self) -> int:
        """Reads the folder again when it has changed (one `stat` when it has not). Returns `generation`."""
        if self._folder is None:
            return self.generation
        try:
            stamp = self._folder.stat().st_mtime_ns
        except OSError:
            stamp = -1
        if stamp == self._seen:
            return self.generation
        self._seen = stamp
        found = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}"), reverse=True) if stamp >= 0 else ():
            try:
                found.append((path.name, _read(path)))
            except (OSError, ValueError, TypeError) as error:
                log.error(
                    "a key of ServiceAccount tokens cannot be read; its tokens are refused", file=path, cause=error
                )
        self._take(found)
        return self.generation

    def _take(self, found: list[tuple[str, Any]], *, keep: bool = False) -> None:
        keys: dict[str, Key] = {}
        signer: tuple[Any, Key] | None = None
        for name, private in found:
            try:
                key = jws.public_key(private.public_key())
            except ValueError as error:
                log.error("a key of ServiceAccount tokens is of no use", file=name, cause=error)
                continue
            keys[key.id] = key
            signer = signer or (private, key)
        if keep:
            keys |= self._keys
        if keys.keys() != self._keys.keys():
            self.generation += 1
        self._keys, self._signer = keys, signer


def _read(path: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(path.read_bytes(), None)
