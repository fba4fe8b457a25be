"""RBAC: what is allowed, in which words it is refused, and that nobody grants what he has not."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from styr.api import bootstrap, reviews
from styr.api.authz import Attributes, Rbac
from styr.client.client import Client
from styr.client.controller import Manager
from styr.client.transport import InProcessTransport
from styr.controllers import aggregation
from styr.kinds.errors import ApiError, BadRequest, Forbidden, NotFound, UnsupportedMedia
from styr.kinds.transport import ANONYMOUS, Request, User
from styr.kit.clock import SystemClock

from . import generate_roles
from .kit import ADMIN, Api, running

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


async def test_a_namespace_counts_as_in_itself() -> None:
    async with running() as api:
        bound = {"metadata": {"name": "v"}, "subjects": [{"kind": "User", "name": "ann"}]}
        bound["roleRef"] = {"kind": "ClusterRole", "name": "view", "apiGroup": RBAC}
        await api("POST", f"{RULES}/namespaces/default/rolebindings", bound)
        ann = Api(api.server, ANN)
        await ann("GET", "/api/v1/namespaces/default")
        refused = await ann("GET", "/api/v1/namespaces/kube-system", want=403)
        assert refused["message"].endswith('in API group "" in the namespace "kube-system"')
        refused = await ann("GET", "/api/v1/namespaces", want=403)
        assert refused["message"].endswith('in API group "" at the cluster scope')


async def test_who_may_read_one_object_may_list_and_watch_that_one() -> None:
    async with running() as api:
        spec = role("one", rule("get list watch", "configmaps", names="one"), namespace="default")
        await api("POST", f"{RULES}/namespaces/default/roles", spec)
        bound = {"metadata": {"name": "one"}, "subjects": [{"kind": "User", "name": "ann"}]}
        bound["roleRef"] = {"kind": "Role", "name": "one", "apiGroup": RBAC}
        await api("POST", f"{RULES}/namespaces/default/rolebindings", bound)
        maps = "/api/v1/namespaces/default/configmaps"
        for name in ("one", "two"):
            await api("POST", maps, {"metadata": {"name": name}})
        ann = Api(api.server, ANN)
        found = await ann("GET", f"{maps}?fieldSelector=metadata.name%3Done")
        assert [item["metadata"]["name"] for item in found["items"]] == ["one"]
        found = await ann("GET", f"{maps}?fieldSelector=metadata.namespace=default,metadata.name==one&fieldSelector=")
        assert [item["metadata"]["name"] for item in found["items"]] == ["one"]
        found = await ann("GET", f"{maps}?fieldSelector=metadata.name=one,metadata.name=two")
        assert found["items"] == []
        for query in (
            "",
            "?fieldSelector=metadata.name!=one",
            "?fieldSelector=metadata.name=two",
            "?labelSelector=a=one",
        ):
            await ann("GET", f"{maps}{query}", want=403)
        await ann("GET", f"{maps}?fieldSelector=&fieldSelector=metadata.name=one", want=403)
        await ann("GET", f"{maps}?fieldSelector=nonsense", want=403)
        await ann("GET", "/api/v1/configmaps?fieldSelector=metadata.name=one", want=403)
        await ann("DELETE", f"{maps}?fieldSelector=metadata.name=one", want=403)


async def test_who_leaves_the_rights_as_they_were_may_write() -> None:
    rbac = Rbac()
    powers = role("r", rule("*", "*", "*"))
    grown = {**powers, "metadata": {**powers["metadata"], "finalizers": ["x/y"], "resourceVersion": "7"}}
    rbac.check_escalation(ANN, grown, powers)
    with pytest.raises(Forbidden):
        rbac.check_escalation(ANN, {**powers, "metadata": {"name": "r", "labels": {"a": "b"}}}, powers)
    bound = binding("b", powers, "User:ann")
    rbac.check_escalation(ANN, {**bound, "metadata": {"name": "b", "ownerReferences": []}}, bound)


def test_a_role_that_is_not_there_cannot_be_bound_by_chance() -> None:
    with pytest.raises(NotFound, match='"later" not found'):
        Rbac().check_escalation(ANN, binding("b", role("later", namespace="x"), "User:ann", namespace="x"))


def test_gathering_needs_every_right() -> None:
    gathering = {**role("all"), "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}
    rbac = Rbac([*bootstrap.objects(), binding("a", role("admin"), "User:ann")])
    with pytest.raises(Forbidden, match="must have cluster-admin privileges to use the aggregationRule"):
        rbac.check_escalation(ANN, gathering)
    with pytest.raises(Forbidden, match="cluster-admin"):
        rbac.check_escalation(ANN, role("all"), gathering)
    rbac.put(binding("root", role("cluster-admin"), "Group:dev"))
    rbac.check_escalation(ANN, gathering)


def test_missing_rights_are_told_compactly() -> None:
    rbac = Rbac()
    wanted = role("r", rule("list get", "pods", names="x"), rule("get", "pods", "apps"), rule("get", "pods", "apps"))
    wanted["rules"].append({"nonResourceURLs": ["/x"], "verbs": ["get"]})
    with pytest.raises(Forbidden) as caught:
        rbac.check_escalation(ANN, wanted)
    assert caught.value.message == (
        'clusterroles.rbac.authorization.k8s.io "r" is forbidden: user "ann" (groups=["dev" "system:authenticated"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], ResourceNames:["x"], Verbs:["get" "list"]}\n'
        '{APIGroups:["apps"], Resources:["pods"], Verbs:["get"]}\n'
        '{NonResourceURLs:["/x"], Verbs:["get"]}'
    )


def test_why_something_is_allowed() -> None:
    view = [*bootstrap.objects(), binding("v", role("view"), "Group:dev", namespace="team")]
    account = {**binding("s", role("view"), "ServiceAccount:robot", namespace="team")}
    account["subjects"][0]["namespace"] = "other"
    lost = binding("lost", role("nothing"), "User:ann")
    rbac = Rbac([*view, account, lost])
    asked = Attributes("list", "", "pods", "", "team")
    assert rbac.explain(ANN, asked) == (
        True,
        'RBAC: allowed by RoleBinding "v/team" of ClusterRole "view" to Group "dev"',
    )
    robot = User("system:serviceaccount:other:robot")
    assert rbac.explain(robot, asked)[1].endswith('to ServiceAccount "robot/other"')
    missing = 'RBAC: clusterrole.rbac.authorization.k8s.io "nothing" not found'
    assert rbac.explain(ANN, Attributes("list", "", "pods", "", "elsewhere")) == (False, missing)
    assert rbac.explain(User("x"), asked) == (False, "")
    assert rbac.explain(ROOT, asked) == (True, "")


RULES = f"/apis/{RBAC}/v1"


@pytest.mark.parametrize(
    ("where", "rules", "words"),
    [
        ("clusterroles", [{"verbs": []}], "rules[0].verbs: Required value: verbs must contain at least one value"),
        (
            "clusterroles",
            [{"verbs": ["get"], "apiGroups": [""]}],
            "rules[0].resources: Required value: resource rules must",
        ),
        (
            "clusterroles",
            [{"verbs": ["get"], "resources": ["x"]}],
            "rules[0].apiGroups: Required value: resource rules must",
        ),
        (
            "namespaces/default/roles",
            [{"verbs": ["get"], "nonResourceURLs": ["/x"]}],
            'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
        ),
        (
            "clusterroles",
            [{"verbs": ["get"], "nonResourceURLs": ["/x"], "apiGroups": [""]}],
            "rules cannot apply to both regular resources and non-resource URLs",
        ),
    ],
)
async def test_rules_that_say_nothing(where: str, rules: list[Any], words: str) -> None:
    async with running() as api:
        answer = await api("POST", f"{RULES}/{where}", {"metadata": {"name": "r"}, "rules": rules}, want=422)
        assert words in answer["message"]


async def test_default_roles_are_mended_at_a_start_and_additions_stay(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    json_type = "application/merge-patch+json"
    async with running(path) as api:
        assert (await api("GET", f"{RULES}/clusterroles/system:node"))["rules"]
        assert await api("GET", f"{RULES}/namespaces/kube-system/roles/extension-apiserver-authentication-reader")
        changed = {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/mine"]}]}
        await api("PATCH", f"{RULES}/clusterroles/system:discovery", changed, type=json_type)
        await api("PATCH", f"{RULES}/clusterrolebindings/system:discovery", {"subjects": []}, type=json_type)
        alone = {**changed, "metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}}
        await api("PATCH", f"{RULES}/clusterroles/system:basic-user", alone, type=json_type)
        await api("DELETE", f"{RULES}/clusterroles/view")
        untouched = await api("GET", f"{RULES}/clusterroles/edit")
    async with running(path) as api:
        paths = [
            url
            for rule in (await api("GET", f"{RULES}/clusterroles/system:discovery"))["rules"]
            for url in rule["nonResourceURLs"]
        ]
        assert {"/mine", "/api", "/openapi/*"} <= set(paths)
        (subject,) = (await api("GET", f"{RULES}/clusterrolebindings/system:discovery"))["subjects"]
        assert subject["name"] == "system:authenticated"
        assert (await api("GET", f"{RULES}/clusterroles/system:basic-user"))["rules"] == changed["rules"]
        assert (await api("GET", f"{RULES}/clusterroles/view"))["rules"]
        assert await api("GET", f"{RULES}/clusterroles/edit") == untouched


async def test_roles_that_gather_others() -> None:
    async with running() as api:
        manager = Manager(Client(InProcessTransport(api.server, ADMIN)), SystemClock(), random.Random(1))
        manager.add(aggregation.controller())
        task = asyncio.create_task(manager.run())

        async def settled(wanted: Any) -> None:
            for _ in range(1000):
                found = await api("GET", f"{RULES}/clusterroles/view")
                if wanted({resource for rule in found["rules"] for resource in rule.get("resources", ())}):
                    return
                await asyncio.sleep(0.005)
            raise AssertionError(found)

        try:
            labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
            rules = [rule("get", "widgets", "example.com")]
            await api("POST", f"{RULES}/clusterroles", {"metadata": {"name": "more", "labels": labels}, "rules": rules})
            await settled(lambda found: {"widgets", "pods", "apps"} <= found)
            await api("DELETE", f"{RULES}/clusterroles/more")
            await settled(lambda found: "widgets" not in found and "pods" in found)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.needs("go")
def test_the_table_of_roles_is_what_its_script_makes() -> None:
    assert generate_roles.TARGET.read_text() == generate_roles.table()
