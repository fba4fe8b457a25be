"""Server-side apply, end to end: the scenarios of Kubernetes' documentation and of its own tests of the feature."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from styr.kinds.transport import User
from tests.api.kit import MERGE_PATCH, STRATEGIC, Api, config, pod, running

APPLY = "application/apply-patch+yaml"
MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as found:
        yield found


async def apply(api: Api, url: str, body: Any, manager: str = "one", want: int = 0, **query: Any) -> Any:
    asked = "&".join(f"{key}={value}" for key, value in {"fieldManager": manager, **query}.items())
    return await api("PATCH", f"{url}?{asked}", body, type=APPLY, want=want)


def managers(obj: Any) -> list[tuple[str, ...]]:
    entries = obj["metadata"].get("managedFields", [])
    return [(e["manager"], e["operation"], *([e["subresource"]] if "subresource" in e else [])) for e in entries]


def owned(obj: Any, manager: str) -> Any:
    return next(e["fieldsV1"] for e in obj["metadata"]["managedFields"] if e["manager"] == manager)


def deployment(name: str = "web", **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "styr.dev/host", "command": ["true"]}]
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


# Updates


async def test_every_write_is_told(api: Api) -> None:
    made = await api(
        "POST", MAPS, config("a", {"k": "1"}, labels={"x": "y"}), **{"user-agent": "kubectl/v1.35 (linux)"}
    )
    entry = made["metadata"]["managedFields"][0]
    assert entry == {
        "manager": "kubectl",
        "operation": "Update",
        "apiVersion": "v1",
        "time": made["metadata"]["creationTimestamp"],
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {".": {}, "f:k": {}}, "f:metadata": {"f:labels": {".": {}, "f:x": {}}}},
    }
    changed = await api("PATCH", f"{MAPS}/a?fieldManager=b", {"data": {"k": "2", "l": "3"}}, type=MERGE_PATCH)
    assert managers(changed) == [("b", "Update"), ("kubectl", "Update")]
    assert owned(changed, "b") == {"f:data": {"f:k": {}, "f:l": {}}}
    assert owned(changed, "kubectl") == {"f:data": {}, "f:metadata": {"f:labels": {".": {}, "f:x": {}}}}
    gone = await api("PATCH", f"{MAPS}/a?fieldManager=c", {"data": None}, type=MERGE_PATCH)
    assert managers(gone) == [("kubectl", "Update")]


async def test_a_write_that_changes_nothing_stays_none(api: Api) -> None:
    made = await api("POST", DEPLOYMENTS, deployment())
    assert await api("PUT", f"{DEPLOYMENTS}/web?fieldManager=other", made) == made
    bare = {**made, "metadata": {k: v for k, v in made["metadata"].items() if k != "managedFields"}}
    assert await api("PUT", f"{DEPLOYMENTS}/web?fieldManager=other", bare) == made
    assert await api("PATCH", f"{DEPLOYMENTS}/web?fieldManager=o", {"spec": {"replicas": 1}}, type=STRATEGIC) == made


async def test_status_and_scale_are_told_apart(api: Api) -> None:
    made = await api("POST", f"{DEPLOYMENTS}?fieldManager=one", deployment() | {"status": {"replicas": 9}})
    assert "f:status" not in owned(made, "one")
    status = {"status": {"replicas": 1}}
    await api("PATCH", f"{DEPLOYMENTS}/web/status?fieldManager=two", status, type=MERGE_PATCH)
    await api("PATCH", f"{DEPLOYMENTS}/web/scale?fieldManager=hpa", {"spec": {"replicas": 4}}, type=MERGE_PATCH)
    found = await api("GET", f"{DEPLOYMENTS}/web")
    assert sorted(managers(found)) == [("hpa", "Update", "scale"), ("one", "Update"), ("two", "Update", "status")]
    assert owned(found, "hpa") == {"f:spec": {"f:replicas": {}}}
    assert owned(found, "two") == {"f:status": {"f:replicas": {}}}
    assert "f:replicas" not in owned(found, "one")["f:spec"]
    error = await apply(api, f"{DEPLOYMENTS}/web", deployment(replicas=2), "new", want=409)
    assert error["message"] == (
        'Apply failed with 1 conflict: conflict with "hpa" with subresource "scale" using apps/v1: .spec.replicas'
    )


async def test_old_updaters_become_one_entry(api: Api) -> None:
    await api("POST", f"{MAPS}?fieldManager=m0", config("a", {"k0": ""}))
    for n in range(1, 14):
        found = await api("PATCH", f"{MAPS}/a?fieldManager=m{n:02}", {"data": {f"k{n}": ""}}, type=MERGE_PATCH)
    names = [name for name, _ in managers(found)]
    assert len(names) == 10
    assert "ancient-changes" in names
    everything = {key for entry in found["metadata"]["managedFields"] for key in entry["fieldsV1"]["f:data"]}
    assert everything == {".", *(f"f:k{n}" for n in range(14))}


@pytest.mark.parametrize("cleared", [[], [{}]])
async def test_a_client_may_clear_them(api: Api, cleared: Any) -> None:
    made = await api("POST", MAPS, config("a", {"k": "1"}))
    patch = {"metadata": {"managedFields": cleared}}
    found = await api("PATCH", f"{MAPS}/a", patch, type=MERGE_PATCH)
    assert managers(found) == []
    assert found["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
    # What nobody tracks is not tracked from the middle on, until somebody applies.
    found = await api("PATCH", f"{MAPS}/a", {"data": {"l": "2"}}, type=MERGE_PATCH)
    assert managers(found) == []
    found = await apply(api, f"{MAPS}/a", config("a", {"m": "3"}))
    assert managers(found) == [("one", "Apply"), ("before-first-apply", "Update")]
    assert owned(found, "before-first-apply") == {"f:data": {".": {}, "f:k": {}, "f:l": {}}}
    error = await apply(api, f"{MAPS}/a", config("a", {"k": "9"}), want=409)
    assert 'conflict with "before-first-apply" using v1: .data.k' in error["message"]


@pytest.mark.parametrize(
    "sent",
    [
        None,
        [{"operation": "Eat"}],
        [{"manager": "x", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV2"}],
        [{"manager": "x", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"x": {}}}],
        [
            {
                "manager": "x",
                "operation": "Update",
                "apiVersion": "v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"k:{": {}},
            }
        ],
    ],
)
async def test_what_cannot_be_read_changes_nothing(api: Api, sent: Any) -> None:
    made = await api("POST", MAPS, config("a", {"k": "1"}))
    made["metadata"]["managedFields"] = sent
    found = await api("PUT", f"{MAPS}/a", made)
    assert managers(found) == [("unknown", "Update")]


@pytest.mark.parametrize("sent", [3, [3], [{"manager": 1}]])
async def test_entries_of_the_wrong_type_are_refused(api: Api, sent: Any) -> None:
    made = await api("POST", MAPS, config("a", {"k": "1"}))
    made["metadata"]["managedFields"] = sent
    answer = await api("PUT", f"{MAPS}/a", made, want=400)
    assert "cannot unmarshal" in answer["message"]


async def test_a_client_may_hand_over_ownership(api: Api) -> None:
    made = await api("POST", f"{MAPS}?fieldManager=csa", config("a", {"k": "1"}))
    entry = made["metadata"]["managedFields"][0]
    made["metadata"]["managedFields"] = [{**entry, "manager": "ssa", "operation": "Apply"}]
    found = await api("PUT", f"{MAPS}/a", made)
    assert managers(found) == [("ssa", "Apply")]
    found = await apply(api, f"{MAPS}/a", config("a"), "ssa")
    assert "k" not in found.get("data", {})


# Apply


async def test_apply_creates_changes_and_takes_away(api: Api) -> None:
    made = await apply(api, f"{MAPS}/a", config("a", {"k": "1", "l": "2"}), want=201)
    assert managers(made) == [("one", "Apply")]
    assert owned(made, "one") == {"f:data": {"f:k": {}, "f:l": {}}}
    again = await apply(api, f"{MAPS}/a", config("a", {"k": "1", "l": "2"}))
    assert again == made
    found = await apply(api, f"{MAPS}/a", config("a", {"k": "3"}))
    assert found["data"] == {"k": "3"}
    assert owned(found, "one") == {"f:data": {"f:k": {}}}


async def test_two_who_say_the_same_share_it(api: Api) -> None:
    await apply(api, f"{MAPS}/a", config("a", {"k": "1", "l": "2"}), want=201)
    found = await apply(api, f"{MAPS}/a", config("a", {"k": "1"}), "two")
    assert owned(found, "two") == {"f:data": {"f:k": {}}}
    found = await apply(api, f"{MAPS}/a", config("a", {}), "one")
    assert found["data"] == {"k": "1"}
    found = await apply(api, f"{MAPS}/a", config("a"), "two")
    assert "data" not in found


async def test_conflicts_name_every_field(api: Api) -> None:
    await apply(api, f"{MAPS}/a", config("a", {"k": "1", "l": "2"}), want=201)
    error = await apply(api, f"{MAPS}/a", config("a", {"k": "8", "l": "9", "m": "10"}), "two", want=409)
    assert error["reason"] == "Conflict"
    assert error["message"] == 'Apply failed with 2 conflicts: conflicts with "one":\n- .data.k\n- .data.l'
    assert error["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.k"},
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.l"},
    ]
    found = await apply(api, f"{MAPS}/a", config("a", {"k": "8"}), "two", force="true")
    assert found["data"] == {"k": "8", "l": "2"}
    assert owned(found, "one") == {"f:data": {"f:l": {}}}
    assert owned(found, "two") == {"f:data": {"f:k": {}}}


async def test_an_applier_owns_nothing_that_he_does_not_name(api: Api) -> None:
    classes = "/apis/node.k8s.io/v1/runtimeclasses"
    kind = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass"}
    await api("POST", classes, {**kind, "metadata": {"name": "r"}, "handler": "fast"})
    labelled = await apply(api, f"{classes}/r", {**kind, "metadata": {"name": "r", "labels": {"a": "b"}}})
    assert labelled["handler"] == "fast"  # required, so Go would have written it empty
    assert owned(labelled, "one") == {"f:metadata": {"f:labels": {"f:a": {}}}}


async def test_lists_merge_by_their_keys(api: Api) -> None:
    spec = deployment()["spec"]
    spec["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "name": "http"}]
    await apply(api, f"{DEPLOYMENTS}/web", deployment(**spec), want=201)
    other = deployment()
    other["spec"] = {
        "template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}},
    }
    found = await apply(api, f"{DEPLOYMENTS}/web", other, "two")
    main = found["spec"]["template"]["spec"]["containers"][0]
    assert (main["env"], main["image"]) == ([{"name": "A", "value": "1"}], "styr.dev/host")
    assert main["ports"] == [{"containerPort": 80, "name": "http", "protocol": "TCP"}]
    container = owned(found, "one")["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"main"}']
    assert container["f:ports"]['k:{"containerPort":80,"protocol":"TCP"}'] == {
        ".": {},
        "f:containerPort": {},
        "f:name": {},
    }
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    error = await apply(api, f"{DEPLOYMENTS}/web", other, "two", want=409)
    assert '.spec.template.spec.containers[name="main"].image' in error["message"]
    # The port goes by number and protocol: another protocol is another item.
    spec["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "protocol": "UDP"}]
    found = await apply(api, f"{DEPLOYMENTS}/web", deployment(**spec))
    main = found["spec"]["template"]["spec"]["containers"][0]
    assert main["ports"] == [{"containerPort": 80, "protocol": "UDP"}]
    assert main["env"] == [{"name": "A", "value": "1"}]
    assert found["metadata"]["generation"] == 3


async def test_giving_replicas_to_the_autoscaler(api: Api) -> None:
    """The documentation's own example: leave out what another manager has taken over, and it stays."""
    await apply(api, f"{DEPLOYMENTS}/web", deployment(replicas=2), want=201)
    await apply(api, f"{DEPLOYMENTS}/web", {**deployment(), "spec": {"replicas": 2}}, "handover")
    found = await apply(api, f"{DEPLOYMENTS}/web", deployment())
    assert found["spec"]["replicas"] == 2
    assert "f:replicas" not in owned(found, "one")["f:spec"]
    body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 5}}
    error = await apply(api, f"{DEPLOYMENTS}/web/scale", body, "hpa", want=409)
    assert 'conflict with "handover": .spec.replicas' in error["message"]
    assert (await apply(api, f"{DEPLOYMENTS}/web/scale", body, "hpa", force="true"))["spec"]["replicas"] == 5
    found = await api("GET", f"{DEPLOYMENTS}/web")
    assert ("hpa", "Apply", "scale") in managers(found)
    assert ("handover", "Apply") not in managers(found)


