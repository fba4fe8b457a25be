"""APIServices: groups and versions that another server serves, and those of this one."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from styr.api import pki
from styr.api.aggregation.proxy import FrontProxy, identity
from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.kinds.errors import Forbidden
from styr.kinds.transport import Request, Response, User
from styr.kit.clock import SystemClock
from styr.serving.authn import Authenticator
from styr.serving.http import serve
from tests.api import kit
from tests.api.kit import ADMIN, MERGE_PATCH, Api

SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
ROOT = "/apis/wardle.example.com/v1alpha1"
FLUNDERS = f"{ROOT}/namespaces/default/flunders"
NAME = "v1alpha1.wardle.example.com"
RESOURCES = [
    {"name": "flunders", "singularName": "flunder", "namespaced": True, "kind": "Flunder", "verbs": ["get", "list"]},
    {"name": "flunders/status", "singularName": "", "namespaced": True, "kind": "Flunder", "verbs": ["get"]},
    {"name": 5},
]


def told(name: str, **more: Any) -> Any:
    schema = {"$ref": f"#/definitions/{name}"}
    operation = {"operationId": f"read{name}", "responses": {"200": {"description": "OK", "schema": schema}}, **more}
    return {"get": operation, "parameters": [{"$ref": "#/parameters/pretty-x"}]}


PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
OPENAPI: Any = {
    "swagger": "2.0",
    "info": {"title": "Wardle", "version": "0.1"},
    "paths": {
        f"{ROOT}/": told("List", description="get available resources"),
        f"{ROOT}/namespaces/{{namespace}}/flunders": told("Flunder"),
        "/apis/": told("Secret"),
        "/api/v1/namespaces/{namespace}/secrets": told("Secret"),
    },
    "definitions": {
        "Flunder": {"properties": {"metadata": {"$ref": f"#/definitions/{META}"}}},
        "List": {
            "type": "object",
            "properties": {"items": {"type": "array", "items": {"$ref": "#/definitions/Flunder"}}},
        },
        META: {"description": "theirs"},
        "Secret": {"type": "object"},
    },
    "parameters": {"pretty-x": {"name": "pretty", "in": "query", "type": "string", "uniqueItems": True}},
}


class Extension:
    """Another API server, as far as ours can tell."""

    def __init__(self) -> None:
        self.port = 0
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.certificates: list[Any] = []
        self.healthy = True
        self.openapi: Any = OPENAPI

    async def __call__(self, request: Request) -> Response:
        assert isinstance(request.body, bytes)
        if request.user is not None and request.user.name == "front-proxy-client":
            self.certificates.append(request.user.name)
        headers = {"content-type": "application/json"}
        if request.path == "/openapi/v2":
            return Response(200, json.dumps(self.openapi).encode(), headers)
        if request.path == ROOT:
            if not self.healthy:
                return Response(500, b"ill")
            body = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": ROOT[6:], "resources": RESOURCES}
            return Response(200, json.dumps(body).encode(), headers)
        self.seen.append((request.method, request.target, dict(request.headers), request.body))
        if request.param("watch"):
            return Response(200, self.stream(), headers)
        if request.path.endswith("/missing"):
            return Response(404, b'{"kind":"Status","code":404}', headers)
        return Response(200, json.dumps({"kind": "FlunderList", "items": []}).encode(), headers)

    async def stream(self) -> AsyncIterator[bytes]:
        for name in ("one", "two"):
            yield json.dumps({"type": "ADDED", "object": {"metadata": {"name": name}}}).encode() + b"\n"


@asynccontextmanager
async def together(folder: Path, **spec: Any) -> AsyncIterator[tuple[Api, Extension]]:
    clock = SystemClock()
    theirs = pki.ensure(folder / "theirs", clock, ("wardle.default.svc",))
    front = pki.front_proxy(folder / "front", clock)
    context = theirs.context()
    context.load_verify_locations(cadata=front.authority)
    extension = Extension()
    listener = await serve(extension, port=0, tls=context, authenticate=Authenticator())
    extension.port = listener.port
    store = Store.open(":memory:", clock, inline=True)
    server = ApiServer(store, clock=clock, random=random.Random(7), front=front)
    await server.start()
    api = Api(server)
    try:
        bundle = base64.b64encode(theirs.ca.read_bytes()).decode()
        await expose(api, extension.port)
        await api("POST", SERVICES, api_service(caBundle=bundle) if not spec else api_service(**spec))
        yield api, extension
    finally:
        await server.stop()
        await store.close()
        await listener.close(grace=0)


def api_service(**more: Any) -> dict[str, Any]:
    service = {"name": "wardle", "namespace": "default"}
    spec = {"group": "wardle.example.com", "version": "v1alpha1", "service": service}
    return {"metadata": {"name": NAME}, "spec": {**spec, "groupPriorityMinimum": 2000, "versionPriority": 200, **more}}


async def expose(api: Api, port: int) -> None:
    spec = {"ports": [{"port": 443}]}
    await api("POST", "/api/v1/namespaces/default/services", {"metadata": {"name": "wardle"}, "spec": spec})
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    await api(
        "POST",
        slices,
        {
            "metadata": {"name": "wardle-1", "labels": {"kubernetes.io/service-name": "wardle"}},
            "addressType": "IPv4",
            "ports": [{"name": "", "port": port}],
            "endpoints": [{"addresses": ["127.0.0.1"]}],
        },
    )


async def condition(api: Api, reason: str) -> Any:
    """The condition, once it has this reason."""
    query = f"watch=1&fieldSelector=metadata.name={NAME}"
    async with asyncio.timeout(20), api.watching(f"{SERVICES}?{query}") as events:
        async for event in events:
            found = (event["object"].get("status") or {}).get("conditions") or [{}]
            if found[0].get("reason") == reason:
                return found[0]
    raise AssertionError("the watch ended")


async def test_requests_go_to_the_other_server_as_who_asks(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, extension):
        told = await condition(api, "Passed")
        assert (told["status"], told["message"]) == ("True", "all checks passed")
        extra = (("Scopes/x", ("a", "b")),)
        jane = Api(api.server, User("jäne", ("system:masters", "dev"), "u1", extra))
        sneaky = {"x-remote-user": "root", "x-remote-extra-a": "b", "authorization": "Bearer t", "impersonate-x": "y"}
        body = {"metadata": {"name": "a b"}}
        response = await jane.raw("POST", f"{FLUNDERS}?fieldManager=me%20too", body, **sneaky)
        assert response.status == 200
        method, target, headers, sent = extension.seen[-1]
        assert (method, json.loads(sent)) == ("POST", body)
        assert target == f"{FLUNDERS}?fieldManager=me+too"
        remote = {key: value for key, value in headers.items() if key.startswith("x-remote")}
        assert remote == {
            "x-remote-user": "jäne".encode().decode("latin-1"),
            "x-remote-uid": "u1",
            "x-remote-group": "system:masters,dev",
            "x-remote-extra-scopes%2fx": "a,b",
        }
        assert "authorization" not in headers
        assert extension.certificates
        assert (await api.raw("GET", f"{FLUNDERS}/missing")).status == 404


async def test_streams_come_as_they_are_sent(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, _):
        await condition(api, "Passed")
        async with api.watching(f"{FLUNDERS}?watch=1") as events:
            assert [event["object"]["metadata"]["name"] async for event in events] == ["one", "two"]


async def test_rights_are_checked_here(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, extension):
        await condition(api, "Passed")
        stranger = Api(api.server, User("stranger", ("system:authenticated",)))
        refused = await stranger("GET", FLUNDERS, want=403)
        assert 'cannot list resource "flunders" in API group "wardle.example.com"' in refused["message"]
        assert extension.seen == []


async def test_discovery_tells_of_it(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, _):
        await condition(api, "Passed")
        groups = {group["name"]: group for group in (await api("GET", "/apis"))["groups"]}
        assert groups["wardle.example.com"]["preferredVersion"]["version"] == "v1alpha1"
        response = await api.raw("GET", ROOT)
        assert not isinstance(response.body, bytes)
        assert json.loads(b"".join([part async for part in response.body]))["resources"][0]["name"] == "flunders"
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        response = await api.raw("GET", "/apis", accept=accept)
        assert isinstance(response.body, bytes)
        found = next(g for g in json.loads(response.body)["items"] if g["metadata"]["name"] == "wardle.example.com")
        (resource,) = found["versions"][0]["resources"]
        assert (resource["resource"], resource["scope"]) == ("flunders", "Namespaced")
        assert [sub["subresource"] for sub in resource["subresources"]] == ["status"]
        index = await api("GET", "/openapi/v3")
        assert index["paths"]["apis/wardle.example.com/v1alpha1"]["serverRelativeURL"] == f"/openapi/v3{ROOT}"
        await api("DELETE", f"{SERVICES}/{NAME}")
        assert "wardle.example.com" not in [group["name"] for group in (await api("GET", "/apis"))["groups"]]
        await api("GET", FLUNDERS, want=404)


async def test_openapi_v2_tells_of_it(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, extension):
        await condition(api, "Passed")
        found = await api("GET", "/openapi/v2")
        assert [path for path in found["paths"] if "wardle" in path] == [
            f"{ROOT}/",
            f"{ROOT}/namespaces/{{namespace}}/flunders",
        ]
        assert "/apis/" in found["paths"]
        assert found["definitions"]["Flunder"] == OPENAPI["definitions"]["Flunder"]
        assert found["definitions"][META]["description"] != "theirs"
        assert "Secret" not in found["definitions"]
        assert found["parameters"]["pretty-x"]["name"] == "pretty"
        accept = PROTOBUF
        response = await api.raw("GET", "/openapi/v2", accept=accept)
        assert isinstance(response.body, bytes)
        assert b"flunders" in response.body
        tag = response.headers["etag"]
        assert (await api.raw("GET", "/openapi/v2", accept=accept, **{"if-none-match": tag})).status == 304
        assert [path for _, path, _, _ in extension.seen].count("/openapi/v2") == 0
        await api("DELETE", f"{SERVICES}/{NAME}")
        assert not [path for path in (await api("GET", "/openapi/v2"))["paths"] if "wardle" in path]
        assert (await api.raw("GET", "/openapi/v2", accept=accept, **{"if-none-match": tag})).status == 200


@pytest.mark.parametrize(
    "change",
    [
        [],
        {"paths": 5},
        {"paths": {f"{ROOT}/x": 5}},
        {"paths": {f"{ROOT}/x": {"get": {"responses": 7, "parameters": {"a": "b"}}}}},
        {"definitions": {}},
        {"definitions": {"Flunder": [1]}},
        {"definitions": {"Flunder": {"properties": {"a": {"$ref": "http://elsewhere/x"}}}}},
        {"definitions": {"Flunder": {"properties": {"a": {"type": {"b": "c"}}}, "required": "x"}}},
    ],
)
async def test_openapi_of_nonsense_is_left_out(tmp_path: Path, change: Any) -> None:
    async with together(tmp_path) as (api, extension):
        extension.openapi = {**OPENAPI, **change} if isinstance(change, dict) else change
        await condition(api, "Passed")
        found = await api("GET", "/openapi/v2")
        assert "Secret" not in found["definitions"]
        assert not [path for path in found["paths"] if "wardle" in path]
        response = await api.raw("GET", "/openapi/v2", accept=PROTOBUF)
        assert response.status == 200


async def test_what_is_the_matter_with_it(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, extension):
        await condition(api, "Passed")
        services, slices = (
            "/api/v1/namespaces/default/services",
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        )
        extension.healthy = False
        await api("PATCH", f"{SERVICES}/{NAME}", {"spec": {"versionPriority": 400}}, type=MERGE_PATCH)
        told = await condition(api, "FailedDiscoveryCheck")
        assert "bad status from https://wardle.default.svc:443/apis/wardle.example.com/v1alpha1: 500" in told["message"]
        response = await api.raw("GET", FLUNDERS)
        assert (response.status, response.body) == (503, b"service unavailable\n")
        extension.healthy = True
        await condition(api, "Passed")  # what is ill is looked at again soon
        await api("DELETE", f"{slices}/wardle-1")
        assert "have no addresses with port name" in (await condition(api, "MissingEndpoints"))["message"]
        await api("PATCH", f"{services}/wardle", {"spec": {"ports": [{"port": 80}]}}, type=MERGE_PATCH)
        assert "is not listening on port 443" in (await condition(api, "ServicePortError"))["message"]
        await api("DELETE", f"{services}/wardle")
        assert (await condition(api, "ServiceNotFound"))["message"] == 'service/wardle in "default" is not present'


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    async with together(tmp_path, caBundle="") as (api, extension):
        await condition(api, "Passed")  # as in Kubernetes: only requests of users need a certificate that is trusted
        response = await api.raw("GET", FLUNDERS)
        assert response.status == 503
        assert b"x509: certificate signed by unknown authority" in response.body  # type: ignore[operator]
        assert extension.seen == []
    async with together(tmp_path, insecureSkipTLSVerify=True) as (api, extension):
        await condition(api, "Passed")
        assert (await api.raw("GET", FLUNDERS)).status == 200


async def test_what_this_server_serves_itself() -> None:
    async with kit.running() as api:
        found = {item["metadata"]["name"]: item for item in (await api("GET", SERVICES))["items"]}
        assert {"v1.", "v1.apps", "v2.autoscaling", "v1.apiregistration.k8s.io"} <= set(found)
        assert found["v1.apps"]["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
        assert found["v1.apps"]["spec"] == {
            "group": "apps",
            "version": "v1",
            "groupPriorityMinimum": 17800,
            "versionPriority": 15,
        }
        (told,) = found["v1."]["status"]["conditions"]
        assert (told["type"], told["status"], told["reason"]) == ("Available", "True", "Local")


async def test_definitions_bring_theirs_along() -> None:
    async with kit.running() as api:
        schema = {"openAPIV3Schema": {"type": "object"}}
        crd = {
            "metadata": {"name": "things.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"plural": "things", "kind": "Thing"},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            },
        }
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        async with (
            asyncio.timeout(10),
            api.watching(f"{SERVICES}?watch=1&fieldSelector=metadata.name=v1.example.com") as events,
        ):
            await api("POST", definitions, crd)
            event = await anext(events)
            assert event["object"]["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "true"}
            await api("DELETE", f"{SERVICES}/v1.example.com")
            assert [(await anext(events))["type"], (await anext(events))["type"]] == ["DELETED", "ADDED"]
            await api("DELETE", f"{definitions}/things.example.com")
            assert (await anext(events))["type"] == "DELETED"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metadata": {"name": "other"}}, 'must be `spec.version+"."+spec.group`'),
        ({"spec": {"versionPriority": 0}}, "must be positive and less than 1000"),
        ({"spec": {"groupPriorityMinimum": 20001}}, "must be positive and less than 20000"),
        ({"spec": {"insecureSkipTLSVerify": True, "caBundle": "eA=="}}, "may not be true if caBundle is present"),
        ({"spec": {"service": {"name": "", "namespace": "b"}}}, "Required value"),
        ({"spec": {"service": None, "caBundle": "eA=="}}, "local APIServices may not have a caBundle"),
    ],
)
async def test_an_api_service_is_validated(change: dict[str, Any], message: str) -> None:
    async with kit.running() as api:
        body = api_service()
        for part, values in change.items():
            body[part] = {**body[part], **values}
        assert message in (await api("POST", SERVICES, body, want=422))["message"]


def test_names_that_would_break_out_of_a_header() -> None:
    with pytest.raises(Forbidden):
        identity(User("a\r\nx-remote-group: system:masters"))
    assert identity(ADMIN)[0] == ("x-remote-user", "admin")


def test_the_front_proxys_certificate_is_renewed_in_time(tmp_path: Path) -> None:
    class Later(SystemClock):
        def time(self) -> float:
            return super().time() + 340 * 86400

    first = pki.front_proxy(tmp_path, SystemClock())
    assert isinstance(first, FrontProxy)
    old = first.certificate.read_bytes()
    assert pki.front_proxy(tmp_path, SystemClock()).certificate.read_bytes() == old
    later = pki.front_proxy(tmp_path, Later())
    assert later.authority == first.authority
    assert later.certificate.read_bytes() != old
    context = ssl.create_default_context(cadata=later.authority)
    context.load_cert_chain(later.certificate, later.key)
