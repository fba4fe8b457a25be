"""Certificate signing requests that were approved, for one of the built-in signers, get their certificate.

Promise: an approved request for a signer of `kinds.certificates.OURS` has a certificate of the server's CA in its status, or,
when it asks for what that signer does not give, the condition Failed that says why. Other signers are other people's.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from styr.client.controller import Context, Controller, Done, Fatal, Key, Outcome
from styr.kinds import certificates, conditions
from styr.kinds.resources import CERTIFICATE_REQUEST, Object
from styr.kinds.seams import CertificateSigner


def waits(csr: Object) -> bool:
    return (
        csr["spec"].get("signerName") in certificates.OURS
        and certificates.is_approved(csr)
        and not conditions.is_true(csr, "Failed")
        and not certificates.certificate_of(csr)
    )


def plan(csr: Object, sign: CertificateSigner, now: str) -> Object:
    """The status that the request should have. Raises ValueError when it cannot be read or signed."""
    spec, status = csr["spec"], csr.get("status") or {}
    usages = spec.get("usages") or []
    reason = certificates.refusal(spec["signerName"], certificates.request_of(csr), usages)
    if reason:
        failed = {"type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": reason}
        failed |= {"lastUpdateTime": now, "lastTransitionTime": now}
        return {**status, "conditions": [*(status.get("conditions") or ()), failed]}
    certificate = sign(b64decode(spec["request"]), usages, spec.get("expirationSeconds"))
    return {**status, "certificate": b64encode(certificate).decode()}


async def reconcile(ctx: Context, key: Key, sign: CertificateSigner) -> Outcome:
    csr = ctx.get(CERTIFICATE_REQUEST, key)
    if csr is None or not waits(csr):
        return Done()
    try:
        status = plan(csr, sign, ctx.now())
    except ValueError as error:
        raise Fatal(f"sign certificatesigningrequest {key.name}: {error}") from None
    await ctx.set_status(CERTIFICATE_REQUEST, csr, status)
    return Done()


def controller(sign: CertificateSigner) -> Controller:
    async def bound(ctx: Context, key: Key) -> Outcome:
        return await reconcile(ctx, key, sign)

    return Controller("certificate-signing", CERTIFICATE_REQUEST, bound, workers=1)
