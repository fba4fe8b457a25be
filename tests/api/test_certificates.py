"""Certificate signing requests: who asked stands in them, who approves and signs needs the right to, and what comes out is
what was approved and nothing more."""

from __future__ import annotations

import asyncio
import random
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from styr.api import pki
from styr.client.client import Client
from styr.client.controller import Manager
from styr.client.transport import InProcessTransport
from styr.controllers import certificate_approval, certificate_cleaning, certificate_signing
from styr.kinds import certificates
from styr.kinds.transport import User
from styr.kit.clock import SystemClock

from .kit import ADMIN, MERGE_PATCH, Api, running

URL = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ANN = User("ann", ("dev", "system:authenticated"), "7", (("scopes", ("view",)),))
APPROVED = {"type": "Approved", "status": "True", "reason": "Tested", "message": "yes"}


def pem(
    name: str = "bob",
    groups: Sequence[str] = ("dev",),
    dns: Sequence[str] = (),
    ips: Sequence[str] = (),
    key: Any = None,
) -> str:
    """A signed request, as the API has it."""
    subject = [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject.append(x509.NameAttribute(x509.NameOID.COMMON_NAME, name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    names: list[x509.GeneralName] = [x509.DNSName(each) for each in dns]
    names += [x509.IPAddress(ip_address(each)) for each in ips]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return b64encode(made.public_bytes(Encoding.PEM)).decode()


def csr(name: str = "one", request: str = "", signer: str = certificates.CLIENT, **spec: Any) -> dict[str, Any]:
    asked = {"request": request or pem(), "signerName": signer, "usages": ["client auth"], **spec}
    return {"metadata": {"name": name}, "spec": asked}


async def grant(api: Api, user: str, **rule: Any) -> None:
    name = f"{user.replace(':', '-')}-{random.random()}"
    await api("POST", f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": [rule]})
    subjects = [{"kind": "User", "name": user}]
    ref = {"kind": "ClusterRole", "name": name, "apiGroup": "rbac.authorization.k8s.io"}
    await api("POST", f"{RBAC}/clusterrolebindings", {"metadata": {"name": name}, "subjects": subjects, "roleRef": ref})


async def all_of(api: Api, user: str) -> None:
    """Every right on requests, none on signers."""
    plurals = ["certificatesigningrequests", "certificatesigningrequests/approval", "certificatesigningrequests/status"]
    await grant(api, user, apiGroups=["certificates.k8s.io"], resources=plurals, verbs=["*"])


async def test_who_asked_stands_in_it_and_cannot_be_made_up() -> None:
    async with running() as api:
        await all_of(api, "ann")
        ann = Api(api.server, ANN)
        body = csr(username="root", groups=["system:masters"], uid="0", extra={"a": ["b"]})
        body["status"] = {"conditions": [APPROVED], "certificate": "AAAA"}
        made = await ann("POST", URL, body)
        spec = made["spec"]
        assert (spec["username"], spec["uid"], spec["groups"]) == ("ann", "7", ["dev", "system:authenticated"])
        assert spec["extra"] == {"scopes": ["view"]}
        assert not made.get("status", {}).get("conditions")
        changed = {"spec": {"username": "root", "signerName": "other.example/x"}, "metadata": {"labels": {"a": "b"}}}
        after = await ann("PATCH", f"{URL}/one", changed, type=MERGE_PATCH)
        assert after["spec"] == spec
        assert after["metadata"]["labels"] == {"a": "b"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"request": b64encode(b"hello").decode()}, "PEM block type must be CERTIFICATE REQUEST"),
        ({"request": ""}, "spec.request"),
        ({"usages": []}, "spec.usages: Required value"),
        ({"usages": ["flying"]}, 'spec.usages[0]: Unsupported value: "flying"'),
        ({"usages": ["client auth", "client auth"]}, "spec.usages[1]: Duplicate value"),
        ({"signerName": ""}, "spec.signerName: Required value"),
        ({"signerName": "nodomain"}, "must be a fully qualified domain and path"),
        ({"signerName": "kubernetes.io/legacy-unknown"}, "the legacy signerName is not allowed"),
        ({"signerName": f"example.com/{'a' * 600}"}, "Too long"),
        ({"expirationSeconds": 599}, "may not specify a duration less than 600 seconds"),
    ],
)
async def test_requests_that_are_refused(change: dict[str, Any], words: str) -> None:
    async with running() as api:
        body = csr()
        body["spec"] |= change
        answer = await api("POST", URL, body, want=422)
        assert words in answer["message"]


async def test_nobody_becomes_master_by_a_certificate() -> None:
    async with running() as api:
        body = csr(request=pem(groups=["dev", "system:masters"]))
        answer = await api("POST", URL, body, want=403)
        assert "signer with system:masters group is not allowed" in answer["message"]
        await api("POST", URL, csr(request=pem(groups=["system:masters"]), signer="example.com/other"))


async def test_a_request_whose_key_did_not_sign_it() -> None:
    good = b64decode(pem(key=rsa.generate_private_key(65537, 2048)))
    raw = bytearray(x509.load_pem_x509_csr(good).public_bytes(Encoding.DER))
    raw[-1] ^= 1
    forged = b"-----BEGIN CERTIFICATE REQUEST-----\n" + b64encode(bytes(raw)) + b"\n-----END CERTIFICATE REQUEST-----\n"
    with pytest.raises(ValueError, match="signature"):
        certificates.parse(forged)


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    wrapped = b"-----BEGIN CERTIFICATE REQUEST-----\n" + b64encode(data) + b"\n-----END CERTIFICATE REQUEST-----\n"
    for pem_bytes in (data, wrapped, wrapped * 2000):
        with pytest.raises(ValueError):
            certificates.parse(pem_bytes)


async def test_approving_needs_a_right_for_the_signer_and_touches_conditions_only() -> None:
    async with running() as api:
        await all_of(api, "ann")
        ann = Api(api.server, ANN)
        made = await api("POST", URL, csr())
        change = {**made, "status": {"conditions": [APPROVED], "certificate": "AAAA"}, "spec": {}}
        refused = await ann("PUT", f"{URL}/one/approval", change, want=403)
        assert f'user not permitted to approve requests with signerName "{certificates.CLIENT}"' in refused["message"]
        signers = {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": ["approve"]}
        await grant(api, "ann", **signers, resourceNames=["kubernetes.io/*"])
        done = await ann("PUT", f"{URL}/one/approval", change)
        assert done["spec"] == made["spec"]
        assert "certificate" not in done["status"]
        (condition,) = done["status"]["conditions"]
        assert condition["lastUpdateTime"]
        assert condition["lastTransitionTime"]
        both = {"status": {"conditions": [condition, {"type": "Denied", "status": "True"}]}}
        answer = await ann("PATCH", f"{URL}/one/approval", both, type=MERGE_PATCH, want=422)
        assert "Approved and Denied conditions are mutually exclusive" in answer["message"]
        for conditions, words in (
            ([], 'updates may not remove a condition of type "Approved"'),
            ([{**condition, "status": "False"}], "status.conditions[0].status: Unsupported value"),
            ([condition, condition], "status.conditions[1].type: Duplicate value"),
            ([condition, {"type": "Odd"}], "status.conditions[1].status: Required value"),
        ):
            patch = {"status": {"conditions": conditions}}
            answer = await ann("PATCH", f"{URL}/one/approval", patch, type=MERGE_PATCH, want=422)
            assert words in answer["message"]
        await ann("PUT", f"{URL}/one", {**done, "status": {}})
        assert (await ann("GET", f"{URL}/one/approval"))["status"] == done["status"]


async def test_signing_needs_a_right_and_happens_once(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path / "pki", SystemClock())
    sign = pki.Signer(made, SystemClock())
    certificate = b64encode(sign(b64decode(pem()), ["client auth"], None)).decode()
    async with running() as api:
        await all_of(api, "ann")
        ann = Api(api.server, ANN)
        await api("POST", URL, csr())
        issued = {"status": {"certificate": certificate}}
        refused = await ann("PATCH", f"{URL}/one/status", issued, type=MERGE_PATCH, want=403)
        assert "user not permitted to sign requests" in refused["message"]
        await ann("PATCH", f"{URL}/one/status", {"metadata": {"annotations": {"a": "b"}}}, type=MERGE_PATCH)
        rule = {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "verbs": ["sign"]}
        await grant(api, "ann", **rule, resourceNames=[certificates.CLIENT])
        for status, words in (
            ({"certificate": b64encode(b"hello").decode()}, "must contain at least one CERTIFICATE PEM block"),
            (
                {"certificate": b64encode(b"-----BEGIN RSA KEY-----\n").decode()},
                "only CERTIFICATE PEM blocks are allowed",
            ),
            ({"conditions": [APPROVED]}, 'updates may not add a condition of type "Approved"'),
        ):
            answer = await ann("PATCH", f"{URL}/one/status", {"status": status}, type=MERGE_PATCH, want=422)
            assert words in answer["message"]
        await ann("PATCH", f"{URL}/one/status", issued, type=MERGE_PATCH)
        other = {"status": {"certificate": b64encode(sign(b64decode(pem()), ["client auth"], None)).decode()}}
        answer = await ann("PATCH", f"{URL}/one/status", other, type=MERGE_PATCH, want=422)
        assert "updates may not modify existing certificate content" in answer["message"]


def test_what_is_signed_is_what_was_asked_and_no_more(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path / "pki", SystemClock())
    sign = pki.Signer(made, SystemClock())
    authority = x509.load_pem_x509_certificate(made.ca.read_bytes())
    usages = ["digital signature", "key encipherment", "server auth", "decipher only"]
    request = pem("system:node:a", ["system:nodes"], dns=["a.example"], ips=["10.0.0.1"])
    for seconds, lasts in ((None, timedelta(days=365)), (600, timedelta(minutes=15)), (10**9, timedelta(days=365))):
        found = x509.load_pem_x509_certificate(sign(b64decode(request), usages, seconds))
        found.verify_directly_issued_by(authority)
        assert found.not_valid_after_utc - found.not_valid_before_utc == lasts
        get = found.extensions.get_extension_for_class
        assert get(x509.BasicConstraints).value.ca is False  # though it asked to be one
        assert get(x509.KeyUsage).value.key_encipherment
        assert not get(x509.KeyUsage).value.key_cert_sign
        assert get(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == ["a.example"]
        assert found.subject.rfc4514_string() == "CN=system:node:a,O=system:nodes"


@pytest.mark.parametrize(
    ("signer", "request_pem", "usages", "words"),
    [
        (certificates.CLIENT, pem(), ["client auth"], ""),
        (certificates.CLIENT, pem(), ["digital signature"], "missing required usage"),
        (
            certificates.CLIENT,
            pem(),
            ["client auth", "server auth"],
            "invalid usage for client certificate: server auth",
        ),
        (certificates.KUBELET_CLIENT, pem("system:node:a", ["system:nodes"]), ["digital signature", "client auth"], ""),
        (certificates.KUBELET_CLIENT, pem("system:node:a"), ["digital signature", "client auth"], "organization"),
        (certificates.KUBELET_CLIENT, pem("a", ["system:nodes"]), ["digital signature", "client auth"], "common name"),
        (certificates.KUBELET_CLIENT, pem("system:node:a", ["system:nodes"]), ["client auth"], "usages did not match"),
        (
            certificates.KUBELET_CLIENT,
            pem("system:node:a", ["system:nodes"], dns=["a.example"]),
            ["digital signature", "client auth"],
            "DNS subjectAltNames are not allowed",
        ),
        (
            certificates.KUBELET_SERVING,
            pem("system:node:a", ["system:nodes"]),
            ["digital signature", "server auth"],
            "DNS or IP subjectAltName is required",
        ),
        (
            certificates.KUBELET_SERVING,
            pem("system:node:a", ["system:nodes"], ips=["10.0.0.1"]),
            ["digital signature", "server auth"],
            "",
        ),
    ],
)
def test_what_each_signer_demands(signer: str, request_pem: str, usages: list[str], words: str) -> None:
    found = certificates.refusal(signer, certificates.parse(b64decode(request_pem)), usages)
    assert words in found
    assert bool(found) is bool(words)


@asynccontextmanager
async def controlled(api: Api, made: pki.Pki) -> AsyncIterator[None]:
    clock = SystemClock()
    manager = Manager(Client(InProcessTransport(api.server, ADMIN)), clock, random.Random(1))
    manager.add(certificate_approval.controller())
    manager.add(certificate_signing.controller(pki.Signer(made, clock)))
    task = asyncio.create_task(manager.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def status_of(api: Api, name: str, good: Any) -> dict[str, Any]:
    for _ in range(1000):
        status: dict[str, Any] = (await api("GET", f"{URL}/{name}")).get("status") or {}
        if good(status):
            return status
        await asyncio.sleep(0.005)
    raise AssertionError(status)


async def test_approved_requests_are_signed_and_kubelets_approved(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path / "pki", SystemClock())
    node = {"apiGroups": ["certificates.k8s.io"], "verbs": ["create"]}
    usages = ["digital signature", "client auth"]
    async with running() as api, controlled(api, made):
        await api("POST", URL, csr("people"))
        await api("PATCH", f"{URL}/people/approval", {"status": {"conditions": [APPROVED]}}, type=MERGE_PATCH)
        issued = await status_of(api, "people", lambda status: status.get("certificate"))
        found = x509.load_pem_x509_certificate(b64decode(issued["certificate"]))
        assert found.subject.rfc4514_string() == "CN=bob,O=dev"
        await api("POST", URL, csr("wrong", usages=["server auth"]))
        await api("PATCH", f"{URL}/wrong/approval", {"status": {"conditions": [APPROVED]}}, type=MERGE_PATCH)
        failed = await status_of(api, "wrong", lambda status: len(status.get("conditions", ())) == 2)
        assert failed["conditions"][1]["message"] == "invalid usage for client certificate: server auth"
        await api("POST", URL, csr("others", signer="example.com/other"))
        await api("PATCH", f"{URL}/others/approval", {"status": {"conditions": [APPROVED]}}, type=MERGE_PATCH)

        kubelet = Api(api.server, User("system:node:a", ("system:nodes", "system:authenticated")))
        await all_of(api, "system:node:a")
        mine = pem("system:node:a", ["system:nodes"])
        await kubelet("POST", URL, csr("early", request=mine, signer=certificates.KUBELET_CLIENT, usages=usages))
        await grant(api, "system:node:a", **node, resources=["certificatesigningrequests/selfnodeclient"])
        foreign = pem("system:node:b", ["system:nodes"])
        await kubelet("POST", URL, csr("foreign", request=foreign, signer=certificates.KUBELET_CLIENT, usages=usages))
        await kubelet("POST", URL, csr("own", request=mine, signer=certificates.KUBELET_CLIENT, usages=usages))
        own = await status_of(api, "own", lambda status: status.get("certificate"))
        assert own["conditions"][0]["reason"] == "AutoApproved"
        for waiting in ("foreign", "others"):
            assert "certificate" not in ((await api("GET", f"{URL}/{waiting}")).get("status") or {})


def test_when_a_request_is_over(tmp_path: Path) -> None:
    sign = pki.Signer(pki.ensure(tmp_path / "pki", SystemClock()), SystemClock())
    certificate = b64encode(sign(b64decode(pem()), ["client auth"], None)).decode()
    at, hour, day = "2026-01-01T00:00:00Z", 3600.0, 86400.0
    made = certificate_cleaning.parse_rfc3339(at)

    def ends(conditions: Sequence[str] = (), **status: Any) -> float | None:
        told = [{"type": kind, "status": "True", "lastUpdateTime": at} for kind in conditions]
        return certificate_cleaning.ends(
            {"metadata": {"creationTimestamp": at}, "status": {"conditions": told, **status}}
        )

    assert ends() == made + day
    assert ends(["Denied"]) == made + hour
    assert ends(["Approved", "Failed"]) == made + hour
    assert ends(["Approved"]) == made + day
    assert ends(["Approved"], certificate=certificate) == made + hour
    assert certificate_cleaning.ends({"metadata": {}}) is None
