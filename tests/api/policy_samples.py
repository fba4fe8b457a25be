"""Policies, and an object that each is asked about: the same questions to ours and to the real kube-apiserver."""

from __future__ import annotations

from typing import Any, NamedTuple

Object = dict[str, Any]

GROUP = "/apis/admissionregistration.k8s.io"
PATHS = {
    "ValidatingAdmissionPolicy": f"{GROUP}/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{GROUP}/v1/validatingadmissionpolicybindings",
    "MutatingAdmissionPolicy": f"{GROUP}/v1beta1/mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": f"{GROUP}/v1beta1/mutatingadmissionpolicybindings",
}
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def rule(group: str, plural: str, *operations: str) -> Object:
    return {"apiGroups": [group], "apiVersions": ["v1"], "operations": list(operations), "resources": [plural]}


ON_CONFIG_MAPS = {"resourceRules": [rule("", "configmaps", "CREATE", "UPDATE")]}
ON_DEPLOYMENTS = {"resourceRules": [rule("apps", "deployments", "CREATE", "UPDATE")]}


def validating(name: str, *validations: Any, **spec: Any) -> Object:
    listed = [{"expression": entry} if isinstance(entry, str) else entry for entry in validations]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {"matchConstraints": ON_CONFIG_MAPS, "validations": listed, **spec},
    }


def mutating(name: str, *mutations: str, **spec: Any) -> Object:
    """Expressions that begin with a bracket are JSON patches."""
    listed = [
        {"patchType": "JSONPatch", "jsonPatch": {"expression": text}}
        if text.startswith("[")
        else {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": text}}
        for text in mutations
    ]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1beta1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {"matchConstraints": ON_CONFIG_MAPS, "mutations": listed, "reinvocationPolicy": "Never", **spec},
    }


def binding(policy: Object, name: str = "", **spec: Any) -> Object:
    made: Object = {
        "apiVersion": policy["apiVersion"],
        "kind": f"{policy['kind']}Binding",
        "metadata": {"name": name or f"{policy['metadata']['name']}-binding"},
        "spec": {"policyName": policy["metadata"]["name"], **spec},
    }
    if policy["kind"].startswith("Validating"):
        made["spec"].setdefault("validationActions", ["Deny"])
    return made


def deployment(name: str, replicas: int = 1) -> Object:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "example.com/app:1"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