# From client-side apply to server-side apply


def kept(**data: str) -> str:
    metadata = {"name": "a", "namespace": "default"}
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    return json.dumps(document, sort_keys=True)


async def test_what_kubectl_applied_itself_is_no_conflict(api: Api) -> None:
    note = {"kubectl.kubernetes.io/last-applied-configuration": kept(a="1", b="1")}
    await api(
        "POST", f"{MAPS}?fieldManager=kubectl-client-side-apply", config("a", {"a": "1", "b": "1"}, annotations=note)
    )
    said = await apply(api, f"{MAPS}/a", config("a", {"a": "2"}), "other", want=409)
    assert said["message"].endswith('conflict with "kubectl-client-side-apply" using v1: .data.a')
    made = await apply(api, f"{MAPS}/a", config("a", {"a": "2"}), "kubectl")
    assert made["data"] == {"a": "2", "b": "1"}
    assert ("kubectl", "Apply") in managers(made)
    # The annotation goes on telling what was applied.
    (told,) = made["metadata"]["annotations"].values()
    assert json.loads(told)["data"] == {"a": "2"}


async def test_what_somebody_changed_since_is_one(api: Api) -> None:
    note = {"kubectl.kubernetes.io/last-applied-configuration": kept(a="1", b="1")}
    await api(
        "POST", f"{MAPS}?fieldManager=kubectl-client-side-apply", config("a", {"a": "1", "b": "1"}, annotations=note)
    )
    await api("PATCH", f"{MAPS}/a?fieldManager=someone", {"data": {"b": "9"}}, type=MERGE_PATCH)
    said = await apply(api, f"{MAPS}/a", config("a", {"a": "2", "b": "2"}), "kubectl", want=409)
    assert [cause["field"] for cause in said["details"]["causes"]] == [".data.b"]
    assert "someone" in said["message"]


