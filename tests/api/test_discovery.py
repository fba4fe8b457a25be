"""Discovery: what clients need to find the kinds, in exactly the form that they ask for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from styr.api.builtin import tables
from styr.api.discovery import STATUS, VIRTUAL, Served, discover, is_discovery, version_priority
from styr.kinds.resources import APP, Resource

SERVED = (
    *(
        Served(kind.resource, kind.verbs, tuple(kind.subresources.values()))
        for kind in tables.kinds()
        if not kind.answered
    ),
    Served(APP, subresources=(STATUS,)),
    *VIRTUAL,
)
V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = V2.replace("v=v2", "v=v2beta1")


def read(path: str, accept: str = "application/json") -> dict[str, Any]:
    response = discover(path, accept, SERVED)
    assert response is not None
    assert isinstance(response.body, bytes)
    return dict(json.loads(response.body))


@pytest.mark.parametrize("slash", ["", "/"])
def test_plain_discovery(slash: str) -> None:
    assert read("/api" + slash)["versions"] == ["v1"]
    groups = {group["name"]: group for group in read("/apis" + slash)["groups"]}
    assert groups["apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    assert "" not in groups
    resources = {entry["name"]: entry for entry in read("/api/v1" + slash)["resources"]}
    assert resources["pods"]["shortNames"] == ["po"]
    assert resources["pods"]["singularName"] == "pod"
    assert resources["pods/status"]["verbs"] == ["get", "patch", "update"]
    assert resources["namespaces"]["namespaced"] is False
    assert read("/apis/apps" + slash)["name"] == "apps"
    assert read("/apis/apps/v1" + slash)["groupVersion"] == "apps/v1"


@pytest.mark.parametrize("path", ["/api/v2", "/apis/none", "/apis/apps/v9", "/apis/apps/v1/deployments", "/metrics"])
def test_what_is_not_there(path: str) -> None:
    assert discover(path, "", SERVED) is None
    assert is_discovery(path) is (path in ("/api/v2", "/apis/none", "/apis/apps/v9"))


def test_aggregated_only_in_the_version_that_was_asked() -> None:
    assert read("/apis", f"{V2},{V2BETA1},application/json")["kind"] == "APIGroupDiscoveryList"
    assert read("/apis", f"{V2BETA1},application/json")["kind"] == "APIGroupList"
    assert read("/apis", "*/*")["kind"] == "APIGroupList"
    core = read("/api", V2)["items"]
    assert [group["metadata"]["name"] for group in core] == [""]
    pods = next(r for r in core[0]["versions"][0]["resources"] if r["resource"] == "pods")
    assert pods["responseKind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert "status" in [sub["subresource"] for sub in pods["subresources"]]


def test_versions_are_ordered_as_kubernetes_orders_them() -> None:
    names = ["v1alpha1", "foo1", "v2", "v1beta2", "v10", "v1beta1", "v1"]
    assert sorted(names, key=version_priority) == ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo1"]


def test_public_paths_and_version() -> None:
    for path in ("/livez", "/readyz", "/healthz"):
        response = discover(path, "", SERVED)
        assert response is not None
        assert response.body == b"ok"
    version = read("/version")
    assert version["gitVersion"].startswith(f"v{version['major']}.{version['minor']}.")


def test_a_crd_of_three_versions_is_one_group() -> None:
    served = [Served(Resource("x.io", name, "K", "ks")) for name in ("v1alpha1", "v1", "v1beta1")]
    response = discover("/apis/x.io", "", served)
    assert response is not None
    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["preferredVersion"]["version"] == "v1"
