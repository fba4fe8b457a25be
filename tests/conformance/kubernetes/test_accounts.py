"""ServiceAccounts: their lives, their tokens, what pods get of them, and what others may know of them."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.conformance.kubernetes.client import STRATEGIC, Collection, Kube, Object, eventually
from tests.conformance.kubernetes.conftest import Cluster
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import pod, pod_spec

MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
AUTHENTICATION, AUTHORIZATION = "authentication.k8s.io/v1", "authorization.k8s.io/v1"


def account(name: str, labels: dict[str, str] | None = None, **more: Any) -> Object:
    metadata = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, **more}


async def default_account(kube: Kube, namespace: str) -> Object:
    accounts = kube.of("v1", "serviceaccounts", namespace)

    async def there() -> Object | None:
        return next((each for each in await accounts.items() if each["metadata"]["name"] == "default"), None)

    found: Object = await eventually(there, "the default account")
    return found


async def token(accounts: Collection, name: str, *audiences: str, seconds: int = 600) -> str:
    spec = {"expirationSeconds": seconds, **({"audiences": list(audiences)} if audiences else {})}
    request = {"apiVersion": AUTHENTICATION, "kind": "TokenRequest", "spec": spec}
    answer = await accounts.create(request, name, "token")
    return str(answer["status"]["token"])


@behaviour("ServiceAccount lifecycle test")
async def test_the_life_of_an_account(kube: Kube, namespace: str) -> None:
    accounts = kube.of("v1", "serviceaccounts", namespace)
    async with accounts.watching(f"life={namespace}") as watch:
        await accounts.create(account("a", {"life": namespace}))
        assert (await watch.next()).type == "ADDED"
        await accounts.patch("a", {"automountServiceAccountToken": False}, type=STRATEGIC)
        (found,) = await accounts.everywhere().items(f"life={namespace}")
        assert found["automountServiceAccountToken"] is False
        await accounts.delete_all(f"life={namespace}")
        await watch.wait("DELETED")


@behaviour("ServiceAccount, update a ServiceAccount")
async def test_an_account_is_updated(kube: Kube, namespace: str) -> None:
    accounts = kube.of("v1", "serviceaccounts", namespace)
    await accounts.create(account("a", automountServiceAccountToken=True))
    updated = await accounts.change("a", lambda obj: obj.update(automountServiceAccountToken=False))
    assert updated["automountServiceAccountToken"] is False


@behaviour("ServiceAccount, create and review token")
async def test_a_token_is_given_and_believed(kube: Kube, namespace: str) -> None:
    accounts = kube.of("v1", "serviceaccounts", namespace)
    made = await accounts.create(account("a"))
    given = await token(accounts, "a")
    review = {"apiVersion": AUTHENTICATION, "kind": "TokenReview", "spec": {"token": given}}
    status = (await kube.of(AUTHENTICATION, "tokenreviews").create(review))["status"]
    assert status["authenticated"] is True
    assert not status.get("error")
    assert status["user"]["username"] == f"system:serviceaccount:{namespace}:a"
    assert status["user"]["uid"] == made["metadata"]["uid"]


@behaviour("RootCA ConfigMap test")
async def test_every_namespace_has_the_root_certificate(kube: Kube, namespace: str, cluster: Cluster) -> None:
    maps, name = kube.of("v1", "configmaps", namespace), "kube-root-ca.crt"

    async def right() -> bool:
        found = [each for each in await maps.items() if each["metadata"]["name"] == name]
        return [each["data"] for each in found] == [{"ca.crt": cluster.pki.ca.read_text()}]

    await eventually(right, "made")
    await maps.delete(name)
    await eventually(right, "made again")
    await maps.patch(name, {"data": {"ca.crt": ""}})
    await eventually(right, "mended")


@behaviour("SubjectReview, API Operations")
async def test_a_review_says_what_a_request_meets(kube: Kube, namespace: str) -> None:
    made = await kube.of("v1", "serviceaccounts", namespace).create(account("e2e"))
    user = f"system:serviceaccount:{namespace}:e2e"
    asked = {"verb": "list", "resource": "configmaps", "namespace": namespace, "version": "v1"}
    who = {"user": user, "uid": made["metadata"]["uid"]}
    groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    spec = {"resourceAttributes": asked, **who, "groups": groups}
    reviews = [
        (kube.of(AUTHORIZATION, "subjectaccessreviews"), {"kind": "SubjectAccessReview"}),
        (
            kube.of(AUTHORIZATION, "localsubjectaccessreviews", namespace),
            {"kind": "LocalSubjectAccessReview", "metadata": {"namespace": namespace}},
        ),
    ]
    maps = kube.as_user(user).of("v1", "configmaps", namespace)

    async def reviewed() -> set[bool]:
        return {
            (await each.create({"apiVersion": AUTHORIZATION, **body, "spec": spec}))["status"]["allowed"]
            for each, body in reviews
        }

    assert await reviewed() == {await _lists(maps)} == {False}
    role = {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"}
    subject = {"kind": "ServiceAccount", "name": "e2e", "namespace": namespace}
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "view"}}
    bindings = kube.of("rbac.authorization.k8s.io/v1", "rolebindings", namespace)
    await bindings.create({**binding, "roleRef": role, "subjects": [subject]})

    async def both() -> bool:
        return await reviewed() == {True} and await _lists(maps)

    await eventually(both, "the role counts for both")


async def _lists(maps: Collection) -> bool:
    response = await maps.kube.send("GET", maps.url())
    assert response.status in (200, 403)
    return response.status == 200


CASES = [
    ("default", None, True),
    ("mount", None, True),
    ("nomount", None, False),
    ("default", True, True),
    ("mount", True, True),
    ("nomount", True, True),
    ("default", False, False),
    ("mount", False, False),
    ("nomount", False, False),
]


@behaviour("Service account tokens auto mount optionally")
async def test_the_pod_has_the_last_word_on_its_token(kube: Kube, namespace: str) -> None:
    accounts, pods = kube.of("v1", "serviceaccounts", namespace), kube.of("v1", "pods", namespace)
    await default_account(kube, namespace)
    await accounts.create(account("mount", automountServiceAccountToken=True))
    await accounts.create(account("nomount", automountServiceAccountToken=False))
    for number, (name, asked, expected) in enumerate(CASES):
        spec = pod_spec(serviceAccountName=name)
        if asked is not None:
            spec["automountServiceAccountToken"] = asked
        made = await pods.create(pod(f"p{number}", spec=spec))
        mounts = [each["mountPath"] for each in made["spec"]["containers"][0].get("volumeMounts") or ()]
        assert (MOUNT in mounts) is expected, (name, asked)


def _json(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def _number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def verify(signed: str, key: Object) -> Object:
    """The claims of a token that this published key has signed; raises InvalidSignature. RFC 7515, 7517 and 7518."""
    head, body, signature = signed.split(".")
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    data = f"{head}.{body}".encode()
    if key["kty"] == "RSA":
        public = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
        public.verify(raw, data, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert (key["kty"], key["crv"]) == ("EC", "P-256")
        numbers = ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), ec.SECP256R1())
        half = len(raw) // 2
        pair = encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
        numbers.public_key().verify(pair, data, ec.ECDSA(hashes.SHA256()))
    claims: Object = _json(body)
    return claims


@behaviour("OIDC Discovery (ServiceAccountIssuerDiscovery)")
async def test_others_can_check_a_token_by_what_is_published(kube: Kube, namespace: str) -> None:
    await default_account(kube, namespace)
    bindings = kube.of("rbac.authorization.k8s.io/v1", "clusterrolebindings")
    role = {
        "kind": "ClusterRole",
        "name": "system:service-account-issuer-discovery",
        "apiGroup": "rbac.authorization.k8s.io",
    }
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": namespace},
    }
    await bindings.create({**binding, "roleRef": role, "subjects": [subject]})
    signed = await token(kube.of("v1", "serviceaccounts", namespace), "default", "oidc-discovery-test")
    asking = kube.as_user(f"system:serviceaccount:{namespace}:default")
    document = await asking.read("/.well-known/openid-configuration")
    head = _json(signed.split(".")[0])
    assert head["alg"] in document["id_token_signing_alg_values_supported"]
    keys = (await asking.read("/openid/v1/jwks"))["keys"]
    assert document["jwks_uri"].endswith("/openid/v1/jwks")
    (key,) = [each for each in keys if each["kid"] == head["kid"]]
    claims = verify(signed, key)
    assert claims["iss"] == document["issuer"]
    assert claims["aud"] == ["oidc-discovery-test"]
    assert claims["sub"] == f"system:serviceaccount:{namespace}:default"
    assert claims["kubernetes.io"]["namespace"] == namespace


async def test_a_token_opens_the_door_that_its_account_may_pass(kube: Kube, namespace: str, cluster: Cluster) -> None:
    """Over TLS, as a pod would: what in-process requests cannot show."""
    await default_account(kube, namespace)
    signed = await token(kube.of("v1", "serviceaccounts", namespace), "default")
    context = ssl.create_default_context(cafile=str(cluster.pki.ca))

    def ask(path: str, bearer: str) -> int:
        request = urllib.request.Request(cluster.url + path, headers={"authorization": f"Bearer {bearer}"})
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert await asyncio.to_thread(ask, "/api", signed) == 200
    assert await asyncio.to_thread(ask, f"/api/v1/namespaces/{namespace}/secrets", signed) == 403
    assert await asyncio.to_thread(ask, "/api", signed[:-4] + "AAAA") == 401
