"""Kinds whose behaviour is that their API does all that an API does: `walk` says what that is."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conformance.kubernetes.client import Kube, Object
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.walk import Kind, walk

NOW = "2026-01-01T00:00:00Z"


def condition(type: str, status: str = "True", **more: str) -> Object:
    return {"type": type, "status": status, "reason": "Testing", "message": "said", "lastTransitionTime": NOW, **more}


def two_conditions(*types: str) -> tuple[Object, Object]:
    return tuple({"conditions": [condition(type)]} for type in types)  # type: ignore[return-value]


def certificate(name: str, **times: datetime) -> tuple[str, ec.EllipticCurvePrivateKey]:
    """A self-signed CA certificate in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(times.get("start", datetime.now(UTC) - timedelta(minutes=1)))
        .not_valid_after(times.get("end", datetime.now(UTC) + timedelta(days=1)))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), key


def signing_request(**common_name: str) -> x509.CertificateSigningRequest:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common_name.values()]
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())


def ingress(number: int) -> Object:
    backend = {"service": {"name": "test-backend", "port": {"number": 8080}}}
    path = {"path": "/", "pathType": "ImplementationSpecific", "backend": backend}
    rules = [{"host": f"host{number}.bar.com", "http": {"paths": [path]}}]
    return {
        "spec": {"defaultBackend": {"service": {"name": "default-backend", "port": {"number": 8080}}}, "rules": rules}
    }


def flow_schema(number: int) -> Object:
    subject = {"kind": "User", "user": {"name": f"example-{number}"}}
    rule = {"subjects": [subject], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}
    return {
        "spec": {
            "matchingPrecedence": 9000 + number,
            "priorityLevelConfiguration": {"name": "global-default"},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [rule],
        }
    }


def priority_level(number: int) -> Object:
    limited = {"nominalConcurrencyShares": number + 1, "limitResponse": {"type": "Reject"}}
    return {"spec": {"type": "Limited", "limited": limited}}


def matching(*resources: str) -> Object:
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": [*resources]}
    nowhere = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["no-such"]}]}
    return {"resourceRules": [rule], "namespaceSelector": nowhere}


def validating_policy(number: int) -> Object:
    validations = [{"expression": f"object.spec.replicas <= {100 * number}"}]
    return {"spec": {"failurePolicy": "Fail", "matchConstraints": matching("deployments"), "validations": validations}}


def mutating_policy(number: int) -> Object:
    expression = f"Object{{spec: Object.spec{{replicas: {number}}}}}"
    return {
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": matching("deployments"),
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
        }
    }


