"""Whatever a client sends to any kind: an answer with a Status, never an internal error, and the server goes on."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from styr.kinds import resources
from styr.kinds.resources import Resource
from tests.api.kit import JSON_PATCH, MERGE_PATCH, STRATEGIC, Api, config, pod, running

SCALARS = st.sampled_from([None, True, 0, -1, 1 << 70, 0.5, "", "x", "10%", "a/b", "\x00", "é" * 300])
WORDS = st.sampled_from(
    [
        *(
            "name",
            "labels",
            "spec",
            "status",
            "containers",
            "selector",
            "template",
            "ports",
            "port",
            "metadata",
            "type",
        ),
        *("annotations", "finalizers", "data", "rules", "verbs", "roleRef", "subjects", "names", "versions", "schema"),
        *("group", "scope", "clusterIP", "matchLabels", "strategy", "rollingUpdate", "env", "involvedObject", "limits"),
        *("namespace", "endpoints", "addresses", "replicas", "conditions", "ownerReferences", "resources"),
    ]
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=20
)

GOOD: dict[Resource, dict[str, Any]] = {
    resources.POD: pod("x") | {"status": {"phase": "Running"}},
    resources.SERVICE: {"spec": {"ports": [{"port": 80, "targetPort": "http", "name": "a"}], "selector": {"a": "b"}}},
    resources.NAMESPACE: {"spec": {"finalizers": ["kubernetes"]}},
    resources.NODE: {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
    resources.EVENT: {"involvedObject": {"kind": "Pod", "namespace": "default"}, "reason": "x", "count": 1},
    resources.CONFIG_MAP: {"data": {"k": "v"}, "immutable": False},
    resources.SECRET: {"stringData": {"k": "v"}, "type": "Opaque"},
    resources.SERVICE_ACCOUNT: {"secrets": [{"name": "x"}]},
    resources.DEPLOYMENT: {
        "spec": {
            "selector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod("x")["spec"]},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": "10%"}},
        }
    },
    resources.REPLICA_SET: {
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod("x")["spec"]},
        }
    },
    resources.ENDPOINT_SLICE: {"addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1"]}], "ports": [{}]},
    resources.LEASE: {"spec": {"holderIdentity": "me", "leaseDurationSeconds": 3}},
    resources.ROLE: {"rules": [{"verbs": ["get"], "resources": ["pods"], "apiGroups": [""]}]},
    resources.CLUSTER_ROLE: {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]},
    resources.ROLE_BINDING: {"roleRef": {"kind": "Role", "name": "x"}, "subjects": [{"kind": "User", "name": "u"}]},
    resources.CLUSTER_ROLE_BINDING: {"roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": []},
    resources.CRD: {
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"plural": "xs", "kind": "X"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
            ],
        }
    },
}


def url(resource: Resource) -> str:
    return resource.path("default" if resource.namespaced else None)


def damaged(value: Any, rest: random.Random, odd: Any) -> Any:
    """A copy of the value in which one node, somewhere, is something odd."""
    if rest.random() < 0.15 or not isinstance(value, dict | list) or not value:
        return odd
    if isinstance(value, list):
        at = rest.randrange(len(value))
        return [*value[:at], damaged(value[at], rest, odd), *value[at + 1 :]]
    key = rest.choice(sorted(value))
    return value | {key: damaged(value[key], rest, odd)}


async def send(api: Api, method: str, path: str, body: Any, kind: str = "application/json") -> int:
    response = await api.raw(method, path, json.dumps(body).encode(), type=kind)
    assert isinstance(response.body, bytes)
    answer = json.loads(response.body)
    assert response.status < 500, (method, path, body, answer)
    if response.status >= 400:
        assert answer["kind"] == "Status"
        assert answer["message"]
    return response.status


def test_every_good_object_is_taken() -> None:
    async def main() -> None:
        async with running() as api:
            for resource, body in GOOD.items():
                name = "xs.example.com" if resource == resources.CRD else "good"
                assert await send(api, "POST", url(resource), body | {"metadata": {"name": name}}) == 201, resource
                assert (await api("GET", f"{url(resource)}/{name}"))["kind"] == resource.kind

    asyncio.run(main())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), ANYTHING, st.sampled_from(sorted(GOOD, key=str)))
def test_a_damaged_object_is_refused_or_stored(rest: random.Random, odd: Any, resource: Resource) -> None:
    async def main() -> None:
        async with running() as api:
            name = "xs.example.com" if resource == resources.CRD else "good"
            good = GOOD[resource] | {"metadata": {"name": name}}
            body = damaged(good, rest, odd)
            await send(api, "POST", url(resource), body)
            await send(api, "POST", url(resource), good)
            path = f"{url(resource)}/{name}"
            await send(api, "PUT", path, damaged(good, rest, odd))
            await send(api, "PATCH", path, damaged(good, rest, odd), MERGE_PATCH)
            await send(api, "PATCH", path, damaged(good, rest, odd), STRATEGIC)
            patch = [{"op": "add", "path": f"/{rest.choice(sorted(good))}", "value": odd}]
            await send(api, "PATCH", path, patch, JSON_PATCH)
            await send(api, "PATCH", f"{path}/status", {"status": odd}, MERGE_PATCH)
            await send(api, "DELETE", path, odd)
            await api("GET", url(resource))
            await api("POST", "/api/v1/namespaces/default/configmaps", config("still-here"))

    asyncio.run(main())
