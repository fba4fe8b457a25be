"""ValidatingAdmissionPolicy and MutatingAdmissionPolicy, through the API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from styr.api.server import ApiServer
from styr.kinds.transport import User
from tests.api.kit import MERGE_PATCH, Api, config, running
from tests.api.policy_samples import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    GROUP,
    ON_CONFIG_MAPS,
    PATHS,
    binding,
    deployment,
    mutating,
    validating,
)

VALIDATING, VALIDATING_BINDINGS, MUTATING, MUTATING_BINDINGS = PATHS.values()


async def install(api: Api, policy: dict[str, Any], **spec: Any) -> None:
    kind = "Validating" if policy["kind"].startswith("Validating") else "Mutating"
    await api("POST", VALIDATING if kind == "Validating" else MUTATING, policy)
    await api("POST", VALIDATING_BINDINGS if kind == "Validating" else MUTATING_BINDINGS, binding(policy, **spec))


@pytest.fixture
async def api() -> Any:
    async with running() as found:
        yield found


async def test_a_policy_denies_in_kubernetes_words(api: Api) -> None:
    await install(api, validating("short", "object.metadata.name.size() <= 5"))
    assert (await api("POST", CONFIG_MAPS, config("abc")))["metadata"]["name"] == "abc"
    refused = await api("POST", CONFIG_MAPS, config("abcdef"), want=422)
    text = (
        "ValidatingAdmissionPolicy 'short' with binding 'short-binding' denied request: failed expression: "
        "object.metadata.name.size() <= 5"
    )
    assert refused["message"] == f'configmaps "abcdef" is forbidden: {text}'
    assert refused["reason"] == "Invalid"
    assert refused["details"] == {"name": "abcdef", "kind": "configmaps", "causes": [{"message": text}]}


async def test_a_policy_without_binding_does_nothing_and_one_whose_binding_goes_ends(api: Api) -> None:
    policy = validating("never", "false")
    await api("POST", VALIDATING, policy)
    await api("POST", CONFIG_MAPS, config("one"))
    await api("POST", VALIDATING_BINDINGS, binding(policy))
    await api("POST", CONFIG_MAPS, config("two"), want=422)
    await api("DELETE", f"{VALIDATING_BINDINGS}/never-binding")
    await api("POST", CONFIG_MAPS, config("two"))


async def test_policies_hold_after_a_restart(tmp_path: Any) -> None:
    async with running(tmp_path / "store.db", inline=False) as api:
        await install(api, validating("never", "false"))
    async with running(tmp_path / "store.db", inline=False) as api:
        await api("POST", CONFIG_MAPS, config("one"), want=422)


@pytest.mark.parametrize(
    ("validation", "status", "message"),
    [
        ({"expression": "false", "message": " said "}, 422, "said"),
        ({"expression": "false", "messageExpression": "'no ' + object.metadata.name", "message": "m"}, 422, "no x"),
        ({"expression": "false", "messageExpression": "string(object.nope)", "message": "m"}, 422, "m"),
        ({"expression": "false", "messageExpression": "'a\\nb'"}, 422, "failed expression: false"),
        ({"expression": "false", "reason": "Forbidden"}, 403, "failed expression: false"),
        ({"expression": "false", "reason": "RequestEntityTooLarge"}, 413, "failed expression: false"),
        (
            {"expression": "object.nope == 1"},
            422,
            "expression 'object.nope == 1' resulted in error: no such key: nope",
        ),
        (
            {"expression": "lists.range(900000).all(x, lists.range(9).all(y, true))"},
            422,
            "resulted in error: operation cancelled: actual cost limit exceeded",
        ),
    ],
)
async def test_messages_and_reasons(api: Api, validation: Any, status: int, message: str) -> None:
    await install(api, validating("p", validation))
    refused = await api("POST", CONFIG_MAPS, config("x"), want=status)
    assert refused["message"].endswith(message)


async def test_failures_pass_when_the_policy_says_so(api: Api) -> None:
    await install(api, validating("open", "object.nope == 1", failurePolicy="Ignore"))
    await api("POST", CONFIG_MAPS, config("x"))


async def test_warn_and_audit(api: Api) -> None:
    policy = validating(
        "told", "false", auditAnnotations=[{"key": "who", "valueExpression": "'user ' + request.userInfo.username"}]
    )
    await install(api, policy, validationActions=["Warn", "Audit"])
    response = await api.raw("POST", CONFIG_MAPS, config("x"))
    assert response.status == 201
    warning = response.headers["warning"]
    assert (
        "Validation failed for ValidatingAdmissionPolicy 'told' with binding 'told-binding': failed expression: false"
        in warning
    )


async def test_what_expressions_see(api: Api) -> None:
    await api(
        "PATCH",
        "/api/v1/namespaces/default",
        {"metadata": {"labels": {"env": "prod"}}},
        type=MERGE_PATCH,
    )
    checks = [
        "request.operation == 'CREATE' ? oldObject == null : oldObject.metadata.name == object.metadata.name",
        "request.kind.kind == 'ConfigMap' && request.resource.resource == 'configmaps' && request.namespace == 'default'",
        "request.userInfo.username == 'admin' && 'system:masters' in request.userInfo.groups && !request.dryRun",
        "namespaceObject.metadata.name == 'default' && namespaceObject.metadata.labels.env == 'prod'",
        "authorizer.group('').resource('pods').namespace('default').check('delete').allowed()",
        "authorizer.requestResource.check('create').allowed()",
        "!authorizer.serviceAccount('default', 'x').path('/a').check('get').allowed()",
        "has(object.data) && object.data.all(k, v, k.matches('^[a-z]+$') && v != '')",
        "variables.size == 1 && variables.double == 2",
    ]
    variables = [
        {"name": "size", "expression": "object.data.size()"},
        {"name": "double", "expression": "variables.size * 2"},
    ]
    await install(api, validating("sees", *checks, variables=variables))
    made = await api("POST", CONFIG_MAPS, config("x", {"a": "1"}))
    made = await api("PUT", f"{CONFIG_MAPS}/x", made | {"data": {"b": "2"}})
    await api("PUT", f"{CONFIG_MAPS}/x", made | {"data": {"B": "2"}}, want=422)


async def test_a_variable_that_fails_is_named(api: Api) -> None:
    policy = validating(
        "v",
        "variables.a == 1 || variables.b",
        variables=[
            {"name": "a", "expression": "object.nope"},
            {"name": "b", "expression": "true"},
        ],
    )
    await install(api, policy)
    await api("POST", CONFIG_MAPS, config("x"))
    policy = validating("w", "variables.a == 1", variables=[{"name": "a", "expression": "object.nope"}])
    await install(api, policy)
    refused = await api("POST", CONFIG_MAPS, config("y"), want=422)
    assert 'composited variable "a" fails to evaluate: no such key: nope' in refused["message"]


async def test_match_conditions(api: Api) -> None:
    conditions = [{"name": "named", "expression": "object.metadata.name.startsWith('x')"}]
    await install(api, validating("if", "false", matchConditions=conditions))
    await api("POST", CONFIG_MAPS, config("a"))
    await api("POST", CONFIG_MAPS, config("x"), want=422)
    broken = [{"name": "broken", "expression": "object.nope == 1"}]
    await install(api, validating("fails", "true", matchConditions=broken))
    refused = await api("POST", CONFIG_MAPS, config("b"), want=422)
    assert "denied request: expression 'object.nope == 1' resulted in error: no such key: nope" in refused["message"]
    both = [*broken, {"name": "no", "expression": "false"}]
    await api("DELETE", f"{VALIDATING}/fails")
    await api("POST", VALIDATING, validating("fails", "false", matchConditions=both))
    await api("POST", CONFIG_MAPS, config("b"))


async def test_constraints_selectors_names_and_exclusions(api: Api) -> None:
    rule = ON_CONFIG_MAPS["resourceRules"][0]
    constraints = {
        "resourceRules": [rule],
        "excludeResourceRules": [rule | {"resourceNames": ["free"]}],
        "objectSelector": {"matchLabels": {"strict": "yes"}},
    }
    await install(api, validating("some", "false", matchConstraints=constraints))
    await api("POST", CONFIG_MAPS, config("a"))
    await api("POST", CONFIG_MAPS, config("b", labels={"strict": "yes"}), want=422)
    await api("POST", CONFIG_MAPS, config("free", labels={"strict": "yes"}))
    policy = validating("named", "false", matchConstraints={"resourceRules": [rule | {"resourceNames": ["only"]}]})
    await install(
        api, policy, matchResources={"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}
    )
    await api("POST", CONFIG_MAPS, config("other"))
    await api("POST", CONFIG_MAPS, config("only"), want=422)
    await api("POST", "/api/v1/namespaces/kube-system/configmaps", config("only"))


async def test_deletes_have_an_old_object_only(api: Api) -> None:
    rule = ON_CONFIG_MAPS["resourceRules"][0] | {"operations": ["DELETE"]}
    await install(
        api,
        validating("keep", "object == null && !has(oldObject.data.keep)", matchConstraints={"resourceRules": [rule]}),
    )
    await api("POST", CONFIG_MAPS, config("a", {"k": "1"}))
    await api("POST", CONFIG_MAPS, config("b", {"keep": "1"}))
    await api("DELETE", f"{CONFIG_MAPS}/a")
    await api("DELETE", f"{CONFIG_MAPS}/b", want=422)


async def test_params_by_name_and_by_selector(api: Api) -> None:
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    await api(
        "POST", "/api/v1/namespaces/kube-system/configmaps", config("limit", {"most": "2"}, labels={"for": "all"})
    )
    rules = {
        "resourceRules": [
            {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"]}
        ]
    }
    policy = validating(
        "replicas", "object.spec.replicas <= int(params.data.most)", paramKind=kind, matchConstraints=rules
    )
    ref = {"name": "limit", "namespace": "kube-system", "parameterNotFoundAction": "Deny"}
    await install(api, policy, paramRef=ref)
    await api("POST", DEPLOYMENTS, deployment("two", 2))
    await api("POST", DEPLOYMENTS, deployment("three", 3), want=422)
    await api("DELETE", "/api/v1/namespaces/kube-system/configmaps/limit")
    refused = await api("POST", DEPLOYMENTS, deployment("one"), want=422)
    assert "failed to configure binding: no params found for policy binding with `Deny`" in refused["message"]
    path = f"{VALIDATING_BINDINGS}/replicas-binding"
    found = await api("GET", path)
    found["spec"]["paramRef"] = {
        "selector": {"matchLabels": {"for": "all"}},
        "namespace": "kube-system",
        "parameterNotFoundAction": "Allow",
    }
    await api("PUT", path, found)
    await api("POST", DEPLOYMENTS, deployment("many", 9))
    for name, most in (("one", "1"), ("five", "5")):
        body = config(name, {"most": most}, labels={"for": "all"})
        await api("POST", "/api/v1/namespaces/kube-system/configmaps", body)
    await api("POST", DEPLOYMENTS, deployment("four", 4), want=422)
    await api("POST", DEPLOYMENTS, deployment("single", 1))


async def test_a_parameter_changed_in_the_same_moment_counts(api: Api) -> None:
    """Parameters are read in the transaction of the write: the next write sees what the last one did."""
    policy = validating(
        "same", "!has(params.data) || params.data.open == 'yes'", paramKind={"apiVersion": "v1", "kind": "ConfigMap"}
    )
    await api("POST", CONFIG_MAPS, config("gate", {"open": "yes"}))
    await install(api, policy, paramRef={"name": "gate", "parameterNotFoundAction": "Allow"})
    made = await api("PUT", f"{CONFIG_MAPS}/gate", config("gate", {"open": "no"}))
    assert made["data"] == {"open": "no"}
    await api("POST", CONFIG_MAPS, config("x"), want=422)


async def test_custom_resources_as_subjects_and_params(api: Api) -> None:
    from tests.api.test_verbs import CRDS, GADGETS, crd, gadget

    await api("POST", CRDS, crd())
    rule = {"apiGroups": ["example.com"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    policy = validating(
        "gadgets",
        "object.spec.size <= params.spec.size",
        paramKind={"apiVersion": "example.com/v1", "kind": "Gadget"},
        matchConstraints={"resourceRules": [rule]},
    )
    await api("POST", GADGETS, gadget("largest"))
    await install(api, policy, paramRef={"name": "largest", "parameterNotFoundAction": "Deny"})
    large = gadget("large")
    large["spec"]["size"] = 99
    await api("POST", GADGETS, large, want=422)
    await api("POST", GADGETS, gadget("small"))


async def test_policies_cannot_lock_themselves(api: Api) -> None:
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}
    await install(api, validating("all", "false", matchConstraints={"resourceRules": [rule]}))
    await api("POST", CONFIG_MAPS, config("x"), want=422)
    await api("DELETE", f"{VALIDATING}/all")
    await api("POST", CONFIG_MAPS, config("x"))


async def test_type_checking_warns_in_the_status(api: Api) -> None:
    rules = [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"]}]
    policy = validating(
        "typed",
        "object.spec.replicas > 1",
        {"expression": "object.spec.nope > 1", "messageExpression": "string(object.metadata.nam)"},
        "object.spec.template.spec.containers.all(c, c.image.startsWith('x')) && object.spec.replicas == '1'",
        matchConstraints={"resourceRules": rules},
    )
    made = await api("POST", VALIDATING, policy)
    assert made["status"]["observedGeneration"] == 1
    found = made["status"]["typeChecking"]["expressionWarnings"]
    assert [entry["fieldRef"] for entry in found] == [
        "spec.validations[1].expression",
        "spec.validations[1].messageExpression",
        "spec.validations[2].expression",
    ]
    assert found[0]["warning"] == (
        "apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'nope'\n | object.spec.nope > 1\n | ...........^\n"
    )
    assert "found no matching overload for '_==_' applied to '(int, string)'" in found[2]["warning"]
    made["spec"]["validations"] = [{"expression": "object.spec.replicas > 1"}]
    fixed = await api("PUT", f"{VALIDATING}/typed", made)
    assert fixed["status"] == {"observedGeneration": 2, "typeChecking": {}}


# --- mutation


async def test_an_apply_configuration_is_laid_over_the_object(api: Api) -> None:
    text = """
        Object{
          metadata: Object.metadata{labels: {"managed": "yes", "name": string(object.metadata.name)}},
          spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{
            containers: [Object.spec.template.spec.containers{name: "side", image: "example.com/side:1"}]}}}
        }"""
    rules = {
        "resourceRules": [
            {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
        ]
    }
    await install(api, mutating("inject", text, matchConstraints=rules))
    made = await api("POST", DEPLOYMENTS, deployment("web"))
    assert made["metadata"]["labels"] == {"managed": "yes", "name": "web"}
    containers = made["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in containers] == ["side", "main"] or [c["name"] for c in containers] == ["main", "side"]
    assert all(c["imagePullPolicy"] == "IfNotPresent" for c in containers)


async def test_a_json_patch_changes_the_object(api: Api) -> None:
    text = """[
        JSONPatch{op: "test", path: "/data/a", value: "1"},
        JSONPatch{op: "add", path: "/metadata/annotations", value: {}},
        JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey("a.b/c"), value: string(object.data.size())},
        JSONPatch{op: "add", path: "/metadata/labels", value: {"patched": "yes"}}
    ]"""
    await install(api, mutating("patch", text))
    made = await api("POST", CONFIG_MAPS, config("x", {"a": "1"}))
    assert made["metadata"]["annotations"] == {"a.b/c": "1"}
    assert made["metadata"]["labels"] == {"patched": "yes"}
    unchanged = await api("POST", CONFIG_MAPS, config("y", {"a": "2"}))
    assert "labels" not in unchanged["metadata"]


async def test_policies_see_what_those_before_them_made_and_are_asked_again_when_they_want(api: Api) -> None:
    count = 'Object{data: {"count": string(int(object.data[?"count"].orValue("0")) + 1)}}'
    condition = [{"name": "once", "expression": "!has(object.data.second) || !has(object.data.again)"}]
    again = 'Object{data: {"again": has(object.data.second) ? "saw" : "not yet"}}'
    await install(api, mutating("a-again", again, reinvocationPolicy="IfNeeded"))
    await install(api, mutating("b-never", count, matchConditions=condition))
    await install(api, mutating("c-second", 'Object{data: {"second": object.data.count}}'))
    made = await api("POST", CONFIG_MAPS, config("x", {"k": "0"}))
    assert made["data"] == {"k": "0", "again": "saw", "count": "1", "second": "1"}


async def test_mutations_with_params_and_variables(api: Api) -> None:
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    await api("POST", "/api/v1/namespaces/kube-system/configmaps", config("team", {"owner": "alice"}))
    policy = mutating(
        "own",
        "Object{metadata: Object.metadata{annotations: {'owner': variables.owner}}}",
        paramKind=kind,
        variables=[{"name": "owner", "expression": "params.data.owner"}],
    )
    ref = {"name": "team", "namespace": "kube-system", "parameterNotFoundAction": "Deny"}
    await install(api, policy, paramRef=ref)
    assert (await api("POST", CONFIG_MAPS, config("x")))["metadata"]["annotations"] == {"owner": "alice"}


async def test_mutating_policies_are_the_same_objects_in_both_versions(api: Api) -> None:
    stable, bindings = MUTATING.replace("v1beta1", "v1"), MUTATING_BINDINGS.replace("v1beta1", "v1")
    policy = {
        **mutating("labels", 'Object{metadata: Object.metadata{labels: {"a": "b"}}}'),
        "apiVersion": "admissionregistration.k8s.io/v1",
    }
    created = await api("POST", stable, policy)
    assert (created["apiVersion"], created["metadata"]["generation"]) == ("admissionregistration.k8s.io/v1", 1)
    await api("POST", bindings, {**binding(policy), "apiVersion": "admissionregistration.k8s.io/v1"})
    assert (await api("POST", CONFIG_MAPS, config("x")))["metadata"]["labels"] == {"a": "b"}
    old = await api("GET", f"{MUTATING}/labels")
    assert old == {**created, "apiVersion": "admissionregistration.k8s.io/v1beta1"}
    assert (await api("PUT", f"{MUTATING}/labels", old)) == old
    applied = {**policy, "spec": {**policy["spec"], "failurePolicy": "Ignore"}}
    found = await api(
        "PATCH", f"{stable}/labels?fieldManager=me&force=true", applied, type="application/apply-patch+yaml"
    )
    assert (found["spec"]["failurePolicy"], found["metadata"]["generation"]) == ("Ignore", 2)
    await api("DELETE", f"{stable}/labels")
    await api("GET", f"{MUTATING}/labels", want=404)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Object{data: {'a': object.nope}}", "resulted in error: no such key: nope"),
        ("Object{metadata: Object.spec{name: 'x'}}", 'unexpected type name "Object.spec", expected "Object.metadata"'),
        ("Object{nope: 1}", "field not declared in schema"),
        ("[JSONPatch{op: 'remove', path: '/nope'}]", "JSON Patch: "),
        ("[JSONPatch{op: 'add', path: '/data', value: {1: 'x'}}]", "unsupported type conversion from 'int' to string"),
    ],
)
async def test_a_mutation_that_does_not_fit_is_a_denial(api: Api, text: str, message: str) -> None:
    await install(api, mutating("wrong", text))
    refused = await api("POST", CONFIG_MAPS, config("x"), want=403)
    assert refused["message"].startswith("policy 'wrong' with binding 'wrong-binding' denied request: ")
    assert message in refused["message"]


async def test_atomic_lists_are_not_replaced_by_parts(api: Api) -> None:
    rules = {
        "resourceRules": [
            {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
        ]
    }
    text = (
        "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{"
        "containers: [Object.spec.template.spec.containers{name: 'main', args: ['x']}]}}}}"
    )
    await install(api, mutating("args", text, matchConstraints=rules))
    refused = await api("POST", DEPLOYMENTS, deployment("web"), want=403)
    assert "may not mutate atomic arrays, maps or structs: .spec.template.spec.containers[0].args" in refused["message"]


async def test_what_a_mutation_makes_is_validated(api: Api) -> None:
    await install(api, mutating("rename", "[JSONPatch{op: 'add', path: '/data', value: {'in valid': 'x'}}]"))
    refused = await api("POST", CONFIG_MAPS, config("x"), want=422)
    assert refused["reason"] == "Invalid"


# --- what is refused when a policy is written


@pytest.mark.parametrize(
    ("policy", "field", "message"),
    [
        (validating("p", "1"), "spec.validations[0].expression", "must evaluate to bool but got int"),
        (validating("p", "object.x"), "spec.validations[0].expression", "must evaluate to bool but got dyn"),
        (validating("p", "nope"), "spec.validations[0].expression", "undeclared reference to 'nope'"),
        (validating("p", "params.x == 1"), "spec.validations[0].expression", "undeclared reference to 'params'"),
        (validating("p", ""), "spec.validations[0].expression", "expression is not specified"),
        (validating("p", {"expression": "true", "message": "a\nb"}), "spec.validations[0].message", "line breaks"),
        (
            validating("p", {"expression": "true", "messageExpression": "authorizer.path('/').check('get').reason()"}),
            "spec.validations[0].messageExpression",
            "undeclared reference to 'authorizer'",
        ),
        (validating("p"), "spec.validations", "validations or auditAnnotations must contain at least one item"),
        (validating("p", "true", matchConstraints={}), "spec.matchConstraints.resourceRules", "Required value"),
        (
            validating("p", "true", variables=[{"name": "if", "expression": "1"}]),
            "spec.variables[0].name",
            "must be a valid CEL identifier",
        ),
        (
            validating("p", "variables.b == 1", variables=[{"name": "a", "expression": "variables.c"}]),
            "spec.variables[0].expression",
            "undefined field 'c'",
        ),
        (
            validating("p", "true", matchConditions=[{"name": "a", "expression": "variables.x == 1"}]),
            "spec.matchConditions[0].expression",
            "undeclared reference to 'variables'",
        ),
        (
            validating("p", "true", auditAnnotations=[{"key": "a", "valueExpression": "1"}]),
            "spec.auditAnnotations[0].valueExpression",
            "must evaluate to one of [string null_type] but got int",
        ),
        (validating("p", "true", paramKind={"kind": "X"}), "spec.paramKind.apiVersion", "Required value"),
        (mutating("p"), "spec.mutations", "mutations must contain at least one item"),
        (mutating("p", "1"), "spec.mutations[0].applyConfiguration.expression", "must evaluate to Object but got int"),
        (
            mutating("p", "[1]"),
            "spec.mutations[0].jsonPatch.expression",
            "must evaluate to list(JSONPatch) but got list(int)",
        ),
        (
            mutating("p", "Object.spec{}"),
            "spec.mutations[0].applyConfiguration.expression",
            "must evaluate to Object but",
        ),
        (mutating("p", "Object{}", reinvocationPolicy="Often"), "spec.reinvocationPolicy", "Unsupported value"),
        (
            mutating(
                "p",
                "Object{}",
                matchConstraints={"resourceRules": [ON_CONFIG_MAPS["resourceRules"][0] | {"operations": ["DELETE"]}]},
            ),
            "spec.matchConstraints.resourceRules.operations",
            'Unsupported value: "DELETE"',
        ),
    ],
)
async def test_a_wrong_policy_is_refused(api: Api, policy: dict[str, Any], field: str, message: str) -> None:
    refused = await api("POST", VALIDATING if policy["kind"].startswith("V") else MUTATING, policy, want=422)
    causes = {cause["field"]: cause["message"] for cause in refused["details"]["causes"]}
    assert message in causes[field], causes


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"validationActions": []}, "spec.validationActions"),
        ({"validationActions": ["Deny", "Warn"]}, "spec.validationActions"),
        ({"validationActions": ["Deny", "Deny"]}, "spec.validationActions[1]"),
        ({"policyName": ""}, "spec.policyName"),
        ({"paramRef": {"parameterNotFoundAction": "Deny"}}, "spec.paramRef"),
        ({"paramRef": {"name": "x"}}, "spec.paramRef.parameterNotFoundAction"),
        ({"paramRef": {"name": "x", "selector": {}, "parameterNotFoundAction": "Deny"}}, "spec.paramRef.name"),
    ],
)
async def test_a_wrong_binding_is_refused(api: Api, spec: dict[str, Any], field: str) -> None:
    refused = await api("POST", VALIDATING_BINDINGS, binding(validating("p"), **spec), want=422)
    assert field in [cause["field"] for cause in refused["details"]["causes"]]


# --- match conditions of webhooks


async def test_a_webhook_whose_conditions_do_not_hold_is_not_asked(api: Api) -> None:
    def hook(**more: Any) -> dict[str, Any]:
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "hooks"},
            "webhooks": [
                {
                    "name": "a.example.com",
                    "clientConfig": {"url": "https://127.0.0.1:1/"},
                    "rules": ON_CONFIG_MAPS["resourceRules"],
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                    **more,
                }
            ],
        }

    async def put(want: int = 200, **more: Any) -> Any:
        version = (await api("GET", f"{path}/hooks"))["metadata"]["resourceVersion"]
        body = hook(**more)
        body["metadata"]["resourceVersion"] = version
        return await api("PUT", f"{path}/hooks", body, want=want)

    path = f"{GROUP}/v1/validatingwebhookconfigurations"
    await api("POST", path, hook(matchConditions=[{"name": "x", "expression": "object.metadata.name != 'x'"}]))
    await api("POST", CONFIG_MAPS, config("x"))
    refused = await api("POST", CONFIG_MAPS, config("y"), want=500)
    assert 'failed calling webhook "a.example.com"' in refused["message"]
    await put(matchConditions=[{"name": "x", "expression": "object.nope == 1"}])
    refused = await api("POST", CONFIG_MAPS, config("z"), want=403)
    assert "resulted in error: no such key: nope" in refused["message"]
    await put(matchConditions=[{"name": "x", "expression": "object.nope == 1"}], failurePolicy="Ignore")
    await api("POST", CONFIG_MAPS, config("z"))
    refused = await put(want=422, matchConditions=[{"name": "x", "expression": "nope"}])
    assert refused["details"]["causes"][0]["field"] == "webhooks[0].matchConditions[0].expression"


async def test_the_rights_of_the_one_who_asks_count() -> None:
    async with running() as api:
        await install(api, validating("rights", "authorizer.group('').resource('secrets').check('list').allowed()"))
        await api("POST", CONFIG_MAPS, config("mine"))
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "configs"},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}],
        }
        await api("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
        bound = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "configs"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "configs"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
        }
        await api("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", bound)
        assert isinstance(api.server, ApiServer)
        bob = Api(api.server, User("bob", ("system:authenticated",)))
        refused = await bob("POST", CONFIG_MAPS, config("his"), want=422)
        assert json.dumps(refused).count("rights-binding") == 2
