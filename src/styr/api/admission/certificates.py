"""Certificate signing requests: who asked is written into them, and who approves or signs needs the right to, for that signer.

A plugin of the chain; Kubernetes has it as CertificateApproval, CertificateSigning and CertificateSubjectRestriction, and the
rest in the kind's own code. Calls `strategies.certificates` for what may change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from styr.api.admission.attributes import Attributes, Operation
from styr.api.admission.chain import Base
from styr.api.authz.rules import Authorizer
from styr.api.store.commit import Txn
from styr.api.strategies import certificates as rules
from styr.kinds import certificates
from styr.kinds.errors import Forbidden, Invalid
from styr.kinds.resources import CERTIFICATE_REQUEST, Object

if TYPE_CHECKING:
    from styr.api.registry import ServedResource

_VERBS = {"approval": "approve", "status": "sign"}


class CertificateRequests(Base):
    name = "CertificateRequests"

    def __init__(self, authorize: Authorizer, now: Callable[[], str]) -> None:
        self._authorize = authorize
        self._now = now

    def handles(self, operation: Operation, served: ServedResource, subresource: str) -> bool:
        return served.key == CERTIFICATE_REQUEST.group_resource and operation in ("CREATE", "UPDATE")

    def mutate(self, attributes: Attributes, txn: Txn) -> None:
        obj = attributes.object
        if obj is None:
            return
        if attributes.operation == "CREATE":
            user, spec = attributes.user, obj.setdefault("spec", {})
            told: Object = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
            told["extra"] = {key: list(values) for key, values in user.extra}
            for key, value in told.items():
                spec.pop(key, None)
                if value:
                    spec[key] = value
        elif attributes.old is not None and attributes.subresource in _VERBS:
            rules.restrain(obj, attributes.old, attributes.subresource, self._now())

    def validate(self, attributes: Attributes, txn: Txn) -> None:
        obj, old = attributes.object, attributes.old
        if obj is None:
            return
        if attributes.operation == "CREATE":
            _check_subject(attributes, obj)
        elif old is not None and (verb := _VERBS.get(attributes.subresource)):
            if verb == "approve" or _decided(obj) != _decided(old):
                self._check_right(attributes, verb, old["spec"]["signerName"])
            if causes := rules.change_faults(obj, old, attributes.subresource):
                text = ", ".join(f"{cause['field']}: {cause['message']}" for cause in causes)
                text = text if len(causes) == 1 else f"[{text}]"
                kind = CERTIFICATE_REQUEST.kind
                details = {"name": attributes.name, "group": CERTIFICATE_REQUEST.group, "kind": kind, "causes": causes}
                name = f'{kind}.{CERTIFICATE_REQUEST.group} "{attributes.name}"'
                raise Invalid(f"{name} is invalid: {text}", details=details)

    def _check_right(self, attributes: Attributes, verb: str, signer: str) -> None:
        """For the signer, or for all of its domain."""
        for name in (signer, f"{signer.partition('/')[0]}/*"):
            try:
                self._authorize(attributes.user, verb, CERTIFICATE_REQUEST.group, "signers", "", "", name, "")
            except Forbidden:
                continue
            return
        raise attributes.forbidden(f'user not permitted to {verb} requests with signerName "{signer}"')


def _decided(obj: Object) -> tuple[object, object]:
    status = obj.get("status") or {}
    return status.get("certificate") or "", status.get("conditions") or []


def _check_subject(attributes: Attributes, obj: Object) -> None:
    if obj["spec"].get("signerName") != certificates.CLIENT:
        return
    try:
        request = certificates.request_of(obj)
    except ValueError as error:
        raise attributes.forbidden(f"failed to parse CSR: {error}") from None
    if "system:masters" in request.organizations:
        raise attributes.forbidden(f"use of {certificates.CLIENT} signer with system:masters group is not allowed")
