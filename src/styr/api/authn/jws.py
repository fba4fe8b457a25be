"""Signed tokens (RFC 7515, compact) and the keys that sign them (RFC 7517): taken apart, made, checked. Pure; called by `keys`,
`accounts` and `oidc`. Why not a library: docs/decisions/0012-tokens.md.

A key knows its one algorithm, and a token must name that one: so neither `none` nor a public key used as an HMAC secret gets
anywhere. `cryptography` is imported at the first token.

    BadToken    the token is none, or not good. The text is for TokenReview and the log, never for an anonymous asker.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

Claims = dict[str, Any]

CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_HASHES = {"256": "SHA256", "384": "SHA384", "512": "SHA512"}
_RSA_BITS = (2048, 8192)
_RSA = tuple(f"{kind}{size}" for kind in ("RS", "PS") for size in _HASHES)


class BadToken(Exception):
    """See the module."""


@dataclass(frozen=True, slots=True)
class Token:
    """Taken apart; nothing of it is to be believed before `Key.check`."""

    header: Claims
    claims: Claims
    signed: bytes
    signature: bytes

    @property
    def issuer(self) -> str:
        found = self.claims.get("iss")
        return found if isinstance(found, str) else ""


def parse(text: str) -> Token:
    """Raises BadToken for what is not three parts of base64url that hold two JSON objects and bytes."""
    parts = text.split(".")
    if len(parts) != 3:
        raise BadToken("it is not a signed token (JWS) of three parts")
    header, claims = _object(parts[0], "header"), _object(parts[1], "claims")
    return Token(header, claims, text[: len(parts[0]) + 1 + len(parts[1])].encode(), _bytes(parts[2], "signature"))


def looks_like(text: str) -> bool:
    return text.count(".") == 2 and text.startswith("eyJ")


def _object(part: str, name: str) -> Claims:
    try:
        found = msgspec.json.decode(_bytes(part, name))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise BadToken(f"its {name} is not JSON") from None
    if not isinstance(found, dict):
        raise BadToken(f"its {name} is not a JSON object")
    return found


def _bytes(part: str, name: str = "part") -> bytes:
    if len(part) % 4 == 1 or "=" in part or not part.isascii():
        raise BadToken(f"its {name} is not base64url")
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise BadToken(f"its {name} is not base64url") from None


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Key:
    """A public key. `algorithm` is the one that its tokens must name, such as ES256; an issuer that does not say which it uses
    with an RSA key may use any of `others` too."""

    id: str
    algorithm: str
    public: Any
    others: tuple[str, ...] = ()

    def check(self, token: Token) -> None:
        """Raises BadToken unless this key signed it."""
        from cryptography.exceptions import InvalidSignature

        named = token.header.get("alg")
        if named != self.algorithm and named not in self.others:
            raise BadToken(f"it is signed with {str(named)[:20]!r}, its key is for {self.algorithm}")
        if "crit" in token.header:
            raise BadToken("it demands an extension (crit) that is not known")
        try:
            _verify(self.public, str(named), token.signature, token.signed)
        except (InvalidSignature, ValueError):
            raise BadToken("its signature is not its key's") from None

    def jwk(self) -> dict[str, str]:
        """As a key set (JWKS) shows it."""
        numbers = self.public.public_numbers()
        about = {"use": "sig", "kid": self.id, "alg": self.algorithm}
        if self.algorithm.startswith("ES"):
            size = (self.public.curve.key_size + 7) // 8
            curve = next(name for name, found in CURVES.items() if found == self.algorithm)
            x, y = (_text(number.to_bytes(size, "big")) for number in (numbers.x, numbers.y))
            return {**about, "kty": "EC", "crv": curve, "x": x, "y": y}
        n, e = (_text(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e))
        return {**about, "kty": "RSA", "n": n, "e": e}


def _hash(algorithm: str) -> Any:
    from cryptography.hazmat.primitives import hashes

    return getattr(hashes, _HASHES[algorithm[2:]])()


def _verify(public: Any, algorithm: str, signature: bytes, signed: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

    digest = _hash(algorithm)
    if algorithm.startswith("ES"):
        half = (public.curve.key_size + 7) // 8
        if len(signature) != 2 * half:
            raise ValueError("not a signature of this curve")
        r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        public.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(digest))
    elif algorithm.startswith("PS"):
        public.verify(signature, signed, padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH), digest)
    else:
        public.verify(signature, signed, padding.PKCS1v15(), digest)


def sign(private: Any, key: Key, claims: Mapping[str, Any]) -> str:
    """A token. `private` is the other half of `key`."""
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

    head = msgspec.json.encode({"alg": key.algorithm, "kid": key.id})
    signed = f"{_text(head)}.{_text(msgspec.json.encode(claims))}"
    if key.algorithm.startswith("ES"):
        half = (private.curve.key_size + 7) // 8
        r, s = utils.decode_dss_signature(private.sign(signed.encode(), ec.ECDSA(_hash(key.algorithm))))
        signature = r.to_bytes(half, "big") + s.to_bytes(half, "big")
    else:
        signature = private.sign(signed.encode(), padding.PKCS1v15(), _hash(key.algorithm))
    return f"{signed}.{_text(signature)}"


def public_key(public: Any) -> Key:
    """The key of a public half, named as Kubernetes names it: SHA-256 of its DER. Raises ValueError for a kind or size that
    tokens are not signed with."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Key(_text(hashlib.sha256(der).digest()), _algorithm(public), public)


def _algorithm(public: Any) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(public, rsa.RSAPublicKey):
        if not _RSA_BITS[0] <= public.key_size <= _RSA_BITS[1]:
            raise ValueError(f"an RSA key of {public.key_size} bits: {_RSA_BITS[0]} to {_RSA_BITS[1]} are taken")
        return "RS256"
    names = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in names:
        return names[public.curve.name]
    raise ValueError("tokens are signed with RSA, or with ECDSA on P-256, P-384 or P-521")


def from_jwk(jwk: Mapping[str, Any]) -> Key | None:
    """The key of one entry of an issuer's JWKS; None for one that is of no use here: for encryption, symmetric, of an unknown
    kind, or broken."""
    if jwk.get("use", "sig") != "sig":
        return None
    try:
        public = _public(jwk)
        algorithm = str(jwk.get("alg") or _algorithm(public))
        kinds = ("RS", "PS") if jwk["kty"] == "RSA" else (_algorithm(public)[:2],)
        if algorithm[:2] not in kinds or algorithm[2:] not in _HASHES:
            return None
        if jwk["kty"] == "EC" and algorithm != _algorithm(public):
            return None
        others = _RSA if jwk["kty"] == "RSA" and not jwk.get("alg") else ()
        return Key(str(jwk.get("kid") or ""), algorithm, public, others)
    except (KeyError, ValueError, TypeError, BadToken):
        return None


def _public(jwk: Mapping[str, Any]) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if jwk["kty"] == "RSA":
        return rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"])).public_key()
    if jwk["kty"] == "EC":
        curve = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}[jwk["crv"]]
        return ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), curve).public_key()
    raise ValueError(jwk["kty"])


def _number(text: str) -> int:
    if len(text) > 2048:
        raise ValueError("a number of a key is too long")
    return int.from_bytes(_bytes(text), "big")