@pytest.mark.parametrize("note", ["", "{", "[]", '{"apiVersion":"v2"}', '{"apiVersion":"v1","data":7}'])
async def test_a_note_that_says_nothing_changes_nothing(api: Api, note: str) -> None:
    notes = {"kubectl.kubernetes.io/last-applied-configuration": note}
    await api("POST", f"{MAPS}?fieldManager=one", config("a", {"a": "1"}, annotations=notes))
    said = await apply(api, f"{MAPS}/a", config("a", {"a": "2"}), "kubectl", want=409)
    assert "Apply failed with 1 conflict" in said["message"]


async def test_status_by_apply(api: Api) -> None:
    await apply(api, f"{DEPLOYMENTS}/web", deployment(), want=201)
    body = deployment(replicas=7) | {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    found = await apply(api, f"{DEPLOYMENTS}/web/status", body, "two")
    assert found["spec"]["replicas"] == 1
    assert owned(found, "two") == {
        "f:status": {"f:conditions": {'k:{"type":"Ready"}': {".": {}, "f:status": {}, "f:type": {}}}}
    }
    assert ("two", "Apply", "status") in managers(found)
    found = await apply(api, f"{DEPLOYMENTS}/web", body, "one", force="true")
    assert "f:status" not in owned(found, "one")
    await apply(api, f"{DEPLOYMENTS}/gone/status", {**body, "metadata": {"name": "gone"}}, want=404)


async def test_a_dry_run_and_a_watch(api: Api) -> None:
    await apply(api, f"{MAPS}/a", config("a", {"k": "1"}), want=201, dryRun="All")
    await api("GET", f"{MAPS}/a", want=404)
    made = await apply(api, f"{MAPS}/a", config("a", {"k": "1"}), want=201)
    found = await apply(api, f"{MAPS}/a", config("a", {"k": "2"}), dryRun="All")
    assert found["data"] == {"k": "2"}
    assert await api("GET", f"{MAPS}/a") == made


async def test_what_is_refused(api: Api) -> None:
    body = config("a", {"k": "1"})
    url = f"{MAPS}/a"
    error = await api("PATCH", url, body, type=APPLY, want=422)
    assert error["message"] == (
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
    )
    await apply(api, url, body, "x" * 129, want=422)
    await apply(api, url, body, "%07", want=422)
    await api("PATCH", f"{url}?force=true", {}, type=MERGE_PATCH, want=422)
    error = await apply(api, url, {**body, "metadata": {"name": "a", "managedFields": []}}, want=400)
    assert error["message"] == "metadata.managedFields must be nil"
    error = await apply(api, url, {**body, "apiVersion": "v2"}, want=400)
    assert error["message"].startswith("Incorrect version specified in apply patch.")
    await apply(api, url, {key: value for key, value in body.items() if key != "kind"}, want=400)
    await apply(api, url, {**body, "kind": "Secret"}, want=400)
    await apply(api, url, config("b"), want=400)
    await apply(api, url, config("a", namespace="other"), want=400)
    await apply(api, url, {**body, "metadata": {"name": "a", "uid": "gone"}}, want=409)
    error = await apply(api, url, {**body, "spec": {"a": 1}}, want=400)
    assert ".spec: field not declared in schema" in error["message"]
    await apply(api, url, {**body, "spec": {"a": 1}}, want=400, fieldValidation="Strict")
    doubled = deployment()
    doubled["spec"]["template"]["spec"]["containers"] *= 2
    error = await apply(api, f"{DEPLOYMENTS}/web", doubled, want=400)
    assert 'duplicate entries for key {"name":"main"}' in error["message"]
    nameless = deployment()
    nameless["metadata"]["ownerReferences"] = [{"kind": "x"}]
    await apply(api, f"{DEPLOYMENTS}/web", nameless, want=422)
    await apply(api, "/api/v1/namespaces/nowhere/configmaps/a", config("a"), want=404)
    assert (await api("GET", MAPS))["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe\xff",
        b"a: &x [1]\nb: *x",
        b"a: 1\na: 2",
        b"[" * 5000,
        b"? {a: b}\n: c",
        b"kind: ConfigMap\nmetadata: 3\napiVersion: v1",
        b"!!python/object:os.system {}",
        b"--- {}\n--- {}",
        b"{" + b'"a":{' * 300,
    ],
)
async def test_bodies_that_are_none(api: Api, body: bytes) -> None:
    await apply(api, f"{MAPS}/a", body, want=400)


