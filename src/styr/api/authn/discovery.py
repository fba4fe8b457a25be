"""What others need to check our ServiceAccount tokens themselves: OIDC discovery and the public keys. Called by the server; who
may read it is RBAC's business (`system:service-account-issuer-discovery`)."""

from __future__ import annotations

import json

from styr.api.authn.accounts import ISSUER
from styr.api.authn.keys import SigningKeys
from styr.kinds.transport import Response

CONFIGURATION = "/.well-known/openid-configuration"
JWKS = "/openid/v1/jwks"
_CACHED = "public, max-age=3600"


def is_ours(path: str) -> bool:
    return path.rstrip("/") in (CONFIGURATION, JWKS)


def respond(path: str, keys: SigningKeys, host: str) -> Response:
    """`host` is the address that the asker reached us by: `jwks_uri` names it."""
    shown = [key.jwk() for key in keys.public()]
    if path.rstrip("/") == JWKS:
        return _answer({"keys": shown}, "application/jwk-set+json")
    return _answer(
        {
            "issuer": ISSUER,
            "jwks_uri": f"https://{host or 'kubernetes.default.svc.cluster.local'}{JWKS}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted({key["alg"] for key in shown}),
        },
        "application/json",
    )


def _answer(obj: object, media: str) -> Response:
    return Response(200, json.dumps(obj).encode(), {"content-type": media, "cache-control": _CACHED})
