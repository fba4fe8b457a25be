"""Namespaces: labels, finalizers, status; and what their deletion takes along."""

from __future__ import annotations

from tests.conformance.kubernetes.client import Kube, unique
from tests.conformance.kubernetes.marker import behaviour


def namespace_object(name: str, **labels: str) -> dict:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@behaviour("Namespace patching")
async def test_a_patched_label_is_there(kube: Kube) -> None:
    namespaces = kube.of("v1", "namespaces")
    name = unique("patched")
    await namespaces.create(namespace_object(name))
    await namespaces.patch(name, {"metadata": {"labels": {"testLabel": "testValue"}}})
    found = await namespaces.get(name)
    assert found["metadata"]["labels"]["testLabel"] == "testValue"


@behaviour("Namespace, apply update to a namespace")
async def test_an_updated_label_is_there(kube: Kube) -> None:
    namespaces = kube.of("v1", "namespaces")
    name = unique("updated")
    await namespaces.create(namespace_object(name))
    await namespaces.change(name, lambda ns: ns["metadata"]["labels"].update({name: "updated"}))
    assert await namespaces.names(labels=f"{name}=updated") == [name]
