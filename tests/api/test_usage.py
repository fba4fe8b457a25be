"""metrics.k8s.io/v1beta1, served from what a node tells."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.kinds.errors import Unavailable
from styr.kinds.seams import NodeUsage, Usage
from styr.kinds.transport import User
from styr.kit.clock import SystemClock
from tests.api.kit import Api, pod

ROOT = "/apis/metrics.k8s.io/v1beta1"


async def seen() -> NodeUsage:
    pods = {
        ("default", "web"): {"main": Usage(0.25, 10 << 20), "side": Usage(0.001, 1 << 20)},
        ("kube-system", "dns"): {"main": Usage(0.0, 2 << 20)},
        ("default", "gone"): {"main": Usage(1.0, 1)},
    }
    return NodeUsage("here", 1_800_000_000.0, 10.5, Usage(1.5, 3 << 30), pods)


async def starting() -> NodeUsage:
    raise Unavailable("the node is starting")


@asynccontextmanager
async def running(source: Any = seen) -> AsyncIterator[Api]:
    store = Store.open(":memory:", SystemClock(), inline=True)
    server = ApiServer(store, clock=SystemClock(), random=random.Random(7), use=source)
    await server.start()
    api = Api(server)
    await api("POST", "/api/v1/nodes", {"metadata": {"name": "here", "labels": {"kind": "node"}}})
    for namespace, name in (("default", "web"), ("kube-system", "dns"), ("default", "quiet")):
        obj = pod(name)
        obj["metadata"]["labels"] = {"app": name}
        await api("POST", f"/api/v1/namespaces/{namespace}/pods", obj)
    try:
        yield api
    finally:
        await store.close()


async def test_what_pods_use() -> None:
    async with running() as api:
        found = await api("GET", f"{ROOT}/namespaces/default/pods/web")
        assert found == {
            "kind": "PodMetrics",
            "apiVersion": "metrics.k8s.io/v1beta1",
            "metadata": {
                "name": "web",
                "namespace": "default",
                "labels": {"app": "web"},
                "creationTimestamp": "2027-01-15T08:00:00Z",
            },
            "timestamp": "2027-01-15T08:00:00Z",
            "window": "10.500s",
            "containers": [
                {"name": "main", "usage": {"cpu": "250000000n", "memory": "10240Ki"}},
                {"name": "side", "usage": {"cpu": "1000000n", "memory": "1024Ki"}},
            ],
        }
        listed = await api("GET", f"{ROOT}/pods")
        assert listed["kind"] == "PodMetricsList"
        assert [item["metadata"]["name"] for item in listed["items"]] == ["web", "dns"]
        for query, names in (("labelSelector=app%3Ddns", ["dns"]), ("fieldSelector=metadata.name%3Dweb", ["web"])):
            listed = await api("GET", f"{ROOT}/pods?{query}")
            assert [item["metadata"]["name"] for item in listed["items"]] == names


async def test_what_the_node_uses() -> None:
    async with running() as api:
        (found,) = (await api("GET", f"{ROOT}/nodes"))["items"]
        assert found["usage"] == {"cpu": "1500000000n", "memory": "3145728Ki"}
        assert found["metadata"]["labels"] == {"kind": "node"}
        assert (await api("GET", f"{ROOT}/nodes/here"))["kind"] == "NodeMetrics"


async def test_what_is_not_there() -> None:
    async with running() as api:
        refused = await api("GET", f"{ROOT}/namespaces/default/pods/quiet", want=404)
        assert refused["message"] == 'podmetrics.metrics.k8s.io "default/quiet" not found'
        await api("GET", f"{ROOT}/nodes/other", want=404)
        await api("GET", f"{ROOT}/things", want=404)
        await api("POST", f"{ROOT}/nodes", {}, want=405)
        await api("GET", f"{ROOT}/pods?labelSelector=%21%21", want=400)
        stranger = Api(api.server, User("stranger", ("system:authenticated",)))
        await stranger("GET", f"{ROOT}/nodes", want=403)
    async with running(starting) as api:
        assert "the node is starting" in (await api("GET", f"{ROOT}/nodes", want=503))["message"]


async def test_openapi() -> None:
    async with running() as api:
        document = await api("GET", "/openapi/v3/apis/metrics.k8s.io/v1beta1", accept="application/json")
        assert set(document["paths"]) == {
            "/apis/metrics.k8s.io/v1beta1/nodes",
            "/apis/metrics.k8s.io/v1beta1/nodes/{name}",
            "/apis/metrics.k8s.io/v1beta1/pods",
            "/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods",
            "/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods/{name}",
        }
        assert {*document["paths"]["/apis/metrics.k8s.io/v1beta1/nodes"]} == {"get", "parameters"}
        schema = document["components"]["schemas"]["io.k8s.metrics.v1beta1.PodMetrics"]
        assert {*schema["properties"]} == {"apiVersion", "kind", "metadata", "timestamp", "window", "containers"}


async def test_discovery_and_tables() -> None:
    async with running() as api:
        groups = [group["name"] for group in (await api("GET", "/apis"))["groups"]]
        assert "metrics.k8s.io" in groups
        resources = (await api("GET", ROOT))["resources"]
        assert {(entry["name"], entry["kind"], entry["namespaced"]) for entry in resources} == {
            ("nodes", "NodeMetrics", False),
            ("pods", "PodMetrics", True),
        }
        accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
        response = await api.raw("GET", f"{ROOT}/namespaces/default/pods", accept=accept)
        assert isinstance(response.body, bytes)
        table = json.loads(response.body)
        assert [row["cells"] for row in table["rows"]] == [["web", "251000000n", "11264Ki", "10.500s"]]
