"""One walk through everything an API must do for a kind: discovery, then every verb, on three objects.

The behaviours called "API operations" and "CRUD operations" differ in the kind alone. Everything sent must come back:
`includes` allows additions (defaults) and nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.kubernetes.client import APPLY, MERGE, STRATEGIC, Collection, Kube, Object, refused, unique

VERBS = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
LABEL = "behaviour.styr.dev/walk"


@dataclass(frozen=True)
class Kind:
    """`body(n)` is the n-th object without kind and labels (1 to 3); its metadata may be left out. `change` is a merge
    patch of what may change besides metadata; `statuses` are two statuses that can follow each other, none for a kind
    without the subresource."""

    api_version: str
    kind: str
    plural: str
    body: Callable[[int], Object]
    namespaced: bool = True
    change: Object | None = None
    statuses: tuple[Object, ...] = field(default=())

    def object(self, number: int, label: str) -> Object:
        body = copy.deepcopy(self.body(number))
        metadata = body.setdefault("metadata", {})
        metadata.setdefault("name", f"{label}-{number}")
        metadata["labels"] = {**metadata.get("labels", {}), LABEL: label}
        return {"apiVersion": self.api_version, "kind": self.kind, **body}


def includes(found: Any, wanted: Any, where: str = "") -> None:
    """All that is in `wanted` is in `found`; lists have the same length, but for conditions: controllers add theirs."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            assert isinstance(found, dict), f"{where} is {found!r}, not an object"
            assert key in found, f"{where}.{key} is not there"
            includes(found[key], value, f"{where}.{key}")
    elif isinstance(wanted, list):
        assert isinstance(found, list), f"{where} is {found!r}, not a list"
        if where.endswith(".conditions"):
            types = {each["type"] for each in wanted}
            found = [each for each in found if each["type"] in types]
        assert len(found) == len(wanted), f"{where} is {found!r}, not {wanted!r}"
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            includes(one, other, f"{where}[{number}]")
    else:
        assert found == wanted, f"{where} is {found!r}, not {wanted!r}"


async def discovered(kube: Kube, kind: Kind) -> None:
    """Group, version, resource and its status stand in every document of discovery that should name them."""
    group, _, version = kind.api_version.rpartition("/")
    if group:
        groups = {each["name"]: each for each in (await kube.read("/apis"))["groups"]}
        assert version in [each["version"] for each in groups[group]["versions"]]
        assert version in [each["version"] for each in (await kube.read(f"/apis/{group}"))["versions"]]
    listed = await kube.read(f"/apis/{kind.api_version}" if group else f"/api/{version}")
    assert listed["groupVersion"] == kind.api_version
    resources = {each["name"]: each for each in listed["resources"]}
    assert resources[kind.plural]["kind"] == kind.kind
    assert resources[kind.plural]["namespaced"] is kind.namespaced
    assert set(resources[kind.plural]["verbs"]) >= VERBS
    if kind.statuses:
        assert set(resources[f"{kind.plural}/status"]["verbs"]) >= {"get", "patch", "update"}


async def walk(kube: Kube, kind: Kind, namespace: str = "") -> None:
    """Every verb; raises AssertionError or Refused at the first that is not as it must be."""
    await discovered(kube, kind)
    objects = kube.of(kind.api_version, kind.plural, namespace if kind.namespaced else "")
    label = unique("walk")
    selector = f"{LABEL}={label}"
    sent = [kind.object(number, label) for number in (1, 2, 3)]
    made = [await objects.create(obj) for obj in sent]
    for one, other in zip(made, sent, strict=True):
        includes(one, other)
    name = made[0]["metadata"]["name"]
    await _read(objects, made, selector)
    start = (await objects.list(selector))["metadata"]["resourceVersion"]
    async with objects.watching(selector, resourceVersion=start) as watch:
        await _write(objects, kind, made[0])
        if kind.statuses:
            await _status(objects, kind, name)
        seen = await watch.wait("MODIFIED", lambda obj: _annotations(obj).get("updated") == "true")
        assert _annotations(seen.object)["patched"] == "true"
        await _remove(objects, made, selector)
        assert (await watch.wait("DELETED")).name == name


async def _read(objects: Collection, made: list[Object], selector: str) -> None:
    names = sorted(obj["metadata"]["name"] for obj in made)
    found = await objects.get(made[0]["metadata"]["name"])
    assert found["metadata"]["uid"] == made[0]["metadata"]["uid"]
    assert int(found["metadata"]["resourceVersion"]) > 0
    assert await objects.names(selector) == names
    assert await objects.everywhere().names(selector) == names
    async with objects.everywhere().watching(selector) as watch:
        assert sorted([(await watch.next()).name for _ in names]) == names


async def _write(objects: Collection, kind: Kind, made: Object) -> None:
    name, metadata = made["metadata"]["name"], made["metadata"]
    patched = await objects.patch(name, {"metadata": {"annotations": {"patched": "true"}}})
    assert _annotations(patched)["patched"] == "true"
    assert int(patched["metadata"]["resourceVersion"]) > int(metadata["resourceVersion"])
    updated = await objects.change(name, lambda obj: obj["metadata"]["annotations"].update(updated="true"))
    assert _annotations(updated)["updated"] == "true"
    type_meta = {"apiVersion": kind.api_version, "kind": kind.kind}
    for type, key in ((STRATEGIC, "strategic"), (MERGE, "merge"), (APPLY, "apply")):
        patch = {**type_meta, "metadata": {"name": name, "labels": {f"test.{key}": "test"}}}
        more = {"fieldManager": "walk"} if type == APPLY else {}
        assert (await objects.patch(name, patch, type=type, **more))["metadata"]["labels"][f"test.{key}"] == "test"
    pointer = [{"op": "add", "path": "/metadata/labels/test.json", "value": "test"}]
    assert (await objects.patch(name, pointer))["metadata"]["labels"]["test.json"] == "test"
    if kind.change:
        includes(await objects.patch(name, kind.change), kind.change)
        includes(await objects.get(name), kind.change)


async def _status(objects: Collection, kind: Kind, name: str) -> None:
    first, last = kind.statuses[0], kind.statuses[-1]
    patched = await objects.patch(name, {"status": first}, "status")
    includes(patched["status"], first, ".status")
    updated = await objects.change(name, lambda obj: obj.update(status={**obj.get("status", {}), **last}), "status")
    includes(updated["status"], last, ".status")
    found = await objects.get(name, "status")
    assert found["metadata"]["uid"] == patched["metadata"]["uid"]
    includes(found["status"], last, ".status")


async def _remove(objects: Collection, made: list[Object], selector: str) -> None:
    first, *others = [obj["metadata"]["name"] for obj in made]
    await objects.delete(first)
    with refused(404, "NotFound"):
        await objects.get(first)
    assert await objects.names(selector) == sorted(others)
    await objects.delete_all(selector)
    assert await objects.names(selector) == []


def _annotations(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}
