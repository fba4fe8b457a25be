"""Admission by webhooks: who is asked, with what, and what becomes of the answer. Behind a real TLS socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from styr.kinds.transport import Response, User
from tests.api import kit
from tests.api.kit import MERGE_PATCH, Api, config, pod
from tests.api.webhook import (
    MUTATING,
    VALIDATING,
    Webhook,
    configuration,
    deny,
    expose,
    patch,
    rule,
    running,
    webhook,
)

MAPS = "/api/v1/namespaces/default/configmaps"
ALLOW = {"allowed": True}


@asynccontextmanager
async def together(path: Path) -> AsyncIterator[tuple[Api, Webhook]]:
    async with kit.running() as api, running(path) as hook:
        await expose(api, hook)
        yield api, hook


async def validating(api: Api, hook: Webhook, name: str = "check", *rules: Any, **more: Any) -> None:
    path = more.pop("path", f"/{name}")
    service = more.pop("service", True)
    await api(
        "POST", VALIDATING, configuration(name, webhook(name, hook.client(path, service=service), *rules, **more))
    )


async def mutating(api: Api, hook: Webhook, name: str = "change", *rules: Any, **more: Any) -> None:
    await api("POST", MUTATING, configuration(name, webhook(name, hook.client(f"/{name}"), *rules, **more)))


def add(key: str, value: str) -> Any:
    def answer(request: dict[str, Any]) -> Any:
        return patch({"op": "add", "path": f"/data/{key}", "value": value})

    return answer


# Configurations


async def test_a_configuration_is_defaulted() -> None:
    async with kit.running() as api:
        entry = webhook("a", {"service": {"name": "s", "namespace": "n"}})
        made = await api("POST", MUTATING, configuration("m", entry))
        assert made["metadata"]["generation"] == 1
        assert made["webhooks"][0] == {
            **entry,
            "clientConfig": {"service": {"name": "s", "namespace": "n", "port": 443}},
            "rules": [{**rule(), "scope": "*"}],
            "failurePolicy": "Fail",
            "matchPolicy": "Equivalent",
            "namespaceSelector": {},
            "objectSelector": {},
            "timeoutSeconds": 10,
            "reinvocationPolicy": "Never",
        }
        made = await api("POST", VALIDATING, configuration("v", entry))
        assert "reinvocationPolicy" not in made["webhooks"][0]


URL = {"url": "https://localhost/x"}


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"name": "short.name"}, "name", "should be a domain with at least three segments separated by dots"),
        ({"sideEffects": "Some"}, "sideEffects", "Unsupported value"),
        ({"sideEffects": None}, "sideEffects", "Required value: must specify one of None, NoneOnDryRun"),
        ({"timeoutSeconds": 31}, "timeoutSeconds", "the timeout value must be between 1 and 30 seconds"),
        ({"clientConfig": {}}, "clientConfig", "exactly one of url or service is required"),
        ({"clientConfig": {"url": "http://x/y"}}, "clientConfig.url", "'https' is the only allowed URL scheme"),
        ({"clientConfig": {"url": "https://x/y?z"}}, "clientConfig.url", "query parameters are not permitted"),
        ({"clientConfig": {"url": "https://a@x/y"}}, "clientConfig.url", "user information is not permitted"),
        (
            {"clientConfig": {"service": {"name": "a", "namespace": "b", "path": "x"}}},
            "clientConfig.service.path",
            "must start with a '/'",
        ),
        (
            {"clientConfig": {"service": {"name": "a", "namespace": "b", "port": 70000}}},
            "clientConfig.service.port",
            "must be between 1 and 65535",
        ),
        ({"admissionReviewVersions": []}, "admissionReviewVersions", "must specify one of v1, v1beta1"),
        ({"admissionReviewVersions": ["v9"]}, "admissionReviewVersions", "must include at least one of v1, v1beta1"),
        ({"admissionReviewVersions": ["v1", "v1"]}, "admissionReviewVersions[1]", "duplicate version"),
        ({"rules": [{**rule(), "operations": ["*", "CREATE"]}]}, "rules[0].operations", "if '*' is present"),
        ({"rules": [{**rule(), "apiGroups": []}]}, "rules[0].apiGroups", "Required value"),
        ({"rules": [{**rule(), "apiVersions": ["*", "v1"]}]}, "rules[0].apiVersions", "other API versions"),
        ({"rules": [{**rule(), "resources": ["pods/*", "pods/log"]}]}, "rules[0].resources[1]", "if 'pods/*'"),
        ({"rules": [{**rule(), "resources": ["*", "pods"]}]}, "rules[0].resources", "without subresources"),
        ({"rules": [{**rule(), "scope": "Some"}]}, "rules[0].scope", "Unsupported value"),
        ({"failurePolicy": "Maybe"}, "failurePolicy", "Unsupported value"),
        (
            {"matchConditions": [{"name": "a b", "expression": "true"}]},
            "matchConditions[0].name",
            "name part must consist of",
        ),
    ],
)
async def test_a_configuration_is_validated(change: dict[str, Any], field: str, message: str) -> None:
    async with kit.running() as api:
        entry = {key: value for key, value in {**webhook("a", URL), **change}.items() if value is not None}
        refused = await api("POST", VALIDATING, configuration("v", entry), want=422)
        causes = refused["details"]["causes"]
        assert any(message in cause["message"] for cause in causes if cause["field"] == f"webhooks[0].{field}")


async def test_names_in_a_configuration_are_unique() -> None:
    async with kit.running() as api:
        refused = await api("POST", MUTATING, configuration("m", webhook("a", URL), webhook("a", URL)), want=422)
        assert 'webhooks[1].name: Duplicate value: "a.styr.test.dev"' in refused["message"]


# Validating


@pytest.mark.parametrize("service", [True, False])
async def test_a_denial_in_kubernetes_words(tmp_path: Path, service: bool) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda _: deny("the data is wrong", reason="Forbidden", code=403))
        await validating(api, hook, service=service)
        refused = await api("POST", MAPS, config("one"), want=403)
        assert refused["message"] == ('admission webhook "check.styr.test.dev" denied the request: the data is wrong')
        assert refused["reason"] == "Forbidden"
        await api("GET", f"{MAPS}/one", want=404)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        ({}, 400, 'admission webhook "check.styr.test.dev" denied the request without explanation'),
        ({"reason": "Because"}, 400, 'admission webhook "check.styr.test.dev" denied the request: Because'),
        ({"code": 200, "message": "m"}, 400, 'admission webhook "check.styr.test.dev" denied the request: m'),
        ({"code": 418, "message": "m"}, 418, 'admission webhook "check.styr.test.dev" denied the request: m'),
    ],
)
async def test_what_a_denial_says(tmp_path: Path, status: Any, code: int, message: str) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda _: {"allowed": False, "status": status})
        await validating(api, hook)
        refused = await api("POST", MAPS, config("one"), want=code)
        assert refused["message"] == message
        assert refused.get("reason") == status.get("reason")


async def test_what_a_webhook_is_asked(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda _: ALLOW)
        await validating(api, hook, "check", rule("configmaps", "", "v1", "*"))
        user = Api(api.server, User("jane", ("system:masters",), "u1"))
        made = await user("POST", f"{MAPS}?fieldManager=me&dryRun=All", config("one", {"a": "1"}))
        made = await user("POST", MAPS, config("one", {"a": "1"}))
        await user("PATCH", f"{MAPS}/one", {"data": {"a": "2"}}, type=MERGE_PATCH)
        await user("DELETE", f"{MAPS}/one", {"propagationPolicy": "Background"})
        requests = [request for _, request in hook.asked]
        gvk = {"group": "", "version": "v1", "kind": "ConfigMap"}
        gvr = {"group": "", "version": "v1", "resource": "configmaps"}
        for request in requests:
            assert request["kind"] == request["requestKind"] == gvk
            assert request["resource"] == request["requestResource"] == gvr
            assert request["userInfo"] == {"username": "jane", "uid": "u1", "groups": ["system:masters"]}
            assert (request["name"], request["namespace"]) == ("one", "default")
        dry, create, update, delete = requests
        assert (dry["dryRun"], create["dryRun"]) == (True, False)
        assert dry["options"] == {
            "kind": "CreateOptions",
            "apiVersion": "meta.k8s.io/v1",
            "dryRun": ["All"],
            "fieldManager": "me",
        }
        assert create["operation"] == "CREATE"
        assert create["object"]["data"] == {"a": "1"}
        assert create["object"]["metadata"]["uid"] == made["metadata"]["uid"]
        assert create["oldObject"] is None
        assert update["operation"] == "UPDATE"
        assert update["options"]["kind"] == "UpdateOptions"
        assert (update["object"]["data"], update["oldObject"]["data"]) == ({"a": "2"}, {"a": "1"})
        assert update["oldObject"]["metadata"]["managedFields"]
        assert delete["operation"] == "DELETE"
        assert delete["object"] is None
        assert delete["oldObject"]["data"] == {"a": "2"}
        assert delete["options"]["propagationPolicy"] == "Background"
        assert len({request["uid"] for request in requests}) == 4


async def test_a_made_up_name_is_made_up_after_the_mutating_webhooks(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda _: ALLOW)
        await validating(api, hook)
        hook.on(
            "/change", lambda asked: patch({"op": "add", "path": "/data/seen", "value": asked.get("name", "nothing")})
        )
        await mutating(api, hook)
        made = await api("POST", MAPS, {"metadata": {"generateName": "some-"}, "data": {"a": "1"}})
        assert made["data"]["seen"] == "nothing"
        assert made["metadata"]["name"].startswith("some-")
        first, second = (asked for _, asked in hook.asked)
        assert "name" not in first["object"]["metadata"]
        assert second["object"]["metadata"]["name"] == second["name"] == made["metadata"]["name"]
        hook.on("/change", lambda _: patch({"op": "add", "path": "/metadata/name", "value": "chosen"}))
        made = await api("POST", MAPS, {"metadata": {"generateName": "some-"}, "data": {"a": "1"}})
        assert made["metadata"]["name"] == "chosen"


async def test_a_token_is_asked_about(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda asked: ALLOW if asked["object"]["spec"]["audiences"] == ["a"] else deny("no such one"))
        await validating(api, hook, "check", rule("serviceaccounts/token"))
        await api("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "me"}})
        url = "/api/v1/namespaces/default/serviceaccounts/me/token"
        made = await api("POST", url, {"spec": {"audiences": ["a"]}})
        assert made["status"]["token"]
        refused = await api("POST", url, {"spec": {"audiences": ["b"]}}, want=400)
        assert refused["message"].endswith("denied the request: no such one")
        asked = hook.asked[0][1]
        assert (asked["kind"]["kind"], asked["subResource"], asked["name"]) == ("TokenRequest", "token", "me")


async def test_a_connection_is_kept_for_the_next_question_and_made_anew_when_it_is_gone(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda _: ALLOW)
        await validating(api, hook)
        await api("POST", MAPS, config("one"))
        (pool,) = api.server._admission.callouts._pools.values()
        (kept,) = pool._idle
        await api("POST", MAPS, config("two"))
        assert pool._idle == [kept]
        kept.close()
        await api("POST", MAPS, config("three"))
        assert pool._idle != [kept]
        await api.server.stop()
        assert pool._idle == []


async def test_questions_are_counted(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        answers = [ALLOW, deny("no"), ALLOW]
        hook.on("/check", lambda _: answers.pop())
        await validating(api, hook)
        await api("POST", MAPS, config("one"))
        await api("POST", MAPS, config("two"), want=400)
        hook.raw["/check"] = lambda _: Response(500)
        await api("POST", MAPS, config("three"), want=500)
        told = generate_latest(api.server.metrics._registry).decode()  # type: ignore[attr-defined]
        labels = ('name="check.styr.test.dev"', 'type="validating"', 'operation="CREATE"')
        name = "apiserver_admission_webhook_request_total"
        for rejected, code in (("false", 200), ("true", 400), ("true", 0)):
            (line,) = [line for line in told.splitlines() if line.startswith(name) and f'code="{code}"' in line]
            for label in (*labels, f'rejected="{rejected}"'):
                assert label in line
            assert line.endswith(" 1.0")


async def test_v1beta1_reviews(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda _: {"uid": "nobody", **deny("no")})
        await validating(api, hook, admissionReviewVersions=["v9", "v1beta1", "v1"])
        refused = await api("POST", MAPS, config("one"), want=400)
        assert refused["message"].endswith("denied the request: no")


async def test_warnings_reach_the_client_with_and_without_a_denial(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda r: {"allowed": r["name"] == "good", "warnings": ["mind", "mind", 'the "gap"']})
        await validating(api, hook)
        for name, code in (("good", 201), ("bad", 400)):
            response = await api.raw("POST", MAPS, config(name))
            assert response.status == code
            assert response.headers["warning"] == '299 - "mind", 299 - "the \\"gap\\""'


async def test_all_validating_webhooks_are_asked_at_once_and_the_first_denial_counts(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        waiting = 0

        async def meet(_: Any) -> Any:
            nonlocal waiting
            waiting += 1
            if waiting == 3:
                hook.gate.set()
            await hook.gate.wait()
            return deny(f"number {waiting}")

        hooks = [webhook(f"w{n}", hook.client("/meet")) for n in range(3)]
        hook.on("/meet", meet)
        await api("POST", VALIDATING, configuration("three", *hooks))
        refused = await api("POST", MAPS, config("one"), want=400)
        assert refused["message"].startswith('admission webhook "w0.styr.test.dev"')


# Mutating


async def test_mutations_follow_one_another_by_name_and_are_validated(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/a", add("a", "1"))
        hook.on("/b", lambda r: patch({"op": "add", "path": "/data/b", "value": r["object"]["data"]["a"] + "2"}))
        hook.on(
            "/check", lambda r: ALLOW if r["object"]["data"] == {"k": "0", "a": "1", "b": "12"} else deny("unexpected")
        )
        await mutating(api, hook, "b")
        await mutating(api, hook, "a")
        await validating(api, hook)
        made = await api("POST", MAPS, config("one", {"k": "0"}))
        assert made["data"] == {"k": "0", "a": "1", "b": "12"}
        assert [path for path, _ in hook.asked] == ["/a", "/b", "/check"]


async def test_a_mutation_may_add_what_was_not_there_and_is_defaulted(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        extra = {"name": "extra", "image": "styr.dev/host"}
        hook.on("/change", lambda _: patch({"op": "add", "path": "/spec/initContainers", "value": [extra]}))
        await mutating(api, hook, "change", rule("pods"))
        made = await api("POST", "/api/v1/namespaces/default/pods", pod("p"))
        added = made["spec"]["initContainers"][0]
        assert added["terminationMessagePath"] == "/dev/termination-log"
        assert added["name"] == "extra"


async def test_a_mutation_that_breaks_the_object_is_refused(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/change", lambda _: patch({"op": "add", "path": "/data", "value": {"a key": "1"}}))
        await mutating(api, hook)
        refused = await api("POST", MAPS, config("one"), want=422)
        assert "a valid config key" in refused["message"]


@pytest.mark.parametrize(("policy", "asked"), [("IfNeeded", ["/a", "/b", "/a"]), ("Never", ["/a", "/b"])])
async def test_a_webhook_is_asked_again_when_a_later_one_changed_the_object(
    tmp_path: Path, policy: str, asked: list[str]
) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/a", lambda r: add("seen", str(len(r["object"]["data"])))(r))
        hook.on("/b", add("b", "2"))
        await mutating(api, hook, "a", reinvocationPolicy=policy)
        await mutating(api, hook, "b")
        made = await api("POST", MAPS, config("one", {"k": "0"}))
        assert [path for path, _ in hook.asked] == asked
        assert made["data"]["seen"] == ("3" if policy == "IfNeeded" else "1")


async def test_a_delete_cannot_be_patched(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/change", add("a", "1"))
        await api("POST", MAPS, config("one"))
        await mutating(api, hook, "change", rule("configmaps", "", "v1", "DELETE"))
        refused = await api("DELETE", f"{MAPS}/one", want=500)
        assert "attempted to modify the object, which is not supported for this operation" in refused["message"]


async def test_an_apply_and_its_owner_survive_a_mutation(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/change", add("added", "1"))
        await mutating(api, hook)
        url = f"{MAPS}/one?fieldManager=me"
        for want in (201, 200):
            made = await api("PATCH", url, config("one", {"a": "1"}), type="application/apply-patch+yaml", want=want)
            assert made["data"] == {"a": "1", "added": "1"}


# Who is asked


async def test_configurations_are_beyond_their_reach(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/all", lambda _: deny("never"))
        everything = {**rule("*/*", "*", "*", "*")}
        await validating(api, hook, "all", everything)
        await mutating(api, hook, "all", everything)
        await validating(api, hook, "other")
        await api("PATCH", f"{VALIDATING}/other", {"metadata": {"labels": {"a": "b"}}}, type=MERGE_PATCH)
        await api("DELETE", f"{VALIDATING}/all")
        await api("DELETE", f"{MUTATING}/all")
        assert hook.asked == []


async def test_a_change_of_the_configuration_holds_at_once(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda _: deny("no"))
        await validating(api, hook)
        await api("POST", MAPS, config("one"), want=400)
        update = [{"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["UPDATE"]}]
        await api("PATCH", f"{VALIDATING}/check", update, type=kit.JSON_PATCH)
        await api("POST", MAPS, config("one"))
        await api("PATCH", f"{MAPS}/one", {"data": {"a": "2"}}, type=MERGE_PATCH, want=400)
        await api("DELETE", VALIDATING)
        await api("PATCH", f"{MAPS}/one", {"data": {"a": "2"}}, type=MERGE_PATCH)


async def test_selectors_of_namespace_and_object(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda _: deny("no"))
        namespaces = "/api/v1/namespaces"
        await api("POST", namespaces, {"metadata": {"name": "guarded", "labels": {"guard": "on"}}})
        guarded = {"matchLabels": {"guard": "on"}}
        wide = {**rule(), "apiGroups": ["*"], "resources": ["*"], "operations": ["*"]}
        await validating(
            api, hook, "check", wide, namespaceSelector=guarded, objectSelector={"matchLabels": {"x": "y"}}
        )
        await api("POST", MAPS, config("one", labels={"x": "y"}))
        maps = f"{namespaces}/guarded/configmaps"
        await api("POST", maps, config("one"))
        await api("POST", maps, config("two", labels={"x": "y"}), want=400)
        # The old or the new object: what had the label may not lose it unseen.
        await api("PUT", f"{maps}/one", config("one", labels={"x": "y"}), want=400)
        # A Namespace is in itself; other cluster-scoped objects are never exempt.
        both = {"name": "more", "labels": {"guard": "on", "x": "y"}}
        await api("POST", namespaces, {"metadata": both}, want=400)
        await api("POST", namespaces, {"metadata": {"name": "more", "labels": {"x": "y"}}})
        role = {"metadata": {"name": "r", "labels": {"x": "y"}}}
        await api("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", role, want=400)


async def test_scope_subresources_and_groups_of_a_rule(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda _: ALLOW)
        pods = "/api/v1/namespaces/default/pods"
        rules = [
            {**rule("*", "*", "*"), "scope": "Cluster"},
            rule("pods/binding"),
            rule("*/status", "", "v1", "UPDATE"),
        ]
        await validating(api, hook, "check", *rules)
        await api("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
        await api("POST", MAPS, config("one"))
        await api("POST", pods, pod("p"))
        await api("POST", f"{pods}/p/binding", {"target": {"name": "node"}})
        await api("PATCH", f"{pods}/p/status", {"status": {"phase": "Running"}}, type=MERGE_PATCH)
        asked = [(r["resource"]["resource"], r.get("subResource", ""), r["kind"]["kind"]) for _, r in hook.asked]
        assert asked == [("namespaces", "", "Namespace"), ("pods", "binding", "Binding"), ("pods", "status", "Pod")]
        assert (hook.asked[0][1]["name"], hook.asked[0][1]["namespace"]) == ("n", "n")


async def test_every_deletion_of_a_collection_is_asked_about(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda r: ALLOW if r["oldObject"]["metadata"]["name"] < "c" else deny("not this"))
        for name in ("a", "b", "c"):
            await api("POST", MAPS, config(name))
        await validating(api, hook, "check", rule("configmaps", "", "v1", "DELETE"))
        await api("DELETE", MAPS, want=400)
        assert [item["metadata"]["name"] for item in (await api("GET", MAPS))["items"]] == ["c"]


# Failures


async def test_dry_runs_are_only_for_webhooks_without_side_effects(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda r: ALLOW if r["dryRun"] else deny("not dry"))
        await validating(api, hook, sideEffects="NoneOnDryRun")
        await api("POST", f"{MAPS}?dryRun=All", config("one"))
        await api("POST", MAPS, config("one"), want=400)


def raw(status: int, body: Any) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda _: Response(status, data, {"content-type": "application/json"})


REVIEW = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (raw(500, b"oh dear"), 'an error on the server ("oh dear") has prevented the request from succeeding'),
        (raw(404, b""), "the server could not find the requested resource"),
        (raw(200, b"{"), "failed to call webhook: couldn't get version/kind; json parse error"),
        (raw(200, b"[]"), "webhook response was absent"),
        (raw(200, REVIEW), "webhook response was absent"),
        (raw(200, {**REVIEW, "response": {"uid": "x", "allowed": True}}), 'expected response.uid="'),
        (raw(200, b"[" * 100_000), "nested deeper"),
        (raw(200, b" " * (7 << 20)), "body of more than"),
    ],
)
async def test_a_webhook_that_does_not_answer_fails_closed_or_open(tmp_path: Path, answer: Any, message: str) -> None:
    async with together(tmp_path) as (api, hook):
        hook.raw["/check"] = answer
        await validating(api, hook)
        refused = await api("POST", MAPS, config("one"), want=500)
        assert refused["message"].startswith('Internal error occurred: failed calling webhook "check.styr.test.dev": ')
        assert message in refused["message"]
        assert refused["reason"] == "InternalError"
        policy = [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]
        await api("PATCH", f"{VALIDATING}/check", policy, type=kit.JSON_PATCH)
        await api("POST", MAPS, config("one"))


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ({"patch": "W10="}, "webhook returned response.patch but not response.patchType"),
        ({"patchType": "JSONPatch"}, "webhook returned response.patchType but not response.patch"),
        ({"patch": "W10=", "patchType": "Merge"}, 'unsupported patch type "Merge"'),
        ({"patch": "!", "patchType": "JSONPatch"}, "undecodable patch"),
        ({"patch": "e30=", "patchType": "JSONPatch"}, "undecodable patch"),
        (patch({"op": "remove", "path": "/nothing/there"}), "Internal error occurred"),
        (patch({"op": "replace", "path": "", "value": []}), "leaves no object"),
    ],
)
async def test_patches_that_are_none(tmp_path: Path, response: Any, message: str) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/change", lambda _: {"allowed": True, **response})
        await mutating(api, hook)
        refused = await api("POST", MAPS, config("one"), want=500)
        assert message in refused["message"]


async def test_a_slow_webhook_is_not_waited_for(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):

        async def never(_: Any) -> Any:
            await hook.gate.wait()
            return ALLOW

        hook.on("/check", never)
        await validating(api, hook, timeoutSeconds=1)
        refused = await api("POST", MAPS, config("one"), want=500)
        assert 'Post "https://hook.default.svc:443/check?timeout=1s": context deadline exceeded' in refused["message"]


async def test_a_service_that_is_not_there_or_has_nobody(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        await validating(api, hook)
        await api("DELETE", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/hook-1")
        refused = await api("POST", MAPS, config("one"), want=500)
        assert 'no endpoints available for service "hook"' in refused["message"]
        await api("DELETE", "/api/v1/namespaces/default/services/hook")
        refused = await api("POST", MAPS, config("one"), want=500)
        assert 'service "hook" not found' in refused["message"]


async def test_certificates_are_checked(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        hook.on("/check", lambda _: ALLOW)
        for bundle, message in (
            ("", "x509: certificate signed by unknown authority"),
            (
                "bm9uZQ==",
                "could not get REST client: unable to load root certificates: unable to parse bytes as PEM block",
            ),
        ):
            await api(
                "POST", VALIDATING, configuration("v", webhook("a", hook.client("/check", service=False, ca=bundle)))
            )
            refused = await api("POST", MAPS, config("one"), want=500)
            assert message in refused["message"]
            await api("DELETE", f"{VALIDATING}/v")
        other = {"url": f"https://127.0.0.1:{hook.port}/check", "caBundle": hook.ca}
        await api("POST", VALIDATING, configuration("v", webhook("a", other)))
        refused = await api("POST", MAPS, config("one"), want=500)
        assert "x509" in refused["message"]


async def test_an_object_that_changes_while_a_webhook_thinks(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, hook):
        asked = asyncio.Event()

        async def think(request: dict[str, Any]) -> Any:
            if request["userInfo"]["username"] == "slow":
                asked.set()
                await hook.gate.wait()
            return ALLOW

        hook.on("/check", think)
        await api("POST", MAPS, config("one"))
        await validating(api, hook)
        slow = Api(api.server, User("slow", ("system:masters",)))
        change = asyncio.ensure_future(slow("PATCH", f"{MAPS}/one", {"data": {"a": "1"}}, type=MERGE_PATCH))
        await asked.wait()
        await api("PATCH", f"{MAPS}/one", {"data": {"b": "2"}}, type=MERGE_PATCH)
        hook.gate.set()
        assert (await change)["data"] == {"a": "1", "b": "2"}
        seen = [
            request["oldObject"].get("data") for _, request in hook.asked if request["userInfo"]["username"] == "slow"
        ]
        assert seen == [None, {"b": "2"}]
