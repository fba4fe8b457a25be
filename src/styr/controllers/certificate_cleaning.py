"""Certificate signing requests are forgotten when they are over, as in Kubernetes.

Promise: a request goes an hour after it was issued, denied or had failed, a day after it was made or approved without anything
more, and as soon as its certificate has ended. The certificate itself stays good.
"""

from __future__ import annotations

from base64 import b64decode
from contextlib import suppress

from styr.client.controller import After, Context, Controller, Done, Key, Outcome
from styr.kinds import certificates, meta
from styr.kinds.errors import Conflict, NotFound
from styr.kinds.resources import CERTIFICATE_REQUEST, Object
from styr.kit.clock import parse_rfc3339

DECIDED, PENDING = 3600.0, 86400.0
LONGEST_WAIT = 3600.0


def ends(csr: Object) -> float | None:
    """When it is over, in seconds since 1970; None for never."""
    conditions = (csr.get("status") or {}).get("conditions") or ()
    issued = certificates.certificate_of(csr)
    times = [_expiry(issued)] if issued else []
    if not conditions:
        times.append(_time(meta.metadata(csr).get("creationTimestamp"), PENDING))
    for condition in conditions:
        kind, at = condition.get("type"), condition.get("lastUpdateTime")
        if kind in ("Denied", "Failed"):
            times.append(_time(at, DECIDED))
        elif kind == "Approved":
            times.append(_time(at, DECIDED if issued else PENDING))
    return min((time for time in times if time is not None), default=None)


def _time(stamp: object, after: float) -> float | None:
    try:
        return parse_rfc3339(str(stamp or "")) + after
    except ValueError:
        return None


def _expiry(coded: str) -> float | None:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(b64decode(coded)).not_valid_after_utc.timestamp()
    except ValueError:
        return None


async def reconcile(ctx: Context, key: Key) -> Outcome:
    csr = ctx.get(CERTIFICATE_REQUEST, key)
    if csr is None or meta.deleting(csr) or (end := ends(csr)) is None:
        return Done()
    left = end - ctx.clock.time()
    if left > 0:
        return After(min(left, LONGEST_WAIT))
    with suppress(NotFound, Conflict):  # gone, or it has just changed: then we are called again
        await ctx.client.delete(CERTIFICATE_REQUEST, key.name, resource_version=meta.resource_version(csr))
    return Done()


def controller() -> Controller:
    return Controller("certificate-cleaning", CERTIFICATE_REQUEST, reconcile, workers=1)