def cron_job(number: int) -> Object:
    container = {"name": "c", "image": "busybox", "command": ["sleep", str(300 * number)]}
    template = {"spec": {"restartPolicy": "OnFailure", "containers": [container]}}
    return {"spec": {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": {"template": template}}}}


def csr(number: int) -> Object:
    pem = signing_request(name=f"e2e-example-{number}").public_bytes(serialization.Encoding.PEM)
    usages = ["digital signature", "key encipherment", "server auth"]
    request = base64.b64encode(pem).decode()
    return {"spec": {"request": request, "signerName": "example.com/e2e", "expirationSeconds": 86400, "usages": usages}}


def pod_certificate_request(_number: int) -> Object:
    stub = signing_request().public_bytes(serialization.Encoding.DER)
    uid = "12345678-1234-1234-1234-12345678901{}"
    return {
        "spec": {
            "signerName": "example.com/e2e",
            "podName": "test-pod",
            "podUID": uid.format(2),
            "serviceAccountName": "default",
            "serviceAccountUID": uid.format(3),
            "nodeName": "hollow-1",
            "nodeUID": uid.format(4),
            "maxExpirationSeconds": 86400,
            "stubPKCS10Request": base64.b64encode(stub).decode(),
        }
    }


def issued() -> tuple[Object, Object]:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    end = start + timedelta(hours=1)
    status: dict[str, Any] = {"certificateChain": certificate("e2e.example.com", start=start, end=end)[0]}
    times = {"notBefore": start, "beginRefreshAt": start + timedelta(minutes=15), "notAfter": end}
    status |= {key: time.strftime("%Y-%m-%dT%H:%M:%SZ") for key, time in times.items()}
    status["conditions"] = [condition("Issued")]
    return status, status


def endpoint_slice(number: int) -> Object:
    return {
        "addressType": "IPv4",
        "endpoints": [{"addresses": [f"1.2.3.{number}", f"5.6.7.{number}"]}],
        "ports": [{"name": "http", "protocol": "TCP", "port": 80}],
    }


def ip_address(number: int) -> Object:
    name = ["255.255.255.255", "fe80::42:1dff:fe84:f9e2", "10.11.12.13"][number - 1]
    parent = {"group": "mygroup", "resource": "myresources", "namespace": "foo", "name": "bar"}
    return {"metadata": {"name": name}, "spec": {"parentRef": parent}}


def device_request() -> Object:
    return {"devices": {"requests": [{"name": "req-0", "exactly": {"deviceClassName": "dra.example.com"}}]}}


def resource_slice(_number: int) -> Object:
    pool = {"name": "cluster", "generation": 1, "resourceSliceCount": 1}
    return {"spec": {"driver": "dra.example.com", "pool": pool, "nodeName": "no-such-node"}}


def trust_bundle(number: int) -> Object:
    return {"spec": {"trustBundle": certificate(f"root-{number}")[0]}}


def cel_selector(expression: str) -> Object:
    return {"spec": {"selectors": [{"cel": {"expression": expression}}]}}


ADMISSION = "admissionregistration.k8s.io/v1"
FLOWCONTROL = "flowcontrol.apiserver.k8s.io/v1"
CERTIFICATES = "certificates.k8s.io/v1"
DRA = "resource.k8s.io/v1"
NETWORKING = "networking.k8s.io/v1"

KINDS = [
    (
        behaviour("Priority and Fairness FlowSchema API"),
        Kind(
            FLOWCONTROL,
            "FlowSchema",
            "flowschemas",
            flow_schema,
            False,
            change={"spec": {"matchingPrecedence": 8888}},
            statuses=two_conditions("Patched", "Updated"),
        ),
    ),
    (
        behaviour("Priority and Fairness PriorityLevelConfiguration API"),
        Kind(
            FLOWCONTROL,
            "PriorityLevelConfiguration",
            "prioritylevelconfigurations",
            priority_level,
            False,
            change={"spec": {"limited": {"nominalConcurrencyShares": 0}}},
            statuses=two_conditions("Patched", "Updated"),
        ),
    ),
    (
        behaviour("ValidatingAdmissionPolicy API"),
        Kind(
            ADMISSION,
            "ValidatingAdmissionPolicy",
            "validatingadmissionpolicies",
            validating_policy,
            False,
            change={"spec": {"failurePolicy": "Ignore"}},
            statuses=two_conditions("Patched", "Updated"),
        ),
    ),
    (
        behaviour("ValidatingadmissionPolicyBinding API"),
        Kind(
            ADMISSION,
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
            lambda _: {"spec": {"policyName": "no-such-policy", "validationActions": ["Deny"]}},
            False,
            change={"spec": {"validationActions": ["Warn"]}},
        ),
    ),
    (
        behaviour("MutatingAdmissionPolicy API"),
        Kind(
            ADMISSION,
            "MutatingAdmissionPolicy",
            "mutatingadmissionpolicies",
            mutating_policy,
            False,
            change={"spec": {"failurePolicy": "Ignore"}},
        ),
    ),
    (
        behaviour("MutatingAdmissionPolicyBinding API"),
        Kind(
            ADMISSION,
            "MutatingAdmissionPolicyBinding",
            "mutatingadmissionpolicybindings",
            lambda _: {"spec": {"policyName": "no-such-policy"}},
            False,
            change={"spec": {"matchResources": {"matchPolicy": "Exact"}}},
        ),
    ),
    (
        behaviour("CronJob API Operations"),
        Kind(
            "batch/v1",
            "CronJob",
            "cronjobs",
            cron_job,
            change={"spec": {"schedule": "0 0 2 2 *"}},
            statuses=({"lastScheduleTime": NOW}, {"lastScheduleTime": "2026-01-02T00:00:00Z"}),
        ),
    ),
    (
        behaviour("CertificateSigningRequest API"),
        Kind(CERTIFICATES, "CertificateSigningRequest", "certificatesigningrequests", csr, False, statuses=({},)),
    ),
    (
        behaviour("PodCertificateRequest API operations"),
        Kind(
            CERTIFICATES,
            "PodCertificateRequest",
            "podcertificaterequests",
            pod_certificate_request,
            statuses=issued(),
        ),
    ),
    (
        behaviour("CRUD operations for clustertrustbundles"),
        Kind(
            CERTIFICATES,
            "ClusterTrustBundle",
            "clustertrustbundles",
            trust_bundle,
            False,
            change=trust_bundle(9),
        ),
    ),
    (
        behaviour("EndpointSlice API"),
        Kind(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            "endpointslices",
            endpoint_slice,
            change={"ports": [{"name": "https", "protocol": "TCP", "port": 443}]},
        ),
    ),
    (
        behaviour("Ingress API"),
        Kind(
            NETWORKING,
            "Ingress",
            "ingresses",
            ingress,
            change={"spec": {"ingressClassName": "other"}},
            statuses=(
                {"loadBalancer": {"ingress": [{"ip": "169.1.1.1"}]}},
                {"loadBalancer": {"ingress": [{"ip": "169.1.1.2"}]}},
            ),
        ),
    ),
    (
        behaviour("IngressClass API"),
        Kind(
            NETWORKING,
            "IngressClass",
            "ingressclasses",
            lambda _: {"spec": {"controller": "example.com/controller"}},
            False,
            change={
                "spec": {"parameters": {"apiGroup": "k8s.example.com", "kind": "P", "name": "p", "scope": "Cluster"}}
            },
        ),
    ),
    (
        behaviour("IPAddress API"),
        Kind(NETWORKING, "IPAddress", "ipaddresses", ip_address, False),
    ),
    (
        behaviour("RuntimeClass API"),
        Kind("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", lambda n: {"handler": f"conf-{n}"}, False),
    ),
    (
        behaviour("CRUD operations for deviceclasses"),
        Kind(
            DRA, "DeviceClass", "deviceclasses", lambda _: cel_selector("false"), False, change=cel_selector("1 == 0")
        ),
    ),
    (
        behaviour("CRUD operations for devicetaintrules"),
        Kind(
            DRA,
            "DeviceTaintRule",
            "devicetaintrules",
            lambda _: {"spec": {"taint": {"key": "testing", "effect": "None"}}},
            False,
            change={"spec": {"taint": {"effect": "NoExecute"}}},
            statuses=two_conditions("Testing", "Testing"),
        ),
    ),
    (
        behaviour("CRUD operations for resourceclaims"),
        Kind(
            DRA,
            "ResourceClaim",
            "resourceclaims",
            lambda _: {"spec": device_request()},
            statuses=({"allocation": {}}, {"allocation": {}}),
        ),
    ),
    (
        behaviour("CRUD operations for resourceclaimtemplates"),
        Kind(DRA, "ResourceClaimTemplate", "resourceclaimtemplates", lambda _: {"spec": {"spec": device_request()}}),
    ),
    (
        behaviour("CRUD operations for resoureslices"),
        Kind(
            DRA,
            "ResourceSlice",
            "resourceslices",
            resource_slice,
            False,
            change={"spec": {"devices": [{"name": "device-0"}]}},
        ),
    ),
    (
        behaviour("CRUD operations for storageversionmigrations"),
        Kind(
            "storagemigration.k8s.io/v1",
            "StorageVersionMigration",
            "storageversionmigrations",
            lambda _: {"spec": {"resource": {"group": "", "resource": "foo"}}},
            False,
            statuses=two_conditions("TestCondition", "TestCondition"),
        ),
    ),
    (
        behaviour("CSIStorageCapacity API"),
        Kind(
            "storage.k8s.io/v1",
            "CSIStorageCapacity",
            "csistoragecapacities",
            lambda _: {"storageClassName": "example.com-class", "nodeTopology": {"matchLabels": {"zone": "a"}}},
            change={"capacity": "100Gi"},
        ),
    ),
]


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=mark, id=kind.plural) for mark, kind in KINDS])
async def test_the_api_of_a_kind_is_whole(kube: Kube, namespace: str, kind: Kind) -> None:
    await walk(kube, kind, namespace)