def config(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v", **data}}


class Sample(NamedTuple):
    """`obj` None: the policy itself is what is asked about."""

    policy: Object
    obj: Object | None = None
    binding: Object = {}  # noqa: RUF012

    @property
    def path(self) -> str:
        return DEPLOYMENTS if self.obj and self.obj["kind"] == "Deployment" else CONFIG_MAPS


def containers(rest: str) -> str:
    spec = "Object.spec.template.spec"
    inner = f"{spec}{{containers: [{spec}.containers{{{rest}}}]}}"
    return f"Object{{spec: Object.spec{{template: Object.spec.template{{spec: {inner}}}}}}}"


NOPE = [{"name": "x", "expression": "object.nope == 1"}]
PARAMS = {"apiVersion": "v1", "kind": "ConfigMap"}
REF = {"paramRef": {"name": "nope", "parameterNotFoundAction": "Deny"}}

SAMPLES: dict[str, Sample] = {
    "denied": Sample(validating("p", "object.metadata.name.size() <= 5"), config("abcdefgh")),
    "reason": Sample(validating("p", {"expression": "false", "message": "m", "reason": "Forbidden"}), config("a")),
    "message": Sample(
        validating("p", {"expression": "false", "messageExpression": "'x' + object.metadata.name"}), config("a")
    ),
    "error": Sample(validating("p", "object.nope == 1"), config("a")),
    "variable": Sample(
        validating("p", "variables.a == 1", variables=[{"name": "a", "expression": "object.nope"}]), config("a")
    ),
    "condition": Sample(validating("p", "false", matchConditions=NOPE), config("a")),
    "conditions": Sample(
        validating("p", "false", matchConditions=[*NOPE, {"name": "y", "expression": "object.nope2 == 1"}]), config("a")
    ),
    "no-params": Sample(validating("p", "params.data.x == 'y'", paramKind=PARAMS), config("a"), REF),
    "no-kind": Sample(
        validating("p", "params.data.x == 'y'", paramKind=PARAMS | {"apiVersion": "nope/v1"}), config("a"), REF
    ),
    "warn": Sample(validating("p", "false"), config("a"), {"validationActions": ["Warn"]}),
    "cost": Sample(validating("p", "lists.range(900000).all(x, lists.range(9).all(y, true))"), config("a")),
    "not-bool": Sample(validating("p", "1")),
    "dyn": Sample(validating("p", "object.x")),
    "undeclared": Sample(validating("p", "nope")),
    "blank": Sample(validating("p", "")),
    "nothing": Sample(validating("p")),
    "audit-type": Sample(validating("p", "true", auditAnnotations=[{"key": "a", "valueExpression": "1"}])),
    "audit-key": Sample(validating("p", "true", auditAnnotations=[{"key": "a b", "valueExpression": "'x'"}])),
    "param-kind": Sample(validating("p", "true", paramKind={"kind": "X"})),
    "variable-name": Sample(validating("p", "true", variables=[{"name": "if", "expression": "1"}])),
    "no-rules": Sample(validating("p", "true", matchConstraints={})),
    "no-reason": Sample(validating("p", {"expression": "true", "reason": "Nope"})),
    "two-lines": Sample(validating("p", {"expression": "true", "message": "a\nb"})),
    "failure-policy": Sample(validating("p", "true", failurePolicy="Nope")),
    "no-mutation": Sample(mutating("p")),
    "no-object": Sample(mutating("p", "1")),
    "no-patch": Sample(mutating("p", "[1]")),
    "part": Sample(mutating("p", "Object.spec{}")),
    "reinvocation": Sample(mutating("p", "Object{}", reinvocationPolicy="Often")),
    "operation": Sample(
        mutating("p", "Object{}", matchConstraints={"resourceRules": [rule("", "configmaps", "DELETE")]})
    ),
    "labels": Sample(mutating("p", "Object{metadata: Object.metadata{labels: {'a': 'b'}}}"), config("a")),
    "mutation-error": Sample(mutating("p", "Object{data: {'a': string(object.nope)}}"), config("a")),
    "wrong-name": Sample(mutating("p", "Object{metadata: Object.spec{name: 'x'}}"), config("a")),
    "wrong-field": Sample(mutating("p", "Object{nope: 1}"), config("a")),
    "test-fails": Sample(
        mutating("p", "[JSONPatch{op: 'test', path: '/data', value: 'x'}, JSONPatch{op: 'remove', path: '/data'}]"),
        config("a"),
    ),
    "no-json": Sample(mutating("p", "[JSONPatch{op: 'add', path: '/data', value: {1: 'x'}}]"), config("a")),
    "patch": Sample(mutating("p", "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'x': 'y'}}]"), config("a")),
    "atomic": Sample(
        mutating("p", containers("name: 'main', args: ['x']"), matchConstraints=ON_DEPLOYMENTS), deployment("web")
    ),
    "merged": Sample(
        mutating("p", containers("name: 'side', image: 'x'"), matchConstraints=ON_DEPLOYMENTS), deployment("web")
    ),
    "updated": Sample(
        mutating("p", containers("name: 'main', image: 'x'"), matchConstraints=ON_DEPLOYMENTS), deployment("web")
    ),
}


def view(answer: Object) -> Object:
    """What two answers must have in common."""
    if answer["kind"] == "Status":
        causes = (answer.get("details") or {}).get("causes") or []
        shown = [f"{cause.get('field', '')}: {cause['message']} ({cause.get('reason', '')})" for cause in causes]
        return {key: answer[key] for key in ("reason", "message", "code")} | {"causes": sorted(shown)}
    meta, template = answer["metadata"], answer.get("spec", {}).get("template", {})
    return {
        "labels": meta.get("labels"),
        "annotations": meta.get("annotations"),
        "data": answer.get("data"),
        "containers": [f"{c['name']} {c.get('image')}" for c in template.get("spec", {}).get("containers", [])],
    }
