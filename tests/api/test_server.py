"""The server around the verbs: who may, what is mounted, what it starts with, logs, reviews, unknown paths."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.kinds.errors import NotFound
from styr.kinds.seams import LogOptions
from styr.kinds.transport import ANONYMOUS, Request, Response, User
from styr.kit.clock import SystemClock
from tests.api.kit import MERGE_PATCH, Api, config, pod, running

MAPS = "/api/v1/namespaces/default/configmaps"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ANN = User("ann", ("system:authenticated",))


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as found:
        yield found


async def bind(api: Api, role: str) -> None:
    body = {
        "metadata": {"name": f"ann-{role}"},
        "roleRef": {"kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": "ann"}],
    }
    await api("POST", f"{RBAC}/namespaces/default/rolebindings", body)


async def test_it_starts_with_namespaces_and_roles_once(tmp_path: Path) -> None:
    async with running(tmp_path / "store.db") as api:
        first = await api("GET", "/api/v1/namespaces")
        assert {item["metadata"]["name"] for item in first["items"]} == {
            "default",
            "kube-system",
            "kube-public",
            "kube-node-lease",
            "styr-system",
        }
        revision = api.server.store.revision
    async with running(tmp_path / "store.db") as api:
        assert api.server.store.revision == revision


async def test_rights_follow_roles_at_once(api: Api) -> None:
    ann = Api(api.server, ANN)
    refused = await ann("GET", MAPS, want=403)
    assert refused["message"].startswith('configmaps is forbidden: User "ann" cannot list resource "configmaps"')
    await bind(api, "view")
    assert (await ann("GET", MAPS))["items"] == []
    await ann("POST", MAPS, config("a"), want=403)
    await ann("GET", "/api/v1/configmaps", want=403)
    await bind(api, "edit")
    await ann("POST", MAPS, config("a"))
    await api("DELETE", f"{RBAC}/namespaces/default/rolebindings/ann-edit")
    await ann("DELETE", f"{MAPS}/a", want=403)


async def test_nobody_hands_out_rights_they_lack(api: Api) -> None:
    await bind(api, "admin")
    ann = Api(api.server, ANN)
    roles = f"{RBAC}/namespaces/default/roles"
    own = {"metadata": {"name": "own"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
    await ann("POST", roles, own)
    more = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["*"]}]
    await ann("POST", roles, {"metadata": {"name": "more"}, "rules": more}, want=403)
    await ann("PATCH", f"{roles}/own", {"rules": more}, type=MERGE_PATCH, want=403)
    assert (await api("GET", f"{roles}/own"))["rules"] == own["rules"]


async def test_strangers_see_only_health_and_version(api: Api) -> None:
    stranger = Api(api.server, ANONYMOUS)
    for path in ("/livez", "/readyz", "/version"):
        assert (await stranger.raw("GET", path)).status == 200
    assert (await stranger("GET", MAPS, want=403))["reason"] == "Forbidden"
    assert (await stranger("GET", "/apis", want=403))["reason"] == "Forbidden"


async def test_a_mounted_handler(api: Api) -> None:
    async def git(request: Request) -> Response:
        return Response(200, request.path.encode())

    api.server.mount("/git", git)
    assert (await api.raw("GET", "/git/a.git/info/refs")).body == b"/git/a.git/info/refs"
    asked = await Api(api.server, ANONYMOUS).raw("GET", "/git/a.git/info/refs")
    assert (asked.status, asked.headers["www-authenticate"]) == (401, 'Basic realm="styr"')
    assert (await Api(api.server, ANN).raw("GET", "/git/a.git/info/refs")).status == 403


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/apis/none.example.com/v1/xs", 404),
        ("GET", "/api/v1/namespaces/default/pods/p/nothing", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", "/api/v1/pods/p", 404),
        ("GET", "/api/v1//pods", 404),
        ("GET", "/api/v1/namespaces/default/pods/a/b/c/d", 404),
        ("POST", "/api/v1/pods", 405),
        ("PUT", MAPS, 405),
        ("BREW", MAPS, 405),
        ("POST", "/version", 405),
        ("PUT", "/api/v1/namespaces/default/pods/p/log", 405),
    ],
)
async def test_what_there_is_not(api: Api, method: str, path: str, code: int) -> None:
    answer = await api(method, path, want=code)
    assert (answer["kind"], answer["code"]) == ("Status", code)


async def test_reviews(api: Api) -> None:
    ask = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert (await api("POST", path, ask))["status"]["allowed"] is True
    assert (await Api(api.server, ANN)("POST", path, ask))["status"]["allowed"] is False
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    assert (await api("POST", path, ask, accept=table, want=406))["reason"] == "NotAcceptable"


async def test_logs_come_from_the_node() -> None:
    asked: list[LogOptions] = []
    ended = 0

    async def logs(namespace: str, name: str, uid: str, options: LogOptions, /) -> AsyncIterator[bytes]:
        nonlocal ended
        asked.append(options)
        try:
            if options.previous:
                raise NotFound("no previous container")
            yield b"one\n"
            yield b"two\n"
        finally:
            ended += 1

    store = Store.open(":memory:", SystemClock(), inline=True)
    server = ApiServer(store, clock=SystemClock(), random=random.Random(1), logs=logs)
    await server.start()
    api = Api(server)
    pods = "/api/v1/namespaces/default/pods"
    await api("POST", pods, pod("p"))
    response = await api.raw("GET", f"{pods}/p/log?follow=True&tailLines=5")
    assert b"".join([part async for part in response.body]) == b"one\ntwo\n"  # type: ignore[union-attr]
    assert asked == [LogOptions(container="main", follow=True, tail_lines=5)]
    assert (await api("GET", f"{pods}/p/log?previous=1", want=404))["message"] == "no previous container"
    unread = await api.raw("GET", f"{pods}/p/log")
    await unread.body.aclose()  # type: ignore[union-attr]
    assert ended == 3
    await api("GET", f"{pods}/p/log?container=none", want=400)
    await api("GET", f"{pods}/none/log", want=404)
    await api("GET", f"{pods}/p/log?tailLines=x", want=400)
    await store.close()
