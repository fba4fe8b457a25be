"""The Python clients of PyPI, unmodified and with their own defaults: kubernetes, lightkube, kr8s."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from styr.kinds.resources import CONFIG_MAP, CRD, POD
from tests.conformance.conftest import WIDGETS, Platform, config_map, pod, widget

pytestmark = pytest.mark.timeout(120)


async def test_kubernetes(platform: Platform) -> None:
    await platform.client.create(CRD, WIDGETS)
    await asyncio.to_thread(_kubernetes, str(platform.kubeconfig))


def _kubernetes(kubeconfig: str) -> None:
    import kubernetes
    from kubernetes.client.rest import ApiException

    with kubernetes.config.new_client_from_config(kubeconfig) as api:
        core = kubernetes.client.CoreV1Api(api)
        created = core.create_namespaced_config_map("default", config_map("one", a="1"))
        assert created.metadata.uid
        core.create_namespaced_pod("default", pod("web"))
        assert [item.metadata.name for item in core.list_namespaced_config_map("default").items] == ["one"]
        patched = core.patch_namespaced_config_map("one", "default", {"data": {"b": "2"}})
        assert patched.data == {"a": "1", "b": "2"}
        operations = [{"op": "test", "path": "/data/a", "value": "9"}, {"op": "remove", "path": "/data/a"}]
        with pytest.raises(ApiException) as refused:
            core.patch_namespaced_config_map("one", "default", operations)
        assert refused.value.status == 422
        stale = core.read_namespaced_config_map("one", "default")
        core.patch_namespaced_config_map("one", "default", {"data": {"c": "3"}})
        with pytest.raises(ApiException) as conflict:
            core.replace_namespaced_config_map("one", "default", stale)
        assert conflict.value.status == 409
        events = [(e["type"], e["object"].metadata.name) for e in _watched(kubernetes, core, "one")]
        assert events == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "one")]
        custom = kubernetes.client.CustomObjectsApi(api)
        place = ("example.com", "v1", "default", "widgets")
        made = custom.create_namespaced_custom_object(*place, widget("w", size=2))
        assert made["spec"] == {"size": 2, "colour": "red"}
        changed = custom.patch_namespaced_custom_object(*place, "w", {"spec": {"size": 5}})
        assert (changed["spec"]["size"], changed["metadata"]["generation"]) == (5, 2)
        status = custom.patch_namespaced_custom_object_status(
            *place, "w", {"status": {"ok": True}, "spec": {"size": 9}}
        )
        assert (status["status"], status["spec"]["size"]) == ({"ok": True}, 5)
        custom.delete_namespaced_custom_object(*place, "w")
        with pytest.raises(ApiException) as gone:
            custom.get_namespaced_custom_object(*place, "w")
        assert gone.value.status == 404
        dynamic = kubernetes.dynamic.DynamicClient(api)
        pods = dynamic.resources.get(api_version="v1", kind="Pod")
        assert [item.metadata.name for item in pods.get(namespace="default").items] == ["web"]


def _watched(kubernetes: Any, core: Any, name: str) -> list[dict[str, Any]]:
    """Three events: what is there, a change, its end; each made when the one before has arrived."""
    watch, seen = kubernetes.watch.Watch(), []
    for event in watch.stream(core.list_namespaced_config_map, "default", timeout_seconds=30):
        seen.append(event)
        if len(seen) == 1:
            core.patch_namespaced_config_map(name, "default", {"data": {"d": "4"}})
        elif len(seen) == 2:
            core.delete_namespaced_config_map(name, "default")
        else:
            watch.stop()
    return seen


async def test_lightkube(platform: Platform) -> None:
    from lightkube import AsyncClient, KubeConfig
    from lightkube.core.exceptions import ApiError
    from lightkube.generic_resource import create_namespaced_resource
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import ConfigMap, Namespace

    await platform.client.create(CRD, WIDGETS)
    client = AsyncClient(KubeConfig.from_file(str(platform.kubeconfig)))
    made = await client.create(ConfigMap(metadata=ObjectMeta(name="one", namespace="default"), data={"a": "1"}))
    assert made.metadata is not None
    version = made.metadata.resourceVersion
    names = [ns.metadata.name async for ns in client.list(Namespace, chunk_size=2) if ns.metadata]
    assert "default" in names
    assert len(names) == len(set(names)) == 5
    patched = await client.patch(ConfigMap, "one", {"data": {"b": "2"}}, namespace="default")
    assert patched.data == {"a": "1", "b": "2"}
    async with asyncio.timeout(20):
        async for kind, obj in client.watch(ConfigMap, namespace="default", resource_version=version):
            assert (kind, obj.data) == ("MODIFIED", {"a": "1", "b": "2"})
            break
    made.data = {"stale": "1"}
    with pytest.raises(ApiError) as conflict:
        await client.replace(made)
    assert conflict.value.status.code == 409
    generic = create_namespaced_resource("example.com", "v1", "Widget", "widgets")
    await client.create(generic.from_dict(widget("w", size=1)), namespace="default")
    found = await client.patch(generic, "w", {"spec": {"size": 4}}, namespace="default", patch_type=_merge())
    assert found["spec"] == {"size": 4, "colour": "red"}
    await client.delete(ConfigMap, "one", namespace="default")
    with pytest.raises(ApiError) as gone:
        await client.get(ConfigMap, "one", namespace="default")
    assert gone.value.status.reason == "NotFound"


def _merge() -> Any:
    from lightkube.types import PatchType

    return PatchType.MERGE


async def test_kr8s(platform: Platform, recwarn: pytest.WarningsRecorder) -> None:
    import kr8s.asyncio
    from kr8s.asyncio.objects import ConfigMap, Pod, new_class

    await platform.client.create(CRD, WIDGETS)
    api = await kr8s.asyncio.api(kubeconfig=str(platform.kubeconfig))
    assert (await api.version())["major"] == "1"
    one = await ConfigMap(config_map("one", a="1"), api=api)
    await one.create()
    await one.patch({"data": {"b": "2"}})
    await one.label({"tier": "gold"})
    await one.refresh()
    assert one.raw["data"].to_dict() == {"a": "1", "b": "2"}
    assert one.labels["tier"] == "gold"
    names = [obj.name async for obj in api.get("configmaps", namespace="default")]
    assert names == ["one"]
    web = pod("web")
    web["spec"]["nodeName"] = "here"
    await platform.client.create(POD, web)
    async for found in api.get("pods", "web", namespace="default"):
        assert isinstance(found, Pod)
        lines = [line async for line in found.logs()]
        assert lines[0] == "default/web line 0"
    widgets = new_class("Widget", version="example.com/v1", namespaced=True)
    await (await widgets(widget("w", size=7), api=api)).create()
    assert [obj.spec.colour async for obj in api.get("widgets.example.com", namespace="default")] == ["red"]
    async with asyncio.timeout(20):
        async for kind, obj in api.watch("configmaps", namespace="default"):
            assert (kind, obj.name) == ("ADDED", "one")
            break
    await one.delete()
    assert not await one.exists()
    assert [str(w.message) for w in recwarn if "version" in str(w.message).lower()] == []


async def test_many_threads_at_once(platform: Platform) -> None:
    """Ten connections write and read together; nothing is lost, no revision is given twice."""
    import kubernetes

    versions: list[str] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        with kubernetes.config.new_client_from_config(str(platform.kubeconfig)) as api:
            core = kubernetes.client.CoreV1Api(api)
            for turn in range(5):
                made = core.create_namespaced_config_map("default", config_map(f"c{number}-{turn}"))
                with lock:
                    versions.append(made.metadata.resource_version)

    await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(10)))
    assert len(set(versions)) == 50
    assert len((await platform.client.list(CONFIG_MAP, "default")).items) == 50
