"""Acting as somebody else: each part is authorized by itself, and what comes out is exactly who was named."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from styr.api.filters.impersonation import acting
from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.kinds.errors import BadRequest, Forbidden
from styr.kinds.transport import ANONYMOUS, User
from styr.kit.clock import SystemClock
from styr.serving.authn import Authenticator
from styr.serving.http import serve

from .kit import ADMIN, Api, running

ANN = User("ann", ("system:authenticated",))
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def allow(*_: Any) -> None:
    """An authorizer."""


@pytest.mark.parametrize(
    ("headers", "user"),
    [
        ({}, ADMIN),
        ({"impersonate-user": "bob"}, User("bob", ("system:authenticated",))),
        (
            {"impersonate-user": "bob", "impersonate-group": "a,b\nc"},
            User("bob", ("a,b", "c", "system:authenticated")),
        ),
        (
            {"impersonate-user": "bob", "impersonate-group": "system:unauthenticated"},
            User("bob", ("system:unauthenticated",)),
        ),
        ({"impersonate-user": "system:anonymous"}, User("system:anonymous", ("system:unauthenticated",))),
        (
            {"impersonate-user": "system:serviceaccount:team:robot"},
            User(
                "system:serviceaccount:team:robot",
                ("system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated"),
            ),
        ),
        (
            {"impersonate-user": "system:serviceaccount:team:robot", "impersonate-group": "x"},
            User("system:serviceaccount:team:robot", ("x", "system:authenticated")),
        ),
        (
            {"impersonate-user": "system:serviceaccount:a:b:c"},
            User("system:serviceaccount:a:b:c", ("system:authenticated",)),
        ),
        (
            {
                "impersonate-user": "bob",
                "impersonate-uid": "7",
                "impersonate-extra-acme.com%2Fproject": "x\ny",
                "impersonate-extra-scopes": "view",
            },
            User("bob", ("system:authenticated",), "7", (("acme.com/project", ("x", "y")), ("scopes", ("view",)))),
        ),
    ],
)
def test_who_acts(headers: dict[str, str], user: User) -> None:
    assert acting(ADMIN, headers, allow) == user


@pytest.mark.parametrize(
    "headers", [{"impersonate-group": "a"}, {"impersonate-uid": "1"}, {"impersonate-extra-x": "y"}]
)
def test_nobody_in_particular_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadRequest, match="without impersonating a user"):
        acting(ADMIN, headers, allow)
    with pytest.raises(BadRequest, match="at most"):
        acting(ADMIN, {"impersonate-user": "a", "impersonate-group": "\n" * 2000}, allow)


async def test_each_part_needs_its_own_right() -> None:
    async with running() as api:
        ann = Api(api.server, ANN)
        rules: list[dict[str, Any]] = []
        await api("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "as"}, "rules": rules})
        subject = {"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}
        role = {"kind": "ClusterRole", "name": "as", "apiGroup": "rbac.authorization.k8s.io"}
        body = {"metadata": {"name": "as"}, "subjects": [subject], "roleRef": role}
        await api("POST", f"{RBAC}/clusterrolebindings", body)
        headers = {
            "impersonate-user": "bob",
            "impersonate-group": "dev",
            "impersonate-extra-scopes": "view",
            "impersonate-uid": "7",
        }
        for group, resource, name, words in (
            ("", "users", "bob", 'users "bob" is forbidden: User "ann" cannot impersonate resource "users"'),
            ("", "groups", "dev", 'groups "dev" is forbidden: User "ann" cannot impersonate resource "groups"'),
            ("authentication.k8s.io", "userextras/scopes", "view", 'cannot impersonate resource "userextras/scopes"'),
            ("authentication.k8s.io", "uids", "7", 'uids.authentication.k8s.io "7" is forbidden'),
        ):
            response = await ann.raw("GET", "/version", b"", "", **headers)
            assert isinstance(response.body, bytes)
            found = json.loads(response.body)
            assert response.status == 403
            assert words in found["message"]
            rules.append(
                {"apiGroups": [group], "resources": [resource], "resourceNames": [name], "verbs": ["impersonate"]}
            )
            await api("PUT", f"{RBAC}/clusterroles/as", {"metadata": {"name": "as"}, "rules": rules})
        whoami = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        answer = await ann("POST", whoami, {}, **headers)
        assert answer["status"]["userInfo"] == {
            "username": "bob",
            "uid": "7",
            "groups": ["dev", "system:authenticated"],
            "extra": {"scopes": ["view"]},
        }
        # What bob may is what counts, not what ann may.
        response = await api.raw("GET", "/api/v1/namespaces/default/pods", **{"impersonate-user": "bob"})
        assert response.status == 403
        with pytest.raises(Forbidden):
            acting(ANONYMOUS, {"impersonate-user": "root"}, api.server.rbac)


async def test_repeated_headers_over_the_wire() -> None:
    store = Store.open(":memory:", SystemClock(), inline=True)
    api = ApiServer(store, clock=SystemClock(), random=random.Random(1))
    await api.start()
    server = await serve(api, tls=None, authenticate=Authenticator({"tok": ADMIN}))
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"POST /apis/authentication.k8s.io/v1/selfsubjectreviews HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer tok\r\n"
            b"Impersonate-User: bob\r\nImpersonate-Group: a,b\r\nImpersonate-Group: c\r\nConnection: close\r\n"
            b"Content-Length: 2\r\n\r\n{}"
        )
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        assert json.loads(body)["status"]["userInfo"]["groups"] == ["a,b", "c", "system:authenticated"]
        writer.close()
    finally:
        await server.close()
        await store.close()
