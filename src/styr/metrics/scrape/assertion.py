"""JSON Web Tokens by which a client shows a token server who it is (RFC 7523, 2.1). Called by `oauth2`; pure: time and identity
are handed in. Imports cryptography when one is made: few need it.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from styr.metrics.scrape.connection import FetchError
from styr.metrics.scrape.httpconfig import Jwt, OAuth2

LASTS = 600
"""Seconds."""


def assertion(config: OAuth2, jwt: Jwt, key: str, now: float, identity: str) -> str:
    """Signed with the RSA key in the PEM text `key`; `now` in seconds since 1970, `identity` is said once (`jti`). Claims of
    the configuration go before those that are usual. Raises FetchError when the key cannot be used."""
    header = {"alg": jwt.algorithm, "typ": "JWT", **({"kid": jwt.key_id} if jwt.key_id else {})}
    claims: dict[str, Any] = {
        "iss": jwt.issuer or config.client_id,
        "sub": config.client_id,
        "jti": identity,
        "aud": jwt.audience or config.token_url,
        "iat": int(now),
        "exp": int(now) + LASTS,
    }
    if config.scopes:
        claims["scope"] = " ".join(config.scopes)
    text = f"{_part(header)}.{_part({**claims, **json.loads(jwt.claims)})}"
    return f"{text}.{_base64(_signed(text.encode(), key, jwt.algorithm))}"


def _part(document: dict[str, Any]) -> str:
    return _base64(json.dumps(document, separators=(",", ":"), sort_keys=True).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signed(data: bytes, key: str, algorithm: str) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    digest = {"RS256": hashes.SHA256(), "RS384": hashes.SHA384(), "RS512": hashes.SHA512()}[algorithm]
    try:
        loaded = load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FetchError(f"oauth2: client_certificate_key is no PEM key without a passphrase: {error}") from None
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise FetchError("oauth2: client_certificate_key is no RSA key")
    return loaded.sign(data, padding.PKCS1v15(), digest)
