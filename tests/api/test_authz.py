"""RBAC: what is allowed, in which words it is refused, and that nobody grants what he has not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from styr.api import bootstrap, reviews
from styr.api.authz import Attributes, Rbac
from styr.kinds.errors import ApiError, BadRequest, Forbidden, UnsupportedMedia
from styr.kinds.transport import ANONYMOUS, Request, User

RBAC = "rbac.authorization.k8s.io"
ANN = User("ann", ("dev", "system:authenticated"))
ROOT = User("root", ("system:masters",))


def role(name: str, *rules: dict[str, Any], namespace: str = "") -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"kind": "Role" if namespace else "ClusterRole", "metadata": metadata, "rules": list(rules)}


def rule(verbs: str, resources: str, group: str = "", names: str = "") -> dict[str, Any]:
    found = {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
    return found | ({"resourceNames": names.split()} if names else {})


def binding(name: str, to: dict[str, Any], subject: str, namespace: str = "") -> dict[str, Any]:
    kind, _, who = subject.partition(":")
    return {
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": RBAC, "kind": to["kind"], "name": to["metadata"]["name"]},
        "subjects": [{"kind": kind, "name": who}],
    }


def can(rbac: Rbac, user: User, verb: str, resource: str, namespace: str = "", name: str = "", group: str = "") -> bool:
    plural, _, sub = resource.partition("/")
    return rbac.allows(user, Attributes(verb, group, plural, sub, namespace, name))


def test_denies_by_default_in_kubernetes_words() -> None:
    with pytest.raises(Forbidden) as caught:
        Rbac(bootstrap.objects())(User("x"), "list", "", "pods", "", "default", "", "")
    assert caught.value.message == (
        'pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    with pytest.raises(Forbidden) as caught:
        Rbac()(User("x"), "get", "apps", "deployments", "scale", "", "web", "")
    assert caught.value.message == (
        'deployments.apps "web" is forbidden: User "x" cannot get resource "deployments/scale" in API group "apps" '
        "at the cluster scope"
    )
    with pytest.raises(Forbidden, match='forbidden: User "system:anonymous" cannot get path "/api"'):
        Rbac(bootstrap.objects())(ANONYMOUS, "get", "", "", "", "", "", "/api")


def test_anonymous_sees_health_and_version_and_nothing_else() -> None:
    rbac = Rbac(bootstrap.objects())
    for path in ("/livez", "/readyz", "/healthz", "/version"):
        rbac(ANONYMOUS, "get", "", "", "", "", "", path)
    for path in ("/", "/api", "/apis/apps/v1", "/openapi/v3", "/git/x"):
        assert not rbac.allows(ANONYMOUS, Attributes("get", path=path))
    assert rbac.allows(ANN, Attributes("get", path="/apis/apps/v1"))


def test_roles_hold_in_their_namespace_and_follow_changes() -> None:
    reader = role("reader", rule("get list", "pods pods/log"), namespace="a")
    rbac = Rbac([reader])
    assert not can(rbac, ANN, "get", "pods", "a")
    rbac.put(binding("b", reader, "Group:dev", namespace="a"))
    assert can(rbac, ANN, "get", "pods", "a")
    assert can(rbac, ANN, "get", "pods/log", "a")
    assert not can(rbac, ANN, "get", "pods/exec", "a")
    assert not can(rbac, ANN, "get", "pods", "b")
    assert not can(rbac, ANN, "get", "pods")
    rbac.remove(reader)
    assert not can(rbac, ANN, "get", "pods", "a")


def test_names_wildcards_and_subresource_wildcards() -> None:
    named = role("n", rule("get", "configmaps", names="one"), rule("*", "*/scale", "apps"))
    rbac = Rbac([named, binding("n", named, "User:ann")])
    assert can(rbac, ANN, "get", "configmaps", "x", "one")
    assert not can(rbac, ANN, "get", "configmaps", "x", "two")
    assert not can(rbac, ANN, "list", "configmaps", "x")
    assert can(rbac, ANN, "update", "deployments/scale", "x", "d", "apps")
    assert not can(rbac, ANN, "update", "deployments", "x", "d", "apps")


def test_a_cluster_role_through_a_role_binding_stays_in_its_namespace() -> None:
    rbac = Rbac([*bootstrap.objects(), binding("e", role("edit"), "User:ann", namespace="team")])
    assert can(rbac, ANN, "create", "deployments", "team", group="apps")
    assert can(rbac, ANN, "get", "secrets", "team")
    assert not can(rbac, ANN, "create", "deployments", "other", group="apps")
    assert not can(rbac, ANN, "create", "roles", "team", group=RBAC)
    viewer = Rbac([*bootstrap.objects(), binding("v", role("view"), "User:ann", namespace="team")])
    assert can(viewer, ANN, "get", "pods/log", "team")
    assert not can(viewer, ANN, "get", "secrets", "team")
    assert not can(viewer, ANN, "delete", "pods", "team")


def test_nobody_grants_what_he_has_not() -> None:
    rbac = Rbac([*bootstrap.objects(), binding("a", role("admin"), "User:ann", namespace="team")])
    rbac.check_escalation(ANN, role("r", rule("get list", "pods secrets"), namespace="team"))
    with pytest.raises(Forbidden, match="attempting to grant RBAC permissions not currently held"):
        rbac.check_escalation(ANN, role("r", rule("get", "nodes"), namespace="team"))
    with pytest.raises(Forbidden, match="attempting to grant"):
        rbac.check_escalation(ANN, role("r", rule("*", "*", "*"), namespace="team"))
    with pytest.raises(Forbidden, match="attempting to grant"):
        rbac.check_escalation(ANN, binding("b", role("cluster-admin"), "User:ann", namespace="team"))
    rbac.check_escalation(ANN, binding("b", role("view"), "User:bob", namespace="team"))
    rbac.check_escalation(ROOT, role("r", rule("*", "*", "*")))
    allowed = role("binder", rule("bind", "clusterroles", RBAC, names="cluster-admin"))
    rbac.put(allowed)
    rbac.put(binding("binder", allowed, "User:ann"))
    rbac.check_escalation(ANN, binding("b", role("cluster-admin"), "User:ann", namespace="team"))


def test_a_rule_of_a_million_rights_is_refused() -> None:
    words = " ".join(f"r{n}" for n in range(1000))
    with pytest.raises(Forbidden, match="split it"):
        Rbac().check_escalation(ANN, role("big", rule(words, words)))


@pytest.mark.parametrize("odd", [{"rules": 3}, {"rules": [3, {"verbs": 1}]}, {"subjects": [3], "roleRef": 1}])
def test_misshapen_objects_grant_nothing(odd: dict[str, Any]) -> None:
    rbac = Rbac()
    for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"):
        rbac.put({"kind": kind, "metadata": {"name": "x"}, **odd})
    assert not can(rbac, ANN, "get", "pods")


async def ask(rbac: Rbac, user: User, kind: str, body: bytes, media: str = "application/json") -> dict[str, Any]:
    request = Request("POST", "/", headers={"content-type": media}, body=body, user=user)
    answer = (await reviews.review(rbac, None, request, kind, "", 0.0)).body
    assert isinstance(answer, bytes)
    return dict(json.loads(answer))


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


async def test_self_reviews_in_json_and_protobuf() -> None:
    rbac = Rbac([*bootstrap.objects(), binding("v", role("view"), "User:ann", namespace="team")])
    for namespace, allowed in (("team", True), ("other", False)):
        body = json.dumps(
            {"spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": namespace}}}
        )
        assert (await ask(rbac, ANN, "SelfSubjectAccessReview", body.encode()))["status"]["allowed"] is allowed
        attributes = field(1, namespace.encode()) + field(2, b"list") + field(5, b"pods")
        kind = field(1, b"authorization.k8s.io/v1") + field(2, b"SelfSubjectAccessReview")
        raw = b"k8s\0" + field(1, kind) + field(2, field(2, field(1, attributes)))
        found = await ask(rbac, ANN, "SelfSubjectAccessReview", raw, "application/vnd.kubernetes.protobuf")
        assert found["status"]["allowed"] is allowed
    assert (await ask(rbac, ANN, "SelfSubjectReview", b"{}"))["status"]["userInfo"]["username"] == "ann"
    found = await ask(rbac, ANN, "SelfSubjectRulesReview", b'{"spec":{"namespace":"team"}}')
    rules = found["status"]["resourceRules"]
    assert any("pods" in entry["resources"] for entry in rules)


@pytest.mark.parametrize("size", range(12))
async def test_damaged_protobuf_is_refused_in_words(size: int) -> None:
    raw = b"k8s\0" + field(1, field(2, b"SelfSubjectReview")) + field(2, b"\x0a\x05abc")
    with pytest.raises((BadRequest, UnsupportedMedia)):
        await ask(Rbac(), ANN, "SelfSubjectReview", raw[:size], "application/vnd.kubernetes.protobuf")


async def test_a_review_must_ask_one_thing() -> None:
    for body in (b"{}", b'{"spec":3}', b"[", b'{"spec":{"resourceAttributes":{},"nonResourceAttributes":{}}}'):
        with pytest.raises(ApiError):
            await ask(Rbac(), ANN, "SelfSubjectAccessReview", body)