async def test_yaml_cut_anywhere_is_applied_or_refused(api: Api) -> None:
    whole = b'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  "day": "2026-01-01"\n  l: |\n    x\n'
    for end in range(len(whole)):
        response = await api.raw("PATCH", f"{MAPS}/a?fieldManager=m&dryRun=All", whole[:end], type=APPLY)
        assert response.status in (201, 400, 422), whole[:end]
    made = await apply(api, f"{MAPS}/a", whole, want=201)
    assert made["data"] == {"day": "2026-01-01", "l": "x\n"}


async def test_creating_by_apply_needs_the_right_to_create(api: Api) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "patcher"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "patcher"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "patcher"},
        "subjects": [{"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await api("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
    await api("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    eve = Api(api.server, User("eve", ("system:authenticated",)))
    await apply(eve, f"{MAPS}/a", config("a", {"k": "1"}), want=403)
    await apply(api, f"{MAPS}/a", config("a", {"k": "1"}), want=201)
    await apply(eve, f"{MAPS}/a", config("a", {"l": "1"}), "eve")


async def test_live_lists_may_hold_the_same_twice(api: Api) -> None:
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    made = pod("a")
    made["spec"]["containers"][0]["env"] = env
    url = "/api/v1/namespaces/default/pods"
    found = await api("POST", url, made)
    container = owned(found, "unknown")["f:spec"]["f:containers"]['k:{"name":"main"}']
    assert container["f:env"] == {".": {}, 'k:{"name":"A"}': {}}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"x": "y"}}}
    found = await apply(api, f"{url}/a", body)
    assert found["spec"]["containers"][0]["env"] == env


