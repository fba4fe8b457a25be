"""`lightkube`, async: typed models, generic resources, apply, exec."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.clients.objects import widget
from tests.conformance.clients.python.cases import GROUP, IDLE, MAPS, RUNS, WIDGETS, plays
from tests.conformance.clients.scene import Scene

ME = "lightkube"


def connected(scene: Scene, **how: Any) -> Any:
    from lightkube import AsyncClient, KubeConfig

    return AsyncClient(KubeConfig.from_file(str(scene.kubeconfig)), **how)


def one(**data: str) -> Any:
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import ConfigMap

    return ConfigMap(metadata=ObjectMeta(name="one"), data=data)


@plays(ME, "create, read, delete")
async def create(scene: Scene) -> None:
    from lightkube.core.exceptions import ApiError
    from lightkube.resources.core_v1 import ConfigMap

    client = connected(scene)
    assert (await client.create(one(a="1"))).metadata.uid
    assert (await client.get(ConfigMap, "one")).data == {"a": "1"}
    await client.delete(ConfigMap, "one")
    with pytest.raises(ApiError) as gone:
        await client.get(ConfigMap, "one")
    assert gone.value.status.reason == "NotFound"


@plays(ME, "lists, selectors, pages", *MAPS)
async def lists(scene: Scene) -> None:
    from lightkube.resources.core_v1 import ConfigMap

    client = connected(scene)
    found = [
        item.metadata.name async for item in client.list(ConfigMap, labels={"tier": ["gold", "iron"]}, chunk_size=1)
    ]
    assert found == ["one", "two"]
    found = [item.metadata.name async for item in client.list(ConfigMap, fields={"metadata.name": "two"})]
    assert found == ["two"]


@plays(ME, "patches", *MAPS)
async def patches(scene: Scene) -> None:
    from lightkube.resources.core_v1 import ConfigMap
    from lightkube.types import PatchType

    client = connected(scene)
    assert (await client.patch(ConfigMap, "one", {"data": {"b": "2"}})).data == {"a": "1", "b": "2"}
    removed = [{"op": "remove", "path": "/data/a"}]
    assert (await client.patch(ConfigMap, "one", removed, patch_type=PatchType.JSON)).data == {"b": "2"}


@plays(ME, "conflict", *MAPS)
async def conflict(scene: Scene) -> None:
    from lightkube.core.exceptions import ApiError
    from lightkube.resources.core_v1 import ConfigMap

    client = connected(scene)
    stale = await client.get(ConfigMap, "one")
    await client.patch(ConfigMap, "one", {"data": {"b": "2"}})
    stale.data = {"stale": "1"}
    with pytest.raises(ApiError) as conflict:
        await client.replace(stale)
    assert conflict.value.status.code == 409


@plays(ME, "server-side apply")
async def apply(scene: Scene) -> None:
    from lightkube.core.exceptions import ApiError

    client = connected(scene, field_manager="ours")
    assert (await client.apply(one(a="1"))).data == {"a": "1"}
    with pytest.raises(ApiError) as conflict:
        await client.apply(one(a="2"), field_manager="theirs")
    assert conflict.value.status.code == 409
    assert (await client.apply(one(a="2"), field_manager="theirs", force=True)).data == {"a": "2"}


@plays(ME, "status and scale", *IDLE)
async def status(scene: Scene) -> None:
    from lightkube.models.autoscaling_v1 import ScaleSpec
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.apps_v1 import Deployment

    client = connected(scene)
    scale = Deployment.Scale(metadata=ObjectMeta(name="web"), spec=ScaleSpec(replicas=0))
    assert (await client.replace(scale, "web")).spec.replicas == 0
    found = await client.patch(Deployment.Status, "web", {"status": {"collisionCount": 1}})
    assert found.spec.replicas == 0
    await client.wait(Deployment, "web", for_conditions=["Available"])


@plays(ME, "watch", *MAPS)
async def watch(scene: Scene) -> None:
    from lightkube.resources.core_v1 import ConfigMap

    client, seen = connected(scene), []
    async with asyncio.timeout(30):
        async for kind, obj in client.watch(ConfigMap, labels={"tier": "gold"}):
            seen.append((kind, obj.metadata.name))
            if len(seen) == 1:
                await client.delete(ConfigMap, "one")
            else:
                break
    assert seen == [("ADDED", "one"), ("DELETED", "one")]


@plays(ME, "custom resources", *WIDGETS)
async def custom(scene: Scene) -> None:
    from lightkube.generic_resource import create_namespaced_resource
    from lightkube.types import PatchType

    client = connected(scene)
    generic = create_namespaced_resource(scene.fill(GROUP), "v1", "Widget", "widgets")
    await client.create(generic.from_dict(scene.fill(widget(GROUP, "w", size=1))))
    found = await client.patch(generic, "w", {"spec": {"size": 4}}, patch_type=PatchType.MERGE)
    assert found["spec"] == {"size": 4, "colour": "red"}
    status = await client.patch(generic.Status, "w", {"status": {"ok": True}}, patch_type=PatchType.MERGE)
    assert status["status"] == {"ok": True}


@plays(ME, "discovery", *WIDGETS)
async def discovery(scene: Scene) -> None:
    from lightkube.generic_resource import async_load_in_cluster_generic_resources, get_generic_resource

    client = connected(scene)
    await async_load_in_cluster_generic_resources(client)
    found = get_generic_resource(f"{scene.fill(GROUP)}/v1", "Widget")
    assert found is not None
    await client.create(found.from_dict(scene.fill(widget(GROUP, "w", size=1))))


@plays(ME, "logs", *RUNS)
async def logs(scene: Scene) -> None:
    client = connected(scene)
    assert [line async for line in client.log("web", newlines=False)] == ["one", "two"]
    async for line in client.log("web", follow=True):
        assert line == "one\n"
        break


@plays(ME, "exec", *RUNS)
async def execute(scene: Scene) -> None:
    said = await connected(scene).exec("web", command=["sh", "-c", "read x; echo got $x"], stdin="word\n", stdout=True)
    assert said.stdout == "got word\n"


@plays(ME, "tokens and reviews")
async def reviews(scene: Scene) -> None:
    from lightkube.models.authorization_v1 import ResourceAttributes, SelfSubjectAccessReviewSpec
    from lightkube.resources.authorization_v1 import SelfSubjectAccessReview

    asked = ResourceAttributes(namespace=scene.namespace, verb="get", resource="pods")
    review = SelfSubjectAccessReview(spec=SelfSubjectAccessReviewSpec(resourceAttributes=asked))
    assert (await connected(scene).create(review)).status.allowed


@plays(ME, "refusals", *MAPS)
async def refusals(scene: Scene) -> None:
    from lightkube.core.exceptions import ApiError

    with pytest.raises(ApiError) as exists:
        await connected(scene).create(one())
    assert exists.value.status.reason == "AlreadyExists"
