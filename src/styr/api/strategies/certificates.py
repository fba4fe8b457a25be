"""CertificateSigningRequest: what a new one must be, and what /approval and /status may change of one. Pure but for
`cryptography`; the hooks of its strategy, and of `admission.certificates`, which knows who asks."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from styr.api.faults import names
from styr.api.strategies.base import TypedStrategy, forbidden, invalid, required
from styr.kinds import certificates
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

APPROVAL = ("Approved", "Denied")
LASTING = (*APPROVAL, "Failed")
_SIGNER = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+/[a-z0-9]([-a-z0-9.:]*[a-z0-9])?")
_STATUSES = ("False", "True", "Unknown")
_CONDITIONS = "status.conditions"


class CsrStrategy(TypedStrategy):
    name_is_path_segment = True
    name_check = staticmethod(names.path_segment)

    def prepare_update(self, new: Object, old: Object) -> None:
        new["spec"] = old["spec"]

    def validate(self, obj: Object) -> list[Cause]:
        return [*super().validate(obj), *_spec_faults(obj.get("spec") or {}), *_status_faults(obj.get("status") or {})]


def _spec_faults(spec: Object) -> Iterator[Cause]:
    try:
        certificates.request_of({"spec": spec})
    except ValueError as error:
        yield invalid("spec.request", f"Invalid value: {json.dumps(str(spec.get('request') or '')[:200])}: {error}")
    usages = spec.get("usages") or []
    if not usages:
        yield required("spec.usages")
    for index, usage in enumerate(usages):
        if usage not in certificates.KEY_USAGES and usage not in certificates.EXTENDED_USAGES:
            known = ", ".join(f'"{word}"' for word in sorted((*certificates.KEY_USAGES, *certificates.EXTENDED_USAGES)))
            message = f'Unsupported value: "{usage}": supported values: {known}'
            yield invalid(f"spec.usages[{index}]", message, "FieldValueNotSupported")
        if usage in usages[:index]:
            yield invalid(f"spec.usages[{index}]", f'Duplicate value: "{usage}"', "FieldValueDuplicate")
    yield from _signer_faults(str(spec.get("signerName") or ""))
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < 600:
        message = f"Invalid value: {seconds}: may not specify a duration less than 600 seconds (10 minutes)"
        yield invalid("spec.expirationSeconds", message)


def _signer_faults(name: str) -> Iterator[Cause]:
    if not name:
        yield required("spec.signerName")
    elif name == certificates.LEGACY:
        message = f'Invalid value: "{name}": the legacy signerName is not allowed via this API version'
        yield invalid("spec.signerName", message)
    elif len(name) > 571:
        yield invalid("spec.signerName", "Too long: may not be more than 571 bytes", "FieldValueTooLong")
    elif not _SIGNER.fullmatch(name):
        message = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        yield invalid("spec.signerName", f"Invalid value: {json.dumps(name)}: {message}")


def _status_faults(status: Object) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, condition in enumerate(status.get("conditions") or ()):
        path, kind, value = f"{_CONDITIONS}[{index}]", condition.get("type") or "", condition.get("status") or ""
        if not kind:
            yield required(f"{path}.type")
        allowed: Sequence[str] = ("True",) if kind in LASTING else _STATUSES
        if not value:
            yield required(f"{path}.status")
        elif value not in allowed:
            known = ", ".join(f'"{word}"' for word in allowed)
            message = f'Unsupported value: "{value}": supported values: {known}'
            yield invalid(f"{path}.status", message, "FieldValueNotSupported")
        if kind in APPROVAL and seen & set(APPROVAL) - {kind}:
            message = f'Invalid value: "{kind}": Approved and Denied conditions are mutually exclusive'
            yield invalid(_CONDITIONS, message)
        if kind in seen:
            yield invalid(f"{path}.type", f'Duplicate value: "{kind}"', "FieldValueDuplicate")
        seen.add(kind)
    if fault := _certificate_fault(str(status.get("certificate") or "")):
        yield invalid("status.certificate", f'Invalid value: "<certificate data>": {fault}')


def _certificate_fault(coded: str) -> str:
    from cryptography import x509

    if not coded:
        return ""
    try:
        pem = base64.b64decode(coded, validate=True)
    except binascii.Error:
        return "it is not base64"
    kinds = set(re.findall(rb"-----BEGIN ([^-]{1,64})-----", pem))
    if others := kinds - {b"CERTIFICATE"}:
        return f'only CERTIFICATE PEM blocks are allowed, found "{others.pop().decode(errors="replace")}"'
    try:
        return "" if x509.load_pem_x509_certificates(pem) else "must contain at least one CERTIFICATE PEM block"
    except ValueError as error:
        return "must contain at least one CERTIFICATE PEM block" if not kinds else str(error)


def restrain(new: Object, old: Object, subresource: str, now: str) -> None:
    """Leaves of `new` only what the endpoint may change, and fills in when its conditions came."""
    before = old.get("status") or {}
    status = new["status"] = dict(new.get("status") or {})
    conditions = status["conditions"] = [dict(condition) for condition in status.get("conditions") or ()]
    if subresource == "approval":
        new["status"] = {**before, "conditions": conditions}
    else:
        for kind in APPROVAL:
            known = [condition for condition in before.get("conditions") or () if condition.get("type") == kind]
            places = [index for index, condition in enumerate(conditions) if condition.get("type") == kind]
            if len(known) == len(places):
                for place, condition in zip(places, known, strict=True):
                    conditions[place] = condition
    for condition in conditions:
        condition["lastUpdateTime"] = condition.get("lastUpdateTime") or now
        if not condition.get("lastTransitionTime"):
            same = (
                known.get("lastTransitionTime")
                for known in before.get("conditions") or ()
                if (known.get("type"), known.get("status")) == (condition.get("type"), condition.get("status"))
            )
            condition["lastTransitionTime"] = next(filter(None, same), now)


def change_faults(new: Object, old: Object, subresource: str) -> list[Cause]:
    """What is wrong with a change of the status by this endpoint."""
    status, before = new.get("status") or {}, old.get("status") or {}
    faults = list(_status_faults(status))
    for kind in LASTING:
        known, found = _of_type(before, kind), _of_type(status, kind)
        if len(found) < len(known):
            faults.append(forbidden(_CONDITIONS, f'updates may not remove a condition of type "{kind}"'))
        elif subresource == "approval" or kind not in APPROVAL:
            continue
        elif len(found) > len(known):
            faults.append(forbidden(_CONDITIONS, f'updates may not add a condition of type "{kind}"'))
        elif found != known:
            faults.append(forbidden(_CONDITIONS, f'updates may not modify a condition of type "{kind}"'))
    if (status.get("certificate") or "") != (issued := before.get("certificate") or ""):
        if subresource != "status":
            faults.append(forbidden("status.certificate", "updates may not set certificate content"))
        elif issued:
            faults.append(forbidden("status.certificate", "updates may not modify existing certificate content"))
    return faults


def _of_type(status: Object, kind: str) -> list[Any]:
    return [condition for condition in status.get("conditions") or () if condition.get("type") == kind]
