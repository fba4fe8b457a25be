"""CustomResourceDefinitions: created, listed, watched, their status, defaults, selectable fields."""

from __future__ import annotations

import pytest

from tests.conformance.kubernetes.client import Kube, Object, eventually, refused, unique
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import custom, define, definition, version

API = ("apiextensions.k8s.io/v1", "customresourcedefinitions")


def objects_of(kube: Kube, crd: Object, namespace: str = "", version: str = ""):
    spec = crd["spec"]
    api_version = f"{spec['group']}/{version or spec['versions'][0]['name']}"
    return kube.of(api_version, spec["names"]["plural"], namespace)


@behaviour("Custom Resource Definition, create")
async def test_a_definition_comes_and_goes(kube: Kube) -> None:
    crds = kube.of(*API)
    crd = await define(kube, definition())
    assert await objects_of(kube, crd).items() == []
    await crds.delete(crd["metadata"]["name"])
    await crds.until_gone(crd["metadata"]["name"])
    with refused(404):
        await objects_of(kube, crd).items()


@behaviour("Custom Resource Definition, list")
async def test_definitions_are_listed_and_deleted_by_label(kube: Kube) -> None:
    crds, label = kube.of(*API), unique("list")
    made = [await define(kube, definition(labels={"e2e-list": label})) for _ in range(10)]
    other = await define(kube, definition())
    names = sorted(each["metadata"]["name"] for each in made)
    assert await crds.names(f"e2e-list={label}") == names
    await crds.delete_all(f"e2e-list={label}")
    await crds.until_names([], f"e2e-list={label}")
    assert (await crds.get(other["metadata"]["name"]))["metadata"]["uid"] == other["metadata"]["uid"]


@behaviour("Custom Resource Definition, status sub-resource")
async def test_the_status_of_a_definition_is_written_and_read(kube: Kube) -> None:
    crds = kube.of(*API)
    name = (await define(kube, definition()))["metadata"]["name"]
    found = (await crds.get(name, "status"))["status"]
    assert {"Established", "NamesAccepted"} <= {each["type"] for each in found["conditions"]}
    told = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set by a test"}
    await crds.change(name, lambda crd: crd["status"]["conditions"].append(told), "status")
    found = (await crds.get(name))["status"]["conditions"]
    assert next(each for each in found if each["type"] == "StatusUpdate")["message"] == "Set by a test"
    patch = {
        "metadata": {"annotations": {"patched": "yes"}},
        "status": {"conditions": [{**told, "type": "StatusPatch"}]},
    }
    await crds.patch(name, patch, "status")
    assert "StatusPatch" in [each["type"] for each in (await crds.get(name))["status"]["conditions"]]


@behaviour("Custom Resource Definition, watch")
async def test_custom_objects_are_watched(kube: Kube) -> None:
    crd = await define(kube, definition(scope="Cluster"))
    things = objects_of(kube, crd)
    async with things.watching() as watch:
        for name in ("first", "second"):
            await things.create(custom(crd, name, content={"key": "value"}))
            assert (await watch.wait("ADDED")).name == name
        for name in ("first", "second"):
            await things.patch(name, {"content": {"key": "changed"}})
            assert (await watch.wait("MODIFIED")).object["content"] == {"key": "changed"}
        for name in ("first", "second"):
            await things.delete(name)
            assert (await watch.wait("DELETED")).name == name


@behaviour("Custom Resource Definition, defaulting")
async def test_defaults_are_applied_to_requests_and_to_what_is_stored(kube: Kube) -> None:
    crds = kube.of(*API)
    schema: Object = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    crd = await define(kube, definition(version(schema=schema), scope="Cluster"))
    things, name = objects_of(kube, crd), crd["metadata"]["name"]
    path = "/spec/versions/0/schema/openAPIV3Schema/properties"
    await things.create(custom(crd, "before"))
    assert "a" not in await things.get("before")
    await crds.patch(name, [{"op": "add", "path": f"{path}/a/default", "value": "A"}])

    async def defaulted() -> bool:
        return (await things.get("before")).get("a") == "A"

    await eventually(defaulted, "what is stored is defaulted when it is read")
    made = await things.create(custom(crd, "after"))
    assert made["a"] == "A"
    removed = {"op": "remove", "path": f"{path}/a/default"}
    await crds.patch(name, [removed, {"op": "add", "path": f"{path}/b/default", "value": "B"}])

    async def other() -> bool:
        return (await things.get("after")).get("b") == "B"

    await eventually(other, "the other field is defaulted")
    assert (await things.get("after"))["a"] == "A"  # it was stored with the default of its day
    assert "a" not in await things.get("before")


PROPERTIES = {"color": {"type": "string"}, "quantity": {"type": "integer"}}


@pytest.mark.parametrize("on", ["v1", "v2"])
async def test_selectable_fields_select(kube: Kube, namespace: str, on: str) -> None:
    """Both versions have the same fields here; with a webhook between different ones, see `test_conversion`."""
    fields = [{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.quantity"}]
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": PROPERTIES}}}
    versions = [
        version(name, schema, storage=name == "v1", selectableFields=fields, additionalPrinterColumns=[])
        for name in ("v1", "v2")
    ]
    crd = await define(kube, definition(*versions))
    things = objects_of(kube, crd, namespace, on)
    for name, color, quantity in (("one", "blue", 1), ("two", "red", 2), ("three", "blue", 3)):
        await things.create(custom(crd, name, on, spec={"color": color, "quantity": quantity}))
    assert await things.names(fields="spec.color=blue") == ["one", "three"]
    assert await things.names(fields="spec.color=blue,spec.quantity=1") == ["one"]
    assert await things.names(fields="spec.color!=blue") == ["two"]
    async with things.watching(fields="spec.color=blue") as watch:
        assert {(await watch.next()).name for _ in range(2)} == {"one", "three"}
        await things.patch("two", {"spec": {"color": "blue"}})
        assert (await watch.wait("ADDED")).name == "two"
        await things.patch("two", {"spec": {"color": "red"}})
        assert (await watch.wait("DELETED")).name == "two"
