"""Discovery: what clients need to find the kinds, in exactly the form that they ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from styr.api.builtin import tables
from styr.api.discovery import STATUS, VIRTUAL, Served, discover, is_discovery, version_priority
from styr.kinds.errors import NotAcceptable
from styr.kinds.resources import APP, Resource
from tests.api.kit import config, running

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


REAL = json.loads(Path(__file__).with_name("discovery_real.json").read_text())
"""Of kube-apiserver, by generate_openapi.py."""
STORED_OTHERWISE = ("customresourcedefinitions", "volumeattributesclasses")
"""The real server stores them in an older version than ours."""


def read(path: str, accept: str = "application/json") -> dict[str, Any]:
    response = discover(path, {"accept": accept, "host": "127.0.0.1:6443"}, SERVED)
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
    assert discover(path, {}, SERVED) is None
    assert is_discovery(path) is (path in ("/api/v2", "/apis/none", "/apis/apps/v9"))


def test_aggregated_only_in_the_version_that_was_asked() -> None:
    assert read("/apis", f"{V2},{V2BETA1},application/json")["kind"] == "APIGroupDiscoveryList"
    old = read("/apis", f"{V2BETA1},application/json")
    assert (old["kind"], old["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2beta1")
    assert old["items"] == read("/apis", f"application/json;q=0.5,{V2}")["items"]
    assert read("/apis", "*/*")["kind"] == "APIGroupList"
    assert read("/apis", f"{V2.replace('v=v2', 'v=v3')},application/json")["kind"] == "APIGroupList"
    core = read("/api", V2)["items"]
    assert [group["metadata"] for group in core] == [{}]
    pods = next(r for r in core[0]["versions"][0]["resources"] if r["resource"] == "pods")
    assert pods["responseKind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert "status" in [sub["subresource"] for sub in pods["subresources"]]


@pytest.mark.parametrize(
    "accept", ["text/html", V2.replace("v=v2", "v=v3"), "application/json;as=Table;v=v1;g=meta.k8s.io"]
)
def test_a_form_that_there_is_not_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="only the following media types are accepted"):
        read("/apis", accept)


def test_aggregated_discovery_is_kept_by_its_tag() -> None:
    headers = {"accept": V2}
    first = discover("/apis", headers, SERVED)
    assert first is not None
    assert first.headers["content-type"] == V2
    again = discover("/apis", headers | {"if-none-match": first.headers["etag"]}, SERVED)
    other = discover("/apis", headers | {"if-none-match": first.headers["etag"]}, SERVED[40:])
    assert again is not None
    assert other is not None
    assert (again.status, again.body, other.status) == (304, b"", 200)


async def test_what_is_served_is_told_as_the_real_server_tells_it() -> None:
    async with running() as api:
        for key, theirs in REAL.items():
            path, _, form = key.partition(" ")
            response = await api.raw("GET", path, accept=V2 if form else "application/json")
            if response.status == 404:
                continue  # a group version that is not served
            assert isinstance(response.body, bytes)
            ours = json.loads(response.body)
            told = list(_told(theirs))
            served = dict(_told(ours))
            served = {name: entry for name, entry in served.items() if not _is_newer(path, name)}
            assert served.keys() <= dict(told).keys()
            assert list(served.items()) == [(name, entry) for name, entry in told if name in served]


def _is_newer(path: str, name: str) -> bool:
    """Has the real server this in a beta version only?"""
    plural = name.rpartition("/")[2]
    stable = path.endswith("/v1") or "'version': 'v1'}" in name
    return stable and plural in {kind.resource.plural for kind in tables.kinds() if kind.storage}


def _told(document: Any) -> Iterator[tuple[str, Any]]:
    """Everything that a document tells, in its order, by name."""
    for group in document.get("groups", ()):
        yield group["name"], group | {"versions": None, "preferredVersion": group["preferredVersion"]}
    for resource in document.get("resources", ()):
        if resource["name"] in STORED_OTHERWISE:
            resource = {key: value for key, value in resource.items() if key != "storageVersionHash"}
        yield resource["name"], resource
    for group in document.get("items", ()):
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            where = {"group": name, "version": version["version"]}
            yield f"{name}/{version['version']}", version["freshness"]
            for resource in version["resources"]:
                subs = resource.pop("subresources", ())
                for entry in (resource, *subs):
                    # The real server leaves group and version of built-in kinds out: they are where the entry stands.
                    entry["responseKind"] = {
                        key: value or where.get(key, "") for key, value in entry["responseKind"].items()
                    }
                yield f"{where}/{resource['resource']}", resource
                for sub in subs:
                    yield f"{where}/{resource['resource']}/{sub['subresource']}", sub


def test_custom_groups_come_last_by_name() -> None:
    custom = [Served(Resource(group, "v1", "K", "ks")) for group in ("b.example.com", "a.example.com")]
    response = discover("/apis", {}, [*custom, *SERVED])
    assert response is not None
    assert isinstance(response.body, bytes)
    names = [group["name"] for group in json.loads(response.body)["groups"]]
    assert names[-3:] == ["a.example.com", "b.example.com", "styr.dev"]
    assert read("/api")["serverAddressByClientCIDRs"][0]["serverAddress"] == "127.0.0.1:6443"
    assert "/apis/apps/v1" in read("/")["paths"]


async def test_the_old_way_to_watch() -> None:
    """/watch/ in the path: clients of before `?watch=1`."""
    async with running() as api:
        await api("POST", "/api/v1/namespaces/default/configmaps", config("a"))
        await api("POST", "/api/v1/namespaces/default/configmaps", config("b"))
        for path, names in (
            ("/api/v1/watch/namespaces/default/configmaps", ["a", "b"]),
            ("/api/v1/watch/configmaps", ["a", "b"]),
            ("/api/v1/watch/namespaces/default/configmaps/b", ["b"]),
        ):
            events = await api.events(path, len(names))
            assert [event["object"]["metadata"]["name"] for event in events] == names
        assert (await api.raw("POST", "/api/v1/watch/configmaps", config("c"))).status == 405
        assert (await api.raw("GET", "/api/v1/watch")).status == 404


def test_versions_are_ordered_as_kubernetes_orders_them() -> None:
    names = ["v1alpha1", "foo1", "v2", "v1beta2", "v10", "v1beta1", "v1"]
    assert sorted(names, key=version_priority) == ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo1"]


def test_version() -> None:
    version = read("/version")
    assert version["gitVersion"].startswith(f"v{version['major']}.{version['minor']}.")


def test_a_crd_of_three_versions_is_one_group() -> None:
    served = [Served(Resource("x.io", name, "K", "ks")) for name in ("v1alpha1", "v1", "v1beta1")]
    response = discover("/apis/x.io", {}, served)
    assert response is not None
    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["preferredVersion"]["version"] == "v1"
