"""Certificate signing requests (certificates.k8s.io/v1): what is in one, and what the built-in signers demand of it.

Called by the server (which checks new ones) and by the controllers that approve and sign. Pure; imports `cryptography` when a
request has to be read. Source: "Certificates and Certificate Signing Requests", section "Kubernetes signers".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from styr.kinds import conditions
from styr.kinds.resources import Object

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"
OURS = (CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY)
MAX_REQUEST = 64 << 10

KEY_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
EXTENDED_USAGES = {
    "any": "2.5.29.37.0",
    "server auth": "1.3.6.1.5.5.7.3.1",
    "client auth": "1.3.6.1.5.5.7.3.2",
    "code signing": "1.3.6.1.5.5.7.3.3",
    "email protection": "1.3.6.1.5.5.7.3.4",
    "s/mime": "1.3.6.1.5.5.7.3.4",
    "ipsec end system": "1.3.6.1.5.5.7.3.5",
    "ipsec tunnel": "1.3.6.1.5.5.7.3.6",
    "ipsec user": "1.3.6.1.5.5.7.3.7",
    "timestamping": "1.3.6.1.5.5.7.3.8",
    "ocsp signing": "1.3.6.1.5.5.7.3.9",
    "microsoft sgc": "1.3.6.1.4.1.311.10.3.3",
    "netscape sgc": "2.16.840.1.113730.4.1",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a PKCS#10 request asks for. `names` are those of its subjectAltName, each with its kind."""

    common_name: str
    organizations: tuple[str, ...]
    names: tuple[tuple[str, str], ...]
    raw: Any
    """The `cryptography` object."""

    def has(self, kind: str) -> bool:
        return any(found == kind for found, _ in self.names)


def parse(pem: bytes) -> Request:
    """Reads a request and checks that whoever made it has its key. Raises ValueError."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    if len(pem) > MAX_REQUEST:
        raise ValueError(f"a request of more than {MAX_REQUEST} bytes")
    if b"-----BEGIN CERTIFICATE REQUEST-----" not in pem:
        raise ValueError("PEM block type must be CERTIFICATE REQUEST")
    try:
        raw = x509.load_pem_x509_csr(pem)
        if not raw.is_signature_valid:
            raise ValueError("its signature is not its key's")
        oid = x509.NameOID
        names = [attribute.value for attribute in raw.subject.get_attributes_for_oid(oid.COMMON_NAME)]
        groups = [attribute.value for attribute in raw.subject.get_attributes_for_oid(oid.ORGANIZATION_NAME)]
        return Request(_text(names[-1]) if names else "", tuple(map(_text, groups)), tuple(_names(raw)), raw)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error) or "it cannot be read") from None


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


def _names(raw: Any) -> list[tuple[str, str]]:
    from cryptography import x509

    kinds = (
        (x509.DNSName, "dns"),
        (x509.IPAddress, "ip"),
        (x509.RFC822Name, "email"),
        (x509.UniformResourceIdentifier, "uri"),
    )
    try:
        found = raw.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    except x509.DuplicateExtension:
        raise ValueError("an extension stands in it twice") from None
    return [
        (next((word for kind, word in kinds if isinstance(name, kind)), "other"), str(name.value)) for name in found
    ]


def request_of(csr: Object) -> Request:
    """Raises ValueError."""
    try:
        return parse(base64.b64decode(str(csr["spec"].get("request") or ""), validate=True))
    except binascii.Error:
        raise ValueError("it is not base64") from None


def refusal(signer: str, request: Request, usages: Collection[str]) -> str:
    """Why one of our signers does not sign it; "" when it does."""
    if signer == CLIENT:
        return _client_refusal(usages)
    if signer == KUBELET_CLIENT:
        return _kubelet_refusal(request, usages, "client auth")
    if signer == KUBELET_SERVING:
        return _kubelet_refusal(request, usages, "server auth")
    return ""


def _client_refusal(usages: Collection[str]) -> str:
    for usage in usages:
        if usage not in ("digital signature", "key encipherment", "client auth"):
            return f"invalid usage for client certificate: {usage}"
    return "" if "client auth" in usages else "missing required usage for client certificate: client auth"


def _kubelet_refusal(request: Request, usages: Collection[str], purpose: str) -> str:
    serving = purpose == "server auth"
    if request.organizations != ("system:nodes",):
        return "subject organization is not system:nodes"
    if serving and not (request.has("dns") or request.has("ip")):
        return "DNS or IP subjectAltName is required"
    for kind, word in (("dns", "DNS"), ("ip", "IP"), ("email", "Email"), ("uri", "URI")):
        if request.has(kind) and not (serving and kind in ("dns", "ip")):
            return f"{word} subjectAltNames are not allowed"
    if set(usages) not in ({"digital signature", purpose}, {"digital signature", "key encipherment", purpose}):
        return f"usages did not match {sorted(('digital signature', 'key encipherment', purpose))}"
    if not request.common_name.startswith("system:node:"):
        return "subject common name does not begin with system:node:"
    return ""


def is_approved(csr: Object) -> bool:
    return conditions.is_true(csr, "Approved") and not conditions.is_true(csr, "Denied")


def certificate_of(csr: Object) -> str:
    """What was issued, base64 of PEM; "" for nothing yet."""
    return str((csr.get("status") or {}).get("certificate") or "")