# Custom resources


def definition(**spec: Any) -> dict[str, Any]:
    ports = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["port", "protocol"],
        "items": {
            "type": "object",
            "required": ["port", "protocol"],
            "properties": {
                "port": {"type": "integer"},
                "protocol": {"type": "string", "default": "TCP"},
                "name": {"type": "string"},
            },
        },
    }
    fields = {
        "ports": ports,
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "words": {"type": "array", "items": {"type": "string"}},
        "one": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "string"}}},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
    }
    root = {"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": root}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [version],
        },
    }


def thing(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec}


async def test_custom_resources_merge_by_their_schema(api: Api) -> None:
    await apply(api, f"{CRDS}/things.example.com", definition(), want=201)
    url = "/apis/example.com/v1/namespaces/default/things/a"
    first = thing(
        ports=[{"port": 80}, {"port": 81}],
        tags=["b", "a"],
        words=["x"],
        one={"a": "1"},
        open={"p": {"q": 1}},
        map={"n": 1},
    )
    made = await apply(api, url, first, want=201)
    assert owned(made, "one")["f:spec"] == {
        "f:map": {"f:n": {}},
        "f:one": {},
        "f:open": {"f:p": {".": {}, "f:q": {}}},
        "f:ports": {
            'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}},
            'k:{"port":81,"protocol":"TCP"}': {".": {}, "f:port": {}},
        },
        "f:tags": {'v:"a"': {}, 'v:"b"': {}},
        "f:words": {},
    }
    second = thing(ports=[{"port": 82}, {"port": 80, "protocol": "TCP", "name": "n"}], tags=["c"], map={"m": 2})
    found = await apply(api, url, second, "two")
    assert [port["port"] for port in found["spec"]["ports"]] == [82, 80, 81]
    assert found["spec"]["tags"] == ["b", "a", "c"]
    assert found["spec"]["map"] == {"n": 1, "m": 2}
    error = await apply(api, url, thing(words=["y"], one={}), "two", want=409)
    assert [cause["field"] for cause in error["details"]["causes"]] == [".spec.one", ".spec.words"]
    found = await apply(api, url, thing(tags=["b"]), "one")
    assert found["spec"]["tags"] == ["b", "c"]
    assert [port["port"] for port in found["spec"]["ports"]] == [82, 80]
    assert "open" not in found["spec"]
    await apply(api, url, thing(nothing=1), want=400)
    updated = await api("PATCH", url, {"spec": {"open": {"z": [1]}}}, type=MERGE_PATCH)
    assert owned(updated, "unknown") == {"f:spec": {"f:open": {".": {}, "f:z": {}}}}
    json.dumps(updated)


async def test_conditions_of_a_definition_have_owners_of_their_own(api: Api) -> None:
    url = f"{CRDS}/things.example.com"
    await apply(api, url, definition(), want=201)
    mine = {
        "type": "Mine",
        "status": "True",
        "reason": "R",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    head = {key: definition()[key] for key in ("apiVersion", "kind")}
    body = {**head, "metadata": {"name": "things.example.com"}, "status": {"conditions": [mine]}}
    found = await apply(api, f"{url}/status", body)
    kinds = [condition["type"] for condition in found["status"]["conditions"]]
    assert kinds == ["NamesAccepted", "Established", "Mine"]
