"""What `Client` promises, over every transport."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from styr.client.client import Client
from styr.client.discovery import resource_of, served
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists, BadRequest, Conflict, Expired, Invalid, NotFound
from styr.kinds.resources import CONFIG_MAP, CRD, DEPLOYMENT, NAMESPACE, NODE, POD, Object
from tests.contracts.conftest import Server

DEADLINE = 20


def config(name: str, namespace: str = "default", **data: str) -> Object:
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"n": name}}, "data": data}


def pod(name: str) -> Object:
    spec = {"containers": [{"name": "main", "image": "styr.dev/host", "command": ["true"]}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


async def test_create_get_update_patch_delete(client: Client) -> None:
    made = await client.create(CONFIG_MAP, config("a", key="1"))
    assert (made["kind"], made["apiVersion"], made["data"]) == ("ConfigMap", "v1", {"key": "1"})
    assert await client.get(CONFIG_MAP, "a", "default") == made
    changed = await client.update(CONFIG_MAP, {**made, "data": {"key": "2"}})
    assert int(meta.resource_version(changed)) > int(meta.resource_version(made))
    merged = await client.patch(CONFIG_MAP, "a", "default", {"data": {"key": None, "more": "3"}})
    assert merged["data"] == {"more": "3"}
    by_json = await client.patch(CONFIG_MAP, "a", "default", [{"op": "replace", "path": "/data/more", "value": "4"}])
    assert by_json["data"] == {"more": "4"}
    await client.delete(CONFIG_MAP, "a", "default")
    with pytest.raises(NotFound) as caught:
        await client.get(CONFIG_MAP, "a", "default")
    assert 'configmaps "a" not found' in str(caught.value)


async def test_errors_are_the_api_s_own(client: Client) -> None:
    made = await client.create(CONFIG_MAP, config("a"))
    with pytest.raises(AlreadyExists):
        await client.create(CONFIG_MAP, config("a"))
    await client.update(CONFIG_MAP, {**made, "data": {"x": "y"}})
    with pytest.raises(Conflict):
        await client.update(CONFIG_MAP, {**made, "data": {"x": "z"}})
    with pytest.raises(Conflict):
        await client.delete(CONFIG_MAP, "a", "default", uid="another")
    with pytest.raises(Invalid) as caught:
        await client.create(POD, {**pod("p"), "spec": {"containers": []}})
    assert caught.value.causes
    with pytest.raises(BadRequest):
        await client.list(POD, labels="=nonsense=")
    for name in ("", "a/b"):
        with pytest.raises(BadRequest):
            await client.get(POD, name, "default")


async def test_list_follows_pages_and_fills_in_kinds(client: Client) -> None:
    for number in range(7):
        await client.create(CONFIG_MAP, config(f"c{number}"))
    whole = await client.list(CONFIG_MAP, "default")
    paged = await client.list(CONFIG_MAP, "default", limit=2)
    assert [meta.name(obj) for obj in paged.items] == [f"c{number}" for number in range(7)]
    assert paged.items == whole.items
    assert {(obj["apiVersion"], obj["kind"]) for obj in whole.items} == {("v1", "ConfigMap")}
    assert [meta.name(obj) for obj in (await client.list(CONFIG_MAP, labels="n in (c1,c5)")).items] == ["c1", "c5"]
    assert [meta.name(obj) for obj in (await client.list(CONFIG_MAP, fields="metadata.name=c3")).items] == ["c3"]


async def test_status_and_spec_are_written_apart(client: Client) -> None:
    made = await client.create(NODE, {"metadata": {"name": "n"}})
    told = await client.update_status(NODE, {**made, "status": {"phase": "up"}, "spec": {"unschedulable": True}})
    assert told["status"]["phase"] == "up"
    assert "unschedulable" not in (told.get("spec") or {})


async def test_a_watch_tells_every_change_in_order(client: Client, server: Server) -> None:
    begin = (await client.list(CONFIG_MAP)).resource_version
    other = server.client()
    seen: list[tuple[str, str]] = []
    async with asyncio.timeout(DEADLINE), aclosing(client.watch(CONFIG_MAP, resource_version=begin)) as events:
        made = await other.create(CONFIG_MAP, config("w"))
        await other.update(CONFIG_MAP, {**made, "data": {"a": "b"}})
        await other.delete(CONFIG_MAP, "w", "default")
        async for event in events:
            if event.type != "BOOKMARK":
                assert (event.object["apiVersion"], event.object["kind"]) == ("v1", "ConfigMap")
                seen.append((event.type, meta.name(event.object)))
            if event.type == "DELETED":
                break
    assert seen == [("ADDED", "w"), ("MODIFIED", "w"), ("DELETED", "w")]


async def test_a_watch_shows_an_event_at_once(client: Client, server: Server) -> None:
    """Neither transport may buffer: the stream stays open while the event must come through."""
    begin = (await client.list(CONFIG_MAP)).resource_version
    async with aclosing(client.watch(CONFIG_MAP, resource_version=begin)) as events:
        waiting = asyncio.ensure_future(anext(events))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        await server.client().create(CONFIG_MAP, config("now"))
        event = await asyncio.wait_for(waiting, DEADLINE)
        assert meta.name(event.object) == "now"


async def test_a_watch_from_a_forgotten_past_is_expired(client: Client, server: Server) -> None:
    made = await client.create(CONFIG_MAP, config("old"))
    for number in range(3):
        made = await client.update(CONFIG_MAP, {**made, "data": {"n": str(number)}})
    server.api.store.window(CONFIG_MAP.group_resource).floor = int(meta.resource_version(made))
    async with asyncio.timeout(DEADLINE), aclosing(client.watch(CONFIG_MAP, resource_version="1")) as events:
        with pytest.raises(Expired):
            await anext(events)


async def test_a_watch_ends_after_its_timeout(client: Client) -> None:
    async with asyncio.timeout(DEADLINE):
        events = [event async for event in client.watch(CONFIG_MAP, resource_version="", timeout=1)]
    assert {event.type for event in events} <= {"ADDED", "BOOKMARK"}


async def test_a_watch_that_is_left_is_forgotten_by_the_server(client: Client, server: Server) -> None:
    window = server.api.store.window(CONFIG_MAP.group_resource)
    begin = (await client.list(CONFIG_MAP)).resource_version
    waiting = asyncio.ensure_future(anext(client.watch(CONFIG_MAP, resource_version=begin)))
    async with asyncio.timeout(DEADLINE):
        while window.watchers == 0:
            await asyncio.sleep(0.005)
        waiting.cancel()
        while window.watchers:
            await asyncio.sleep(0.005)


async def test_logs_stream(client: Client) -> None:
    await client.create(POD, pod("p"))
    assert b"".join([part async for part in client.logs("p", "default", tail=5)]) == b"p 0\np 1\np 2\n"
    with pytest.raises(NotFound):
        _ = [part async for part in client.logs("absent", "default")]


async def test_names_and_values_travel_unharmed(client: Client) -> None:
    value = 'quotes " \u00e6\u00f8\u00e5 \U0001f600 \\ \n\t end'
    await client.create(CONFIG_MAP, config("odd.name-1", text=value))
    assert (await client.get(CONFIG_MAP, "odd.name-1", "default"))["data"] == {"text": value}
    assert (await client.list(CONFIG_MAP, labels="n=odd.name-1")).items


async def test_many_at_once(client: Client) -> None:
    await asyncio.gather(*(client.create(CONFIG_MAP, config(f"m{number}")) for number in range(60)))
    found = await client.list(CONFIG_MAP, "default", limit=7)
    assert len(found.items) == 60


async def test_a_large_object(client: Client) -> None:
    value = "x" * 900_000
    made = await client.create(CONFIG_MAP, config("large", text=value))
    assert (await client.get(CONFIG_MAP, "large", "default"))["data"] == made["data"] == {"text": value}


async def test_discovery(client: Client) -> None:
    found = {resource.group_resource: resource for resource in await served(client)}
    assert {"pods", "deployments.apps", "namespaces", "endpointslices.discovery.k8s.io"} <= set(found)
    assert (found["deployments.apps"].kind, found["deployments.apps"].version) == ("Deployment", "v1")
    assert not found["namespaces"].namespaced
    assert found["pods"].status
    resource = await resource_of(client, "apps/v1", "Deployment")
    assert resource is not None
    assert resource.path("default", "x") == DEPLOYMENT.path("default", "x")
    assert await resource_of(client, "nothing.example.com/v1", "Deployment") is None
    assert await resource_of(client, "apps/v1", "Nothing") is None


async def test_custom_kinds_are_found_too(client: Client) -> None:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList"}
    spec: dict[str, Any] = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": names,
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
    }
    await client.create(CRD, {"metadata": {"name": "widgets.example.com"}, "spec": spec})
    widget = await resource_of(client, "example.com/v1", "Widget")
    assert widget is not None
    await client.create(widget, {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}})
    assert [meta.name(obj) for obj in (await client.list(widget)).items] == ["w"]
    assert widget.group_resource in {resource.group_resource for resource in await served(client)}


async def test_raw_paths(client: Client) -> None:
    assert (await client.raw("GET", "/version"))["major"] == "1"
    with pytest.raises(NotFound):
        await client.raw("GET", "/apis/nothing.example.com/v1")
    assert meta.name(await client.get(NAMESPACE, "default")) == "default"
