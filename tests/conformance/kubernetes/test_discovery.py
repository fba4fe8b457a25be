"""Discovery, plain and aggregated; the version; what is no table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.kubernetes.client import Kube, Object, refused
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import define, definition

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

EXPECTED = [
    ("", "v1", "namespaces"),
    ("", "v1", "pods"),
    ("", "v1", "services"),
    ("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "v1", "apiservices"),
    ("apps", "v1", "deployments"),
    ("authentication.k8s.io", "v1", "tokenreviews"),
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews"),
    ("autoscaling", "v1", "horizontalpodautoscalers"),
    ("autoscaling", "v2", "horizontalpodautoscalers"),
    ("batch", "v1", "jobs"),
    ("certificates.k8s.io", "v1", "certificatesigningrequests"),
    ("coordination.k8s.io", "v1", "leases"),
    ("discovery.k8s.io", "v1", "endpointslices"),
    ("events.k8s.io", "v1", "events"),
    ("networking.k8s.io", "v1", "ingresses"),
    ("node.k8s.io", "v1", "runtimeclasses"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("scheduling.k8s.io", "v1", "priorityclasses"),
    ("storage.k8s.io", "v1", "csinodes"),
]


def told(document: Object) -> Iterator[tuple[str, str, str]]:
    """(group, version, resource) of an aggregated document."""
    assert document["kind"] == "APIGroupDiscoveryList"
    for group in document["items"]:
        for version in group["versions"]:
            for resource in version.get("resources", ()):
                yield group["metadata"].get("name", ""), version["version"], resource["resource"]


async def aggregated(kube: Kube) -> set[tuple[str, str, str]]:
    documents = [await kube.read(path, accept=AGGREGATED) for path in ("/api", "/apis")]
    return {each for document in documents for each in told(document)}


@behaviour("Aggregated Discovery Endpoint Accept Headers")
async def test_who_asks_for_the_aggregated_form_gets_it(kube: Kube) -> None:
    for path in ("/api", "/apis"):
        response = await kube.send("GET", path, accept=AGGREGATED)
        assert response.status == 200
        assert "as=APIGroupDiscoveryList" in response.headers["content-type"]
        plain = await kube.read(path, accept="application/json")
        assert plain["kind"] == ("APIVersions" if path == "/api" else "APIGroupList")
    assert await aggregated(kube) >= set(EXPECTED)


@behaviour("Aggregated Discovery Interface")
async def test_aggregated_and_plain_discovery_say_the_same(kube: Kube) -> None:
    found = await aggregated(kube)
    assert found >= set(EXPECTED)
    groups = (await kube.read("/apis"))["groups"]
    versions = {(group["name"], version["version"]) for group in groups for version in group["versions"]}
    for group, version in {each[:2] for each in found if each[0]}:
        assert (group, version) in versions
        listed = await kube.read(f"/apis/{group}/{version}")
        plain = {each["name"] for each in listed["resources"] if "/" not in each["name"]}
        assert plain == {each[2] for each in found if each[:2] == (group, version)}


@pytest.mark.parametrize(
    "first",
    [
        pytest.param("/apis", marks=behaviour("Aggregated Discovery Endpoint Accept Headers CRDs"), id="headers"),
        pytest.param("/api", marks=behaviour("Aggregated Discovery Interface CRDs"), id="interface"),
    ],
)
async def test_a_new_definition_is_in_the_aggregated_document(kube: Kube, first: str) -> None:
    await kube.read(first, accept=AGGREGATED)
    crd = await define(kube, definition())
    spec = crd["spec"]
    assert (spec["group"], "v1", spec["names"]["plural"]) in await aggregated(kube)


@behaviour("Custom Resource Definition, discovery")
async def test_definitions_are_discoverable(kube: Kube) -> None:
    group = "apiextensions.k8s.io"
    listed = {each["name"]: each for each in (await kube.read("/apis"))["groups"]}
    assert f"{group}/v1" in [each["groupVersion"] for each in listed[group]["versions"]]
    assert "v1" in [each["version"] for each in (await kube.read(f"/apis/{group}"))["versions"]]
    resources = [each["name"] for each in (await kube.read(f"/apis/{group}/v1"))["resources"]]
    assert "customresourcedefinitions" in resources


@behaviour("Discovery, confirm the groupVerion and a resourcefrom each apiGroup")
async def test_each_group_has_its_resources(kube: Kube) -> None:
    for group, version, resource in EXPECTED:
        listed = await kube.read(f"/apis/{group}/{version}" if group else f"/api/{version}")
        assert listed["kind"] == "APIResourceList"
        assert listed["groupVersion"] == (f"{group}/{version}" if group else version)
        assert resource in [each["name"] for each in listed["resources"]]


@behaviour("Discovery, confirm the PreferredVersion for each api group")
async def test_the_preferred_version_is_one_of_the_versions(kube: Kube) -> None:
    groups = (await kube.read("/apis/"))["groups"]
    assert groups
    for group in [each for each in groups if not each["name"].endswith(".example.com")]:
        found = await kube.read(f"/apis/{group['name']}/")
        assert found["preferredVersion"] in found["versions"]
        assert found["preferredVersion"] == group["preferredVersion"]


@behaviour("Confirm a server version")
async def test_the_version_has_whole_numbers(kube: Kube) -> None:
    version = await kube.read("/version")
    assert version["major"].isdecimal()
    assert version["minor"].rstrip("+").isdecimal()


@behaviour("API metadata HTTP return")
async def test_what_has_no_metadata_is_no_table(kube: Kube) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}},
    }
    url = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    with refused(406, "NotAcceptable"):
        await kube.ask("POST", url, review, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
