"""Garbage collection and the deletion of namespaces, against the real server, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from styr.client.client import Client
from styr.controllers.garbage import FOREGROUND, ORPHAN, Verdict, plan
from styr.controllers.namespace import status
from styr.kinds import conditions, meta
from styr.kinds.errors import NotFound
from styr.kinds.resources import CONFIG_MAP, CRD, NAMESPACE, POD, SECRET, Object, Resource
from tests.simulation import virtual
from tests.simulation.world import World

WIDGET = Resource("example.com", "v1", "Widget", "widgets")
CLUSTER_WIDGET = Resource("example.com", "v1", "Gadget", "gadgets", namespaced=False)


def reference(owner: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": owner, **fields}


@pytest.mark.parametrize(
    ("states", "blocked", "finalizers", "verdict"),
    [
        ([], False, [], Verdict("keep")),
        (["solid"], False, [], Verdict("keep")),
        (["gone"], False, [], Verdict("delete", "Background")),
        (["gone", "gone"], False, [FOREGROUND], Verdict("delete", "Foreground")),
        (["gone"], False, [ORPHAN], Verdict("delete", "Orphan")),
        (["waiting"], False, [], Verdict("delete", "Background")),
        (["waiting", "gone"], True, [], Verdict("delete", "Foreground")),
        (["solid", "gone"], False, [], Verdict("unlink", keep=(reference("0"),))),
        (["waiting", "solid"], False, [], Verdict("unlink", keep=(reference("1"),))),
    ],
)
def test_what_to_do(states: list[str], blocked: bool, finalizers: list[str], verdict: Verdict) -> None:
    owners = [(reference(str(number)), state) for number, state in enumerate(states)]
    assert plan({"metadata": {"finalizers": finalizers}}, owners, blocked) == verdict


def run(test: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World(1)
        await world.start()
        world.calm()
        try:
            client = await world.user()
            assert world.manager is not None
            await asyncio.wait_for(world.manager.synced(), 60)
            await asyncio.sleep(5)
            await test(client)
        finally:
            await world.stop()

    virtual.run(main)


async def make(client: Client, name: str, *owners: Object, resource: Resource = CONFIG_MAP, **metadata: Any) -> Object:
    references = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": meta.name(owner),
            "uid": meta.uid(owner),
            "blockOwnerDeletion": True,
        }
        for owner in owners
    ]
    given = {"name": name, "ownerReferences": references, **metadata}
    if resource.namespaced:
        given.setdefault("namespace", "default")
    return await client.create(resource, {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": given})


async def there(client: Client, *names: str, resource: Resource = CONFIG_MAP) -> list[str]:
    found = await client.list(resource)
    return [name for name in names if name in {meta.name(obj) for obj in found.items}]


async def define(client: Client, resource: Resource) -> None:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    spec = {
        "group": resource.group,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "names": {"plural": resource.plural, "kind": resource.kind},
        "versions": [{"name": resource.version, "served": True, "storage": True, "schema": schema}],
    }
    await client.create(CRD, {"metadata": {"name": resource.group_resource}, "spec": spec})
    await asyncio.sleep(5)


def test_background_takes_a_whole_tree() -> None:
    async def test(client: Client) -> None:
        top = await make(client, "top")
        middle = await make(client, "middle", top)
        await make(client, "leaf", middle, resource=SECRET)
        await make(client, "other")
        await client.delete(CONFIG_MAP, "top", "default", propagation="Background")
        await asyncio.sleep(10)
        assert await there(client, "top", "middle", "other") == ["other"]
        assert await there(client, "leaf", resource=SECRET) == []

    run(test)


def test_foreground_waits_for_what_blocks() -> None:
    async def test(client: Client) -> None:
        top = await make(client, "top")
        await make(client, "held", top, finalizers=["example.com/hold"])
        await client.delete(CONFIG_MAP, "top", "default", propagation="Foreground")
        await asyncio.sleep(30)
        assert await there(client, "top", "held") == ["top", "held"]
        await client.patch(CONFIG_MAP, "held", "default", {"metadata": {"finalizers": None}})
        await asyncio.sleep(10)
        assert await there(client, "top", "held") == []

    run(test)


def test_orphan_leaves_the_dependents() -> None:
    async def test(client: Client) -> None:
        top = await make(client, "top")
        await make(client, "child", top)
        await client.delete(CONFIG_MAP, "top", "default", propagation="Orphan")
        await asyncio.sleep(10)
        assert await there(client, "top", "child") == ["child"]
        assert meta.owners(await client.get(CONFIG_MAP, "child", "default")) == []

    run(test)


def test_one_of_two_owners_is_enough() -> None:
    async def test(client: Client) -> None:
        one, two = await make(client, "one"), await make(client, "two")
        await make(client, "child", one, two)
        await client.delete(CONFIG_MAP, "one", "default")
        await asyncio.sleep(10)
        (left,) = meta.owners(await client.get(CONFIG_MAP, "child", "default"))
        assert left["name"] == "two"
        await client.delete(CONFIG_MAP, "two", "default")
        await asyncio.sleep(10)
        assert await there(client, "child") == []

    run(test)


def test_an_owner_that_never_was_or_is_elsewhere_is_none() -> None:
    async def test(client: Client) -> None:
        await client.create(NAMESPACE, {"metadata": {"name": "team"}})
        elsewhere = await make(client, "elsewhere", namespace="team")
        real = await make(client, "real")
        await make(client, "across", elsewhere)
        await make(client, "impostor", {**real, "metadata": {**real["metadata"], "uid": "of-an-earlier-life"}})
        await asyncio.sleep(10)
        assert await there(client, "real", "across", "impostor", "elsewhere") == ["real", "elsewhere"]

    run(test)


def test_an_owner_of_an_unknown_kind_deletes_nothing() -> None:
    async def test(client: Client) -> None:
        await make(
            client, "child", {"apiVersion": "nobody.knows/v1", "kind": "What", "metadata": {"name": "x", "uid": "y"}}
        )
        await asyncio.sleep(60)
        assert await there(client, "child") == ["child"]

    run(test)


def test_custom_kinds_own_and_are_owned_also_those_that_come_later() -> None:
    async def test(client: Client) -> None:
        await define(client, WIDGET)
        await define(client, CLUSTER_WIDGET)
        gadget = await make(client, "g", resource=CLUSTER_WIDGET)
        widget = await make(client, "w", gadget, resource=WIDGET)
        await make(client, "child", widget)
        await asyncio.sleep(10)
        assert await there(client, "child") == ["child"]
        await client.delete(CLUSTER_WIDGET, "g")
        await asyncio.sleep(10)
        assert await there(client, "w", resource=WIDGET) == []
        assert await there(client, "child") == []

    run(test)


def test_a_namespace_goes_with_all_kinds_in_it_and_tells_what_holds_it() -> None:
    async def test(client: Client) -> None:
        await define(client, WIDGET)
        await client.create(NAMESPACE, {"metadata": {"name": "team"}})
        await make(client, "w", resource=WIDGET, namespace="team", finalizers=["example.com/hold"])
        await make(client, "c", namespace="team")
        await client.delete(NAMESPACE, "team")
        await asyncio.sleep(20)
        found = await client.get(NAMESPACE, "team")
        assert found["status"]["phase"] == "Terminating"
        told = conditions.find(found["status"]["conditions"], "NamespaceFinalizersRemaining")
        assert told is not None
        assert "example.com/hold in 1 resource" in told["message"]
        assert await there(client, "c") == []
        await client.patch(WIDGET, "w", "team", {"metadata": {"finalizers": None}})
        await asyncio.sleep(20)
        with pytest.raises(NotFound):
            await client.get(NAMESPACE, "team")

    run(test)


def test_what_a_namespace_says() -> None:
    pod = {"metadata": {"name": "p", "finalizers": ["a", "b"]}}
    told = status({"metadata": {"name": "n"}}, {POD: [pod, pod], CONFIG_MAP: [{"metadata": {}}]}, "now")
    assert told["phase"] == "Terminating"
    failures = [condition["status"] for condition in told["conditions"] if condition["type"].endswith("Failure")]
    assert failures == ["False", "False", "False"]
    assert [condition["message"] for condition in told["conditions"] if condition["status"] == "True"] == [
        "Some resources are remaining: pods has 2 resource instances, configmaps has 1 resource instances",
        "Some content in the namespace has finalizers remaining: a in 2 resource instances, b in 2 resource instances",
    ]
