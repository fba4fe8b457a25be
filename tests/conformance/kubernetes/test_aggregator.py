"""A group and version that another server serves: a second Styr plays the sample API server."""

from __future__ import annotations

import base64
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from styr.api import pki
from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.kinds.transport import Request, Response
from styr.kit.clock import SystemClock
from styr.serving.authn import Authenticator
from styr.serving.http import serve
from tests.api.kit import ADMIN
from tests.conformance.kubernetes.client import Kube, Object, eventually
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import ANYTHING, define

GROUP, VERSION = "wardle.example.com", "v1alpha1"
NAME = f"{VERSION}.{GROUP}"
REGISTRATION = "apiregistration.k8s.io/v1"


def flunders() -> Object:
    names = {"plural": "flunders", "singular": "flunder", "kind": "Flunder", "listKind": "FlunderList"}
    shape = {"name": VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": ANYTHING}}
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [shape]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"flunders.{GROUP}"},
        "spec": spec,
    }


@asynccontextmanager
async def sample_server(folder: Path, namespace: str, names: list[str]) -> AsyncIterator[tuple[int, str]]:
    """(port, CA as base64). It believes the front proxy's word; `names` are the users that it was told."""
    clock = SystemClock()
    keys = pki.ensure(folder / "sample", clock, (f"sample-api.{namespace}.svc",))
    store = Store.open(":memory:", clock)
    inner = ApiServer(store, clock=clock, random=random.Random(3))
    await inner.start()
    await define(Kube(inner, ADMIN), flunders())
    await (
        Kube(inner, ADMIN)
        .of("v1", "namespaces")
        .create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    )

    async def handler(request: Request) -> Response:
        if told := request.headers.get("x-remote-user"):
            names.append(told)
        headers = {key: value for key, value in request.headers.items() if key != "authorization"}
        return await inner(replace(request, user=ADMIN, headers=headers))

    context = keys.context()
    context.verify_mode = ssl.CERT_NONE  # whose certificate it is, the tests of aggregation ask
    listener = await serve(handler, tls=context, authenticate=Authenticator())
    try:
        yield listener.port, base64.b64encode(keys.ca.read_bytes()).decode()
    finally:
        await listener.close(grace=0)
        await inner.stop()
        await store.close()


def registration(namespace: str, port: int, ca: str, **labels: str) -> Object:
    service = {"namespace": namespace, "name": "sample-api", "port": port}
    spec = {"group": GROUP, "version": VERSION, "service": service, "caBundle": ca}
    metadata = {"name": NAME, "labels": labels}
    priorities = {"groupPriorityMinimum": 2000, "versionPriority": 200}
    return {"apiVersion": REGISTRATION, "kind": "APIService", "metadata": metadata, "spec": {**spec, **priorities}}


def told(obj: Object, type: str) -> Object:
    return next((each for each in (obj.get("status") or {}).get("conditions") or () if each["type"] == type), {})


@behaviour("aggregator-supports-the-sample-apiserver")
async def test_another_server_serves_a_group(kube: Kube, namespace: str, tmp_path: Path) -> None:
    services, registrations = kube.of("v1", "services", namespace), kube.of(REGISTRATION, "apiservices")
    names: list[str] = []
    async with sample_server(tmp_path, namespace, names) as (port, ca):
        spec = {"type": "ExternalName", "externalName": "127.0.0.1", "ports": [{"port": port}]}
        await services.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "sample-api"}, "spec": spec})
        await registrations.create(registration(namespace, port, ca, e2e=namespace))
        found = await registrations.until(NAME, lambda obj: told(obj, "Available").get("status") == "True", "available")
        assert told(found, "Available")["message"] == "all checks passed"
        await _flunders(kube, namespace)
        assert kube.user.name in names
        await _registration(registrations)
        await registrations.delete_all(f"e2e={namespace}")
        await registrations.until_gone(NAME)

    async def forgotten() -> bool:
        return (await kube.send("GET", f"/apis/{GROUP}/{VERSION}/flunders")).status == 404

    await eventually(forgotten, "no longer served")


async def _flunders(kube: Kube, namespace: str) -> None:
    """Discovery, create, list, watch, delete, all at the other server."""
    objects = kube.of(f"{GROUP}/{VERSION}", "flunders", namespace)

    async def discovered() -> bool:
        return GROUP in [each["name"] for each in (await kube.read("/apis"))["groups"]]

    await eventually(discovered, "in discovery")
    assert "flunders" in [each["name"] for each in (await kube.read(f"/apis/{GROUP}/{VERSION}"))["resources"]]
    body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Flunder", "metadata": {"name": "test-flunder"}}
    made = await objects.create(body)
    assert (made["apiVersion"], made["kind"], made["metadata"]["name"]) == (
        body["apiVersion"],
        "Flunder",
        "test-flunder",
    )
    listed = await objects.list()
    assert [each["metadata"]["name"] for each in listed["items"]] == ["test-flunder"]
    async with objects.watching(resourceVersion=listed["metadata"]["resourceVersion"]) as watch:
        await objects.delete("test-flunder")
        assert (await watch.wait("DELETED")).name == "test-flunder"
    assert await objects.names() == []


async def _registration(registrations: Any) -> None:
    """The APIService is an object like others, with a status like others."""
    before = await registrations.get(NAME, "status")
    patched = await registrations.patch(NAME, {"spec": {"versionPriority": 400}})
    assert patched["spec"]["versionPriority"] == 400
    assert int(patched["metadata"]["resourceVersion"]) > int(before["metadata"]["resourceVersion"])
    assert NAME in await registrations.names()
    await registrations.patch(NAME, {"metadata": {"labels": {"apiservice": "patched"}}})
    assert await registrations.names("apiservice=patched") == [NAME]
    said = {"type": "StatusUpdated", "status": "True", "reason": "E2E", "message": "Set by a test"}

    def tell(obj: Object) -> None:
        obj["status"].setdefault("conditions", []).append(said)

    updated = await registrations.change(NAME, tell, "status")
    assert told(updated, "StatusUpdated")["message"] == "Set by a test"
    conditions = [*updated["status"]["conditions"], {**said, "type": "StatusPatched"}]
    patched = await registrations.patch(NAME, {"status": {"conditions": conditions}}, "status")
    assert told(patched, "StatusPatched")["reason"] == "E2E"

    def relabel(obj: Object) -> None:
        obj["metadata"]["labels"]["apiservice"] = "updated"

    assert (await registrations.change(NAME, relabel))["metadata"]["labels"]["apiservice"] == "updated"
