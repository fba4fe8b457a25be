"""`kr8s`, async: objects by kubectl's words."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest

from styr.kit.http import fetch
from styr.plane.ports import free_port
from tests.conformance.clients.objects import config_map, widget
from tests.conformance.clients.python.cases import GROUP, IDLE, MAPS, RUNS, SERVES, WIDGETS, plays
from tests.conformance.clients.scene import Scene

ME = "kr8s"


async def connected(scene: Scene) -> Any:
    import kr8s.asyncio

    return await kr8s.asyncio.api(kubeconfig=str(scene.kubeconfig), namespace=scene.namespace)


async def found(scene: Scene, kind: str, name: str) -> Any:
    api = await connected(scene)
    return await anext(api.get(kind, name, namespace=scene.namespace))


@plays(ME, "create, read, delete")
async def create(scene: Scene) -> None:
    from kr8s.asyncio.objects import ConfigMap

    one = await ConfigMap({**config_map("one", a="1")}, api=await connected(scene), namespace=scene.namespace)
    await one.create()
    await one.refresh()
    assert one.data.to_dict() == {"a": "1"}
    await one.delete()
    assert not await one.exists()


@plays(ME, "lists, selectors, pages", *MAPS)
async def lists(scene: Scene) -> None:
    api = await connected(scene)
    names = [obj.name async for obj in api.get("configmaps", label_selector="tier=gold")]
    assert names == ["one"]
    names = [obj.name async for obj in api.get("cm", "two")]
    assert names == ["two"]


@plays(ME, "patches", *MAPS)
async def patches(scene: Scene) -> None:
    one = await found(scene, "configmaps", "one")
    await one.patch({"data": {"b": "2"}})
    await one.patch([{"op": "remove", "path": "/data/a"}], type="json")
    await one.label({"x": "y"})
    await one.annotate({"note": "hello"})
    await one.refresh()
    assert one.data.to_dict() == {"b": "2"}
    assert one.labels["x"] == "y"
    assert one.annotations["note"] == "hello"
    await one.remove_label("x")
    assert "x" not in one.labels


@plays(ME, "status and scale", *IDLE)
async def status(scene: Scene) -> None:
    web = await found(scene, "deployments", "web")
    await web.patch({"status": {"collisionCount": 1}}, subresource="status")
    await web.wait("condition=Available", timeout=30)
    assert web.replicas == 0


@plays(ME, "watch", *MAPS)
async def watch(scene: Scene) -> None:
    api, seen = await connected(scene), []
    async with asyncio.timeout(30):
        async for kind, obj in api.watch("configmaps", label_selector="tier=gold"):
            seen.append((kind, obj.name))
            if len(seen) == 1:
                await obj.delete()
            else:
                break
    assert seen == [("ADDED", "one"), ("DELETED", "one")]


@plays(ME, "custom resources", *WIDGETS)
async def custom(scene: Scene) -> None:
    from kr8s.asyncio.objects import new_class

    api = await connected(scene)
    widgets = new_class("Widget", version=f"{scene.fill(GROUP)}/v1", namespaced=True)
    await (await widgets(scene.fill(widget(GROUP, "w", size=7)), api=api, namespace=scene.namespace)).create()
    assert [obj.spec.colour async for obj in api.get(f"widgets.{scene.fill(GROUP)}")] == ["red"]


@plays(ME, "discovery")
async def discovery(scene: Scene) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        api = await connected(scene)
        assert (await api.version())["major"] == "1"
        kinds = {kind["kind"] for kind in await api.api_resources()}
    assert {"Pod", "Deployment", "CustomResourceDefinition"} <= kinds
    assert [str(each.message) for each in told if "version" in str(each.message).lower()] == []


@plays(ME, "logs", *RUNS)
async def logs(scene: Scene) -> None:
    web = await found(scene, "pods", "web")
    assert [line async for line in web.logs()] == ["one", "two"]
    async for line in web.logs(follow=True, tail_lines=1):
        assert line == "two"
        break


@plays(ME, "exec", *RUNS)
async def execute(scene: Scene) -> None:
    web = await found(scene, "pods", "web")
    assert (await web.exec(["echo", "out"])).stdout == b"out\n"


@plays(ME, "port-forward", *SERVES)
async def forward(scene: Scene) -> None:
    web = await found(scene, "pods", "web")
    async with web.portforward(8080, local_port=free_port()) as port:  # its own "auto" may take one that is in use
        answer = await fetch("GET", "127.0.0.1", port, "/", timeout=20)
        assert answer.body == b"hello\n"


@plays(ME, "tokens and reviews")
async def reviews(scene: Scene) -> None:
    assert await (await connected(scene)).whoami() == "styr-admin"


@plays(ME, "refusals", *MAPS)
async def refusals(scene: Scene) -> None:
    import kr8s
    from kr8s.asyncio.objects import ConfigMap

    api = await connected(scene)
    again = await ConfigMap(config_map("one"), api=api, namespace=scene.namespace)
    with pytest.raises(kr8s.ServerError, match="already exists"):
        await again.create()
    with pytest.raises(kr8s.NotFoundError):
        await ConfigMap.get("none", api=api, namespace=scene.namespace)
