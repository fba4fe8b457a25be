"""ValidatingAdmissionPolicy and MutatingAdmissionPolicy: expressions that judge and change. Each is bound to the namespace of
its test only."""

from __future__ import annotations

from typing import Any

from tests.conformance.kubernetes.client import Kube, Object, Refused, eventually, refused, unique
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import deployment, replica_set

API = "admissionregistration.k8s.io/v1"


async def bind(kube: Kube, kind: str, namespace: str, spec: Object) -> None:
    """Creates a policy for Deployments, and its binding. `kind` is Validating or Mutating."""
    name = unique("policy")
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    constraints = {
        "matchPolicy": "Equivalent",
        "namespaceSelector": here,
        "objectSelector": {},
        "resourceRules": [rule],
    }
    policy = {
        "apiVersion": API,
        "kind": f"{kind}AdmissionPolicy",
        "metadata": {"name": name},
        "spec": {"failurePolicy": "Fail", "matchConstraints": constraints, **spec},
    }
    actions = {"validationActions": ["Deny"]} if kind == "Validating" else {}
    binding = {
        "apiVersion": API,
        "kind": f"{kind}AdmissionPolicyBinding",
        "metadata": {"name": f"{name}-binding"},
        "spec": {"policyName": name, "matchResources": {"namespaceSelector": here}, **actions},
    }
    plural = f"{kind.lower()}admissionpolicies"
    await kube.of(API, plural).create(policy)
    await kube.of(API, f"{kind.lower()}admissionpolicybindings").create(binding)


async def denied(deployments: Any) -> str:
    """The message with which a Deployment of one replica is refused; "" when it is not, or not yet."""
    try:
        await deployments.create(deployment(unique("marker"), {"app": "marker"}, 1), dryRun="All")
    except Refused as error:
        assert (error.code, error.reason) == (422, "Invalid")  # noqa: PT017
        return error.message
    return ""


@behaviour("ValidatingAdmissionPolicy", "should validate against a Deployment")
async def test_a_policy_refuses_what_breaks_its_rules(kube: Kube, namespace: str) -> None:
    deployments, sets = kube.of("apps/v1", "deployments", namespace), kube.of("apps/v1", "replicasets", namespace)
    told = "'wants replicas > 1, got ' + string(object.spec.replicas)"
    validations = [
        {"expression": "object.spec.replicas > 1", "messageExpression": told},
        {"expression": f"namespaceObject.metadata.name == '{namespace}'", "message": "another namespace"},
    ]
    await bind(kube, "Validating", namespace, {"validations": validations})
    message = await eventually(lambda: denied(deployments), "refused")
    assert "wants replicas > 1, got 1" in message
    await deployments.create(deployment("replicated", {"app": "replicated"}, 2))
    await sets.create(replica_set("other-kind", {"app": "other"}, 1))


@behaviour("ValidatingAdmissionPolicy", "should allow expressions to refer variables")
async def test_expressions_refer_to_variables(kube: Kube, namespace: str) -> None:
    deployments, sets = kube.of("apps/v1", "deployments", namespace), kube.of("apps/v1", "replicasets", namespace)
    variables = [
        {"name": "replicas", "expression": "object.spec.replicas"},
        {"name": "oddReplicas", "expression": "variables.replicas % 2 == 1"},
    ]
    validations = [{"expression": "variables.replicas > 1"}, {"expression": "variables.oddReplicas"}]
    await bind(kube, "Validating", namespace, {"variables": variables, "validations": validations})
    message = await eventually(lambda: denied(deployments), "refused")
    assert "failed expression: variables.replicas > 1" in message
    await deployments.create(deployment("odd", {"app": "odd"}, 3))
    with refused(422, "Invalid", "failed expression: variables.oddReplicas"):
        await deployments.create(deployment("even", {"app": "even"}, 2))
    await sets.create(replica_set("other-kind", {"app": "other"}, 1))


async def mutation(kube: Kube, namespace: str, expression: str) -> Object:
    """A Deployment that was created under a policy with this mutation."""
    applied = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
    await bind(kube, "Mutating", namespace, {"reinvocationPolicy": "Never", "mutations": [applied]})
    deployments = kube.of("apps/v1", "deployments", namespace)

    async def mutated() -> Object | None:
        made = await deployments.create(deployment(unique("marker"), {"app": "marker"}, 1), dryRun="All")
        changed = made["spec"]["replicas"] != 1 or made["metadata"].get("annotations")
        return made if changed else None

    found: Object = await eventually(mutated, "mutated")
    return found


@behaviour("MutatingAdmissionPolicy", "should mutate a Deployment [Conformance]")
async def test_a_policy_changes_a_field(kube: Kube, namespace: str) -> None:
    made = await mutation(kube, namespace, "Object{spec: Object.spec{replicas: 7}}")
    assert made["spec"]["replicas"] == 7


@behaviour("MutatingAdmissionPolicy", "should mutate a Deployment with annotations")
async def test_a_policy_adds_an_annotation(kube: Kube, namespace: str) -> None:
    made = await mutation(
        kube,
        namespace,
        'Object{metadata: Object.metadata{annotations: {"mutated-by": "admission-policy"}}}',
    )
    assert made["metadata"]["annotations"] == {"mutated-by": "admission-policy"}
