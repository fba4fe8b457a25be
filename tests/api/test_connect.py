"""Exec and port-forward before anything streams: who may, what is asked, and what is refused in which words."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from styr.api.admission.attributes import Attributes, Operation
from styr.api.admission.chain import Base
from styr.api.registry import ServedResource
from styr.api.server import ApiServer
from styr.api.store.commit import Store, Txn
from styr.kinds.errors import NotFound
from styr.kinds.seams import Forward, Run, StreamOptions, Terminal
from styr.kinds.transport import User
from styr.kit.clock import SystemClock
from tests.api.kit import ADMIN, Api, pod

ANN = User("ann", ("system:authenticated",))
WEB = "/api/v1/namespaces/default/pods/web"
SOCKET = {
    "upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-protocol": "v5.channel.k8s.io",
}  # fmt: skip
SPDY = {"upgrade": "SPDY/3.1", "connection": "Upgrade"}


class Node:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[StreamOptions] = []

    async def exec(self, namespace: str, name: str, uid: str, options: StreamOptions, /) -> Run:
        self.asked.append(options)
        if options.container == "gone":
            raise NotFound('unable to upgrade connection: container not found ("gone")')

        async def run(terminal: Terminal) -> int:
            return 0

        return run

    attach = exec

    async def forward(self, namespace: str, name: str, uid: str, /) -> Forward:
        raise NotFound("no such pod on this node")


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    store = Store.open(":memory:", SystemClock(), inline=True)
    server = ApiServer(store, clock=SystemClock(), random=random.Random(7), streams=Node())
    await server.start()
    made = Api(server)
    pods = "/api/v1/namespaces/default/pods"
    await made("POST", pods, pod("web", nodeName="n1"))
    await made("POST", pods, pod("waiting"))
    two = [{"name": name, "image": "x", "command": ["true"]} for name in ("one", "gone")]
    await made("POST", pods, pod("two", nodeName="n1", containers=two))
    yield made
    await store.close()


def asked(api: Api) -> list[StreamOptions]:
    node: Any = api.server._core.streams
    return list(node.asked)


async def call(api: Api, method: str, url: str, user: User = ADMIN, **headers: str) -> tuple[int, dict[str, Any]]:
    response = await Api(api.server, user).raw(
        method, url, **{key.replace("_", "-"): value for key, value in headers.items()}
    )
    assert isinstance(response.body, bytes)
    return response.status, json.loads(response.body) if response.body else dict(response.headers)


async def test_the_options_of_an_exec(api: Api) -> None:
    url = f"{WEB}/exec?command=sh&command=-c&command=a%20b&stdin=1&stdout=true&stderr=True&tty=0"
    status, headers = await call(api, "GET", url, **SOCKET)
    assert (status, headers["sec-websocket-protocol"]) == (101, "v5.channel.k8s.io")
    assert asked(api) == [StreamOptions("main", ("sh", "-c", "a b"), stdin=True, stdout=True, stderr=True)]
    await call(api, "GET", f"{WEB}/exec?command=sh&stdout=1&stderr=1&tty=1", **SOCKET)
    assert asked(api)[1] == StreamOptions("main", ("sh",), stdout=True, tty=True)


async def test_spdy_negotiates_its_own_protocols(api: Api) -> None:
    url = f"{WEB}/exec?command=sh&stdout=1"
    offered = {"x-stream-protocol-version": "v5.channel.k8s.io, v4.channel.k8s.io"}
    status, headers = await call(api, "POST", url, **SPDY, **offered)
    assert (status, headers["x-stream-protocol-version"]) == (101, "v4.channel.k8s.io")
    status, refused = await call(api, "POST", url, **SPDY, x_stream_protocol_version="v9.channel.k8s.io")
    assert (status, refused["message"].partition(":")[0]) == (403, "unable to upgrade")
    status, refused = await call(api, "POST", url, **SPDY)
    assert (status, refused["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("url", "status", "words"),
    [
        ("web/exec?stdout=1", 400, "at least one command"),
        ("web/exec?command=x", 400, "you must specify at least 1 of stdin, stdout, stderr"),
        ("web/exec?command=x&stdout=1&container=no", 400, "container no is not valid for pod web"),
        (
            "two/exec?command=x&stdout=1",
            400,
            "a container name must be specified for pod two, choose one of: [one gone]",
        ),
        ("two/exec?command=x&stdout=1&container=gone", 404, 'container not found ("gone")'),
        ("waiting/exec?command=x&stdout=1", 400, "pod waiting does not have a host assigned"),
        ("none/exec?command=x&stdout=1", 404, 'pods "none" not found'),
        ("web/portforward", 400, 'query parameter "ports" is required'),
        ("web/portforward?ports=0", 400, "unable to parse"),
        ("web/portforward?ports=80", 404, "no such pod on this node"),
    ],
)
async def test_refusals(api: Api, url: str, status: int, words: str) -> None:
    headers = {**SOCKET, "sec-websocket-protocol": "v4.channel.k8s.io"}
    found, body = await call(api, "GET", f"/api/v1/namespaces/default/pods/{url}", **headers)
    assert (found, body["status"]) == (status, "Failure")
    assert words in body["message"]


async def test_an_ordinary_request_is_told_so(api: Api) -> None:
    for method in ("GET", "POST"):
        status, body = await call(api, method, f"{WEB}/exec?command=x&stdout=1")
        assert (status, body["message"]) == (400, "Upgrade request required")
    status, _ = await call(api, "PUT", f"{WEB}/exec?command=x&stdout=1")
    assert status == 405


async def allow(api: Api, *verbs: str) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    rule = {"apiGroups": [""], "resources": ["pods/exec", "pods/portforward"], "verbs": list(verbs)}
    name = "-".join(verbs)
    await api("POST", f"{rbac}/roles", {"metadata": {"name": name}, "rules": [rule]})
    subject = {"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": name}, "roleRef": {"kind": "Role", "name": name}, "subjects": [subject]}
    await api("POST", f"{rbac}/rolebindings", binding)


async def test_reading_alone_runs_nothing(api: Api) -> None:
    """A WebSocket comes as GET, and needs the right to create all the same."""
    url = f"{WEB}/exec?command=x&stdout=1"
    status, body = await call(api, "GET", url, ANN, **SOCKET)
    assert (status, 'cannot get resource "pods/exec"' in body["message"]) == (403, True)
    await allow(api, "get")
    status, body = await call(api, "GET", url, ANN, **SOCKET)
    assert (status, 'cannot create resource "pods/exec"' in body["message"]) == (403, True)
    await allow(api, "create")
    assert (await call(api, "GET", url, ANN, **SOCKET))[0] == 101
    assert (await call(api, "POST", url, ANN, **SPDY, x_stream_protocol_version="v4.channel.k8s.io"))[0] == 101


class NoShells(Base):
    """Admission that lets nobody run a shell."""

    name = "NoShells"

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        return operation == "CONNECT"

    def validate(self, attributes: Attributes, txn: Txn, /) -> None:
        assert attributes.object is not None
        self.seen.append(dict(attributes.object))
        if attributes.object.get("command") == ["sh"]:
            raise attributes.forbidden("no shells")


async def test_admission_is_asked_about_connections() -> None:
    plugin = NoShells()
    store = Store.open(":memory:", SystemClock(), inline=True)
    server = ApiServer(store, clock=SystemClock(), random=random.Random(7), streams=Node(), plugins=[plugin])
    await server.start()
    api = Api(server)
    await api("POST", "/api/v1/namespaces/default/pods", pod("web", nodeName="n1"))
    status, body = await call(api, "GET", f"{WEB}/exec?command=sh&stdout=1", **SOCKET)
    assert (status, body["message"]) == (403, 'pods "web" is forbidden: no shells')
    assert (await call(api, "GET", f"{WEB}/exec?command=ls&command=-l&stdout=1", **SOCKET))[0] == 101
    assert (await call(api, "GET", f"{WEB}/attach?stdout=1&tty=1", **SOCKET))[0] == 101
    tunnel = {**SOCKET, "sec-websocket-protocol": "SPDY/3.1+portforward.k8s.io"}
    await call(api, "GET", f"{WEB}/portforward", **tunnel)
    assert plugin.seen == [
        {"kind": "PodExecOptions", "apiVersion": "v1", "stdout": True, "container": "main", "command": ["sh"]},
        {"kind": "PodExecOptions", "apiVersion": "v1", "stdout": True, "container": "main", "command": ["ls", "-l"]},
        {"kind": "PodAttachOptions", "apiVersion": "v1", "stdout": True, "tty": True, "container": "main"},
        {"kind": "PodPortForwardOptions", "apiVersion": "v1"},
    ]
    await store.close()
